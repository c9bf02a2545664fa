//! Plain containment: which outlines hold a place, without accuracy, state or people.

use passage_config::Shape;

use super::area::{Area, Grid};

/// Outlines with an index over them. A circle holds what is within its radius along the Earth (haversine, 6,371,008.8 m); a polygon is planar
/// in degrees; borders are inside.
pub struct Containment {
    areas: Vec<Area>,
    grid: Grid,
}

impl std::fmt::Debug for Containment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Containment({} outlines)", self.areas.len())
    }
}

impl Containment {
    /// Prepares outlines; answers are their positions in this order.
    pub fn new<'a>(shapes: impl IntoIterator<Item = &'a Shape>) -> Self {
        Self::with_cells(shapes, Grid::MOST_CELLS)
    }

    /// The same, where an outline over more than `most_cells` cells of a hundredth of a degree is asked every time rather than listed in each: for
    /// many large ones, whose lists would be long.
    pub(crate) fn with_cells<'a>(shapes: impl IntoIterator<Item = &'a Shape>, most_cells: u64) -> Self {
        let areas: Vec<Area> = shapes.into_iter().map(Area::new).collect();
        Self { grid: Grid::with_cells(areas.iter().map(|a| a.bounds), most_cells), areas }
    }

    /// Positions of all outlines that hold the place, ascending but for the largest, which come last. Degrees; what is no place is nowhere.
    #[inline]
    pub fn holders(&self, lat: f64, lon: f64) -> impl Iterator<Item = usize> {
        self.grid.near(lat, lon).filter(move |i| self.areas[*i].holds(lat, lon))
    }

    /// Without the index.
    #[cfg(test)]
    pub(super) fn areas_hold(&self, i: usize, lat: f64, lon: f64) -> bool {
        self.areas[i].holds(lat, lon)
    }
}
