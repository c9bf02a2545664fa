//! `gateway.toml`.

mod positions;

use std::{sync::Arc, time::Duration};

use passage_protocol::{GatewayId, StoreId, sign::Pinned};

use crate::{
    collect::{Collector, mistake, suggest},
    common, fleet, geofence,
    model::{BleRadio, GatewayConfig, GeofenceRules, Outbox, Positions, PresenceRules, Radio, RadioZone, Site, Wake},
    mqtt,
    reader::{Field, Reader, whole},
    site, wake,
};

pub(crate) use positions::secret as position_secret;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Reads one gateway's file, and the site beside it.
pub(crate) fn read(r: Reader<'_>, out: &Collector) -> Option<GatewayConfig> {
    let site_from_hub = crate::is_from_hub(&r);
    let site = if site_from_hub { Site::default() } else { site::read(&crate::site_dir(&r), out).site };
    let known = (!site_from_hub).then_some(&site);
    let id = r.need("id", "id = \"gw-my-shop\"", gateway_id);
    let store = r.may("store", |f| f.id::<StoreId>().filter(|id| known.is_none_or(|site| is_known(&f, id, site))));
    let data = r.need("data", "data = \"data/gateway\", the folder of its outbox", |f| f.path());
    let broker = mqtt::read(&r, mqtt::Side::Gateway);
    let hub = r.may("hub", |f| fleet::url(&f));
    let hub_keys = r.need("hub_keys", "hub_keys = [\"..\"], as `passage-hub key` prints them", hub_keys);
    let clock = common::clock(&r);
    let radio = r.or("radio", Radio::None, radio);
    if let (false, None, Some(f)) = (radio == Radio::None, r.find("store"), r.find("radio")) {
        f.refuse::<()>(mistake("P046", "a radio hangs in a shop", "but `store` is missing", "add store = \"..\", or radio = \"none\""));
    }
    if site_from_hub {
        not_beside_the_hub(&r);
    }
    let presence = r.or("presence", PresenceRules::default(), presence);
    let position_listen = r.may("position_listen", |f| f.address());
    let wake = r.or("wake", Wake::default(), |f| wake::read(f, store.as_ref(), known));
    let app_events = wake::app_events(&r, &wake);
    let positions = r.or("positions", Positions::default(), |f| positions::read(f, id.as_ref()));
    let geofence = r.or("geofence", GeofenceRules::default(), geofence::rules);
    let outbox = r.or("outbox", Outbox::default(), outbox);
    r.done();
    Some(GatewayConfig {
        id: id?,
        store,
        data: data?,
        mqtt: broker?,
        hub,
        hub_keys: hub_keys?,
        clock,
        radio,
        presence,
        position_listen,
        wake,
        app_events,
        positions,
        geofence,
        outbox,
        site_from_hub,
        dwell_marks: site.dwell_marks(),
        site: Arc::new(site),
    })
}

/// What comes from the hub cannot stand in the file too, and a hub that is not known cannot be believed.
fn not_beside_the_hub(r: &Reader<'_>) {
    for key in ["presence", "geofence"] {
        if let Some(f) = r.find(key) {
            let mend = format!("write it into gateways/ of the hub's site, or take `site = \"hub\"` out of here; then `{key}` counts");
            f.refuse::<()>(mistake("P066", format!("`{key}` comes from the hub"), "it stands beside `site = \"hub\"`", mend));
        }
    }
    if let Some(f) = r.find("hub_keys").filter(|f| f.list().is_some_and(|keys| keys.is_empty())) {
        let mend = "copy the key that `passage-hub key` prints";
        f.refuse::<()>(mistake("P066", "no site can be believed without the key of a hub", "nothing is pinned", mend));
    }
}

fn gateway_id(f: Field<'_>) -> Option<GatewayId> {
    match GatewayId::checked(f.text()?) {
        Ok(id) => Some(id),
        Err(_) => {
            let mend = "use 3 to 40 characters out of a-z, 0-9 and - (\"hub\" is taken)";
            f.refuse(mistake("P010", "this cannot be the id of a gateway", "not an id", mend))
        }
    }
}

fn is_known(f: &Field<'_>, id: &StoreId, site: &Site) -> bool {
    if site.stores.contains_key(id) || f.out.is_incomplete() {
        return true;
    }
    let mend = suggest(id.as_str(), site.stores.keys().map(StoreId::as_str));
    f.refuse::<()>(mistake("P022", format!("there is no store \"{id}\""), format!("no file stores/{id}.toml"), mend));
    false
}

fn hub_keys(f: Field<'_>) -> Option<Vec<String>> {
    whole(f.texts()?.iter().map(hub_key).collect())
}

fn hub_key(f: &Field<'_>) -> Option<String> {
    let text = f.text()?;
    if Pinned::from_base64([text]).is_ok() {
        return Some(text.to_owned());
    }
    f.refuse(mistake("P047", "this is not the public key of a hub", "not 32 bytes in base64", "copy the key that `passage-hub key` prints"))
}

