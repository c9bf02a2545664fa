//! The files on which the demo runs.

use std::path::Path;

use passage_config::{BleRadio, FenceKind, Radio, Shape, Trigger, channel::Arrival, load_gateway, load_hub, load_site};

fn demo(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(file)
}

#[test]
fn the_demo_hub_loads() {
    let hub = load_hub(&demo("hub.toml")).unwrap_or_else(|e| panic!("{e}"));
    let site = &hub.site;
    assert_eq!(site.stores.len(), 3);
    assert_eq!(site.campaigns.len(), 5);
    assert_eq!(site.products["MA-COAT-01"].price_cents, 28900);
    let coat = &site.offers["coat-size"];
    assert_eq!(coat.on, Trigger::Enter);
    assert!(coat.is_personal() && !site.offers["come-and-see"].is_personal());
    assert!((coat.holdout - 0.1).abs() < 1e-12);
    assert_eq!(hub.api_tokens["shop-site"].0, "passage-demo-token");
    assert!(hub.imports.crm.as_ref().is_some_and(|p| p.is_absolute()));
    assert!(hub.database.starts_with("sqlite:/") || cfg!(windows));
    assert_eq!(hub.hard_window.to_string(), "Mo-Sa 08:00-20:00");
    let company = site.campaigns["newsletter-november"].company.as_ref().unwrap();
    assert_eq!((company.brand.as_str(), company.entity.as_str()), ("maison-aubrac", "maison-aubrac"));
    assert!(site.campaigns["flyer-lyon"].company.is_none());
    let days = [hub.retention.members, hub.retention.cookies, hub.retention.audit].map(|kept| kept.as_secs() / 86_400);
    assert_eq!(days, [1096, 396, 365]);
}

#[test]
fn a_hub_that_knows_no_site_as_its_own_is_warned_that_it_ties_no_cookie() {
    let mut hub = load_hub(&demo("hub.toml")).unwrap();
    assert!(hub.warnings().is_empty() && hub.identity.takes_cookies_of(&hub.web, "maison-aubrac.example"));
    assert!(!hub.identity.takes_cookies_of(&hub.web, "ads.example"), "third-party cookies are off by default");
    hub.web.sites.clear();
    hub.web.cookie_domain = None;
    assert!(hub.warnings().concat().contains("[web]"), "{:?}", hub.warnings());
    hub.identity.third_party_cookies = true;
    assert!(hub.warnings().is_empty());
}

#[test]
fn the_demo_says_what_touchpoints_may_tell_and_where_codes_lead() {
    let hub = load_hub(&demo("hub.toml")).unwrap();
    let touch = &hub.site.touch;
    assert!(touch.plan.as_ref().is_some_and(|plan| plan["shop-site"].fields.is_none() && !plan["csv"].kinds.contains("ticket")));
    assert_eq!(touch.links["flyer-lyon-coats"].campaign, "flyer-lyon");
    assert_eq!(touch.numbers["+33199004710"], "flyer-lyon");
    assert_eq!(touch.events["Size Guide Opened"], "engaged");
    let arrival = Arrival { referrer: Some("www.lamode.example"), ..Arrival::default() };
    assert_eq!(touch.channels.of(&arrival), Some("partner"));
    assert_eq!(hub.web.sites, ["https://maison-aubrac.example"]);
    assert!(hub.web.grants.is_empty() && !hub.web.pixel, "the pixel is off unless somebody turns it on");
}

#[test]
fn each_store_of_the_demo_has_a_geofence_of_each_kind() {
    let site = load_site(&demo("")).unwrap_or_else(|e| panic!("{e}"));
    for store in site.stores.values() {
        for kind in [FenceKind::Store, FenceKind::Nearby] {
            assert_eq!(site.geofences.values().filter(|g| g.store == store.id && g.kind == kind).count(), 1, "{} {kind:?}", store.id);
        }
    }
    for kind in [FenceKind::Store, FenceKind::Nearby] {
        assert!(site.geofences.values().any(|g| g.kind == kind && matches!(g.shape, Shape::Area(_))));
    }
}

#[test]
fn the_demo_gateways_load_and_agree_with_the_hub_on_the_revision() {
    let hub = load_hub(&demo("hub.toml")).unwrap();
    for name in ["lyon", "paris", "lille", "position"] {
        let gateway = load_gateway(&demo(&format!("gateway-{name}.toml"))).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(gateway.store.is_none(), name == "position");
        assert_eq!(gateway.site.revision, hub.site.revision);
    }
    assert_eq!(hub.site.revision.len(), 64);
}

#[test]
fn dwell_marks_hold_the_visit_rules_and_the_offers() {
    let site = load_site(&demo("")).unwrap();
    let minutes: Vec<u64> = site.dwell_marks().iter().map(|d| d.as_secs() / 60).collect();
    assert_eq!(minutes, [2, 5, 10, 20, 40, 80, 160, 240]);
}

#[test]
fn the_bluetooth_adapter_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let demo = std::fs::read_to_string(demo("gateway-lyon.toml")).unwrap();
    let load = |radio: &str| {
        let site = format!("site = \"{}/demo\"\n", env!("CARGO_MANIFEST_DIR"));
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, site + &demo.replace("radio = \"none\"", radio)).unwrap();
        load_gateway(&file).map(|gateway| gateway.radio)
    };
    assert_eq!(load("radio = \"ble\"").unwrap(), Radio::Ble(BleRadio::default()));
    let minute = std::time::Duration::from_secs(60);
    let chosen = BleRadio { adapter: Some("hci1".to_owned()), restart_after: minute, exit_after: 30 * minute, restart_daemon: false };
    assert_eq!(
        load("radio = { ble = { adapter = \"hci1\", restart_after = \"1 min\", exit_after = \"30 min\", restart_daemon = false } }")
            .unwrap(),
        Radio::Ble(chosen)
    );
    let errors = load("radio = { ble = { restart_after = \"2 s\" } }").unwrap_err().to_string();
    assert!(errors.contains("gateway.toml") && errors.contains("mend"), "{errors}");
}

#[test]
fn with_its_site_from_the_hub_a_gateway_needs_no_site_beside_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    let key = passage_protocol::sign::Signing::from_bytes(&[1; 32]).public();
    let wake = passage_protocol::WakeMaster::from_bytes([7; 32]).to_text();
    std::fs::write(dir.path().join("wake.key"), wake).unwrap();
    let text = format!(
        "id = \"gw-lyon\"\nstore = \"lyon-bellecour\"\nsite = \"hub\"\ndata = \"data\"\nhub_keys = [\"{key}\"]\nradio = \"ble\"\n\
         wake = {{ key = \"file:wake.key\" }}\n[mqtt]\nhost = \"127.0.0.1\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let config = load_gateway(&file).unwrap();
    assert!(config.site_from_hub && config.site.stores.is_empty() && config.wake.beacon.is_some());
    assert_eq!(config.store.unwrap().as_str(), "lyon-bellecour");
}
