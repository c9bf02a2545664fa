//! Each refusal by its name, one at a time, from a decision that would otherwise send.

#[path = "support/shop.rs"]
mod shop;

use std::time::Duration;

use passage_config::{HubConfig, Offer, Trigger};
use passage_hub::{
    identity::{Consents, Destination, IdentifierKind, Key, Keyring, MemberId, Profile, Purpose},
    offer::{
        Inputs, Outcome, Reason, Verdict,
        audience::History,
        decide,
        decide::{arbitrate, bucket},
        decision::Mark,
    },
    sms::{MessageState, PastMessage},
    touchpoint::{Detail, Purchase, TouchKind, Touchpoint},
    visit::Cause,
};
use passage_protocol::{Millis, Signal, Zone};
use proptest::prelude::*;
use shop::{MIN, coat_offer, config, day_of_november, friday, near_offer, site, store_id};
use uuid::Uuid;

/// Everything that a test may change about the member who looked at the coat and comes in on Friday at three.
struct Case {
    offer: Offer,
    config: HubConfig,
    now: Millis,
    cause: Cause,
    is_replayed: bool,
    profile: Profile,
    touchpoints: Vec<Touchpoint>,
    purchases: Vec<Purchase>,
    past: Vec<PastMessage>,
}

const VISIT: Uuid = Uuid::from_u128(7);

fn case() -> Case {
    let at = friday(15, 0);
    Case {
        offer: coat_offer(),
        config: config(site()),
        now: at + Duration::from_secs(2),
        cause: Cause { zone: Zone::In, signal: Signal::Beacon, at, initial: false, late: false, left: false },
        is_replayed: false,
        profile: Profile {
            member: MemberId(4711),
            consents: Consents([Purpose::Presence, Purpose::Sms, Purpose::Match, Purpose::Personalise].into()),
            destination: Some(Destination { key: Key([9; 32]), sealed: vec![1], owner: MemberId(1) }),
            suppressed: false,
        },
        touchpoints: vec![look(12, "coat-camel", None), look(15, "coat-camel", Some("40")), look(18, "coat-camel", Some("42"))],
        purchases: Vec::new(),
        past: Vec::new(),
    }
}

fn touch(kind: TouchKind, at: Millis) -> Touchpoint {
    let (identifier_kind, identifier) = (IdentifierKind::Cookie, Key([1; 32]));
    let (campaign, channel, sku, size) = (None, None, None, None);
    Touchpoint { id: format!("site/{at}"), at, kind, campaign, channel, sku, size, identifier_kind, identifier, detail: Detail::default() }
}

fn look(day: i64, sku: &str, size: Option<&str>) -> Touchpoint {
    Touchpoint { sku: Some(sku.to_owned()), size: size.map(str::to_owned), ..touch(TouchKind::View, day_of_november(day, 21, 0)) }
}

fn exposure(kind: TouchKind, day: i64) -> Touchpoint {
    Touchpoint { campaign: Some("automne".to_owned()), ..touch(kind, day_of_november(day, 12, 0)) }
}

fn sent(at: Millis, state: MessageState) -> PastMessage {
    let (brand, entity) = ("maison".to_owned(), "maison-sas".to_owned());
    PastMessage { id: Uuid::from_u128(1), brand, entity, offer: "other".to_owned(), at, store: store_id("paris"), visit: None, state }
}

fn judge(case: &Case) -> Verdict {
    let site = &case.config.site;
    let (brand, store) = (&site.brands["maison"], &site.stores[&store_id("lyon")]);
    let history = History { touchpoints: &case.touchpoints, purchases: &case.purchases };
    let keyring = Keyring::from_secret(&[5; 32]);
    let of = (&case.offer, brand, store);
    decide(&Inputs::new(&case.config, &keyring, of, case.now, &case.cause, (VISIT, case.is_replayed), &case.profile, history, &case.past))
}

