//! GeoJSON (RFC 7946) as geojson.io and QGIS write it.

use super::{Fences, Known, checks, properties, shape};
use crate::{collect::Collector, reader::Field, source::Source, tree::json};

/// Reads one file.
pub(super) fn read(source: &Source, known: Known<'_>, fences: &mut Fences, out: &Collector) {
    let Some(tree) = json::read(source, out) else {
        fences.incomplete = true;
        return;
    };
    match all(Field::root(source, out, &tree)) {
        Some(features) => features.into_iter().for_each(|f| feature(f, known, fences)),
        None => fences.incomplete = true,
    }
}

/// The features of a file.
pub(super) fn all(root: Field<'_>) -> Option<Vec<Field<'_>>> {
    // Some tools write one feature without a collection around it.
    if root.word("type") == Some("Feature") {
        return Some(vec![root]);
    }
    let r = root.table()?;
    r.ignore(&["name", "crs", "bbox", "id", "xy_coordinate_resolution", "generator", "timestamp"]);
    r.need("type", "\"type\": \"FeatureCollection\"", |f| f.choice(&[("FeatureCollection", ())]));
    let features = r.need("features", "\"features\": [ .. ]", |f| f.list());
    r.done();
    features
}

fn feature(f: Field<'_>, known: Known<'_>, fences: &mut Fences) {
    let Some(r) = f.table() else {
        fences.incomplete = true;
        return;
    };
    r.ignore(&["id", "bbox"]);
    r.need("type", "\"type\": \"Feature\"", |f| f.choice(&[("Feature", ())]));
    let example = "\"properties\": { \"id\": .., \"store\": .., \"kind\": .. }";
    let said = r.need("properties", example, |f| properties::read(f, known.names, fences)).unwrap_or_default();
    let store = said.store.as_ref().and_then(|s| known.stores.get(s));
    let shape = r.need("geometry", "\"geometry\": { \"type\": \"Polygon\", .. }", |f| {
        let shape = shape::read(f.clone(), &said.measure)?;
        let sized = checks::size(&f, &shape, &said.measure);
        checks::placed(&f, &shape, store?)?;
        sized.map(|()| shape)
    });
    r.done();
    fences.add(said.id, said.store, said.kind, shape);
}
