//! One GeoJSON file by itself, for tools that have no site: any properties, any ids, the same checks of the shapes.

use std::{collections::BTreeMap, path::Path};

use geo::{Point, coord};

use super::{checks, features, meridian, metres, properties, shape};
use crate::{
    collect::{Collector, mistake},
    diagnostic::Diagnostics,
    model::Shape,
    reader::Field,
    source::Source,
    tree::{Kind, json},
};

/// Tools may read what a program has drawn.
const MAX_FILE: u64 = 512 << 20;
/// All fences of a file but one within this, metres, and that one not: its axes may be swapped.
const TOGETHER_M: f64 = 300_000.0;

/// A fence of a file.
#[derive(Debug, Clone)]
pub struct PlainFence {
    /// `properties.id`, else the feature's `id`, else its position in the file from 0.
    pub id: String,
    /// Where.
    pub shape: Shape,
}

/// The fences of a file, in its order.
#[derive(Debug, Clone, Default)]
pub struct PlainFences {
    /// All of them; valid.
    pub fences: Vec<PlainFence>,
    /// What a site would refuse, or what is probably not meant: sizes, swapped axes.
    pub notes: Diagnostics,
}

/// A fence and where it stands in its file.
struct Drawn<'a> {
    fence: PlainFence,
    geometry: Field<'a>,
    /// Its id, if one is written there.
    named: Option<Field<'a>>,
}

/// Reads the GeoJSON file at `file` by itself.
///
/// # Errors
/// All mistakes of the shapes.
pub fn load_fences(file: &Path) -> Result<PlainFences, Diagnostics> {
    let (out, notes) = (Collector::default(), Collector::default());
    let fences = out.read_up_to(file, MAX_FILE).and_then(|source| read(&source, &out, &notes));
    told(fences, out, notes)
}

/// The same from text.
///
/// # Errors
/// All mistakes of the shapes.
pub fn read_fences(text: &str) -> Result<PlainFences, Diagnostics> {
    let (out, notes) = (Collector::default(), Collector::default());
    let fences = read(&Source::new("fences.geojson".into(), text.to_owned()), &out, &notes);
    told(fences, out, notes)
}

fn told(fences: Option<Vec<PlainFence>>, out: Collector, notes: Collector) -> Result<PlainFences, Diagnostics> {
    let fences = out.finish(fences)?;
    Ok(PlainFences { fences, notes: notes.finish(Some(())).err().unwrap_or_default() })
}

fn read(source: &Source, out: &Collector, notes: &Collector) -> Option<Vec<PlainFence>> {
    let tree = json::read(source, out)?;
    let features = features::all(Field::root(source, out, &tree))?;
    let read: Vec<Drawn<'_>> = (0..).zip(&features).filter_map(|(i, f)| feature(f, i, notes)).collect();
    twice(&read, notes);
    swapped(&read, notes);
    Some(read.into_iter().map(|drawn| drawn.fence).collect())
}

fn feature<'a>(f: &Field<'a>, index: usize, notes: &Collector) -> Option<Drawn<'a>> {
    let r = f.clone().table()?;
    r.need("type", "\"type\": \"Feature\"", |f| f.choice(&[("Feature", ())]));
    let properties = r.find("properties").filter(|p| p.is_table()).and_then(Field::table);
    let measure = properties.as_ref().map(properties::measure).unwrap_or_default();
    let named = |f: Field<'a>| Some((id(&f)?, f));
    let named = properties.as_ref().and_then(|p| p.find("id")).and_then(named).or_else(|| r.find("id").and_then(named));
    let geometry = r.need("geometry", "\"geometry\": { \"type\": \"Polygon\", .. }", Some)?;
    let shape = shape::read(geometry.clone(), &measure)?;
    if let Some(m) = checks::wrong_size(&shape).filter(|_| !measure.any_size) {
        notes.at(f.source, &geometry.node.span, m);
    }
    let (id, named) = named.map_or_else(|| (index.to_string(), None), |(id, field)| (id, Some(field)));
    Some(Drawn { fence: PlainFence { id, shape }, geometry, named })
}

/// Numbers and texts can be ids.
fn id(f: &Field<'_>) -> Option<String> {
    match &f.node.kind {
        Kind::Integer(n) => Some(n.to_string()),
        Kind::Number(n) => Some(n.to_string()),
        Kind::Text(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        _ => None,
    }
}

/// Two fences with one id cannot be told apart in what is printed.
fn twice(fences: &[Drawn<'_>], notes: &Collector) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, drawn) in fences.iter().enumerate() {
        let id = drawn.fence.id.as_str();
        if let Some(first) = seen.get(id) {
            let place = drawn.named.as_ref().unwrap_or(&drawn.geometry);
            let mend = format!("give one of them another id; the first is the geofence number {} of this file", first + 1);
            notes.at(place.source, &place.node.span, mistake("P056", format!("two geofences have the id \"{id}\""), "second time", mend));
        } else {
            seen.insert(id, i);
        }
    }
}

/// One fence far from all others, which would be among them with its axes swapped, was probably written latitude first.
fn swapped(fences: &[Drawn<'_>], notes: &Collector) {
    let middles: Vec<Point<f64>> = fences.iter().map(|drawn| middle(&drawn.fence.shape)).collect();
    let swap = |p: Point<f64>| Point::new(p.y(), p.x());
    let near = |a: Point<f64>, b: Point<f64>| metres(a, b) <= TOGETHER_M;
    // Most of the first few stand together, else the file is of the whole world and says nothing.
    let Some(home) = middles.iter().take(20).find(|m| middles.iter().filter(|other| near(**m, **other)).count() * 4 >= middles.len() * 3)
    else {
        return;
    };
    for (Drawn { geometry, .. }, middle) in fences.iter().zip(&middles) {
        if !near(*home, *middle) && near(*home, swap(*middle)) {
            let place = format!("its middle is at latitude {:.4}, longitude {:.4}", middle.y(), middle.x());
            let mend = "swap the two numbers of each position: longitude first";
            let message = "latitude and longitude are probably swapped: the other geofences of this file are elsewhere";
            notes.at(geometry.source, &geometry.node.span, mistake("P050", message, place, mend));
        }
    }
}

fn middle(shape: &Shape) -> Point<f64> {
    use geo::Centroid;
    let middle = match shape {
        Shape::Circle { centre, .. } => Some(*centre),
        Shape::Area(area) => meridian::joined(area).centroid(),
        Shape::Corridor { lines, .. } => meridian::joined(lines).centroid(),
    };
    middle.unwrap_or(Point(coord! { x: 0.0, y: 0.0 }))
}