fn result(change: impl FnOnce(&mut Case)) -> &'static str {
    let mut case = case();
    change(&mut case);
    let verdict = judge(&case);
    let first = verdict.checks.iter().find(|c| c.outcome == Mark::Fail).map_or("send", |c| c.check.as_str());
    assert_eq!(first, verdict.result.word(), "the first failed check names the decision");
    verdict.result.word()
}

#[test]
fn the_coat_is_offered_in_the_size_that_she_looked_at_last() {
    let verdict = judge(&case());
    assert_eq!(verdict.result, Outcome::Send);
    assert_eq!(
        verdict.text.unwrap(),
        "Maison : votre manteau Élise vous attend en taille 42 à Lyon Bellecour. Venez l'essayer ! STOP au 36111"
    );
    let names: Vec<&str> = verdict.checks.iter().map(|c| c.check.as_str()).collect();
    let expected: Vec<&str> = Reason::ALL.iter().map(|r| r.word()).filter(|w| !["other-offer-won", "already-sent"].contains(w)).collect();
    assert_eq!(names, expected, "every check is noted, in the documented order");
}

#[test]
fn without_a_consent_there_is_no_offer_and_the_missing_one_is_named() {
    let without = |purpose| result(|c| c.profile.consents.0.retain(|p| *p != purpose));
    assert_eq!(without(Purpose::Sms), "no-sms-consent");
    assert_eq!(without(Purpose::Match), "no-match-consent");
    assert_eq!(without(Purpose::Personalise), "no-personalise-consent");
    assert_eq!(result(|c| c.profile.destination = None), "no-number");
    assert_eq!(result(|c| c.profile.suppressed = true), "suppressed");
}

#[test]
fn evidence_that_is_initial_late_leaving_old_ahead_or_copied_triggers_nothing() {
    assert_eq!(result(|c| c.cause.initial = true), "initial");
    assert_eq!(result(|c| c.cause.late = true), "late");
    assert_eq!(result(|c| c.cause.left = true), "left");
    assert_eq!(result(|c| c.cause.at = c.now - Duration::from_secs(180)), "send");
    assert_eq!(result(|c| c.cause.at = c.now - Duration::from_millis(180_001)), "stale-evidence");
    assert_eq!(result(|c| c.cause.at = c.now + Duration::from_millis(120_001)), "stale-evidence");
    assert_eq!(result(|c| c.is_replayed = true), "replayed");
}

#[test]
fn outside_the_hours_of_the_store_the_offer_or_the_sender_nothing_is_sent() {
    let at = |now: Millis| result(|c| (c.now, c.cause.at) = (now, now));
    assert_eq!(at(friday(19, 29)), "send");
    assert_eq!(at(friday(19, 30)), "store-closed");
    assert_eq!(at(day_of_november(22, 15, 0)), "store-closed", "a Sunday");
    assert_eq!(at(day_of_november(11, 15, 0)), "store-closed", "Armistice Day");
    assert_eq!(result(|c| c.offer.window.to = 15 * 60), "outside-hours");
    assert_eq!(result(|c| c.config.hard_window.to = 15 * 60), "outside-hours");
}

#[test]
fn the_audience_needs_looks_on_enough_days_and_no_purchase() {
    assert_eq!(result(|c| c.touchpoints.truncate(2)), "not-viewed");
    assert_eq!(result(|c| c.touchpoints[2].at = c.touchpoints[1].at), "not-viewed", "two days only");
    assert_eq!(result(|c| c.touchpoints[0].at = day_of_november(2, 12, 0)), "not-viewed", "too long ago");
    assert_eq!(result(|c| c.touchpoints.iter_mut().for_each(|t| t.sku = Some("scarf".to_owned()))), "not-viewed", "another category");
    assert_eq!(result(|c| c.touchpoints.iter_mut().for_each(|t| t.sku = Some("unknown".to_owned()))), "not-viewed");
    let sensitive = |c: &mut Case| {
        let mut site = (*c.config.site).clone();
        site.touch.sensitive = ["manteaux".to_owned()].into();
        c.config.site = site.into();
    };
    assert_eq!(result(sensitive), "not-viewed", "a sensitive category is never spoken of");
    let bought = |sku: &str, cents| {
        let lines = vec![(sku.to_owned(), cents)];
        result(|c| c.purchases.push(Purchase { ticket: "1".to_owned(), at: day_of_november(19, 12, 0), store: store_id("lyon"), lines }))
    };
    assert_eq!(bought("coat-camel", 19_900), "not-viewed");
    assert_eq!(bought("coat-camel", -19_900), "send", "brought back");
    assert_eq!(bought("scarf", 3_900), "send");
}

