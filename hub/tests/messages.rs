//! Messages from planned to their end, on both engines, with the sandbox and with providers that misbehave.

#[path = "support/sms.rs"]
mod sms;
mod support;

use std::{sync::Arc, time::Duration};

use passage_hub::{
    args,
    identity::Purpose,
    notice::What,
    sms::{
        MessageState, Msisdn, Outcome, Sandbox,
        inbound::{self, Verb},
        provider::{Event, Fate, Receipt, Reply, smsc_id},
        sender::SendError,
    },
    store::{Db, message},
};
use passage_protocol::Millis;
use sms::{FRIDAY, STOP_NUMBER, Script, Scripted, Shop, minutes};
use support::{both, both_fresh, until};
use tokio_util::sync::CancellationToken;

fn delivered(id: &str, from: Option<Msisdn>) -> Event {
    Event::Receipt(Receipt { smsc_id: smsc_id(id), other_id: None, from, fate: Fate::Delivered, reason: None })
}

fn stop(n: i64, to: &str) -> Reply {
    Reply { from: Shop::number(n), to: to.to_owned(), text: "Stop !".to_owned() }
}

#[tokio::test]
async fn a_planned_message_reaches_the_sandbox_once_and_ends_as_delivered() {
    both(async |db| {
        let shop = Shop::new(&db);
        let mut heard = shop.notices.listen();
        let sandbox = Sandbox::default();
        let id = shop.planned(1).await;
        assert_eq!(message::unsettled(&db).await.unwrap(), 1);
        let sender = shop.sender(Arc::new(sandbox.clone()));
        while sender.step().await.unwrap() > 0 {}
        assert_eq!(shop.fate(id).await, (MessageState::Delivered, None));
        assert_eq!(message::unsettled(&db).await.unwrap(), 0);
        let sent = sandbox.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].to.expose(), sent[0].from.as_str(), sent[0].validity_ms), ("+33612300001", "MAISON", 1_800_000));
        assert!(matches!(heard.recv().await.unwrap().what, What::SmsHandedOver(text) if text == sent[0].text));
        assert!(matches!(heard.recv().await.unwrap().what, What::Receipt("delivered")));
        let row = db.fetch("SELECT sealed, attempts, sent_at, settled_at FROM message", args![]).await.unwrap();
        assert_eq!(row[0].opt_blob(0).unwrap(), None, "the number goes when nothing can be sent any more");
        assert_eq!((row[0].int(1).unwrap(), row[0].millis(2).unwrap(), row[0].millis(3).unwrap()), (1, FRIDAY, FRIDAY));
        assert!(db.fetch("SELECT id FROM receipt", args![]).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn one_send_key_makes_one_message() {
    both(async |db| {
        let shop = Shop::new(&db);
        shop.member(1).await;
        let first = shop.message(1);
        let again = passage_hub::sms::NewMessage { id: uuid::Uuid::now_v7(), ..first.clone() };
        assert!(shop.plan(&first).await);
        assert!(!shop.plan(&again).await);
        let mut tx = db.begin().await.unwrap();
        let past = message::past(&mut tx, first.member, &first.destination.key, FRIDAY).await.unwrap();
        assert_eq!(past.iter().map(|p| p.id).collect::<Vec<_>>(), [first.id]);
        let other = passage_hub::identity::MemberId(99);
        assert_eq!(message::past(&mut tx, other, &first.destination.key, FRIDAY).await.unwrap().len(), 1, "found by its destination");
        assert!(message::past(&mut tx, first.member, &first.destination.key, Millis(FRIDAY.0 + 1)).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_changed_between_decision_and_sending_stops_the_message_with_its_reason() {
    both(async |db| {
        let shop = Shop::new(&db);
        let provider = Scripted::new([]);
        let sender = shop.sender(provider.clone());
        let mut ids = Vec::new();
        for n in 1..=6 {
            ids.push(shop.planned(n).await);
        }
        shop.consent(1, Purpose::Sms, false).await;
        shop.consent(2, Purpose::Presence, false).await;
        inbound::handle(&db, &shop.keyring, &shop.config.borrow(), &stop(3, STOP_NUMBER), FRIDAY, &shop.notices).await.unwrap();
        db.execute("UPDATE destination SET key = $1 WHERE member = 4", args![&[9_u8; 32]]).await.unwrap();
        db.execute("DELETE FROM destination WHERE member = 5", args![]).await.unwrap();
        sender.step().await.unwrap();
        sender.step().await.unwrap();
        let mut fates = Vec::new();
        for id in &ids {
            let (state, reason) = shop.fate(*id).await;
            fates.push((state, reason.unwrap_or_default()));
        }
        let suppressed = |why: &str| (MessageState::Suppressed, why.to_owned());
        assert_eq!(fates[..5], ["no-sms", "no-presence", "stop", "number-changed", "number-changed"].map(suppressed));
        assert_eq!(fates[5], (MessageState::Accepted, String::new()));
        assert_eq!(provider.count(), 1);
        assert_eq!(*provider.seen.lock().unwrap(), [ids[5]]);
    })
    .await;
}

#[tokio::test]
async fn a_withdrawn_offer_closed_hours_and_a_passed_deadline_stop_the_message() {
    both(async |db| {
        let shop = Shop::new(&db);
        let provider = Scripted::new([]);
        let sender = shop.sender(provider.clone());

        let withdrawn = shop.planned(1).await;
        shop.change_offer(|offer| offer.live = false);
        sender.step().await.unwrap();
        assert_eq!(shop.fate(withdrawn).await, (MessageState::Suppressed, Some("offer-withdrawn".into())));
        shop.change_offer(|offer| offer.live = true);

        let personal = shop.planned(2).await;
        shop.change_offer(|offer| offer.text = "{{ product.name }}".into());
        sender.step().await.unwrap();
        assert_eq!(shop.fate(personal).await, (MessageState::Suppressed, Some("no-personalise".into())));
        shop.change_offer(|offer| offer.text = "Bonjour".into());

        let shortened = shop.planned(3).await;
        shop.change_offer(|offer| offer.deadline = minutes(1));
        shop.clock.set(shop.clock.now() + minutes(2));
        sender.step().await.unwrap();
        assert_eq!(shop.fate(shortened).await, (MessageState::Expired, Some("too-late".into())));
        shop.change_offer(|offer| offer.deadline = minutes(10));

        let overdue = shop.planned(4).await;
        shop.clock.set(shop.clock.now() + minutes(11));
        sender.step().await.unwrap();
        assert_eq!(shop.fate(overdue).await, (MessageState::Expired, Some("too-late".into())));

        shop.clock.set(FRIDAY + minutes(4 * 60 + 59));
        let closing = shop.planned(5).await;
        shop.clock.set(FRIDAY + minutes(5 * 60));
        sender.step().await.unwrap();
        assert_eq!(shop.fate(closing).await, (MessageState::Suppressed, Some("outside-hours".into())), "20:00 is closed");

        shop.clock.set(FRIDAY + minutes(3 * 24 * 60));
        let shut = shop.planned(6).await;
        shop.change(|config| {
            let mut site = passage_config::Site::clone(&config.site);
            let hours = Arc::new(passage_config::hours::Hours::parse("Mo-Sa 10:00-14:30").unwrap());
            site.stores.values_mut().for_each(|store| store.hours = hours.clone());
            config.site = Arc::new(site);
        });
        sender.step().await.unwrap();
        assert_eq!(shop.fate(shut).await, (MessageState::Suppressed, Some("store-closed".into())));
        assert_eq!(provider.count(), 0);
        assert_eq!(message::unsettled(&db).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn caps_hold_at_the_last_moment_for_the_member_and_for_the_destination() {
    both(async |db| {
        let shop = Shop::new(&db);
        let provider = Scripted::new([]);
        let sender = shop.sender(provider.clone());
        let first = shop.planned(1).await;
        let second = shop.message(1);
        assert!(shop.plan(&second).await);
        sender.step().await.unwrap();
        assert_eq!(shop.state(first).await, MessageState::Accepted);
        assert_eq!(shop.fate(second.id).await, (MessageState::Suppressed, Some("cap-reached".into())));

        // Another member with the same phone, the next day; the week's second and third.
        shop.clock.set(FRIDAY + minutes(24 * 60));
        let on_saturday = shop.message(1);
        assert!(shop.plan(&on_saturday).await);
        sender.step().await.unwrap();
        assert_eq!(shop.state(on_saturday.id).await, MessageState::Accepted);
        shop.clock.set(FRIDAY + minutes(3 * 24 * 60));
        let on_monday = shop.message(1);
        assert!(shop.plan(&on_monday).await);
        sender.step().await.unwrap();
        assert_eq!(shop.fate(on_monday.id).await, (MessageState::Suppressed, Some("cap-reached".into())));
        assert_eq!(provider.count(), 2);

        // Decided a minute before one that has left already, but committed by another hub only now.
        shop.clock.set(FRIDAY + minutes(10 * 24 * 60));
        let earlier = shop.message(2);
        shop.clock.set(FRIDAY + minutes(10 * 24 * 60 + 1));
        let left = shop.planned(2).await;
        sender.step().await.unwrap();
        assert_eq!(shop.state(left).await, MessageState::Accepted);
        assert!(shop.plan(&earlier).await);
        sender.step().await.unwrap();
        assert_eq!(shop.fate(earlier.id).await, (MessageState::Suppressed, Some("cap-reached".into())));
    })
    .await;
}

#[tokio::test]
async fn stop_suppresses_the_brand_in_all_its_entities_and_cancels_what_is_planned() {
    both(async |db| {
        let shop = Shop::new(&db);
        let mut heard = shop.notices.listen();
        let hers = shop.planned(1).await;
        let his = shop.planned(2).await;
        let config = shop.config.borrow().clone();
        let verb = inbound::handle(&db, &shop.keyring, &config, &stop(1, STOP_NUMBER), FRIDAY, &shop.notices).await.unwrap();
        assert_eq!(verb, Verb::Stop);
        assert_eq!(shop.fate(hers).await, (MessageState::Suppressed, Some("stop".into())));
        assert_eq!(shop.state(his).await, MessageState::Planned);
        assert!(shop.is_suppressed(1, "maison", "maison").await && shop.is_suppressed(1, "maison", "franchise").await);
        assert!(!shop.is_suppressed(1, "autre", "autre").await && !shop.is_suppressed(2, "maison", "maison").await);
        let notice = heard.recv().await.unwrap();
        assert!(matches!(notice.what, What::Stop) && notice.member == Some(passage_hub::identity::MemberId(1)));

        // To a number of nobody: all brands. Again: nothing breaks.
        for _ in 0..2 {
            inbound::handle(&db, &shop.keyring, &config, &stop(1, "99999"), FRIDAY, &shop.notices).await.unwrap();
        }
        assert!(shop.is_suppressed(1, "autre", "autre").await);

        let thanks = Reply { text: "merci".into(), ..stop(2, STOP_NUMBER) };
        assert_eq!(inbound::handle(&db, &shop.keyring, &config, &thanks, FRIDAY, &shop.notices).await.unwrap(), Verb::Other);
        assert!(!shop.is_suppressed(2, "maison", "maison").await);
        let verbs = db.fetch("SELECT verb FROM inbound ORDER BY id", args![]).await.unwrap();
        assert_eq!(verbs.iter().map(|r| r.text(0).unwrap()).collect::<Vec<_>>(), ["stop", "stop", "stop", "other"]);
    })
    .await;
}

#[tokio::test]
async fn a_reply_played_into_the_sandbox_is_confirmed_only_when_it_is_committed() {
    both(async |db| {
        let shop = Shop::new(&db);
        let sandbox = Sandbox::default();
        let id = shop.planned(1).await;
        let stopper = CancellationToken::new();
        let running = tokio::spawn(shop.sender(Arc::new(sandbox.clone())).run(stopper.clone()));
        until("the message is delivered", async || shop.state(id).await == MessageState::Delivered).await;
        assert!(sandbox.reply(Shop::number(1), STOP_NUMBER, "ARRÊT").await);
        assert!(shop.is_suppressed(1, "maison", "maison").await);
        stopper.cancel();
        running.await.unwrap().unwrap();
    })
    .await;
}

async fn killed_while_writing(db: &Db, shop: &Shop) -> uuid::Uuid {
    let id = shop.planned(1).await;
    let provider = Scripted::new([Script::Hang]);
    let sender = shop.sender(provider.clone());
    let dying = tokio::spawn(async move { sender.step().await });
    until("the bytes are out", async || provider.count() == 1).await;
    dying.abort();
    let _ = dying.await;
    assert_eq!(shop.state(id).await, MessageState::Writing);
    assert_eq!(message::unsettled(db).await.unwrap(), 1);
    id
}

#[tokio::test]
async fn a_crash_between_writing_and_the_outcome_leaves_an_unknown_message_that_is_never_repeated() {
    both(async |db| {
        let shop = Shop::new(&db);
        let id = killed_while_writing(&db, &shop).await;
        let provider = Scripted::new([]);
        let sender = shop.sender(provider.clone());
        sender.recover_once().await.unwrap();
        assert_eq!(shop.fate(id).await, (MessageState::Unknown, Some("crash while sending".into())));
        for _ in 0..3 {
            sender.step().await.unwrap();
        }
        assert_eq!(provider.count(), 0);

        // The receipt names an id that nobody here knows, and the phone: it can only belong to this message.
        let taken = provider.bring(delivered("77", Some(Shop::number(1))));
        sender.step().await.unwrap();
        assert!(taken.await.unwrap());
        assert_eq!(shop.state(id).await, MessageState::Delivered);
    })
    .await;
}

#[tokio::test]
async fn another_hub_takes_over_when_the_lease_is_over_and_not_before() {
    both(async |db| {
        let shop = Shop::new(&db);
        let written = killed_while_writing(&db, &shop).await;
        let claimed = shop.planned(2).await;
        let sql = "UPDATE message SET state = 'claimed', claimed_by = 'hub-1', claim_until = $2 WHERE id = $1";
        db.execute(sql, args![claimed.to_string(), i64::MAX]).await.unwrap();
        let provider = Scripted::new([]);
        let other = shop.sender_of("hub-2", provider.clone());
        other.recover_once().await.unwrap();
        other.step().await.unwrap();
        assert_eq!(shop.state(written).await, MessageState::Writing);
        assert_eq!(shop.state(claimed).await, MessageState::Claimed);
        db.execute("UPDATE message SET claim_until = 1", args![]).await.unwrap();
        other.step().await.unwrap();
        assert_eq!(shop.state(written).await, MessageState::Unknown);
        assert_eq!(shop.state(claimed).await, MessageState::Accepted, "a claim alone wrote nothing, so it is free again");
        assert_eq!(*provider.seen.lock().unwrap(), [claimed]);
    })
    .await;
}

#[tokio::test]
async fn no_answer_is_unknown_and_not_repeated() {
    both(async |db| {
        let shop = Shop::new(&db);
        let provider = Scripted::new([Script::Answer(Outcome::Unknown)]);
        let id = shop.planned(1).await;
        let sender = shop.sender(provider.clone());
        for _ in 0..3 {
            sender.step().await.unwrap();
        }
        assert_eq!(shop.fate(id).await, (MessageState::Unknown, Some("no answer".into())));
        assert_eq!(provider.count(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_surely_not_accepted_is_tried_again_and_what_is_refused_for_good_is_not() {
    both(async |db| {
        let shop = Shop::new(&db);
        let refuse = |code, retryable| Script::Answer(Outcome::Refused { code, retryable });
        let again = Scripted::new([Script::Answer(Outcome::NotSent), refuse(0x58, true)]);
        let id = shop.planned(1).await;
        let sender = shop.sender(again.clone());
        until("the third try is accepted", async || {
            sender.step().await.unwrap();
            shop.state(id).await == MessageState::Accepted
        })
        .await;
        assert_eq!(again.count(), 3);

        let never = Scripted::new([refuse(0x0B, false)]);
        let id = shop.planned(2).await;
        let sender = shop.sender(never.clone());
        sender.step().await.unwrap();
        sender.step().await.unwrap();
        assert_eq!(shop.fate(id).await, (MessageState::Failed, Some("refused 0x0b".into())));
        assert_eq!(never.count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_that_comes_before_the_answer_waits_for_it_and_is_forgotten_after_ten_minutes() {
    both(async |db| {
        let shop = Shop::new(&db);
        let provider = Scripted::new([]);
        let sender = shop.sender(provider.clone());
        let id = shop.planned(1).await;
        // Early, and with the same id in another dress.
        drop(provider.bring(delivered(&format!("00ID-{id}").replace("00ID", "ID"), None)));
        drop(provider.bring(delivered("of-nobody", None)));
        sender.step().await.unwrap();
        sender.step().await.unwrap();
        assert_eq!(shop.state(id).await, MessageState::Delivered);
        let waiting = async || db.fetch("SELECT id FROM receipt", args![]).await.unwrap().len();
        assert_eq!(waiting().await, 1);
        shop.clock.set(FRIDAY + minutes(11));
        sender.step().await.unwrap();
        assert_eq!(waiting().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_message_of_two_parts_is_delivered_when_both_are() {
    both(async |db| {
        let shop = Shop::new(&db);
        let provider = Scripted::new([Script::Answer(Outcome::Accepted { ids: vec!["10".into(), "11".into()] })]);
        let sender = shop.sender(provider.clone());
        let id = shop.planned(1).await;
        sender.step().await.unwrap();
        drop(provider.bring(delivered("11", None)));
        drop(provider.bring(delivered("11", None)));
        sender.step().await.unwrap();
        assert_eq!(shop.state(id).await, MessageState::Accepted);
        drop(provider.bring(delivered("10", None)));
        sender.step().await.unwrap();
        assert_eq!(shop.state(id).await, MessageState::Delivered);
    })
    .await;
}

#[tokio::test]
async fn five_senders_on_one_database_send_each_message_once() {
    both_fresh(async |fresh| {
        let shop = Shop::new(&fresh.db);
        for n in 1..=40 {
            shop.planned(n).await;
        }
        let provider = Scripted::new([]);
        let stopper = CancellationToken::new();
        let hubs: Vec<_> =
            (1..=5).map(|n| tokio::spawn(shop.sender_of(&format!("hub-{n}"), provider.clone()).run(stopper.clone()))).collect();
        let left = "SELECT id FROM message WHERE state <> 'accepted'";
        until("all are sent", async || fresh.db.fetch(left, args![]).await.unwrap().is_empty()).await;
        stopper.cancel();
        for hub in hubs {
            hub.await.unwrap().unwrap();
        }
        let mut seen = provider.seen.lock().unwrap().clone();
        seen.sort();
        seen.dedup();
        assert_eq!((seen.len(), provider.count()), (40, 40));
    })
    .await;
}

#[tokio::test]
async fn on_a_played_clock_nothing_leaves_this_machine() {
    both(async |db| {
        let shop = Shop::new(&db);
        let id = shop.planned(1).await;
        let provider = Scripted::far();
        let sender = shop.sender(provider.clone());
        assert!(matches!(sender.step().await, Err(SendError::NotLocal)));
        let run = tokio::time::timeout(Duration::from_secs(60), sender.run(CancellationToken::new())).await.unwrap();
        assert!(matches!(run, Err(SendError::NotLocal)));
        assert_eq!((shop.state(id).await, provider.count()), (MessageState::Planned, 0));
    })
    .await;
}
