//! Plain containment: which geofence holds which point.

use std::io::Write;

use passage_config::{PlainFence, PlainFences};

use crate::geofence::Containment;

/// Where the numbers of a point stand in its line.
#[derive(Clone, Copy)]
struct Columns {
    lon: usize,
    lat: usize,
}

/// Prints `point-index fence-id`, sorted by both. A line that is no point keeps its index and holds nothing.
pub(super) fn pairs(fences: &PlainFences, text: &[u8], mut out: impl Write) -> anyhow::Result<()> {
    let order = ids_in_order(&fences.fences);
    let index = Containment::new(order.iter().map(|fence| &fence.shape));
    let mut lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).peekable();
    let header = lines.peek().and_then(|line| Columns::of_header(line));
    if header.is_some() {
        lines.next();
    }
    let columns = header.unwrap_or(Columns { lon: 0, lat: 1 });
    let mut bad = 0_u64;
    let mut holders = Vec::new();
    for (i, line) in (0_u64..).zip(lines).filter(|(_, line)| !line.is_empty()) {
        let Some((lon, lat)) = columns.point(line) else {
            bad += 1;
            continue;
        };
        holders.clear();
        holders.extend(index.holders(lat, lon));
        holders.sort_unstable();
        for holder in &holders {
            writeln!(out, "{i} {}", order[*holder].id)?;
        }
    }
    out.flush()?;
    if bad > 0 {
        eprintln!("{bad} lines are no points; write longitude,latitude in degrees");
    }
    Ok(())
}

/// The fences in the order of their ids: numbers by value, then texts.
fn ids_in_order(fences: &[PlainFence]) -> Vec<&PlainFence> {
    let mut order: Vec<(Option<u64>, &PlainFence)> = fences.iter().map(|fence| (fence.id.parse().ok(), fence)).collect();
    order.sort_by(|(a, x), (b, y)| a.is_none().cmp(&b.is_none()).then(a.cmp(b)).then_with(|| x.id.cmp(&y.id)));
    order.into_iter().map(|(_, fence)| fence).collect()
}

impl Columns {
    /// A first line that names its columns.
    fn of_header(line: &[u8]) -> Option<Self> {
        let names: Vec<String> = cells(line).map(|cell| String::from_utf8_lossy(cell).to_lowercase()).collect();
        let find = |all: &[&str]| names.iter().position(|name| all.contains(&name.as_str()));
        Some(Self { lon: find(&["lon", "lng", "long", "longitude", "x"])?, lat: find(&["lat", "latitude", "y"])? })
    }

    /// Longitude and latitude, if they are on Earth.
    fn point(self, line: &[u8]) -> Option<(f64, f64)> {
        let mut numbers = (None, None);
        for (i, cell) in cells(line).enumerate() {
            let number = || std::str::from_utf8(cell).ok()?.parse::<f64>().ok();
            if i == self.lon {
                numbers.0 = number();
            } else if i == self.lat {
                numbers.1 = number();
            }
        }
        let (lon, lat) = (numbers.0?, numbers.1?);
        (lon.abs() <= 180.0 && lat.abs() <= 90.0).then_some((lon, lat))
    }
}

fn cells(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| matches!(b, b',' | b';' | b'\t')).map(|cell| cell.trim_ascii().trim_ascii_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(geojson: &str, points: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("fences.geojson");
        std::fs::write(&file, geojson).unwrap();
        let mut out = Vec::new();
        pairs(&passage_config::load_fences(&file).unwrap(), points.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const TWO: &str = r#"{ "type": "FeatureCollection", "features": [
        { "type": "Feature", "id": 10, "properties": { "radius_m": 300 }, "geometry": { "type": "Point", "coordinates": [4.83, 45.76] } },
        { "type": "Feature", "id": 9, "properties": { "name": "square" },
          "geometry": { "type": "Polygon", "coordinates": [[[4.82, 45.75], [4.84, 45.75], [4.84, 45.77], [4.82, 45.77], [4.82, 45.75]]] } } ] }"#;

    #[test]
    fn pairs_are_sorted_by_point_and_by_the_number_of_the_fence() {
        assert_eq!(told(TWO, "4.83,45.76\n0,0\n4.84,45.77\n"), "0 9\n0 10\n2 9\n");
    }

    #[test]
    fn a_header_names_the_columns_and_lines_that_are_no_points_hold_nothing() {
        assert_eq!(told(TWO, "id,lat,lon\r\n1,45.76,4.83\r\n2,x,4.83\r\n3,145,4.83\r\n4,45.7600,4.8300\r\n"), "0 9\n0 10\n3 9\n3 10\n");
    }
}
