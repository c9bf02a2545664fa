//! `geofences/*.geojson`, areas around stores as map tools write them, and `geofences/*.toml`, circles for who has no map tool.

mod checks;
mod circles;
mod corridor;
mod country;
mod features;
mod meridian;
mod plain;
mod polygon;
mod position;
mod properties;
mod ring;
mod rules;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use geo::Point;
use passage_protocol::{FenceId, StoreId};

pub use self::plain::{PlainFence, PlainFences, load_fences, read_fences};
pub(crate) use self::{country::in_country, rules::rules};
use crate::{
    collect::{Collector, mistake},
    model::{FenceKind, Geofence, Shape, Store},
    reader::Field,
    site::Names,
    source::Source,
};

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

/// What ids and stores there are to refer to.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) names: &'a Names,
    pub(crate) stores: &'a BTreeMap<StoreId, Store>,
}

/// Reads one file.
pub(crate) fn read(source: &Source, known: Known<'_>, fences: &mut Fences, out: &Collector) {
    if source.is_toml() { circles::read(source, known, fences, out) } else { features::read(source, known, fences, out) }
}

impl Fences {
    /// Takes one geofence as far as it could be read.
    fn add(&mut self, id: Option<FenceId>, store: Option<StoreId>, kind: Option<FenceKind>, shape: Option<Shape>) {
        match (&store, kind) {
            (Some(store), Some(FenceKind::Nearby)) => {
                self.nearby.insert(store.clone());
            }
            (Some(_), Some(FenceKind::Store)) => {}
            _ => self.incomplete = true,
        }
        if let (Some(id), Some(store), Some(kind), Some(shape)) = (id, store, kind, shape) {
            self.good.insert(id.clone(), Geofence { id, store, kind, shape });
        }
    }

    /// Takes the id of a geofence, which nobody else may have.
    fn claim(&mut self, f: &Field<'_>, text: &str) -> Option<FenceId> {
        let id = match text.parse::<FenceId>() {
            Ok(id) if text != "front" => id,
            _ => {
                let mend = "use 3 to 40 characters out of a-z, 0-9 and - (\"front\" is taken)";
                return f.refuse(mistake("P010", format!("\"{text}\" cannot be an id"), "not an id", mend));
            }
        };
        let place = f.place();
        if let Some(first) = self.seen.get(&id) {
            let mend = format!("give one of them another id; the first is at {first}");
            return f.refuse(mistake("P056", format!("two geofences have the id \"{id}\""), "second time", mend));
        }
        self.seen.insert(id.clone(), format!("{}:{}", place.file.display(), place.line));
        Some(id)
    }
}

/// Metres between two points.
pub(crate) fn metres(a: Point<f64>, b: Point<f64>) -> f64 {
    use geo::{Distance, Haversine};
    Haversine.distance(a, b)
}
