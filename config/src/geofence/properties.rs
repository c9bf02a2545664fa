//! The properties of a feature: what it is, and what its geometry alone does not say.

use passage_protocol::{FenceId, StoreId};

use super::Fences;
use crate::{
    collect::mistake,
    model::FenceKind,
    reader::{Field, Reader},
    site::Names,
    tree::Kind,
};

/// What the properties of a feature say.
#[derive(Default)]
pub(super) struct Properties {
    pub(super) id: Option<FenceId>,
    pub(super) store: Option<StoreId>,
    pub(super) kind: Option<FenceKind>,
    pub(super) measure: Measure,
}

/// Metres that go with a geometry. `Some(None)` if they are there but wrong.
#[derive(Default, Clone, Copy)]
pub(super) struct Measure {
    pub(super) radius_m: Option<Option<f64>>,
    pub(super) buffer_m: Option<Option<f64>>,
    /// Somebody said that the size is meant.
    pub(super) any_size: bool,
}

/// Reads the properties of a geofence of a site.
pub(super) fn read(f: Field<'_>, names: &Names, fences: &mut Fences) -> Option<Properties> {
    let r = f.table()?;
    let id = r.need("id", "\"id\": \"lyon-bellecour-store\"", |f| fences.claim(&f, f.text()?));
    let store = r.need("store", "\"store\": \"..\", the name of a file in stores/", |f| names.store(&f));
    let kind = r.need("kind", "\"kind\": \"store\" (inside) or \"nearby\" (passing by)", kind);
    let measure = measure(&r);
    // Tables of map tools have columns of their own.
    r.done_but_for_foreign(&["fid", "gid"]);
    Some(Properties { id, store, kind, measure })
}

/// `store` or `nearby`.
pub(super) fn kind(f: Field<'_>) -> Option<FenceKind> {
    f.choice(&[("store", FenceKind::Store), ("nearby", FenceKind::Nearby)])
}

/// The keys in metres. QGIS writes `null` where a column is empty.
pub(super) fn measure(r: &Reader<'_>) -> Measure {
    let filled = |key| r.find(key).filter(|f| !matches!(f.node.kind, Kind::Null));
    let (radius, buffer, any_size) =
        (filled("radius_m").or_else(|| filled("radius")), filled("buffer_m").or_else(|| filled("buffer")), filled("any_size"));
    Measure {
        radius_m: radius.map(|f| self::radius(&f)),
        buffer_m: buffer.map(|f| self::buffer(&f)),
        any_size: any_size.and_then(|f| f.flag()).unwrap_or(false),
    }
}

/// A radius that can be watched at all, in metres.
pub(super) fn radius(f: &Field<'_>) -> Option<f64> {
    let metres = f.any_number(150.0)?;
    if (10.0..=50_000.0).contains(&metres) {
        return Some(metres);
    }
    let mend = "write metres from 10 to 50000; positions are no finer, and offers reach no farther";
    f.refuse(mistake("P054", "a circle of this radius cannot be watched", format!("{metres} m"), mend))
}

fn buffer(f: &Field<'_>) -> Option<f64> {
    let metres = f.any_number(25.0)?;
    if (5.0..=2000.0).contains(&metres) {
        return Some(metres);
    }
    let mend = "write the metres to either side of the line, from 5 to 2000";
    f.refuse(mistake("P054", "a corridor of this width cannot be watched", format!("{metres} m to either side"), mend))
}