fn radio(f: Field<'_>) -> Option<Radio> {
    if !f.is_table() {
        return f.choice(&[("none", false), ("ble", true)]).map(|ble| if ble { Radio::Ble(BleRadio::default()) } else { Radio::None });
    }
    let whole = f.clone();
    let r = f.table()?;
    let (ble_field, replay, simulate) = (r.find("ble"), r.find("replay"), r.find("simulate"));
    r.done();
    match (ble_field, replay, simulate) {
        (Some(f), None, None) => ble(f).map(Radio::Ble),
        (None, Some(f), None) => f.path().map(Radio::Replay),
        (None, None, Some(f)) => {
            let r = f.table()?;
            let seed = r.need("seed", "seed = 1", |f| f.whole(0, i64::MAX));
            let phones = r.need("phones", "phones = 20", |f| f.whole(0, 100_000));
            r.done();
            Some(Radio::Simulate { seed: seed?, phones: phones? })
        }
        _ => whole.refuse(mistake(
            "P009",
            "`radio` must say one thing",
            "nothing, or more than one",
            "write \"none\", \"ble\", { ble = { adapter = \"hci1\" } }, { replay = \"FILE\" } or { simulate = { seed = 1, phones = 20 } }",
        )),
    }
}

fn ble(f: Field<'_>) -> Option<BleRadio> {
    let r = f.table()?;
    let d = BleRadio::default();
    let ble = BleRadio {
        adapter: r.may("adapter", |f| f.text().map(str::to_owned)),
        // A chip that filters duplicates reports every 10.4 s; below 12 s it would look dead.
        restart_after: r.or("restart_after", d.restart_after, |f| f.duration(12 * SECOND, HOUR)),
        exit_after: r.or("exit_after", d.exit_after, |f| f.duration(60 * SECOND, 24 * HOUR)),
        restart_daemon: r.or("restart_daemon", d.restart_daemon, |f| f.flag()),
    };
    r.done();
    Some(ble)
}

/// Reads `[presence]`.
pub(crate) fn presence(f: Field<'_>) -> Option<PresenceRules> {
    let r = f.table()?;
    let d = PresenceRules::default();
    // What is said here holds for both zones; what a zone says itself is stronger.
    let inside = times(&r, d.inside);
    let front = RadioZone { enter_dbm: d.front.enter_dbm, leave_dbm: d.front.leave_dbm, ..inside };
    let rules = PresenceRules {
        inside: r.or("inside", inside, |f| zone(f, inside)),
        front: r.or("front", front, |f| zone(f, front)),
        settle: r.or("settle", d.settle, |f| f.duration(Duration::ZERO, HOUR)),
        max_subjects: r.or("max_subjects", d.max_subjects, |f| f.whole(1_000, 10_000_000)),
    };
    reaches_farther(&r, &rules);
    waits_long_enough(&r, inside);
    r.done();
    Some(rules)
}

fn zone(f: Field<'_>, d: RadioZone) -> Option<RadioZone> {
    let whole = f.clone();
    let r = f.table()?;
    let zone = RadioZone {
        enter_dbm: r.or("enter_dbm", d.enter_dbm, |f| f.whole(-120, 0)),
        leave_dbm: r.or("leave_dbm", d.leave_dbm, |f| f.whole(-120, 0)),
        ..times(&r, d)
    };
    waits_long_enough(&r, zone);
    r.done();
    if zone.leave_dbm > zone.enter_dbm {
        let mend = "lower leave_dbm; about 8 dB between them keeps phones from flapping";
        return whole.refuse(mistake(
            "P008",
            "a zone must be left at a weaker signal than it is entered",
            "leave_dbm is above enter_dbm",
            mend,
        ));
    }
    Some(zone)
}

/// The keys that may stand in `[presence]`, for both zones, and in a zone.
fn times(r: &Reader<'_>, d: RadioZone) -> RadioZone {
    RadioZone {
        enter_sightings: r.or("enter_sightings", d.enter_sightings, |f| f.whole(1, 100)),
        window: r.or("window", d.window, |f| f.duration(SECOND, HOUR)),
        silence: r.or("silence", d.silence, |f| f.duration(SECOND, HOUR)),
        hold: r.or("hold", d.hold, |f| f.duration(SECOND, HOUR)),
        ..d
    }
}

fn reaches_farther(r: &Reader<'_>, rules: &PresenceRules) {
    for (key, front, inside) in
        [("enter_dbm", rules.front.enter_dbm, rules.inside.enter_dbm), ("leave_dbm", rules.front.leave_dbm, rules.inside.leave_dbm)]
    {
        if let (true, Some(f)) = (front > inside, r.find("front").or_else(|| r.find("inside"))) {
            let message = "zone `front` must reach farther than zone `in`";
            f.refuse::<()>(mistake("P008", message, "weaker signals are farther", format!("lower front.{key}")));
            return;
        }
    }
}

/// A shorter wait than the window would end a stay whose median still speaks for it.
fn waits_long_enough(r: &Reader<'_>, zone: RadioZone) {
    for (key, wait) in [("silence", zone.silence), ("hold", zone.hold)] {
        if let (true, Some(f)) = (wait < zone.window, r.find(key).or_else(|| r.find("window"))) {
            let message = format!("`{key}` must be at least `window`");
            f.refuse::<()>(mistake("P008", message, "these two contradict each other", format!("raise {key}")));
            return;
        }
    }
}
fn outbox(f: Field<'_>) -> Option<Outbox> {
    let r = f.table()?;
    let d = Outbox::default();
    let outbox = Outbox {
        commit_within: r.or("commit_within", d.commit_within, |f| f.duration(Duration::ZERO, 10 * SECOND)),
        max_bytes: r.or("max_bytes", d.max_bytes, |f| f.bytes(1 << 20, 1 << 40)),
        max_age: r.or("max_age", d.max_age, |f| f.duration(HOUR, 8784 * HOUR)),
        backlog_spread: r.or("backlog_spread", d.backlog_spread, |f| f.duration(Duration::ZERO, HOUR)),
    };
    r.done();
    Some(outbox)
}