#[test]
fn days_are_counted_by_the_clock_of_the_store() {
    // 23:30 and 00:30 in Paris are one day in UTC and two in the shop.
    let looks = [day_of_november(17, 23, 30), day_of_november(18, 0, 30), day_of_november(19, 12, 0)];
    assert_eq!(result(|c| c.touchpoints.iter_mut().zip(looks).for_each(|(t, at)| t.at = at)), "send");
}

#[test]
fn of_two_coats_the_one_looked_at_more_is_spoken_of() {
    let mut c = case();
    c.touchpoints.extend([13, 14, 16, 17].map(|d| look(d, "coat-navy", Some("38"))));
    assert!(judge(&c).text.unwrap().contains("manteau Léa vous attend en taille 38"));
}

#[test]
fn an_exposure_is_any_contact_with_the_campaign_but_being_sent_something() {
    let near = |touch: Option<Touchpoint>| {
        result(|c| {
            c.offer = near_offer();
            c.touchpoints = touch.into_iter().collect();
        })
    };
    assert_eq!(near(None), "not-exposed");
    assert_eq!(near(Some(exposure(TouchKind::View, 2))), "send");
    assert_eq!(near(Some(exposure(TouchKind::Send, 2))), "not-exposed");
    assert_eq!(near(Some(Touchpoint { campaign: Some("hiver".to_owned()), ..exposure(TouchKind::Click, 2) })), "not-exposed");
    assert_eq!(near(Some(exposure(TouchKind::View, -20))), "not-exposed", "before the look-back");
    assert_eq!(near(Some(exposure(TouchKind::View, 21))), "not-exposed", "after the trigger");
}

#[test]
fn the_held_out_share_is_the_same_members_every_time() {
    assert_eq!(result(|c| c.offer.holdout = 1.0), "held-out");
    let keyring = Keyring::from_secret(&[5; 32]);
    let held = (0..10_000).filter(|m| bucket(&keyring, MemberId(*m), "coat") < 0.1).count();
    assert!((900..1100).contains(&held), "{held} of 10000");
    assert_eq!(bucket(&keyring, MemberId(3), "coat"), bucket(&keyring, MemberId(3), "coat"));
    assert_ne!(bucket(&keyring, MemberId(3), "coat"), bucket(&keyring, MemberId(3), "other"));
}

#[test]
fn caps_count_store_local_days_7_and_30_days_and_only_messages_that_may_have_arrived() {
    let with = |past: Vec<PastMessage>| result(|c| c.past = past);
    let delivered = |at| sent(at, MessageState::Delivered);
    assert_eq!(with(vec![delivered(friday(0, 1))]), "cap-day");
    assert_eq!(with(vec![delivered(day_of_november(19, 23, 59))]), "send", "yesterday in the shop, the same day in UTC");
    assert_eq!(with(vec![delivered(day_of_november(14, 16, 0)), delivered(day_of_november(18, 12, 0))]), "cap-week");
    assert_eq!(with(vec![delivered(day_of_november(12, 16, 0)), delivered(day_of_november(18, 12, 0))]), "send");
    let month: Vec<PastMessage> = [1, 4, 8, 11].map(|d| delivered(day_of_november(d, 12, 0))).into();
    assert_eq!(with(month), "cap-month");
    assert_eq!(with(vec![sent(friday(12, 0), MessageState::Unknown)]), "cap-day", "nobody knows that it did not arrive");
    for void in [MessageState::Failed, MessageState::Expired, MessageState::Suppressed] {
        assert_eq!(with(vec![sent(friday(12, 0), void)]), "send");
    }
    let other_entity = PastMessage { entity: "franchise".to_owned(), ..delivered(friday(12, 0)) };
    assert_eq!(with(vec![other_entity]), "send");
}

