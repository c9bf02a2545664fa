//! A brand with two shops, a coat and four offers, as a configuration would give them.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use passage_config::{
    Audience, Brand, Campaign, Caps, Exposed, FenceKind, Geofence, HubConfig, Imports, Mqtt, Namespace, Offer, Product, Sender, Shape,
    Site, Sms, Store, Trigger, ViewedNotBought, VisitRules, Windows,
    hours::{DayWindow, Hours},
};
use passage_protocol::{Clock, Millis, StoreId};

pub const DAY: u64 = 86_400;
pub const MIN: i64 = 60_000;

/// Friday 2026-11-20 at this time in Paris.
pub fn friday(hour: i64, minute: i64) -> Millis {
    day_of_november(20, hour, minute)
}

/// A day of November 2026 at this time in Paris, which is an hour ahead of UTC.
pub fn day_of_november(day: i64, hour: i64, minute: i64) -> Millis {
    // 2026-11-01T00:00:00Z
    Millis::from_secs(1_793_491_200 + (day - 1) * 86_400 + (hour - 1) * 3600 + minute * 60)
}

pub fn store_id(id: &str) -> StoreId {
    id.parse().unwrap()
}

fn store(id: &str, name: &str) -> (StoreId, Store) {
    let store = Store {
        id: store_id(id),
        name: name.to_owned(),
        brand: "maison".to_owned(),
        entity: "maison-sas".to_owned(),
        region: "fr".to_owned(),
        tags: Vec::new(),
        at: (4.83, 45.76).into(),
        timezone: chrono_tz::Europe::Paris,
        hours: Arc::new(Hours::parse("Mo-Sa 10:00-19:30").unwrap()),
    };
    (store.id.clone(), store)
}

fn fence(id: &str, store: &str, kind: FenceKind) -> (passage_protocol::FenceId, Geofence) {
    let fence = Geofence {
        id: id.parse().unwrap(),
        store: store_id(store),
        kind,
        shape: Shape::Circle { centre: (4.83, 45.76).into(), radius_m: 60.0 },
    };
    (fence.id.clone(), fence)
}

pub fn offer(id: &str, on: Trigger, priority: u8, text: &str) -> Offer {
    Offer {
        id: id.to_owned(),
        name: id.to_owned(),
        live: true,
        brand: "maison".to_owned(),
        stores: vec![store_id("lyon"), store_id("paris")],
        on,
        audience: Audience::default(),
        text: text.to_owned(),
        transliterate: true,
        max_parts: 1,
        priority,
        holdout: 0.0,
        window: DayWindow::OFFER,
        deadline: Duration::from_secs(600),
        validity: Duration::from_secs(1800),
        campaign: None,
    }
}

/// The offer of the coat: for members who looked at a coat on three days and did not buy it.
pub fn coat_offer() -> Offer {
    let text =
        "{{ brand }} : votre {{ product.name }} vous attend en taille {{ product.size }} à {{ store.name }}. Venez l’essayer ! {{ stop }}";
    let rule = ViewedNotBought { within: Duration::from_secs(14 * DAY), min_views: 3, min_days: 3, category: Some("manteaux".to_owned()) };
    Offer { audience: Audience { exposed: None, viewed_not_bought: Some(rule) }, ..offer("coat", Trigger::Enter, 80, text) }
}

/// The offer for who saw the autumn campaign and passes by.
pub fn near_offer() -> Offer {
    let exposed = Exposed { campaign: "automne".to_owned(), within: Duration::from_secs(30 * DAY), at_least: 1 };
    Offer {
        audience: Audience { exposed: Some(exposed), viewed_not_bought: None },
        ..offer("passing", Trigger::Near, 50, "{{ brand }} : on vous attend à {{ store.name }}. {{ stop }}")
    }
}

pub fn product(sku: &str, name: &str, category: &str, price_cents: i64) -> (String, Product) {
    (sku.to_owned(), Product { sku: sku.to_owned(), name: name.to_owned(), category: category.to_owned(), price_cents })
}

pub fn site() -> Site {
    let brand = Brand {
        id: "maison".to_owned(),
        name: "Maison".to_owned(),
        entities: BTreeMap::from([("maison-sas".to_owned(), "Maison SAS".to_owned())]),
        namespace: Namespace { service_uuid: [1; 16], ibeacon: [2; 11], uuid_prefix: None },
        sender: Sender { name: "MAISON".to_owned(), stop_number: "36111".to_owned() },
        beacons: Vec::new(),
        wake_uuid: None,
    };
    let campaign = Campaign {
        id: "automne".to_owned(),
        name: "Automne".to_owned(),
        channel: "social".to_owned(),
        starts: day_of_november(1, 1, 0),
        ends: day_of_november(30, 1, 0),
        company: None,
    };
    let offers = [coat_offer(), near_offer(), offer("welcome", Trigger::Enter, 10, "{{ brand }} : bienvenue. {{ stop }}")];
    Site {
        staff: BTreeMap::new(),
        revision: "0123456789abcdef".to_owned(),
        brands: BTreeMap::from([(brand.id.clone(), brand)]),
        stores: BTreeMap::from([store("lyon", "Lyon Bellecour"), store("paris", "Paris Marais")]),
        geofences: BTreeMap::from([fence("lyon-shop", "lyon", FenceKind::Store), fence("paris-around", "paris", FenceKind::Nearby)]),
        campaigns: BTreeMap::from([(campaign.id.clone(), campaign)]),
        offers: offers.into_iter().map(|o| (o.id.clone(), o)).collect(),
        products: BTreeMap::from([
            product("coat-camel", "manteau Élise", "manteaux", 19_900),
            product("coat-navy", "manteau Léa", "manteaux", 24_950),
            product("scarf", "écharpe", "accessoires", 3_900),
        ]),
        gateways: BTreeMap::new(),
        visit: VisitRules::default(),
        touch: passage_config::TouchRules::default(),
    }
}

pub fn config(site: Site) -> HubConfig {
    HubConfig {
        id: "hub-1".parse().unwrap(),
        database: String::new(),
        key_file: "/nonexistent".into(),
        mqtt: Mqtt::plain("127.0.0.1", 1),
        fleet: None,
        api: ([127, 0, 0, 1], 0).into(),
        console: ([127, 0, 0, 1], 0).into(),
        metrics: None,
        clock: Clock::stepped(friday(9, 0)),
        api_tokens: BTreeMap::new(),
        web: passage_config::Web::default(),
        position_secret: None,
        app: Default::default(),
        page: Default::default(),
        sms: Sms::Sandbox,
        caps: Caps::default(),
        hard_window: DayWindow::HARD,
        visit: VisitRules::default(),
        windows: Windows::default(),
        retention: passage_config::Retention::default(),
        k: 20,
        ack_every: Duration::from_millis(200),
        batch_within: Duration::from_millis(5),
        backlog_rate: 1000,
        backlog_total: 5_000,
        phone_region: "FR".to_owned(),
        identity: Default::default(),
        imports: Imports::default(),
        site_dir: std::path::PathBuf::new(),
        applied: 0,
        site: Arc::new(site),
    }
}
