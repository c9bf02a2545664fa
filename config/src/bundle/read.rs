//! From a bundle to what the machines of a gateway take.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use geo::{Coord, LineString, MultiLineString, MultiPolygon, Point, Polygon};
use passage_protocol::{Bundle, bundle as wire};

use super::{BadBundle, Delivered, check};
use crate::{
    hours::Hours,
    model::{Brand, FenceKind, Geofence, GeofenceRules, Namespace, PresenceRules, RadioZone, Sender, Shape, Site, Store},
};

/// Takes a bundle apart.
///
/// # Errors
/// Something in it would break the machines: a place off the Earth, a ring that is open, rules that contradict each other, a geofence without its
/// store.
pub fn read(bundle: &Bundle) -> Result<Delivered, BadBundle> {
    let brands: BTreeMap<String, Brand> = bundle.brands.iter().map(brand).collect::<Result<_, _>>()?;
    let stores: BTreeMap<_, Store> = bundle.stores.iter().map(store).collect::<Result<_, _>>()?;
    let geofences: BTreeMap<_, Geofence> = bundle.geofences.iter().map(geofence).collect::<Result<_, _>>()?;
    let (presence, position) = (presence(&bundle.presence), position(&bundle.position));
    let dwell_marks = bundle.dwell_marks.iter().map(|s| Duration::from_secs(*s)).collect();
    check::presence(&presence)?;
    check::position(&position)?;
    check::dwell_marks(&bundle.dwell_marks)?;
    if stores.values().any(|s| !brands.contains_key(&s.brand)) || bundle.store.as_ref().is_some_and(|own| !stores.contains_key(own)) {
        return Err(BadBundle::Wrong("stores"));
    }
    if geofences.values().any(|g| !stores.contains_key(&g.store)) {
        return Err(BadBundle::Wrong("geofences"));
    }
    let site = Site { brands, stores, geofences, ..Site::default() };
    Ok(Delivered { store: bundle.store.clone(), site, presence, geofence: position, dwell_marks })
}

fn brand(b: &wire::Brand) -> Result<(String, Brand), BadBundle> {
    const WRONG: BadBundle = BadBundle::Wrong("namespaces");
    let namespace = Namespace {
        service_uuid: bytes(&b.service_uuid).ok_or(WRONG)?,
        ibeacon: bytes(&b.ibeacon).ok_or(WRONG)?,
        uuid_prefix: b.uuid_prefix.as_deref().map(|p| bytes(p).ok_or(WRONG)).transpose()?,
    };
    let wake_uuid = b.wake_uuid.as_deref().map(|u| bytes(u).ok_or(WRONG)).transpose()?;
    // What only hubs need stays with them.
    let sender = Sender { name: String::new(), stop_number: String::new() };
    let (id, name, entities) = (b.id.clone(), b.id.clone(), BTreeMap::new());
    Ok((b.id.clone(), Brand { id, name, entities, namespace, sender, beacons: b.beacons.clone(), wake_uuid }))
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    hex::decode_to_slice(digits, &mut out).ok()?;
    Some(out)
}

fn store(s: &wire::Store) -> Result<(passage_protocol::StoreId, Store), BadBundle> {
    let store = Store {
        id: s.id.clone(),
        name: s.id.to_string(),
        brand: s.brand.clone(),
        entity: String::new(),
        region: String::new(),
        tags: Vec::new(),
        at: place(s.at)?,
        timezone: s.timezone.parse().map_err(|_| BadBundle::Wrong("time zones"))?,
        hours: Arc::new(Hours::parse(&s.hours).map_err(|_| BadBundle::Wrong("opening hours"))?),
    };
    Ok((s.id.clone(), store))
}

fn geofence(g: &wire::Geofence) -> Result<(passage_protocol::FenceId, Geofence), BadBundle> {
    let kind = if g.nearby { FenceKind::Nearby } else { FenceKind::Store };
    let shape = shape(&g.outline)?;
    Ok((g.id.clone(), Geofence { id: g.id.clone(), store: g.store.clone(), kind, shape }))
}

fn shape(outline: &wire::Outline) -> Result<Shape, BadBundle> {
    Ok(match outline {
        wire::Outline::Circle { centre, radius_m } => Shape::Circle { centre: place(*centre)?, radius_m: check::reach(*radius_m)? },
        wire::Outline::Area(polygons) if !polygons.is_empty() => {
            Shape::Area(MultiPolygon(polygons.iter().map(|p| polygon(p)).collect::<Result<_, _>>()?))
        }
        wire::Outline::Corridor { lines, buffer_m } if !lines.is_empty() => {
            let lines = lines.iter().map(|l| line(l, 2)).collect::<Result<_, _>>()?;
            Shape::Corridor { lines: MultiLineString(lines), buffer_m: check::reach(*buffer_m)? }
        }
        _ => return Err(BadBundle::Wrong("geofences")),
    })
}

fn polygon(rings: &[Vec<[f64; 2]>]) -> Result<Polygon<f64>, BadBundle> {
    let mut rings: Vec<LineString<f64>> = rings.iter().map(|r| line(r, 4)).collect::<Result<_, _>>()?;
    if rings.is_empty() || rings.iter().any(|r| !r.is_closed()) {
        return Err(BadBundle::Wrong("geofences"));
    }
    let exterior = rings.remove(0);
    Ok(Polygon::new(exterior, rings))
}

fn line(places: &[[f64; 2]], least: usize) -> Result<LineString<f64>, BadBundle> {
    if places.len() < least {
        return Err(BadBundle::Wrong("geofences"));
    }
    places.iter().map(|p| place(*p).map(Coord::from)).collect()
}

fn place([lon, lat]: [f64; 2]) -> Result<Point<f64>, BadBundle> {
    let is_on_earth = (-180.0..=180.0).contains(&lon) && (-90.0..=90.0).contains(&lat);
    if is_on_earth { Ok(Point::new(lon, lat)) } else { Err(BadBundle::Wrong("places")) }
}

fn presence(p: &wire::Presence) -> PresenceRules {
    let settle = Duration::from_millis(p.settle_ms);
    PresenceRules { inside: zone(&p.inside), front: zone(&p.front), settle, max_subjects: p.max_subjects }
}

fn zone(z: &wire::RadioZone) -> RadioZone {
    RadioZone {
        enter_dbm: z.enter_dbm,
        leave_dbm: z.leave_dbm,
        enter_sightings: z.enter_sightings,
        window: Duration::from_millis(z.window_ms),
        silence: Duration::from_millis(z.silence_ms),
        hold: Duration::from_millis(z.hold_ms),
    }
}

fn position(p: &wire::Position) -> GeofenceRules {
    GeofenceRules {
        enter_p: p.enter_p,
        exit_p: p.exit_p,
        exit_fixes: p.exit_fixes,
        exit_after: Duration::from_millis(p.exit_after_ms),
        max_accuracy_m: p.max_accuracy_m,
        untold_accuracy_m: p.untold_accuracy_m,
        coarsest_radii: p.coarsest_radii,
        max_speed_kmh: p.max_speed_kmh,
        speed_within: Duration::from_millis(p.speed_within_ms),
        cross_within: Duration::from_millis(p.cross_within_ms),
        jump_m: p.jump_m,
        jump_kmh: p.jump_kmh,
        jump_fixes: p.jump_fixes,
        fresh: Duration::from_millis(p.fresh_ms),
        reorder: Duration::from_millis(p.reorder_ms),
        silence: Duration::from_millis(p.silence_ms),
        far_m: p.far_m,
        around_hours: Duration::from_millis(p.around_hours_ms),
    }
}
