//! `geofences/*.toml`: circles for who has no map tool. One table a geofence; its name is the id.

use geo::Point;

use super::{Fences, Known, checks, properties};
use crate::{
    collect::{Collector, mistake},
    model::Shape,
    reader::{Field, Reader},
    source::Source,
    store,
    tree::toml,
};

/// Reads one file.
pub(super) fn read(source: &Source, known: Known<'_>, fences: &mut Fences, out: &Collector) {
    let Some(tree) = toml::read(source, out) else {
        fences.incomplete = true;
        return;
    };
    let Some(r) = Reader::root(source, out, &tree) else { return };
    for f in r.all() {
        circle(&f, known, fences);
    }
}

fn circle(f: &Field<'_>, known: Known<'_>, fences: &mut Fences) {
    let name = f.key.clone();
    let Some(r) = f.clone().table() else {
        fences.incomplete = true;
        return;
    };
    let id = fences.claim(f, &name);
    let store = r.need("store", "store = \"..\", the name of a file in stores/", |f| known.names.store(&f));
    let kind = r.need("kind", "kind = \"store\" (inside) or \"nearby\" (passing by)", properties::kind);
    // Something wrong at `at` is no reason to take the store's own place.
    let at = r.find("at").map(store::point);
    let measure = properties::measure(&r);
    r.done();
    let shop = store.as_ref().and_then(|s| known.stores.get(s));
    let shape = shape(f, at.unwrap_or_else(|| shop.map(|s| s.at)), &measure).filter(|shape| {
        let sized = checks::size(f, shape, &measure).is_some();
        shop.is_some_and(|s| checks::placed(f, shape, s).is_some()) && sized
    });
    fences.add(id, store, kind, shape);
}

fn shape(f: &Field<'_>, centre: Option<Point<f64>>, said: &properties::Measure) -> Option<Shape> {
    if said.buffer_m.is_some() {
        return f.refuse(mistake("P054", "only a line has a buffer", "this is a circle", "write radius_m, or draw a line in a map tool"));
    }
    match said.radius_m {
        Some(radius_m) => Some(Shape::Circle { centre: centre?, radius_m: radius_m? }),
        None => f.refuse(mistake("P054", "a point alone is no area", "no radius", "add radius_m = 150")),
    }
}
