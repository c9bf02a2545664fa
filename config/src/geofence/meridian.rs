//! Shapes over longitude 180. While they are checked their longitudes go on beyond it; then they are cut there (RFC 7946, 3.1.9).

use geo::{BooleanOps, BoundingRect, Coord, CoordsIter, LineString, MapCoords, MultiLineString, MultiPolygon, Polygon, Rect, coord};

/// True if these places reach over more than half the Earth one way, so that the other way is meant.
pub(super) fn is_over(places: impl Iterator<Item = Coord<f64>>) -> bool {
    let (west, east) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(w, e), c| (w.min(c.x), e.max(c.x)));
    east - west > 180.0
}

/// The same place with a longitude from 0 to 360.
pub(super) fn turned(c: Coord<f64>) -> Coord<f64> {
    if c.x < 0.0 { Coord { x: c.x + 360.0, y: c.y } } else { c }
}

/// A shape in one piece, as far as longitude 180 has parted it.
pub(super) fn joined<G: MapCoords<f64, f64, Output = G> + CoordsIter<Scalar = f64>>(shape: &G) -> G {
    if is_over(shape.coords_iter()) { shape.map_coords(turned) } else { shape.map_coords(|c| c) }
}

/// The parts of a polygon on both sides of longitude 180.
pub(super) fn cut(polygon: Polygon<f64>) -> MultiPolygon<f64> {
    let Some(bounds) = polygon.bounding_rect().filter(|b| b.max().x > 180.0) else { return MultiPolygon(vec![polygon]) };
    // The box is small, because the cut is exact to a billionth of it.
    let (low, high) = (bounds.min() - coord! { x: 0.001, y: 0.001 }, bounds.max() + coord! { x: 0.001, y: 0.001 });
    let side =
        |from: f64, to: f64| Rect::new(coord! { x: from, y: low.y }, coord! { x: to, y: high.y }).to_polygon().intersection(&polygon);
    let snap = |c: Coord<f64>| if (c.x - 180.0).abs() < 1e-7 { Coord { x: 180.0, y: c.y } } else { c };
    let east = side(low.x.min(179.999), 180.0).map_coords(snap);
    let west = side(180.0, high.x).map_coords(|c| Coord { x: snap(c).x - 360.0, y: c.y });
    MultiPolygon(east.into_iter().chain(west).collect())
}

/// The stretches of a line on both sides of longitude 180.
pub(super) fn cut_line(line: &LineString<f64>) -> MultiLineString<f64> {
    let mut parts: Vec<Vec<Coord<f64>>> = vec![Vec::new()];
    for (i, here) in line.0.iter().enumerate() {
        if let Some(before) = i.checked_sub(1).map(|b| line.0[b]).filter(|b| (b.x > 180.0) != (here.x > 180.0)) {
            let y = before.y + (here.y - before.y) * (180.0 - before.x) / (here.x - before.x);
            parts.last_mut().into_iter().for_each(|part| part.push(Coord { x: 180.0, y }));
            parts.push(vec![Coord { x: 180.0, y }]);
        }
        parts.last_mut().into_iter().for_each(|part| part.push(*here));
    }
    let back = |part: Vec<Coord<f64>>| {
        let turn = if part.iter().any(|c| c.x > 180.0) { 360.0 } else { 0.0 };
        LineString::new(part.into_iter().map(|c| Coord { x: c.x - turn, y: c.y }).collect())
    };
    MultiLineString(parts.into_iter().filter(|part| part.len() > 1).map(back).collect())
}
