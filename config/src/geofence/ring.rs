//! One ring of a polygon: closed, not crossing itself, and with an area.

use geo::{Coord, Intersects, Line, LineString};

use super::shape::position;
use crate::{
    collect::mistake,
    reader::{self, Field},
    source::Span,
};

/// Crossings are looked for pair by pair.
const MAX_POSITIONS: usize = 2000;
/// Smaller areas are a slip of the mouse.
const MIN_AREA_M2: f64 = 1.0;
/// Metres in a degree of latitude.
const DEGREE_M: f64 = 111_195.0;

/// Reads a ring.
pub(super) fn read(f: &Field<'_>) -> Option<LineString<f64>> {
    let list = f.list()?;
    if list.len() > MAX_POSITIONS {
        let message = format!("this ring has {} positions; at most {MAX_POSITIONS} are read", list.len());
        return f.refuse(mistake("P052", message, "too fine", "simplify the shape in the map tool"));
    }
    let positions = reader::whole(list.iter().map(|p| Some((position(p)?, p.node.span.clone()))).collect())?;
    let (Some(first), Some(last)) = (positions.first(), positions.last()) else {
        return f.refuse(mistake("P053", "this ring is empty", "no area", "draw the shape again"));
    };
    if first.0 != last.0 {
        let mend = format!("repeat the first position at the end: [{}, {}]", first.0.x, first.0.y);
        f.out.at(f.source, &last.1, mistake("P051", "this ring is not closed", "the last position is not the first one", mend));
        return None;
    }
    let mut corners = positions;
    corners.dedup_by(|b, a| a.0 == b.0);
    if corners.len() < 4 || area_m2(&corners) < MIN_AREA_M2 {
        return f.refuse(mistake("P053", "this shape has no area", "its corners lie on one line", "draw the shape again"));
    }
    if let Some(span) = crossing(&corners) {
        f.out.at(
            f.source,
            &span,
            mistake(
                "P052",
                "this ring crosses itself",
                "the side from here crosses another one",
                "move this corner, or draw the shape again",
            ),
        );
        return None;
    }
    let (west, east) = corners.iter().fold((180.0_f64, -180.0_f64), |(w, e), c| (w.min(c.0.x), e.max(c.0.x)));
    if east - west > 180.0 {
        return f.refuse(mistake(
            "P052",
            "this shape spans half the Earth",
            "over the date line?",
            "cut it at longitude 180 into two parts",
        ));
    }
    Some(LineString::new(corners.into_iter().map(|c| c.0).collect()))
}

fn area_m2(corners: &[(Coord<f64>, Span)]) -> f64 {
    let o = corners[0].0;
    // Relative to the first corner, so that degrees far from zero do not cost digits.
    let twice: f64 = corners.windows(2).map(|w| (w[0].0.x - o.x) * (w[1].0.y - o.y) - (w[1].0.x - o.x) * (w[0].0.y - o.y)).sum();
    (twice / 2.0).abs() * DEGREE_M * DEGREE_M * o.y.to_radians().cos()
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
                sides[i].intersects(&sides[j])
            };
            if touches {
                return Some(corners[j].1.clone());
            }
        }
    }
    None
}

/// True if `b`, which begins where `a` ends, runs back along it.
fn folds_back(a: Line<f64>, b: Line<f64>) -> bool {
    let collinear = Line::new(a.start, a.end).intersects(&b.end) || b.intersects(&a.start);
    collinear && a.start != b.start
}
