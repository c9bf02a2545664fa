//! `brands/*.toml`: who speaks, under whose law, and how its app is recognised.

use std::collections::BTreeMap;

use passage_protocol::StaticBeacon;

use crate::{
    collect::mistake,
    model::{Brand, Namespace, Sender},
    reader::{Field, Reader},
};

/// Reads one brand.
pub(crate) fn read(r: Reader<'_>, id: &str) -> Option<Brand> {
    let name = r.need("name", "name = \"Maison Exemple\"", |f| f.text().map(str::to_owned));
    let entities = r.need("entities", "[entities] with one line per legal controller: id = \"its legal name\"", entities);
    let namespace = r.need("namespace", "[namespace] with service_uuid and ibeacon", namespace);
    let sender = r.need("sender", "[sender] with name and stop_number", sender);
    let wake_uuid = r.may("wake_uuid", |f| uuid(&f));
    let beacons = r.or("beacons", Vec::new(), |f| f.list().map(|list| list.into_iter().filter_map(beacon).collect()));
    r.done();
    Some(Brand { id: id.to_owned(), name: name?, entities: entities?, namespace: namespace?, sender: sender?, beacons, wake_uuid })
}

fn entities(f: Field<'_>) -> Option<BTreeMap<String, String>> {
    let all = f.clone().each(|entity| entity.id_of_key().zip(entity.text().map(str::to_owned)))?;
    if all.is_empty() {
        return f.refuse(mistake("P008", "a brand needs at least one entity", "none is listed", "add id = \"legal name\""));
    }
    Some(all.into_iter().collect())
}

fn namespace(f: Field<'_>) -> Option<Namespace> {
    let r = f.table()?;
    let service_uuid = r.need("service_uuid", "service_uuid = \"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\"", |f| uuid(&f));
    let ibeacon = r.need("ibeacon", "ibeacon = \"22 hex digits\"", |f| hex_of(&f, ", as given with the app"));
    let uuid_prefix = r.may("uuid_prefix", uuid_prefix);
    r.done();
    Some(Namespace { service_uuid: service_uuid?, ibeacon: ibeacon?, uuid_prefix })
}

/// The first 6 bytes of a service UUID. Those of Bluetooth's own UUIDs would make half of all devices ours.
fn uuid_prefix(f: Field<'_>) -> Option<[u8; 6]> {
    let bytes: [u8; 6] = hex_of(&f, ", as given with the app")?;
    if matches!(bytes, [0, 0, _, _, 0, 0]) {
        let m =
            mistake("P012", "`uuid_prefix` is how Bluetooth's own UUIDs begin", "every thermometer would be yours", "draw 6 random bytes");
        return f.refuse(m);
    }
    Some(bytes)
}

fn uuid(f: &Field<'_>) -> Option<[u8; 16]> {
    let text = f.text()?;
    let dashes = [8, 13, 18, 23];
    let placed = text.len() == 36 && text.bytes().enumerate().all(|(i, b)| (b == b'-') == dashes.contains(&i));
    match placed.then(|| hex_bytes(text)).flatten() {
        Some(bytes) => Some(bytes),
        None => {
            let message = format!("`{}` is not a UUID", f.key);
            f.refuse(mistake("P012", message, "no UUID", "write it as \"8-4-4-4-12\" hex digits"))
        }
    }
}

/// `N` bytes as hex digits; `hint` ends the mend.
fn hex_of<const N: usize>(f: &Field<'_>, hint: &str) -> Option<[u8; N]> {
    let text = f.text()?;
    match hex_bytes(text) {
        Some(bytes) => Some(bytes),
        None => {
            let digits = 2 * N;
            let (message, mend) = (format!("`{}` must be {N} bytes", f.key), format!("write {digits} hex digits{hint}"));
            f.refuse(mistake("P012", message, format!("not {digits} hex digits"), mend))
        }
    }
}

/// Hex digits, with `-` anywhere between them.
fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    hex::decode_to_slice(text.replace('-', ""), &mut out).ok()?;
    Some(out)
}

fn sender(f: Field<'_>) -> Option<Sender> {
    let r = f.table()?;
    let name = r.need("name", "name = \"MAISON\"", |f| {
        let text = f.text()?;
        let problem = if text.chars().count() > 11 {
            "it is longer than 11 characters"
        } else if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ') {
            "only letters without accents, digits and blanks arrive on every phone"
        } else if !text.chars().any(|c| c.is_ascii_alphabetic()) {
            "it needs at least one letter"
        } else {
            return Some(text.to_owned());
        };
        f.refuse(mistake("P035", "this sender name would be refused by operators", problem, "write at most 11 letters and digits"))
    });
    let stop_number = r.need("stop_number", "stop_number = \"36111\"", |f| {
        let text = f.text()?;
        if (3..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            return Some(text.to_owned());
        }
        f.refuse(mistake(
            "P036",
            "this is not a number that STOP can be sent to",
            "3 to 15 digits",
            "write the short number of your provider, such as \"36111\"",
        ))
    });
    r.done();
    Some(Sender { name: name?, stop_number: stop_number? })
}

/// What a card or fob puts on the air.
#[derive(Clone, Copy)]
enum Kind {
    IBeacon,
    AltBeacon,
    EddystoneUid,
}

fn beacon(f: Field<'_>) -> Option<StaticBeacon> {
    let r = f.table()?;
    let kinds = [("ibeacon", Kind::IBeacon), ("altbeacon", Kind::AltBeacon), ("eddystone-uid", Kind::EddystoneUid)];
    let kind = match r.find("kind") {
        Some(f) => f.choice(&kinds),
        None => Some(Kind::IBeacon),
    };
    // Without a kind nobody can say which other keys belong here.
    let Some(kind) = kind else {
        r.ignore(&["uuid", "major", "minor", "namespace", "instance"]);
        r.done();
        return None;
    };
    if matches!(kind, Kind::EddystoneUid) {
        let namespace = r.need("namespace", "namespace = \"20 hex digits\"", |f| hex_of::<10>(&f, ", as the card's maker says"));
        let instance = r.need("instance", "instance = \"12 hex digits\"", |f| hex_of::<6>(&f, ", as the card's maker says"));
        r.done();
        return Some(StaticBeacon::EddystoneUid { namespace: hex::encode(namespace?), instance: hex::encode(instance?) });
    }
    let uuid = r.need("uuid", "uuid = \"..\", as printed on the card", |f| uuid(&f));
    let major = r.need("major", "major = 1", |f| f.whole(0, 65_535));
    let minor = r.need("minor", "minor = 1", |f| f.whole(0, 65_535));
    r.done();
    let (uuid, major, minor) = (hex::encode(uuid?), major?, minor?);
    Some(match kind {
        Kind::AltBeacon => StaticBeacon::AltBeacon { uuid, major, minor },
        _ => StaticBeacon::IBeacon { uuid, major, minor },
    })
}
