//! From what the files say to what one gateway gets.

use std::{collections::BTreeSet, time::Duration};

use geo::{LineString, Point, Polygon};
use passage_protocol::{Bundle, VERSION, bundle as wire};

use crate::model::{Brand, FenceKind, Geofence, GeofenceRules, PresenceRules, RadioZone, Shape, Site, SiteGateway, Store};

/// The site of `gateway`: its own shop, with the brand and the geofences of that, or all shops.
pub fn make(site: &Site, gateway: &SiteGateway) -> Bundle {
    let stores: Vec<&Store> = site.stores.values().filter(|s| gateway.store.as_ref().is_none_or(|own| s.id == *own)).collect();
    let brands: BTreeSet<&str> = stores.iter().map(|s| s.brand.as_str()).collect();
    let is_near = |fence: &&Geofence| stores.iter().any(|s| s.id == fence.store);
    Bundle {
        v: VERSION,
        store: gateway.store.clone(),
        brands: site.brands.values().filter(|b| brands.contains(b.id.as_str())).map(brand).collect(),
        stores: stores.iter().map(|s| store(s)).collect(),
        geofences: site.geofences.values().filter(is_near).map(geofence).collect(),
        presence: presence(&gateway.presence),
        position: position(&gateway.geofence),
        dwell_marks: site.dwell_marks().iter().map(Duration::as_secs).collect(),
    }
}

fn brand(b: &Brand) -> wire::Brand {
    wire::Brand {
        id: b.id.clone(),
        service_uuid: hex::encode(b.namespace.service_uuid),
        ibeacon: hex::encode(b.namespace.ibeacon),
        uuid_prefix: b.namespace.uuid_prefix.map(hex::encode),
        wake_uuid: b.wake_uuid.map(hex::encode),
        beacons: b.beacons.clone(),
    }
}

fn store(s: &Store) -> wire::Store {
    wire::Store {
        id: s.id.clone(),
        brand: s.brand.clone(),
        at: place(s.at),
        timezone: s.timezone.name().to_owned(),
        hours: s.hours.text().to_owned(),
    }
}

fn geofence(g: &Geofence) -> wire::Geofence {
    let outline = match &g.shape {
        Shape::Circle { centre, radius_m } => wire::Outline::Circle { centre: place(*centre), radius_m: *radius_m },
        Shape::Area(area) => wire::Outline::Area(area.iter().map(polygon).collect()),
        Shape::Corridor { lines, buffer_m } => wire::Outline::Corridor { lines: lines.iter().map(line).collect(), buffer_m: *buffer_m },
    };
    wire::Geofence { id: g.id.clone(), store: g.store.clone(), nearby: g.kind == FenceKind::Nearby, outline }
}

fn polygon(p: &Polygon<f64>) -> Vec<Vec<[f64; 2]>> {
    std::iter::once(p.exterior()).chain(p.interiors()).map(line).collect()
}

fn line(l: &LineString<f64>) -> Vec<[f64; 2]> {
    l.points().map(place).collect()
}

fn place(p: Point<f64>) -> [f64; 2] {
    [p.x(), p.y()]
}

fn presence(rules: &PresenceRules) -> wire::Presence {
    wire::Presence {
        inside: zone(&rules.inside),
        front: zone(&rules.front),
        settle_ms: millis(rules.settle),
        max_subjects: rules.max_subjects,
    }
}

fn zone(z: &RadioZone) -> wire::RadioZone {
    wire::RadioZone {
        enter_dbm: z.enter_dbm,
        leave_dbm: z.leave_dbm,
        enter_sightings: z.enter_sightings,
        window_ms: millis(z.window),
        silence_ms: millis(z.silence),
        hold_ms: millis(z.hold),
    }
}

fn position(r: &GeofenceRules) -> wire::Position {
    wire::Position {
        enter_p: r.enter_p,
        exit_p: r.exit_p,
        exit_fixes: r.exit_fixes,
        exit_after_ms: millis(r.exit_after),
        max_accuracy_m: r.max_accuracy_m,
        untold_accuracy_m: r.untold_accuracy_m,
        coarsest_radii: r.coarsest_radii,
        max_speed_kmh: r.max_speed_kmh,
        speed_within_ms: millis(r.speed_within),
        cross_within_ms: millis(r.cross_within),
        jump_m: r.jump_m,
        jump_kmh: r.jump_kmh,
        jump_fixes: r.jump_fixes,
        fresh_ms: millis(r.fresh),
        reorder_ms: millis(r.reorder),
        silence_ms: millis(r.silence),
        far_m: r.far_m,
        around_hours_ms: millis(r.around_hours),
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}
