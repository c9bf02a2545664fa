//! Corridors: a line with metres to either side.

use geo::{LineString, MultiLineString};

use super::{meridian, position, properties::Measure};
use crate::{
    collect::mistake,
    model::Shape,
    reader::{self, Field},
};

const MAX_POSITIONS: usize = 2000;

/// Reads the coordinates of a `LineString` (`several` is false) or a `MultiLineString`; `whole` is the geometry.
pub(super) fn read(f: &Field<'_>, several: bool, whole: &Field<'_>, said: &Measure) -> Option<Shape> {
    let lines = if several { reader::whole(f.list()?.iter().map(line).collect())? } else { vec![line(f)?] };
    let Some(buffer_m) = said.buffer_m else {
        let mend = "add \"buffer_m\": 25, the metres to either side, to the properties, or draw a polygon";
        return whole.refuse(mistake("P054", "a line alone is no area", "no buffer", mend));
    };
    let parts = lines.iter().flat_map(meridian::cut_line).collect();
    Some(Shape::Corridor { lines: MultiLineString(parts), buffer_m: buffer_m? })
}

fn line(f: &Field<'_>) -> Option<LineString<f64>> {
    let list = f.list()?;
    if list.len() > MAX_POSITIONS {
        let message = format!("this line has {} positions; at most {MAX_POSITIONS} are read", list.len());
        return f.refuse(mistake("P052", message, "too fine", "simplify the line in the map tool"));
    }
    let mut places = position::all(&list)?;
    places.dedup();
    if places.len() < 2 {
        return f.refuse(mistake("P053", "this line goes nowhere", "fewer than two different positions", "draw the line again"));
    }
    if meridian::is_over(places.iter().copied()) {
        places = places.into_iter().map(meridian::turned).collect();
    }
    if meridian::is_over(places.iter().copied()) {
        let mend = "cut it at longitude 180 into two parts";
        return f.refuse(mistake("P052", "this line spans half the Earth", "over the date line?", mend));
    }
    Some(LineString::new(places))
}
