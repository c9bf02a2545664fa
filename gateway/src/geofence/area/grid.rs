//! Which outlines could hold a place: a grid over the world, sized for shops in cities.

use smallvec::SmallVec;

use super::{Bounds, bounds::share};

const CELLS_PER_DEGREE: f64 = 100.0;
/// Columns around the Earth.
const AROUND: i64 = 36_000;

/// Index over boxes; answers are their positions in the order in which they came.
pub(in crate::geofence) struct Grid {
    cells: Cells,
    entries: Vec<Entry>,
    large: Vec<Entry>,
}

/// A box, rounded outwards, beside its number: most places are turned away without a look at the outline.
#[derive(Clone, Copy)]
struct Entry {
    south: f32,
    north: f32,
    west: f32,
    east: f32,
    index: u32,
}

impl Grid {
    /// A box that covers more cells than this is simply asked every time.
    pub(in crate::geofence) const MOST_CELLS: u64 = 4096;

    pub(in crate::geofence) fn new(boxes: impl Iterator<Item = Bounds>) -> Self {
        Self::with_cells(boxes, Self::MOST_CELLS)
    }

    pub(in crate::geofence) fn with_cells(boxes: impl Iterator<Item = Bounds>, most_cells: u64) -> Self {
        let mut placed: Vec<(u32, Entry)> = Vec::new();
        let mut large = Vec::new();
        for (index, part) in (0..).zip(boxes).flat_map(|(i, b)| b.parts().map(move |part| (i, part))) {
            let entry = Entry::new(&part, index);
            let (south, north, west, east) = (row(part.south), row(part.north), column(part.west), column(part.east));
            if u64::from(north - south + 1) * u64::from(east - west + 1) > most_cells {
                large.push(entry);
                continue;
            }
            placed.extend((south..=north).flat_map(|y| (west..=east).map(move |x| (cell(y, x), entry))));
        }
        placed.sort_by_key(|(cell, entry)| (*cell, entry.index));
        let cells = Cells::new(&placed);
        Self { cells, entries: placed.into_iter().map(|(_, entry)| entry).collect(), large }
    }

    /// Lets the processor begin to fetch what [`Self::near`] will read, while the caller looks elsewhere: both are cold, and so it waits once.
    #[inline]
    pub(in crate::geofence) fn call_for(&self, lat: f64, lon: f64) {
        std::hint::black_box(self.listed(lat, lon).first[0].index);
    }

    /// Every box that holds the place, and perhaps one that misses it by a metre. `lon` is between -180 and 180.
    #[inline]
    pub(in crate::geofence) fn near(&self, lat: f64, lon: f64) -> impl Iterator<Item = usize> {
        let listed = self.listed(lat, lon);
        #[expect(clippy::cast_possible_truncation, reason = "the boxes are rounded outwards by more")]
        let (lat, lon) = (lat as f32, lon as f32);
        self.entries_of(listed).chain(&self.large).filter(move |e| e.holds(lat, lon)).map(|e| e.index as usize)
    }

    /// Every box that a straight way could meet, each once, and some that it misses. The way begins at latitude and longitude `from`, goes `by` so
    /// many degrees, and may pass longitude 180.
    pub(in crate::geofence) fn along(&self, from: (f64, f64), by: (f64, f64)) -> SmallVec<[usize; 16]> {
        /// A row is taken for this much wider than it is, degrees: numbers are rounded.
        const HAIR: f64 = 1e-9;
        let mut met: SmallVec<[u32; 16]> = self.large.iter().map(|e| e.index).collect();
        let (first, last) = (row(from.0), row(from.0 + by.0));
        for y in first.min(last)..=first.max(last) {
            let south = f64::from(y) / CELLS_PER_DEGREE - 90.0;
            let Some((a, b)) = share(from.0, by.0, (south - HAIR, south + 1.0 / CELLS_PER_DEGREE + HAIR)) else { continue };
            let (a, b) = (turning_column(from.1 + a * by.1), turning_column(from.1 + b * by.1));
            for x in a.min(b)..=a.max(b) {
                let listed = self.cells.get(cell(y, u32::try_from(x.rem_euclid(AROUND)).unwrap_or(0)));
                met.extend(self.entries_of(listed).map(|e| e.index));
            }
        }
        met.sort_unstable();
        met.dedup();
        met.into_iter().map(|index| index as usize).collect()
    }

