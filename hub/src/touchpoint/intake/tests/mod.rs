use std::collections::BTreeMap;

use passage_config::{Planned, Site, TouchRules};
use passage_protocol::Millis;

use super::*;
use crate::identity::IdentifierKind;

const NOW: Millis = Millis(1_795_176_000_000);

fn raw() -> RawTouch<'static> {
    RawTouch {
        key: Some("4711"),
        at: Some("2026-11-18T10:12:00+01:00"),
        kind: Some("view"),
        campaign: Some("winter"),
        channel: Some("paid-search"),
        sku: Some("COAT-1"),
        size: Some("42"),
        identifier_kind: Some("cookie"),
        identifier: Some("shop.example.fr/abc"),
        ..RawTouch::default()
    }
}

fn keyring() -> Keyring {
    Keyring::from_secret(&[7; 32])
}

fn read_with(site: &Site, raw: &RawTouch<'_>) -> Result<Touchpoint, Refusal> {
    Intake::new("site", &keyring(), "FR", site, NOW).read(raw)
}

fn read(raw: &RawTouch<'_>) -> Result<Touchpoint, Refusal> {
    read_with(&Site::default(), raw)
}

#[test]
fn a_touchpoint_keeps_its_identifier_in_keyed_form() {
    let touch = read(&raw()).unwrap();
    assert_eq!((touch.id.as_str(), touch.at, touch.kind), ("site/4711", Millis(1_794_993_120_000), TouchKind::View));
    assert_eq!(touch.identifier, keyring().identifier(IdentifierKind::Cookie, "shop.example.fr/abc"));
}

#[test]
fn without_a_key_the_contents_are_the_key() {
    let keyless = RawTouch { key: None, ..raw() };
    assert_eq!(read(&keyless).unwrap().id, read(&keyless).unwrap().id);
    for other in [RawTouch { size: Some("44"), ..keyless }, RawTouch { variant: Some("b"), ..keyless }] {
        assert_ne!(read(&keyless).unwrap().id, read(&other).unwrap().id);
    }
    let (variant, outcome) = (RawTouch { variant: Some("b"), ..keyless }, RawTouch { outcome: Some("b"), ..keyless });
    assert_ne!(read(&variant).unwrap().id, read(&outcome).unwrap().id);
}

#[test]
fn reasons_name_the_field_and_never_the_value() {
    let cases = [
        (RawTouch { at: Some("2026-11-18 10:12"), ..raw() }, "at:"),
        (RawTouch { at: Some("2026-11-30T10:12:00Z"), ..raw() }, "future"),
        (RawTouch { kind: Some("glance"), ..raw() }, "kind:"),
        (RawTouch { identifier_kind: Some("iban"), ..raw() }, "identifier_kind"),
        (RawTouch { identifier: Some("nothing"), ..raw() }, "identifier:"),
        (RawTouch { identifier: None, ..raw() }, "identifier is missing"),
        (RawTouch { sku: Some("4111 1111 1111 1111"), ..raw() }, "sku:"),
        (RawTouch { campaign: Some("anne@example.fr"), ..raw() }, "campaign:"),
        (RawTouch { order: Some("anne@example.fr"), ..raw() }, "order:"),
        (RawTouch { cents: Some("12,50"), ..raw() }, "cents:"),
        (RawTouch { click_id: Some("nothing"), ..raw() }, "click_id:"),
        (RawTouch { store: Some("Nothing St"), ..raw() }, "store: not"),
        (RawTouch { identifier_kind: Some("loyalty_card"), identifier: Some("5500000000000004"), ..raw() }, "payment card"),
    ];
    for (raw, expected) in cases {
        let reason = read(&raw).unwrap_err().reason;
        assert!(reason.contains(expected), "{reason}");
        let shown = reason.replace("2026-11-18T", "");
        assert!(
            !["2026", "glance", "iban", "nothing", "4111", "anne", "5500", "12,50", "Nothing"].iter().any(|v| shown.contains(v)),
            "{shown}"
        );
    }
}

#[test]
fn the_channel_comes_from_the_source_then_the_rules_then_the_campaign() {
    let bare = RawTouch { channel: None, campaign: Some("autumn"), ..raw() };
    let channel = |raw: &RawTouch<'_>| read(raw).unwrap().channel;
    assert_eq!(channel(&raw()).as_deref(), Some("paid-search"));
    assert_eq!(channel(&bare), None);
    assert_eq!(channel(&RawTouch { source: Some("facebook"), medium: Some("paid"), ..bare }).as_deref(), Some("paid-social"));
    assert_eq!(channel(&RawTouch { referrer: Some("https://www.google.fr/search?q=coat"), ..bare }).as_deref(), Some("organic-search"));
    assert_eq!(channel(&RawTouch { click_id: Some("gclid=Cj0"), ..bare }).as_deref(), Some("paid-search"));
    let campaign = passage_config::Campaign {
        id: "autumn".to_owned(),
        name: "Autumn".to_owned(),
        channel: "street".to_owned(),
        starts: NOW,
        ends: NOW,
        company: None,
    };
    let site = Site { campaigns: [("autumn".to_owned(), campaign)].into(), ..Site::default() };
    assert_eq!(read_with(&site, &bare).unwrap().channel.as_deref(), Some("street"));
}

#[test]
fn of_a_referrer_only_the_host_is_kept_and_of_an_order_only_its_keyed_hash() {
    let raw = RawTouch { referrer: Some("https://user@www.Journal.fr:443/mode?name=anne"), order: Some("FR-100042"), ..raw() };
    let detail = read(&raw).unwrap().detail;
    assert_eq!(detail.source.as_deref(), Some("journal.fr"));
    assert_eq!(detail.order, Some(keyring().identifier(IdentifierKind::Order, "FR-100042")));
}

#[test]
fn what_the_tracking_plan_does_not_name_is_refused_with_its_reason() {
    let planned = Planned { kinds: ["view".to_owned()].into(), fields: Some(["campaign".to_owned(), "channel".to_owned()].into()) };
    let plan = |source: &str| {
        let plan = BTreeMap::from([(source.to_owned(), planned.clone())]);
        Site { touch: TouchRules { plan: Some(plan), ..TouchRules::default() }, ..Site::default() }
    };
    let code = |site: &Site, raw: &RawTouch<'_>| read_with(site, raw).map_err(|refusal| refusal.code).err();
    assert_eq!(code(&plan("site"), &raw()), Some("field-not-planned"));
    assert_eq!(code(&plan("site"), &RawTouch { sku: None, size: None, ..raw() }), None);
    assert_eq!(code(&plan("site"), &RawTouch { kind: Some("click"), ..raw() }), Some("kind-not-planned"));
    assert_eq!(code(&plan("other"), &raw()), Some("source-not-planned"));
}
