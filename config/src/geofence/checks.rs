//! Is a good shape also the right one? Its size, and its distance from its store.

use geo::{BoundingRect, Centroid, Contains, Coord, Point};

use super::{meridian, metres, properties::Measure};
use crate::{
    collect::{Mistake, mistake},
    model::{Shape, Store},
    reader::Field,
};

/// Farther from its store, a geofence is in the wrong place.
const FAR_M: f64 = 5000.0;
/// The radius of a circle for people, metres.
const RADIUS_M: std::ops::RangeInclusive<f64> = 50.0..=2000.0;
/// What is drawn, from end to end, metres: the outline of a shop is more exact than a circle around it.
const ACROSS_M: std::ops::RangeInclusive<f64> = 50.0..=4000.0;

/// A shape for people is neither finer than their phones nor larger than a walk, unless somebody says that it is meant.
pub(super) fn size(f: &Field<'_>, shape: &Shape, said: &Measure) -> Option<()> {
    match wrong_size(shape) {
        Some(m) if !said.any_size => f.refuse(m),
        _ => Some(()),
    }
}

/// What is wrong with the size of a shape.
pub(super) fn wrong_size(shape: &Shape) -> Option<Mistake> {
    let (metres, good, what) = match shape {
        Shape::Circle { radius_m, .. } => (*radius_m, RADIUS_M, "a radius"),
        Shape::Area(area) => (across_m(meridian::joined(area).bounding_rect()?), ACROSS_M, "a length from end to end"),
        Shape::Corridor { lines, buffer_m } => {
            (across_m(meridian::joined(lines).bounding_rect()?) + 2.0 * buffer_m, ACROSS_M, "a length from end to end")
        }
    };
    if good.contains(&metres) {
        return None;
    }
    let message = if metres < *good.start() {
        "this geofence is finer than phones can tell where they are"
    } else {
        "this geofence is larger than a walk to the shop"
    };
    let mend = format!("make it {what} of {} to {} m, or add any_size = true if it is meant", good.start(), good.end());
    Some(mistake("P064", message, format!("{what} of {metres:.0} m"), mend))
}

/// A geofence lies around its store, or near it.
pub(super) fn placed(f: &Field<'_>, shape: &Shape, store: &Store) -> Option<()> {
    let (centre, holds) = match shape {
        Shape::Circle { centre, .. } => (*centre, false),
        Shape::Area(area) => (meridian::joined(area).centroid()?, area.contains(&store.at)),
        Shape::Corridor { lines, .. } => (meridian::joined(lines).centroid()?, false),
    };
    let away = metres(centre, store.at);
    if holds || away <= FAR_M {
        return Some(());
    }
    let place = format!("its middle is at latitude {:.4}, longitude {:.4}", centre.y(), centre.x());
    if metres(Point::new(centre.y(), centre.x()), store.at) <= FAR_M {
        let mend = "swap the two numbers of each position: longitude first";
        return f.refuse_coordinates(mistake("P050", "latitude and longitude are swapped", place, mend));
    }
    let message = format!("this geofence is {:.0} km away from its store", away / 1000.0);
    let mend = "draw it within 5 km of the store, or mend `store` here or `at` in the store's file";
    f.refuse_coordinates(mistake("P055", message, place, mend))
}

fn across_m(bounds: geo::Rect<f64>) -> f64 {
    let (low, high): (Coord<f64>, Coord<f64>) = (bounds.min(), bounds.max());
    metres(low.into(), high.into())
}
