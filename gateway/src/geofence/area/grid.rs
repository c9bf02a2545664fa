//! Which outlines could hold a place: a grid over the world, sized for shops in cities.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    ops::Range,
};

use super::Bounds;

const CELLS_PER_DEGREE: f64 = 100.0;
/// A box that covers more cells than this is simply asked every time.
const MOST_CELLS: u64 = 4096;

/// Index over boxes; answers are their positions in the order in which they came.
pub(in crate::geofence) struct Grid {
    /// Where in `entries` those of a cell stand.
    cells: HashMap<u32, Range<u32>, BuildHasherDefault<Spread>>,
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
    pub(in crate::geofence) fn new(boxes: impl Iterator<Item = Bounds>) -> Self {
        let mut placed: Vec<(u32, Entry)> = Vec::new();
        let mut large = Vec::new();
        for (index, part) in (0..).zip(boxes).flat_map(|(i, b)| b.parts().map(move |part| (i, part))) {
            let entry = Entry::new(&part, index);
            let (south, north, west, east) = (row(part.south), row(part.north), column(part.west), column(part.east));
            if u64::from(north - south + 1) * u64::from(east - west + 1) > MOST_CELLS {
                large.push(entry);
                continue;
            }
            placed.extend((south..=north).flat_map(|y| (west..=east).map(move |x| (cell(y, x), entry))));
        }
        placed.sort_by_key(|(cell, entry)| (*cell, entry.index));
        let mut cells: HashMap<_, Range<u32>, _> = HashMap::default();
        for (at, (cell, _)) in (0..).zip(&placed) {
            cells.entry(*cell).or_insert(at..at).end = at + 1;
        }
        Self { cells, entries: placed.into_iter().map(|(_, entry)| entry).collect(), large }
    }

    /// Every box that holds the place, and perhaps one that misses it by a metre. `lon` is between -180 and 180.
    #[inline]
    pub(in crate::geofence) fn near(&self, lat: f64, lon: f64) -> impl Iterator<Item = usize> {
        let here = self.cells.get(&cell(row(lat), column(lon)));
        let listed = here.map_or(&[][..], |r| &self.entries[r.start as usize..r.end as usize]);
        #[expect(clippy::cast_possible_truncation, reason = "the boxes are rounded outwards by more")]
        let (lat, lon) = (lat as f32, lon as f32);
        listed.iter().chain(&self.large).filter(move |e| e.holds(lat, lon)).map(|e| e.index as usize)
    }
}

impl Entry {
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

/// A hash for cells: they come from our own files, so nobody can make them collide.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u32(u32::from(*b));
        }
    }

    fn write_u32(&mut self, n: u32) {
        let mixed = (self.0 ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}
