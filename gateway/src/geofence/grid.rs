//! Which fences could hold a place: a grid of 0.01 degree cells over their boxes.

use std::collections::HashMap;

use super::shape::Fence;

const CELLS_PER_DEGREE: f64 = 100.0;
/// A fence that covers more cells than this is simply asked every time.
const MOST_CELLS: i64 = 4096;

/// Index over the boxes of fences; answers are positions in the slice that it was made from.
pub(super) struct Grid {
    cells: HashMap<(i32, i32), Vec<usize>>,
    large: Vec<usize>,
}

impl Grid {
    pub(super) fn new(fences: &[Fence]) -> Self {
        let mut grid = Self { cells: HashMap::new(), large: Vec::new() };
        for (i, fence) in fences.iter().enumerate() {
            let b = &fence.bounds;
            let (south, north, west, east) = (cell(b.south), cell(b.north), cell(b.west), cell(b.east));
            if i64::from(north - south + 1) * i64::from(east - west + 1) > MOST_CELLS {
                grid.large.push(i);
                continue;
            }
            for y in south..=north {
                for x in west..=east {
                    grid.cells.entry((y, x)).or_default().push(i);
                }
            }
        }
        grid
    }

    /// Every fence whose box holds the place, and perhaps some more.
    pub(super) fn near(&self, lat: f64, lon: f64) -> impl Iterator<Item = usize> {
        self.cells.get(&(cell(lat), cell(lon))).into_iter().flatten().chain(&self.large).copied()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "degrees are at most 180, so cells fit")]
fn cell(degrees: f64) -> i32 {
    (degrees * CELLS_PER_DEGREE).floor() as i32
}
