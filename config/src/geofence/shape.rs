//! From the coordinates of a GeoJSON geometry to a shape that can be trusted.

use geo::{Centroid, Contains, Coord, MultiPolygon, Point, Polygon, Validation, orient::Direction};

use super::{Properties, metres, ring};
use crate::{
    collect::mistake,
    model::Shape,
    reader::{self, Field},
    tree::Kind,
};

/// Farther from its store, a geofence is in the wrong place.
const FAR_M: f64 = 5000.0;
/// Nobody draws more by hand, and each fix is compared with all of them.
const MAX_RINGS: usize = 100;

/// Reads a geometry; `store` is where the shop stands.
pub(super) fn read(f: Field<'_>, said: &Properties, store: Option<Point<f64>>) -> Option<Shape> {
    let whole = f.clone();
    let r = f.table()?;
    r.ignore(&["bbox"]);
    let kind = r.need("type", "\"type\": \"Polygon\"", |f| kind(&f));
    let shape = r.need("coordinates", "\"coordinates\": [ .. ]", |f| match kind? {
        Geometry::Point => circle(&f, &whole, said),
        Geometry::Polygon => area(&f, vec![polygon(&f)?]),
        Geometry::MultiPolygon => {
            let polygons = reader::whole(f.list()?.iter().map(polygon).collect())?;
            area(&f, polygons)
        }
    });
    r.done();
    if kind != Some(Geometry::Point) && said.radius_m.is_some() {
        return whole.refuse(mistake("P054", "only a point has a radius", "this is a polygon", "take radius_m out, or draw a point"));
    }
    let shape = shape?;
    near_its_store(&whole, &shape, store?)?;
    Some(shape)
}

#[derive(Clone, Copy, PartialEq)]
enum Geometry {
    Point,
    Polygon,
    MultiPolygon,
}

fn kind(f: &Field<'_>) -> Option<Geometry> {
    let text = f.text()?;
    match text {
        "Point" => Some(Geometry::Point),
        "Polygon" => Some(Geometry::Polygon),
        "MultiPolygon" => Some(Geometry::MultiPolygon),
        _ => {
            let mend = "draw a polygon, or a point with \"radius_m\" in its properties";
            f.refuse(mistake("P058", format!("a geofence cannot be a {text}"), "not an area", mend))
        }
    }
}

fn circle(f: &Field<'_>, whole: &Field<'_>, said: &Properties) -> Option<Shape> {
    let centre = position(f);
    match said.radius_m {
        Some(radius_m) => Some(Shape::Circle { centre: centre?.into(), radius_m: radius_m? }),
        None => {
            let m = mistake("P054", "a point alone is no area", "no radius", "add \"radius_m\": 150 to the properties, or draw a polygon");
            whole.refuse(m)
        }
    }
}

/// One position: longitude, latitude, and a height that does not matter.
pub(super) fn position(f: &Field<'_>) -> Option<Coord<f64>> {
    let Kind::Array(parts) = &f.node.kind else {
        return f.refuse(mistake("P058", "this is not a position", "not [longitude, latitude]", "write [4.8320, 45.7578]"));
    };
    #[expect(clippy::cast_precision_loss, reason = "degrees are small")]
    let numbers: Vec<f64> = parts
        .iter()
        .filter_map(|n| match n.kind {
            Kind::Integer(n) => Some(n as f64),
            Kind::Number(n) => Some(n),
            _ => None,
        })
        .collect();
    if !(2..=3).contains(&parts.len()) || numbers.len() != parts.len() {
        return f.refuse(mistake("P058", "this is not a position", "not [longitude, latitude]", "write [4.8320, 45.7578]"));
    }
    let (x, y) = (numbers[0], numbers[1]);
    if x.abs() <= 180.0 && y.abs() <= 90.0 {
        return Some(Coord { x, y });
    }
    if x.abs() <= 90.0 && y.abs() <= 180.0 {
        return f.refuse(mistake(
            "P050",
            "latitude and longitude are swapped",
            format!("no place has the latitude {y}"),
            format!("write [{y}, {x}]: longitude first"),
        ));
    }
    f.refuse(mistake(
        "P057",
        "no place on Earth has these coordinates",
        "out of range",
        "write degrees, longitude first: [4.8320, 45.7578]",
    ))
}

fn polygon(f: &Field<'_>) -> Option<Polygon<f64>> {
    let list = f.list()?;
    if list.is_empty() || list.len() > MAX_RINGS {
        let label = format!("{} rings", list.len());
        return f.refuse(mistake("P058", "a polygon has an outer ring and perhaps some holes", label, "draw the shape again"));
    }
    let mut rings = reader::whole(list.iter().map(ring::read).collect())?.into_iter();
    Some(Polygon::new(rings.next()?, rings.collect()))
}

fn area(f: &Field<'_>, polygons: Vec<Polygon<f64>>) -> Option<Shape> {
    if polygons.is_empty() || polygons.len() > MAX_RINGS {
        return f.refuse(mistake(
            "P058",
            "this shape has no polygon, or far too many",
            format!("{} polygons", polygons.len()),
            "draw the shape again",
        ));
    }
    let shape = MultiPolygon::new(polygons);
    // The rings are good each for itself by now; this is about holes and parts.
    if shape.check_validation().is_err() {
        let mend = "holes must lie inside their shape and parts must not overlap; draw it again";
        return f.refuse(mistake("P052", "the rings of this shape cross each other", "not an area", mend));
    }
    Some(Shape::Area(geo::Orient::orient(&shape, Direction::Default)))
}

fn near_its_store(f: &Field<'_>, shape: &Shape, store: Point<f64>) -> Option<()> {
    let (centre, holds) = match shape {
        Shape::Circle { centre, .. } => (*centre, false),
        Shape::Area(area) => (area.centroid()?, area.contains(&store)),
    };
    let away = metres(centre, store);
    if holds || away <= FAR_M {
        return Some(());
    }
    let place = format!("its middle is at latitude {:.4}, longitude {:.4}", centre.y(), centre.x());
    if metres(Point::new(centre.y(), centre.x()), store) <= FAR_M {
        let m = mistake("P050", "latitude and longitude are swapped", place, "swap the two numbers of each position: longitude first");
        return f.refuse_coordinates(m);
    }
    let message = format!("this geofence is {:.0} km away from its store", away / 1000.0);
    f.refuse_coordinates(mistake(
        "P055",
        message,
        place,
        "draw it within 5 km of the store, or mend `store` here or `at` in the store's file",
    ))
}

impl Field<'_> {
    fn refuse_coordinates<T>(&self, m: crate::collect::Mistake) -> Option<T> {
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
