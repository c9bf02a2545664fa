use std::path::Path;

use passage_protocol::{Bundle, bundle as wire};
use proptest::prelude::*;

use super::*;
use crate::{load_gateway, load_site, model::SiteGateway};

fn demo() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

fn shop() -> (Site, Bundle) {
    let site = load_site(&demo()).unwrap();
    let bundle = make(&site, &site.gateways[&"gw-lyon".parse().unwrap()]);
    (site, bundle)
}

#[test]
fn a_shop_gets_its_own_store_and_nothing_that_only_hubs_need() {
    let (site, bundle) = shop();
    assert_eq!(bundle.stores.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["lyon-bellecour"]);
    assert!(!bundle.geofences.is_empty() && bundle.geofences.iter().all(|g| g.store.as_str() == "lyon-bellecour"));
    let text = String::from_utf8(bundle.to_vec()).unwrap();
    for foreign in ["paris", "lille", "36111", "MAISONAUBRA", "SAS", "Lyon Bellecour", "{{", "offer", "campaign"] {
        assert!(!text.contains(foreign), "{foreign} is in the bundle");
    }
    assert_eq!(bundle.dwell_marks, site.dwell_marks().iter().map(std::time::Duration::as_secs).collect::<Vec<_>>());
    let all = make(&site, &site.gateways[&"gw-position".parse().unwrap()]);
    assert_eq!((all.stores.len(), all.geofences.len()), (site.stores.len(), site.geofences.len()));
}

#[test]
fn what_arrives_is_what_the_files_said() {
    let (site, bundle) = shop();
    let bundle = Bundle::unpack(&bundle.pack().unwrap()).unwrap();
    let there = read(&bundle).unwrap();
    let SiteGateway { presence, geofence, .. } = site.gateways[&"gw-lyon".parse().unwrap()];
    assert_eq!((there.presence, there.geofence, there.dwell_marks.clone()), (presence, geofence, site.dwell_marks()));
    let (brand, original) = (&there.site.brands["maison-aubrac"], &site.brands["maison-aubrac"]);
    assert_eq!((brand.namespace, brand.wake_uuid), (original.namespace, original.wake_uuid));
    assert!(brand.beacons == original.beacons);
    let store = &there.site.stores[&"lyon-bellecour".parse().unwrap()];
    let original = &site.stores[&"lyon-bellecour".parse().unwrap()];
    assert_eq!((store.at, store.timezone, store.hours.text()), (original.at, original.timezone, original.hours.text()));
    // Once more is the same, shapes included.
    assert_eq!(make(&there.site, &SiteGateway { store: there.store.clone(), presence, geofence }).geofences, bundle.geofences);
    let config = load_gateway(&demo().join("gateway-lyon.toml")).unwrap();
    let config = config.with_site(there).unwrap();
    assert_eq!(config.site.stores.len(), 1);
}

#[test]
fn a_gateway_does_not_take_the_site_of_another_shop() {
    let (_, bundle) = shop();
    let config = load_gateway(&demo().join("gateway-paris.toml")).unwrap();
    let error = config.with_site(read(&bundle).unwrap()).unwrap_err().to_string();
    assert!(error.contains("lyon-bellecour") && error.contains("paris-marais") && error.contains("Mend:"), "{error}");
}

/// A mistake to make in a sound bundle.
type Break = fn(&mut Bundle);

#[test]
fn what_would_break_the_machines_is_refused() {
    let (_, good) = shop();
    let broken: [(&str, Break); 14] = [
        ("a store without its brand", |b| b.brands.clear()),
        ("no store of its own", |b| b.store = Some("paris-marais".parse().unwrap())),
        ("a geofence without its store", |b| b.geofences[0].store = "paris-marais".parse().unwrap()),
        ("a place off the Earth", |b| b.stores[0].at = [4.8, 145.0]),
        ("no place at all", |b| b.stores[0].at = [f64::NAN, 45.0]),
        ("no zone", |b| b.stores[0].timezone = "Europe/Lyon".into()),
        ("no hours", |b| b.stores[0].hours = "always".into()),
        ("an open ring", |b| {
            b.geofences[0].outline = wire::Outline::Area(vec![vec![vec![[4.0, 45.0], [4.1, 45.0], [4.1, 45.1], [4.0, 45.1]]]])
        }),
        ("no ring", |b| b.geofences[0].outline = wire::Outline::Area(vec![vec![]])),
        ("no radius", |b| b.geofences[0].outline = wire::Outline::Circle { centre: [4.0, 45.0], radius_m: f64::INFINITY }),
        ("a line of one point", |b| b.geofences[0].outline = wire::Outline::Corridor { lines: vec![vec![[4.0, 45.0]]], buffer_m: 50.0 }),
        ("half a namespace", |b| b.brands[0].ibeacon.truncate(8)),
        ("leaving before entering", |b| b.presence.inside.leave_dbm = -10),
        ("marks that fall", |b| b.dwell_marks.reverse()),
    ];
    for (what, damage) in broken {
        let mut bundle = good.clone();
        damage(&mut bundle);
        assert!(read(&bundle).is_err(), "{what} was taken");
    }
}

proptest! {
    #[test]
    fn rules_are_read_as_they_were_made_or_refused(
        enter in -120i8..=0, leave in -120i8..=0, window in 0u64..4_000_000, silence in 0u64..4_000_000, enter_p in 0.0f64..1.2, exit_p in 0.0f64..1.2,
    ) {
        let (_, mut bundle) = shop();
        let zone = &mut bundle.presence.inside;
        (zone.enter_dbm, zone.leave_dbm, zone.window_ms, zone.silence_ms) = (enter, leave, window, silence);
        (bundle.position.enter_p, bundle.position.exit_p) = (enter_p, exit_p);
        if let Ok(there) = read(&bundle) {
            prop_assert!(leave <= enter && silence >= window && exit_p < enter_p && enter_p <= 1.0);
            let gateway = SiteGateway { store: there.store, presence: there.presence, geofence: there.geofence };
            prop_assert_eq!(make(&there.site, &gateway).presence, bundle.presence);
        }
    }
}
