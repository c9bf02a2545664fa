//! Bytes from outside into each decoder of the gateway: what the targets under `gateway/fuzz` call. Whatever comes, none of these may panic.
//!
//! A new decoder gets a function here, a target of the same name under `gateway/fuzz/fuzz_targets`, its line in [`TARGETS`], and a few seeds
//! under `gateway/fuzz/corpus`. `deploy/fuzz` runs the targets with libFuzzer; the test below plays the seeds and damaged copies of them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use passage_config::{Brand, GeofenceRules, Namespace, PresenceRules, Sender, Site, bundle, read_fences};
use passage_protocol::{
    Bundle, DenyList, InstallationId, Millis, StaticBeacon,
    rid::RidPayload,
    site::{Command, SiteManifest},
};

use crate::{
    beacon::{
        Decoder,
        frame::{Eddystone, Frame, frames},
    },
    geofence::{Containment, Geofences},
    position::{Fix, Intake, app::NoBeacons, owntracks},
    presence::Presence,
    radio::{
        Advert, Capture,
        replay::packet::{Link, Unpacker},
    },
};

/// One target: its name, and where the bytes go.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("advert", advert),
    ("rid", rid),
    ("capture", capture),
    ("owntracks", owntracks),
    ("hci", hci),
    ("air", air),
    ("saved_presence", saved_presence),
    ("saved_geofence", saved_geofence),
    ("site", site),
    ("fences", fences),
];

/// AD bytes as a radio hands them on.
pub fn advert(bytes: &[u8]) {
    for frame in frames(bytes) {
        // An address is written out only on demand.
        if let Frame::Eddystone(Eddystone::Url { url, .. }) = frame {
            assert!(url.to_string().is_ascii());
        }
    }
    let advert = Advert { at: Millis(0), address: [0; 6], rssi: -60, data: bytes.to_vec() };
    let first = decoder().sighting(&advert);
    assert_eq!(first, decoder().sightings(&advert).next());
}

/// Knows the brand whose bytes are in the seeds.
fn decoder() -> &'static Decoder {
    static DECODER: LazyLock<Decoder> = LazyLock::new(|| {
        let namespace = Namespace {
            service_uuid: *b"\x8f\x1c\x3a\x70\x52\xb4\x4e\x19\x9d\x06\x21\xe7\x5a\xc8\x33\x90",
            ibeacon: *b"ABCDEFGHI@A",
            uuid_prefix: Some(*b"ABCDEF"),
        };
        let beacon = |text| StaticBeacon::parse(text).into_iter();
        let uid = beacon("eddystone:12345678901234678901/000000000001");
        let cards = uid.chain(beacon("altbeacon:d3162f5af3ee494799db09756062d0fc/90/5"));
        Decoder::of_brands([&Brand {
            id: "brand".into(),
            name: "Brand".into(),
            entities: BTreeMap::new(),
            namespace,
            sender: Sender { name: "Brand".into(), stop_number: "36111".into() },
            beacons: cards.collect(),
            wake_uuid: None,
        }])
    });
    &DECODER
}

/// The 10 bytes of a rotating id.
pub fn rid(bytes: &[u8]) {
    let Some(bytes) = bytes.first_chunk() else { return };
    if let Some(payload) = RidPayload::from_bytes(bytes) {
        assert_eq!(&payload.to_bytes(), bytes, "what was read is what was there");
    }
}

/// A capture of any format.
pub fn capture(bytes: &[u8]) {
    let bytes = std::io::Cursor::new(bytes.to_vec());
    if let Ok(capture) = Capture::read(bytes, PathBuf::from("fuzz")) {
        capture.for_each(drop);
    }
}

/// What an app posts or publishes, plain or encrypted, and what comes on the topics of the deny list.
pub fn owntracks(bytes: &[u8]) {
    let Ok(who) = "phone-of-nobody".parse::<InstallationId>() else { return };
    let intake = Intake::new(Arc::new(Site::default()), &GeofenceRules::default(), Arc::new(NoBeacons));
    let _ = intake.read(bytes, &who, Millis(1_795_183_200_000));
    let _ = owntracks::sealed(bytes);
    let _ = DenyList::from_slice(bytes);
}

/// An HCI event.
pub fn hci(bytes: &[u8]) {
    unpack(Link::Event, bytes);
}

/// A packet from the air behind its pseudo header.
pub fn air(bytes: &[u8]) {
    unpack(Link::MeasuredAir, bytes);
}

/// The same packet several times, because parts of adverts wait for the next one.
fn unpack(link: Link, bytes: &[u8]) {
    let mut unpacker = Unpacker::default();
    for at in 0..3 {
        let _ = unpacker.unpack(link, bytes, Millis(at), drop);
    }
}

