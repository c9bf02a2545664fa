//! Polygons with holes, one or several.

use geo::{
    CoordsIter, MapCoords, MultiPolygon, Orient, Polygon, Validation,
    algorithm::validation::{InvalidMultiPolygon, InvalidPolygon, RingRole},
    orient::Direction,
};

use super::{meridian, ring};
use crate::{
    collect::mistake,
    model::Shape,
    reader::{self, Field},
};

/// Nobody draws more by hand, and each fix is compared with all of them.
const MAX_RINGS: usize = 100;

/// Reads the coordinates of a `Polygon`.
pub(super) fn one(f: &Field<'_>) -> Option<Shape> {
    let polygon = polygon(f)?;
    whole(std::slice::from_ref(f), vec![polygon])
}

/// Reads the coordinates of a `MultiPolygon`.
pub(super) fn several(f: &Field<'_>) -> Option<Shape> {
    let list = f.list()?;
    if list.is_empty() || list.len() > MAX_RINGS {
        let label = format!("{} polygons", list.len());
        return f.refuse(mistake("P058", "this shape has no polygon, or far too many", label, "draw the shape again"));
    }
    let polygons = reader::whole(list.iter().map(polygon).collect())?;
    whole(&list, polygons)
}

fn polygon(f: &Field<'_>) -> Option<Polygon<f64>> {
    let list = f.list()?;
    if list.is_empty() || list.len() > MAX_RINGS {
        let label = format!("{} rings", list.len());
        return f.refuse(mistake("P058", "a polygon has an outer ring and perhaps some holes", label, "draw the shape again"));
    }
    let mut rings = reader::whole(list.iter().map(ring::read).collect())?.into_iter();
    let polygon = Polygon::new(rings.next()?, rings.collect());
    // A hole may lie on one side of longitude 180 only, and is turned with its shell.
    let over = polygon.exterior().coords().any(|c| c.x > 180.0);
    let polygon = if over { polygon.map_coords(meridian::turned) } else { polygon };
    let Err(error) = polygon.check_validation() else { return Some(polygon) };
    let (ring, m) = explain(&error);
    list.get(ring).unwrap_or(f).refuse(m)
}

/// Which ring is wrong, from 0 for the shell, and why. The rings are good each for itself by now.
fn explain(error: &InvalidPolygon) -> (usize, crate::collect::Mistake) {
    let number = |ring: &RingRole| match ring {
        RingRole::Exterior => 0,
        RingRole::Interior(i) => i + 1,
    };
    match error {
        InvalidPolygon::InteriorRingNotContainedInExteriorRing(ring) => {
            let mend = "move the hole into its shape, or draw it as a shape of its own";
            (
                number(ring),
                mistake("P052", "this hole is not inside its shape", "the rings of this shape cross each other, or lie apart", mend),
            )
        }
        InvalidPolygon::IntersectingRingsOnALine(a, b) | InvalidPolygon::IntersectingRingsOnAnArea(a, b) => {
            let mend = "holes must lie apart, inside their shape; draw this one again";
            (number(a).max(number(b)), mistake("P052", "the rings of this shape cross each other", "this ring overlaps another one", mend))
        }
        _ => (0, mistake("P052", "the rings of this shape cross each other", "not an area", "draw the shape again")),
    }
}

/// Parts must not overlap; what crosses longitude 180 is cut there, and all is turned the way that RFC 7946 wants.
fn whole(fields: &[Field<'_>], polygons: Vec<Polygon<f64>>) -> Option<Shape> {
    let shape = MultiPolygon(polygons);
    let over = shape.coords_iter().any(|c| c.x > 180.0) || meridian::is_over(shape.coords_iter());
    let joined = if over { shape.map_coords(meridian::turned) } else { shape.clone() };
    // Parts that were cut at longitude 180 touch there.
    let wrong = joined.validation_errors().into_iter().find_map(|e| match e {
        InvalidMultiPolygon::ElementsOverlaps(_, second) => Some(second.0),
        InvalidMultiPolygon::ElementsTouchOnALine(_, second) if !over => Some(second.0),
        _ => None,
    });
    if let Some(field) = wrong.and_then(|part| fields.get(part)) {
        let mend = "parts must not overlap; unite them in the map tool, or draw them apart";
        return field.refuse(mistake("P052", "the parts of this shape overlap each other", "this part lies on another one", mend));
    }
    let cut = MultiPolygon(shape.into_iter().flat_map(meridian::cut).collect());
    Some(Shape::Area(cut.orient(Direction::Default)))
}
