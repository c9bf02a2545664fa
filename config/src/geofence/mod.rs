//! `geofences/*.geojson`: areas around stores, as map tools write them.

mod ring;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use geo::Point;
use passage_protocol::{FenceId, StoreId};

use crate::{
    collect::{Collector, mistake},
    model::{FenceKind, Geofence, Store},
    reader::Field,
    site::Names,
    source::Source,
    tree::json,
};

/// Map tools add these to the properties for the looks of the shape.
const LOOKS: [&str; 12] = [
    "name",
    "title",
    "description",
    "marker-size",
    "marker-symbol",
    "marker-color",
    "stroke",
    "stroke-width",
    "stroke-opacity",
    "fill",
    "fill-opacity",
    "color",
];

/// The geofences of all files.
#[derive(Default)]
pub(crate) struct Fences {
    /// The valid ones.
    pub(crate) good: BTreeMap<FenceId, Geofence>,
    /// Stores for which somebody meant to draw a geofence of kind `nearby`, even if its shape is wrong.
    pub(crate) nearby: BTreeSet<StoreId>,
    /// A file, or a part that says what it is, could not be read.
    pub(crate) incomplete: bool,
    /// Where each id was first seen.
    seen: BTreeMap<FenceId, String>,
}

/// Reads one file.
pub(crate) fn read(source: &Source, names: &Names, stores: &BTreeMap<StoreId, Store>, fences: &mut Fences, out: &Collector) {
    let Some(tree) = json::read(source, out) else {
        fences.incomplete = true;
        return;
    };
    let root = Field::root(source, out, &tree);
    // Some tools write one feature without a collection around it.
    if root.word("type") == Some("Feature") {
        return feature(root, names, stores, fences);
    }
    match collection(root) {
        Some(features) => features.into_iter().for_each(|f| feature(f, names, stores, fences)),
        None => fences.incomplete = true,
    }
}

fn collection(root: Field<'_>) -> Option<Vec<Field<'_>>> {
    let r = root.table()?;
    r.ignore(&["name", "crs", "bbox", "id"]);
    r.need("type", "\"type\": \"FeatureCollection\"", |f| f.choice(&[("FeatureCollection", ())]));
    let features = r.need("features", "\"features\": [ .. ]", |f| f.list());
    r.done();
    features
}

fn feature(f: Field<'_>, names: &Names, stores: &BTreeMap<StoreId, Store>, fences: &mut Fences) {
    let Some(r) = f.table() else {
        fences.incomplete = true;
        return;
    };
    r.ignore(&["id", "bbox"]);
    r.need("type", "\"type\": \"Feature\"", |f| f.choice(&[("Feature", ())]));
    let said = r.need("properties", "\"properties\": { \"id\": .., \"store\": .., \"kind\": .. }", |f| properties(f, names, fences));
    let said = said.unwrap_or_default();
    let store_at = said.store.as_ref().and_then(|s| stores.get(s)).map(|s| s.at);
    let shape = r.need("geometry", "\"geometry\": { \"type\": \"Polygon\", .. }", |f| shape::read(f, &said, store_at));
    r.done();
    match (&said.store, said.kind) {
        (Some(store), Some(FenceKind::Nearby)) => {
            fences.nearby.insert(store.clone());
        }
        (Some(_), Some(FenceKind::Store)) => {}
        _ => fences.incomplete = true,
    }
    if let (Some(id), Some(store), Some(kind), Some(shape)) = (said.id, said.store, said.kind, shape) {
        fences.good.insert(id.clone(), Geofence { id, store, kind, shape });
    }
}

/// What the properties of a feature say.
#[derive(Default)]
struct Properties {
    id: Option<FenceId>,
    store: Option<StoreId>,
    kind: Option<FenceKind>,
    /// `Some(None)` if it is there but wrong.
    radius_m: Option<Option<f64>>,
}

fn properties(f: Field<'_>, names: &Names, fences: &mut Fences) -> Option<Properties> {
    let r = f.table()?;
    r.ignore(&LOOKS);
    let id = r.need("id", "\"id\": \"lyon-bellecour-store\"", |f| fence_id(&f, fences));
    let store = r.need("store", "\"store\": \"..\", the name of a file in stores/", |f| names.store(&f));
    let kind = r.need("kind", "\"kind\": \"store\" (inside) or \"nearby\" (passing by)", |f| {
        f.choice(&[("store", FenceKind::Store), ("nearby", FenceKind::Nearby)])
    });
    let radius = |f: Field<'_>| {
        let metres = f.any_number(150.0)?;
        if (10.0..=50_000.0).contains(&metres) {
            return Some(metres);
        }
        let mend = "write metres from 10 to 50000; positions are no finer, and offers reach no farther";
        f.refuse(mistake("P054", "a circle of this radius cannot be watched", format!("{metres} m"), mend))
    };
    let radius_m = r.find("radius_m").or_else(|| r.find("radius")).map(radius);
    r.done();
    Some(Properties { id, store, kind, radius_m })
}

fn fence_id(f: &Field<'_>, fences: &mut Fences) -> Option<FenceId> {
    let text = f.text()?;
    let id = match text.parse::<FenceId>() {
        Ok(id) if text != "front" => id,
        _ => {
            let mend = "use 3 to 40 characters out of a-z, 0-9 and - (\"front\" is taken)";
            return f.refuse(mistake("P010", format!("\"{text}\" cannot be an id"), "not an id", mend));
        }
    };
    let place = f.place();
    if let Some(first) = fences.seen.get(&id) {
        let mend = format!("give one of them another id; the first is at {first}");
        return f.refuse(mistake("P056", format!("two geofences have the id \"{id}\""), "second time", mend));
    }
    fences.seen.insert(id.clone(), format!("{}:{}", place.file.display(), place.line));
    Some(id)
}

/// Metres between two points.
pub(crate) fn metres(a: Point<f64>, b: Point<f64>) -> f64 {
    use geo::{Distance, Haversine};
    Haversine.distance(a, b)
}
