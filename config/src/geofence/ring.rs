//! One ring of a polygon: closed, not crossing itself, and with an area.

use geo::{Coord, Intersects, Line, LineString};

use super::{meridian, position};
use crate::{collect::mistake, reader::Field, source::Span};

/// Crossings are looked for pair by pair.
const MAX_POSITIONS: usize = 2000;
/// Smaller areas are a slip of the mouse.
const MIN_AREA_M2: f64 = 1.0;
/// Metres in a degree of latitude.
const DEGREE_M: f64 = 111_195.0;

/// Reads a ring. Over longitude 180 its longitudes go on, up to 360.
pub(super) fn read(f: &Field<'_>) -> Option<LineString<f64>> {
    let list = f.list()?;
    if list.len() > MAX_POSITIONS {
        let message = format!("this ring has {} positions; at most {MAX_POSITIONS} are read", list.len());
        return f.refuse(mistake("P052", message, "too fine", "simplify the shape in the map tool"));
    }
    let positions = position::all(&list)?.into_iter().zip(list.iter().map(|p| p.node.span.clone())).collect();
    let corners = turned(closed(f, positions)?);
    if distinct(&corners) < 3 {
        let mend = "click at least three corners in the map tool";
        return f.refuse(mistake("P053", "this ring has fewer than three corners", "no area", mend));
    }
    if triangles_m2(&corners).map(f64::abs).sum::<f64>() < MIN_AREA_M2 {
        return f.refuse(mistake("P053", "this shape has no area", "its corners lie on one line", "draw the shape again"));
    }
    if let Some(span) = crossing(&corners) {
        let mend = "move this corner, or draw the shape again";
        f.out.at(f.source, &span, mistake("P052", "this ring crosses itself", "the side from here crosses another one", mend));
        return None;
    }
    if triangles_m2(&corners).sum::<f64>().abs() < MIN_AREA_M2 {
        return f.refuse(mistake("P053", "this shape has no area", "it is thinner than a wall", "draw the shape again"));
    }
    if meridian::is_over(corners.iter().map(|c| c.0)) {
        let label = "over the date line?";
        return f.refuse(mistake("P052", "this shape spans half the Earth", label, "cut it at longitude 180 into two parts"));
    }
    Some(LineString::new(corners.into_iter().map(|c| c.0).collect()))
}

/// The corners, each once, and the first one again at the end.
fn closed(f: &Field<'_>, mut corners: Vec<(Coord<f64>, Span)>) -> Option<Vec<(Coord<f64>, Span)>> {
    let (Some(first), Some(last)) = (corners.first(), corners.last()) else {
        return f.refuse(mistake("P053", "this ring is empty", "no area", "draw the shape again"));
    };
    if first.0 != last.0 {
        let mend = format!("repeat the first position at the end: [{}, {}]", first.0.x, first.0.y);
        f.out.at(f.source, &last.1, mistake("P051", "this ring is not closed", "the last position is not the first one", mend));
        return None;
    }
    corners.dedup_by(|b, a| a.0 == b.0);
    Some(corners)
}

/// A span of more than half the Earth means the short way, over longitude 180.
fn turned(corners: Vec<(Coord<f64>, Span)>) -> Vec<(Coord<f64>, Span)> {
    if !meridian::is_over(corners.iter().map(|c| c.0)) {
        return corners;
    }
    corners.into_iter().map(|(c, span)| (meridian::turned(c), span)).collect()
}

fn distinct(corners: &[(Coord<f64>, Span)]) -> usize {
    let mut places: Vec<(f64, f64)> = corners.iter().map(|c| (c.0.x, c.0.y)).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    places.dedup();
    places.len()
}

/// The area between the first corner and each side, positive where the ring runs counter-clockwise. They add up to nothing in a bow-tie, too,
/// which is told as what it is.
fn triangles_m2(corners: &[(Coord<f64>, Span)]) -> impl Iterator<Item = f64> {
    let o = corners[0].0;
    let scale = DEGREE_M * DEGREE_M * o.y.to_radians().cos() / 2.0;
    corners.windows(2).map(move |w| {
        // Relative to the first corner, so that degrees far from zero do not cost digits.
        let (a, b) = (w[0].0 - o, w[1].0 - o);
        (a.x * b.y - b.x * a.y) * scale
    })
}

/// Where a side begins that touches another one anywhere but at their common corner.
fn crossing(corners: &[(Coord<f64>, Span)]) -> Option<Span> {
    let sides: Vec<Line<f64>> = corners.windows(2).map(|w| Line::new(w[0].0, w[1].0)).collect();
    let n = sides.len();
    for j in 1..n {
        for i in 0..j {
            let touches = if i + 1 == j {
                folds_back(sides[i], sides[j])
            } else if i == 0 && j + 1 == n {
                folds_back(sides[j], sides[i])
            } else {
                near(sides[i], sides[j]) && sides[i].intersects(&sides[j])
            };
            if touches {
                return Some(corners[j].1.clone());
            }
        }
    }
    None
}

/// True if the two could touch at all, by their longitudes.
fn near(a: Line<f64>, b: Line<f64>) -> bool {
    a.start.x.min(a.end.x) <= b.start.x.max(b.end.x) && b.start.x.min(b.end.x) <= a.start.x.max(a.end.x)
}

/// True if `b`, which begins where `a` ends, runs back along it.
fn folds_back(a: Line<f64>, b: Line<f64>) -> bool {
    let collinear = Line::new(a.start, a.end).intersects(&b.end) || b.intersects(&a.start);
    collinear && a.start != b.start
}
