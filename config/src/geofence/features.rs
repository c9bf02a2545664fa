//! GeoJSON (RFC 7946) as geojson.io and QGIS write it.

use super::{Fences, Known, checks, properties, shape};
use crate::{
    collect::{Collector, mistake},
    reader::{Field, Reader},
    source::Source,
    tree::{Kind, json},
};

/// How to mend coordinates of another system.
pub(super) const IN_DEGREES: &str = "export the file again in degrees: in QGIS, choose the CRS EPSG:4326 in the window of the export";
/// Coordinate systems of longitudes and latitudes in degrees that are WGS 84 or lie within a metre of it in Europe. RFC 7946 knows the first only.
const DEGREES: [&str; 5] = ["CRS84", "CRS84h", "4326", "4979", "4258"];

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
    r.need("type", "\"type\": \"FeatureCollection\"", |f| f.choice(&[("FeatureCollection", ())]));
    in_degrees(&r)?;
    // Whatever else stands there: RFC 7946, 6.1, lets everybody add members.
    r.need("features", "\"features\": [ .. ]", |f| f.list())
}

/// A file that names its coordinate system, as older tools do, names one of longitudes and latitudes. Told once: nothing in another one can be read.
fn in_degrees(r: &Reader<'_>) -> Option<()> {
    let Some(named) = r.find("crs").and_then(name_of_crs) else { return Some(()) };
    let Kind::Text(name) = &named.node.kind else { return Some(()) };
    if DEGREES.contains(&name.rsplit([':', '/']).next().unwrap_or_default()) {
        return Some(());
    }
    let message = "the coordinates of this file are not longitudes and latitudes";
    named.refuse(mistake("P057", message, "another coordinate system", IN_DEGREES))
}

/// `{ "type": "name", "properties": { "name": ".." } }`; everything else says nothing.
fn name_of_crs(crs: Field<'_>) -> Option<Field<'_>> {
    let properties = crs.is_table().then(|| crs.table())??.find("properties")?;
    properties.is_table().then(|| properties.table())??.find("name")
}

fn feature(f: Field<'_>, known: Known<'_>, fences: &mut Fences) {
    let Some(r) = f.table() else {
        fences.incomplete = true;
        return;
    };
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
    r.done_but_for_foreign(&[]);
    fences.add(said.id, said.store, said.kind, shape);
}
