//! From a GeoJSON geometry to a shape that can be trusted.

use super::{corridor, polygon, position, properties::Measure};
use crate::{collect::mistake, model::Shape, reader::Field, tree::Kind};

#[derive(Clone, Copy, PartialEq)]
enum Geometry {
    Point,
    Polygon,
    MultiPolygon,
    LineString,
    MultiLineString,
}

/// Reads a geometry.
pub(super) fn read(f: Field<'_>, said: &Measure) -> Option<Shape> {
    if matches!(f.node.kind, Kind::Null) {
        let mend = "draw it in the map tool, or take the feature out";
        return f.refuse(mistake("P058", "this feature has no shape", "nothing was drawn", mend));
    }
    let whole = f.clone();
    let r = f.table()?;
    let kind = r.need("type", "\"type\": \"Polygon\"", |f| kind(&f))?;
    let shape = r.need("coordinates", "\"coordinates\": [ .. ]", |f| match kind {
        Geometry::Point => circle(&f, &whole, said),
        Geometry::Polygon => polygon::one(&f),
        Geometry::MultiPolygon => polygon::several(&f),
        Geometry::LineString => corridor::read(&f, false, &whole, said),
        Geometry::MultiLineString => corridor::read(&f, true, &whole, said),
    });
    r.done_but_for_foreign(&[]);
    if kind != Geometry::Point && said.radius_m.is_some() {
        let label = if matches!(kind, Geometry::Polygon | Geometry::MultiPolygon) { "this is a polygon" } else { "this is a line" };
        return whole.refuse(mistake("P054", "only a point has a radius", label, "take radius_m out, or draw a point"));
    }
    if !matches!(kind, Geometry::LineString | Geometry::MultiLineString) && said.buffer_m.is_some() {
        return whole.refuse(mistake("P054", "only a line has a buffer", "this is no line", "take buffer_m out, or draw a line"));
    }
    shape
}

fn kind(f: &Field<'_>) -> Option<Geometry> {
    let text = f.text()?;
    match text {
        "Point" => Some(Geometry::Point),
        "Polygon" => Some(Geometry::Polygon),
        "MultiPolygon" => Some(Geometry::MultiPolygon),
        "LineString" => Some(Geometry::LineString),
        "MultiLineString" => Some(Geometry::MultiLineString),
        _ => {
            let mend = "draw a polygon, a point with \"radius_m\" or a line with \"buffer_m\" in its properties";
            f.refuse(mistake("P058", format!("a geofence cannot be a {text}"), "not an area", mend))
        }
    }
}

fn circle(f: &Field<'_>, whole: &Field<'_>, said: &Measure) -> Option<Shape> {
    let centre = position::read(f);
    match said.radius_m {
        Some(radius_m) => Some(Shape::Circle { centre: centre?.into(), radius_m: radius_m? }),
        None => {
            let mend = "add \"radius_m\": 150 to the properties, or draw a polygon";
            whole.refuse(mistake("P054", "a point alone is no area", "no radius", mend))
        }
    }
}

impl Field<'_> {
    /// Notes a mistake at the first position of a geometry.
    pub(super) fn refuse_coordinates<T>(&self, m: crate::collect::Mistake) -> Option<T> {
        let Kind::Table(entries) = &self.node.kind else { return self.refuse(m) };
        let mut node = entries.iter().find(|e| e.key == "coordinates").map_or(self.node, |e| &e.value);
        // Down to the first position.
        while let Kind::Array(list) = &node.kind {
            match list.first() {
                Some(first) if matches!(first.kind, Kind::Array(_)) => node = first,
                _ => break,
            }
        }
        self.out.at(self.source, &node.span, m);
        None
    }
}