#[test]
fn a_visit_has_one_message_even_where_caps_allow_more() {
    let of_visit = PastMessage { visit: Some(VISIT), ..sent(day_of_november(19, 23, 50), MessageState::Accepted) };
    assert_eq!(result(|c| c.past = vec![of_visit.clone()]), "one-per-visit");
    assert_eq!(result(|c| c.past = vec![PastMessage { visit: Some(Uuid::nil()), ..of_visit }]), "send");
}

#[test]
fn a_text_that_cannot_be_filled_in_or_is_too_long_is_not_sent() {
    assert_eq!(result(|c| c.touchpoints.iter_mut().for_each(|t| t.size = None)), "text-incomplete");
    assert_eq!(result(|c| c.offer.text = "{{ product.colour }} {{ stop }}".to_owned()), "text-incomplete");
    assert_eq!(result(|c| c.offer.text.push_str(&"x".repeat(160))), "too-long");
    assert_eq!(result(|c| (c.offer.max_parts, c.offer.text) = (2, "x".repeat(170))), "send");
    // A curly apostrophe would turn the text to UTF-16 and two parts.
    assert_eq!(result(|c| c.offer.transliterate = false), "too-long");
    let text =
        "{% if product.size is defined %}taille {{ product.size }}{% else %}à votre taille{% endif %}, {{ product.price }} {{ stop }}";
    let mut c = case();
    c.offer.text = text.to_owned();
    c.touchpoints.iter_mut().for_each(|t| t.size = None);
    assert_eq!(judge(&c).text.unwrap(), "à votre taille, 199 € STOP au 36111");
}

#[test]
fn of_several_offers_the_highest_priority_that_may_be_sent_wins() {
    let (first, second, third) = (coat_offer(), shop::offer("b", Trigger::Enter, 50, "b"), shop::offer("c", Trigger::Enter, 10, "c"));
    let verdict = |offer: &Offer, allowed: bool| {
        let mut c = case();
        c.offer = offer.clone();
        c.profile.suppressed = !allowed;
        judge(&c)
    };
    let mut all = [(&first, verdict(&first, false)), (&second, verdict(&second, true)), (&third, verdict(&third, true))];
    arbitrate(&mut all);
    let results: Vec<&str> = all.iter().map(|(_, v)| v.result.word()).collect();
    assert_eq!(results, ["suppressed", "send", "other-offer-won"]);
}

proptest! {
    #[test]
    fn nothing_is_ever_sent_outside_the_window_without_consent_or_over_a_cap(
        minute in 0_i64..(20 * 24 * 60), sms: bool, suppressed: bool, today in 0_usize..3, age in -300_i64..300,
    ) {
        let mut c = case();
        c.now = day_of_november(8, 0, 0) + Duration::from_secs(u64::try_from(minute).unwrap() * 60);
        c.cause.at = Millis(c.now.0 - age * 1000);
        if !sms { c.profile.consents.0.remove(&Purpose::Sms); }
        c.profile.suppressed = suppressed;
        c.touchpoints = (0..5).map(|d| Touchpoint { at: Millis(c.now.0 - d * 24 * 60 * MIN), ..look(1, "coat-camel", Some("42")) }).collect();
        c.past = (0..today).map(|_| sent(c.now, MessageState::Planned)).collect();
        let local = (minute / (24 * 60), minute % (24 * 60));
        let weekday = local.0 % 7; // 2026-11-08 is a Sunday
        let holiday = local.0 == 3; // the 11th
        let may = sms && !suppressed && today == 0 && (-120..=180).contains(&age)
            && weekday != 0 && !holiday && (600..1170).contains(&local.1);
        prop_assert_eq!(judge(&c).result == Outcome::Send, may);
    }
}
