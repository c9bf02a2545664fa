//! Plain containment: which geofence holds which point.

use std::{io::Write, path::Path};

use passage_config::{PlainFence, PlainFences};

use crate::geofence::Containment;

/// How the lines of a file are written.
#[derive(Clone, Copy)]
struct Format {
    /// Between the columns. Only where it is none, a comma may stand in a number.
    separator: u8,
    columns: Columns,
}

/// Where the numbers of a point stand in its line.
#[derive(Clone, Copy)]
struct Columns {
    lon: usize,
    lat: usize,
}

/// Prints `point-index fence-id`, sorted by both. A line that is no point keeps its index and holds nothing.
///
/// # Errors
/// A header that does not say where the numbers are, and an output that takes no more.
pub(super) fn pairs(fences: &PlainFences, file: &Path, text: &[u8], mut out: impl Write) -> anyhow::Result<()> {
    let order = ids_in_order(&fences.fences);
    let index = Containment::new(order.iter().map(|fence| &fence.shape));
    let mut lines = super::unmarked(text).split(|b| *b == b'\n').map(<[u8]>::trim_ascii).peekable();
    let (format, has_header) = Format::of(lines.peek().copied().unwrap_or_default(), file)?;
    if has_header {
        lines.next();
    }
    let mut bad = 0_u64;
    let mut holders = Vec::new();
    for (i, line) in (0_u64..).zip(lines).filter(|(_, line)| !line.is_empty()) {
        let Some((lon, lat)) = format.point(line) else {
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

impl Format {
    /// What the first line tells, and whether it is a header: one that names the columns, or at least holds no number.
    fn of(first: &[u8], file: &Path) -> anyhow::Result<(Self, bool)> {
        let separator = [b';', b'\t'].into_iter().find(|s| first.contains(s)).unwrap_or(b',');
        if let Some(columns) = Columns::named(first, separator) {
            return Ok((Self { separator, columns }, true));
        }
        let plain = Self { separator, columns: Columns { lon: 0, lat: 1 } };
        anyhow::ensure!(
            first.is_empty() || cells(first, separator).any(|cell| plain.number(cell).is_some()),
            "{}:1: this line holds no number, and names no columns `lon` and `lat`. Mend: call them so, or take the line out and write \
             longitude,latitude",
            file.display()
        );
        Ok((plain, false))
    }

    /// Longitude and latitude, if they are on Earth.
    fn point(self, line: &[u8]) -> Option<(f64, f64)> {
        let mut numbers = (None, None);
        for (i, cell) in cells(line, self.separator).enumerate() {
            if i == self.columns.lon {
                numbers.0 = self.number(cell);
            } else if i == self.columns.lat {
                numbers.1 = self.number(cell);
            }
        }
        let (lon, lat) = (numbers.0?, numbers.1?);
        (lon.abs() <= 180.0 && lat.abs() <= 90.0).then_some((lon, lat))
    }

    fn number(self, cell: &[u8]) -> Option<f64> {
        let text = std::str::from_utf8(cell).ok()?;
        if self.separator != b',' && text.contains(',') { text.replacen(',', ".", 1).parse().ok() } else { text.parse().ok() }
    }
}

impl Columns {
    /// Those of a line that names them.
    fn named(line: &[u8], separator: u8) -> Option<Self> {
        let names: Vec<String> = cells(line, separator).map(|cell| String::from_utf8_lossy(cell).to_lowercase()).collect();
        let find = |all: &[&str]| names.iter().position(|name| all.contains(&name.as_str()));
        Some(Self { lon: find(&["lon", "lng", "long", "longitude", "x"])?, lat: find(&["lat", "latitude", "y"])? })
    }
}

/// The cells of a line, without blanks and quotes around them; a separator between quotes is none.
fn cells(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.split(move |b| {
        quoted ^= *b == b'"';
        *b == separator && !quoted
    })
    .map(|cell| {
        let cell = cell.trim_ascii();
        cell.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(cell).trim_ascii()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(geojson: &str, points: &str) -> String {
        tried(geojson, points).unwrap()
    }

    fn tried(geojson: &str, points: &str) -> anyhow::Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("fences.geojson");
        std::fs::write(&file, geojson).unwrap();
        let mut out = Vec::new();
        pairs(&passage_config::load_fences(&file).unwrap(), Path::new("points.csv"), points.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
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

    #[test]
    fn a_byte_order_mark_and_quotes_are_no_part_of_a_header_or_a_number() {
        let want = "1 9\n1 10\n";
        assert_eq!(told(TWO, "\u{feff}lon,lat\n0,0\n4.83,45.76\n"), want);
        assert_eq!(told(TWO, "\u{feff}lat,lon\r\n0,0\r\n45.76,4.83\r\n"), want);
        assert_eq!(told(TWO, "\u{feff}4.83,45.76\n"), "0 9\n0 10\n");
        assert_eq!(told(TWO, "\"name\",\"lon\",\"lat\"\n\"a\",\"0\",\"0\"\n\"Lyon, Bellecour\", \"4.83\" ,\"45.76\"\n"), want);
    }

    #[test]
    fn a_table_of_a_french_spreadsheet_is_read() {
        assert_eq!(told(TWO, "4,83;45,76\n0;0\n"), "0 9\n0 10\n");
        assert_eq!(told(TWO, "nom;latitude;longitude\nLyon;45,76;4,83\n"), "0 9\n0 10\n");
        assert_eq!(told(TWO, "lon\tlat\n4.83\t45,76\n"), "0 9\n0 10\n");
    }

    #[test]
    fn a_header_that_names_no_longitude_and_latitude_is_refused() {
        for header in ["east,north", "\u{feff}\"id\",\"lat\"", "breite;laenge"] {
            let why = tried(TWO, &format!("{header}\n4.83,45.76\n")).unwrap_err().to_string();
            assert!(why.contains("points.csv:1") && why.contains("Mend: "), "{header}: {why}");
        }
        assert_eq!(told(TWO, ""), "");
        assert_eq!(told(TWO, "\n4.83,45.76\n"), "1 9\n1 10\n");
    }
}
