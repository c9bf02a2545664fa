use passage_config::Site;
use serde_json::json;

use super::*;
use crate::{
    identity::{IdentifierKind, Keyring},
    touchpoint::TouchKind,
};

const NOW: Millis = Millis(1_795_176_000_000); // 2026-11-20T12:00:00Z

fn read_as(kind: &str, message: serde_json::Value) -> Result<Touchpoint, Refusal> {
    let (keyring, site) = (Keyring::from_secret(&[7; 32]), Site::default());
    let own = BTreeMap::from([("Size Guide Opened".to_owned(), "engaged".to_owned())]);
    let message: Message = serde_json::from_value(message).unwrap();
    message.touchpoint(kind, Some("example.fr"), &own, &Intake::new("tags", &keyring, "FR", &site, NOW), NOW)
}

#[test]
fn a_page_as_the_browser_library_sends_it_becomes_a_touchpoint() {
    let page = json!({
        "timestamp": "2026-11-20T13:59:00.000Z", "sentAt": "2026-11-20T14:00:00.000Z", "messageId": "ajs-next-1", "type": "page",
        "anonymousId": "6a1f", "userId": null, "integrations": {}, "properties": { "title": "Manteaux", "path": "/manteaux" },
        "context": {
            "page": { "path": "/manteaux", "referrer": "https://l.facebook.com/", "url": "https://www.example.fr/manteaux?fbclid=x1", "title": "M" },
            "campaign": { "name": "social-coats", "source": "facebook", "medium": "paid-social" },
            "userAgent": "Mozilla/5.0", "locale": "fr", "library": { "name": "analytics.js" }
        }
    });
    let touch = read_as("page", page).unwrap();
    assert_eq!((touch.id.as_str(), touch.kind, touch.at), ("tags/ajs-next-1", TouchKind::Click, Millis(NOW.0 - 60_000)));
    assert_eq!((touch.campaign.as_deref(), touch.channel.as_deref()), (Some("social-coats"), Some("paid-social")));
    assert_eq!(touch.detail.click_id.as_deref(), Some("fbclid=x1"));
    assert_eq!(touch.identifier, Keyring::from_secret(&[7; 32]).identifier(IdentifierKind::Cookie, "example.fr/6a1f"));
}

#[test]
fn events_of_the_shop_specification_become_their_kinds_with_product_and_order() {
    let event = |name: &str, properties: serde_json::Value| json!({ "event": name, "messageId": "m", "anonymousId": "6a1f", "properties": properties });
    let seen = read_as("track", event("Product Viewed", json!({ "sku": "MA-COAT-01", "size": 42, "category": "coats" }))).unwrap();
    assert_eq!((seen.kind, seen.sku.as_deref(), seen.size.as_deref()), (TouchKind::View, Some("MA-COAT-01"), Some("42")));
    let order = json!({ "order_id": "FR-1", "total": 289.0, "products": [{ "sku": "MA-COAT-01" }] });
    let order = read_as("track", event("Order Completed", order)).unwrap();
    assert_eq!((order.kind, order.detail.cents, order.sku.as_deref()), (TouchKind::Order, Some(28_900), Some("MA-COAT-01")));
    assert!(order.detail.order.is_some());
    let side = read_as("track", event("Experiment Viewed", json!({ "experiment_name": "hero", "variation_name": "b" }))).unwrap();
    assert_eq!(side.detail.variant.as_deref(), Some("b"));
    assert_eq!(read_as("track", event("Size Guide Opened", json!({}))).unwrap().kind, TouchKind::Engaged);
}

#[test]
fn what_is_not_known_is_refused_with_a_reason_that_is_counted() {
    let code = |kind: &str, message| read_as(kind, message).unwrap_err().code;
    assert_eq!(code("track", json!({ "event": "Horn Blown", "anonymousId": "6a1f" })), "event-not-planned");
    assert_eq!(code("track", json!({ "anonymousId": "6a1f" })), "event");
    assert_eq!(code("group", json!({ "anonymousId": "6a1f" })), "type");
    assert_eq!(code("page", json!({})), "identifier");
    assert_eq!(code("page", json!({ "anonymousId": "6a1f", "timestamp": "noon" })), "at");
}

#[test]
fn a_link_within_the_site_is_no_referrer() {
    let page = |referrer: &str| json!({ "anonymousId": "6a1f", "context": { "page": { "url": "https://www.example.fr/b", "referrer": referrer } } });
    assert_eq!(read_as("page", page("https://shop.example.fr/a")).unwrap().channel, None);
    assert_eq!(read_as("page", page("https://www.google.fr/")).unwrap().channel.as_deref(), Some("organic-search"));
}