/// A state of the presence machine as a damaged disk gives it back: the key, a line feed, the value. Then time passes.
pub fn saved_presence(bytes: &[u8]) {
    let Ok(store) = "lyon".parse() else { return };
    let mut presence = Presence::new(store, PresenceRules::default(), vec![Duration::from_secs(120)]);
    let (key, value) = halves(bytes);
    if presence.restore(key, value).is_ok() {
        presence.advance(LATER, &mut Vec::new());
    }
}

/// The same of the geofence machine.
pub fn saved_geofence(bytes: &[u8]) {
    let mut geofences = Geofences::new(&Site::default(), GeofenceRules::default(), vec![Duration::from_secs(300)]);
    let (key, value) = halves(bytes);
    if geofences.restore(key, value).is_ok() {
        geofences.advance(LATER, &mut Vec::new());
    }
}

/// What comes on the topics of the site and of commands: a manifest, a command, a packed bundle, or what is in one. What passes the checks must not
/// break the machines.
pub fn site(bytes: &[u8]) {
    let _ = SiteManifest::from_slice(bytes);
    let _ = Command::from_slice(bytes);
    let packed = Bundle::unpack(bytes).ok();
    let Some(bundle) = packed.or_else(|| serde_json::from_slice(bytes).ok()) else { return };
    let Ok(there) = bundle::read(&bundle) else { return };
    let Ok(who) = "phone-of-nobody".parse::<InstallationId>() else { return };
    let mut geofences = Geofences::new(&Site::default(), GeofenceRules::default(), Vec::new());
    geofences.reload(&there.site, there.geofence, there.dwell_marks, &mut Vec::new());
    for store in there.site.stores.values() {
        let (lat, lon) = (store.at.y(), store.at.x());
        let fix = Fix {
            installation: who.clone(),
            at: LATER,
            ahead_ms: 0,
            lat,
            lon,
            accuracy_m: Some(10.0),
            speed_kmh: None,
            away: None,
            fresh: false,
        };
        geofences.fix(&fix, LATER, &mut Vec::new());
    }
    drop(Decoder::new(&there.site));
    drop(Intake::new(Arc::new(there.site), &there.geofence, Arc::new(NoBeacons)));
}

/// GeoJSON as map tools write it. What passes the checks can be asked for places.
pub fn fences(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match read_fences(text) {
        Ok(read) => {
            let index = Containment::new(read.fences.iter().map(|fence| &fence.shape));
            for (lat, lon) in [(45.76, 4.83), (-16.5, 180.0), (-16.5, -180.0), (90.0, 0.0)] {
                assert!(index.holders(lat, lon).count() <= read.fences.len());
            }
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
}

/// A day after the times in the seeds.
const LATER: Millis = Millis(1_763_712_000_000);

fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..at], bytes.get(at + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use rand::{Rng as _, RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Damaged copies of each seed.
    const COPIES: usize = 300;

    fn folder() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"))
    }

    fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = folder().join("corpus").join(target);
        let mut seeds: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        seeds.sort();
        seeds
    }

    /// One small accident: a byte changed, put in, taken out, repeated, or the rest cut off.
    fn damage(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
        let at = random.random_range(0..=bytes.len());
        let telling = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff];
        match random.random_range(0..6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.random()),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            4 if at < bytes.len() => bytes[at] = telling[random.random_range(0..telling.len())],
            _ => bytes.extend_from_within(at..),
        }
    }

    #[test]
    fn no_seed_and_no_damaged_copy_of_one_makes_a_decoder_panic() {
        for (name, target) in TARGETS {
            let mut random = ChaCha8Rng::seed_from_u64(7);
            for (path, seed) in seeds(name) {
                println!("{}", path.display());
                target(&seed);
                for _ in 0..COPIES {
                    let mut bytes = seed.clone();
                    for _ in 0..=random.next_u32() % 4 {
                        damage(&mut bytes, &mut random);
                    }
                    target(&bytes);
                }
            }
        }
    }

    #[test]
    fn every_target_has_its_program_and_its_seeds() {
        let programs = fs::read_dir(folder().join("fuzz_targets")).unwrap();
        let mut programs: Vec<_> =
            programs.map(|e| e.unwrap().path().file_stem().unwrap_or_default().to_string_lossy().into_owned()).collect();
        programs.sort();
        let mut names: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        assert_eq!(programs, names);
        let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
        for name in names {
            assert!(!seeds(&name).is_empty(), "{name} has no seeds");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
        }
    }
}