    #[inline]
    fn entries_of<'a>(&'a self, listed: &'a Listed) -> impl Iterator<Item = &'a Entry> {
        let more = &self.entries[listed.start as usize..listed.end as usize];
        listed.first.iter().take(listed.firsts as usize).chain(more)
    }

    #[inline]
    fn listed(&self, lat: f64, lon: f64) -> &Listed {
        self.cells.get(cell(row(lat), column(lon)))
    }
}

impl Entry {
    const NONE: Self = Self { south: 0.0, north: 0.0, west: 0.0, east: 0.0, index: 0 };

    #[expect(clippy::cast_possible_truncation, reason = "rounded outwards")]
    fn new(b: &Bounds, index: u32) -> Self {
        // Two steps of an f32 at 180 degrees.
        const HAIR: f64 = 3.1e-5;
        Self {
            south: (b.south - HAIR) as f32,
            north: (b.north + HAIR) as f32,
            west: (b.west - HAIR) as f32,
            east: (b.east + HAIR) as f32,
            index,
        }
    }

    #[inline]
    fn holds(&self, lat: f32, lon: f32) -> bool {
        (lat >= self.south) & (lat <= self.north) & (lon >= self.west) & (lon <= self.east)
    }
}

#[inline]
fn cell(row: u32, column: u32) -> u32 {
    row << 16 | column
}

#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 18,000; what is no latitude goes to an edge")]
fn row(lat: f64) -> u32 {
    ((lat + 90.0) * CELLS_PER_DEGREE) as u32
}

#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 36,000; what is no longitude goes to an edge")]
fn column(lon: f64) -> u32 {
    ((lon + 180.0) * CELLS_PER_DEGREE) as u32 & 0xffff
}

/// The column of a longitude that may lie beyond 180, not brought back.
#[expect(clippy::cast_possible_truncation, reason = "at most a turn or two")]
fn turning_column(lon: f64) -> i64 {
    ((lon + 180.0) * CELLS_PER_DEGREE).floor() as i64
}

/// Which entries are those of a cell. Open addressing, at most half full, so that nearly every question costs one look into memory; the cells come
/// from our own files, so nobody can make them collide.
struct Cells {
    slots: Vec<Listed>,
    /// How far a product of 32 bits is shifted to be a slot.
    shift: u32,
}

/// The entries of one cell: the first here, so that most cells cost no second look, and where the others stand.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Listed {
    cell: u32,
    firsts: u32,
    start: u32,
    end: u32,
    first: [Entry; FIRSTS],
}

/// As many as a line of the processor's cache has room for.
const FIRSTS: usize = 2;

impl Cells {
    /// No cell has this number; whoever asks for it is told of no entries.
    const EMPTY: Listed = Listed { cell: u32::MAX, firsts: 0, start: 0, end: 0, first: [Entry::NONE; FIRSTS] };

    /// Of entries that are sorted by their cells.
    fn new(placed: &[(u32, Entry)]) -> Self {
        let mut all: Vec<Listed> = Vec::new();
        for (at, (cell, entry)) in (0..).zip(placed) {
            if all.last().is_none_or(|last| last.cell != *cell) {
                all.push(Listed { cell: *cell, start: at, end: at, ..Self::EMPTY });
            }
            if let Some(last) = all.last_mut() {
                last.end = at + 1;
                if let Some(free) = last.first.get_mut(last.firsts as usize) {
                    *free = *entry;
                    last.firsts += 1;
                    last.start = at + 1;
                }
            }
        }
        let size = (all.len() * 2).next_power_of_two().max(2);
        let mut new = Self { slots: vec![Self::EMPTY; size], shift: 32 - size.trailing_zeros() };
        for listed in all {
            let mut slot = new.first(listed.cell);
            while new.slots[slot].cell != Self::EMPTY.cell {
                slot = new.next(slot);
            }
            new.slots[slot] = listed;
        }
        new
    }

    #[inline]
    fn get(&self, cell: u32) -> &Listed {
        let mut slot = self.first(cell);
        loop {
            let listed = &self.slots[slot];
            if listed.cell == cell || listed.cell == Self::EMPTY.cell {
                return listed;
            }
            slot = self.next(slot);
        }
    }

    #[inline]
    fn first(&self, cell: u32) -> usize {
        (cell.wrapping_mul(0x9e37_79b9) >> self.shift) as usize
    }

    #[inline]
    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}
