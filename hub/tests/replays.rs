//! A rotating id that was copied from the air and is played again in another town, on both engines.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{sync::Arc, time::Duration};

use passage_config::Site;
use passage_hub::{
    args,
    identity::{Keyring, MemberId},
    notice::Notices,
    offer::{Outcome, Reason as Refusal, Worker, why::why},
    report::{Span, replays},
    store::{
        self, Db,
        work::{self, Todo, TodoKind},
    },
    visit::{Label, Reason, Visit},
};
use passage_protocol::{Clock, Millis};
use shop::{config, friday, offer, site, store_id};
use support::both;
use tokio::sync::{Notify, watch};

const LINA: MemberId = MemberId(0x12_3456_789A);

/// A hub with one member, and shops in two towns and next door to each other.
struct Hub {
    db: Db,
    site: Site,
    clock: Clock,
    workers: Vec<Worker>,
    seq: i64,
}

fn towns() -> Site {
    let mut site = site();
    site.offers = [offer("welcome", passage_config::Trigger::Enter, 10, "{{ brand }} : bienvenue. {{ stop }}")]
        .into_iter()
        .map(|mut o| {
            o.stores = ["lyon", "paris", "next-door"].map(store_id).to_vec();
            (o.id.clone(), o)
        })
        .collect();
    for (name, at) in [("lyon", (4.8320, 45.7578)), ("paris", (2.3325, 48.8722)), ("next-door", (4.8321, 45.7579))] {
        let id = store_id(name);
        let store = passage_config::Store { id: id.clone(), at: at.into(), ..site.stores[&store_id("lyon")].clone() };
        site.stores.insert(id, store);
    }
    site
}

impl Hub {
    /// Two hubs share the database; they take turns.
    async fn new(db: &Db) -> Self {
        let (site, clock) = (towns(), Clock::stepped(friday(9, 0)));
        let worker = || Worker {
            db: db.clone(),
            keyring: Keyring::from_secret(&[5; 32]),
            config: watch::channel(Arc::new(config(site.clone()))).1,
            clock: clock.clone(),
            notices: Notices::default(),
            wake: Arc::new(Notify::new()),
            planned: Arc::new(Notify::new()),
        };
        let hub = Self { db: db.clone(), workers: vec![worker(), worker()], site, clock, seq: 0 };
        hub.sql("INSERT INTO member (id, brand, created_at, version) VALUES ($1, 'maison', 0, 0)", args![LINA.0]).await;
        for purpose in ["presence", "sms"] {
            let sql = "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source) \
                       VALUES ($1, 'maison', 'maison-sas', $2, 1, 0, 'crm')";
            hub.sql(sql, args![LINA.0, purpose]).await;
        }
        hub
    }

    async fn sql(&self, sql: &'static str, args: Vec<store::Value>) {
        self.db.execute(sql, args).await.unwrap();
    }

    /// Her id `mark` is heard in a store from one time to another, by a gateway whose clock was corrected by so many milliseconds.
    async fn heard(&mut self, mark: i64, store: &str, phase: &str, (from, to): (Millis, Millis), corrected: i64) {
        self.seq += 1;
        let id = format!("event-{}", self.seq);
        let sql = "INSERT INTO event (id, gateway, epoch, seq, store, zone, subject_kind, signal, phase, at, at_corrected, first_at, last_at, \
                   strength, initial, late, received_at, member, mark) VALUES ($1, 'gw-1', 'e', $2, $3, 'in', 'rid', 'beacon', $4, $5, $6, $7, \
                   $6, '{\"radio\":{\"rssi\":-60,\"count\":9}}', 0, 0, $6, $8, $9)";
        self.sql(sql, args![&id, self.seq, store, phase, to.0 - corrected, to, from, LINA.0, mark]).await;
        let mut tx = self.db.begin().await.unwrap();
        work::put(&mut tx, &Todo::new(LINA, to, TodoKind::Event, id)).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// She comes in, and stays for three minutes.
    async fn stay(&mut self, mark: i64, store: &str, from: Millis, corrected: i64) {
        let after = |seconds| from + Duration::from_secs(seconds);
        self.heard(mark, store, "enter", (from, after(10)), corrected).await;
        self.work_at(after(12)).await;
        self.heard(mark, store, "dwell", (from, after(180)), corrected).await;
        self.work_at(after(182)).await;
    }

    /// What is due is done, each time by another hub.
    async fn work_at(&mut self, now: Millis) {
        self.clock.set(now.max(self.clock.now()));
        self.workers.rotate_left(1);
        while self.workers[0].step().await.unwrap() > 0 {}
    }

    async fn visits(&self) -> Vec<Visit> {
        store::visit::of_member(&mut self.db.begin_read().await.unwrap(), LINA).await.unwrap()
    }

    async fn decisions(&self) -> Vec<(String, Outcome)> {
        let found = store::decision::of_member(&mut self.db.begin_read().await.unwrap(), LINA).await.unwrap();
        let mut found: Vec<_> = found.into_iter().map(|d| (d.at, d.store.to_string(), d.result)).collect();
        found.sort();
        found.into_iter().map(|(_, store, result)| (store, result)).collect()
    }

    async fn replays(&self) -> Vec<Vec<String>> {
        replays::rows(&self.db, Span { from: friday(0, 0), to: friday(23, 0) }).await.unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
    }
}

#[tokio::test]
async fn a_copied_id_is_flagged_in_both_towns_and_neither_triggers_an_offer_from_then_on() {
    both(async |db| {
        let mut hub = Hub::new(&db).await;
        hub.stay(7, "lyon", friday(15, 0), 0).await;
        assert_eq!(hub.visits().await[0].label, Label::Qualified, "so far nobody knows");
        hub.stay(7, "paris", friday(15, 5), 0).await;
        hub.work_at(friday(17, 0)).await;
        let visits = hub.visits().await;
        assert_eq!(visits.len(), 2);
        assert!(visits.iter().all(|v| v.label == Label::Suspect && v.proof.reasons.contains(&Reason::Replay)), "{visits:?}");
        // The first enter was before anybody could know. She has no number here, which is why that offer was not sent.
        let decisions = hub.decisions().await;
        assert_eq!(decisions.len(), 2, "{decisions:?}");
        let told = why(&db, &hub.site, &LINA.code(), friday(20, 0)).await.unwrap();
        assert_eq!(told.matches("it was copied").count(), 1, "{told}");
        assert!(told.contains("replay"), "{told}");
        let listed = hub.replays().await;
        assert_eq!(listed.len(), 1, "recorded once, however many events: {listed:?}");
        assert_eq!(listed[0][1..4], [LINA.code(), "lyon".to_owned(), "paris".to_owned()]);
        assert_eq!(store::replay::count(&db, friday(0, 0)).await.unwrap(), 1, "as the metrics say");
    })
    .await;
}

#[tokio::test]
async fn a_stay_that_was_flagged_triggers_no_later_offer_either_and_one_of_the_next_day_does() {
    both(async |db| {
        let mut hub = Hub::new(&db).await;
        // A number, so that an offer could be sent.
        let sealed = Keyring::from_secret(&[5; 32]).seal_number(LINA, "+33639980001");
        hub.sql("INSERT INTO destination (member, key, sealed, at) VALUES ($1, $2, $3, 0)", args![LINA.0, &[9; 32], sealed]).await;
        // Both gateways tell before a hub looks.
        let span = (friday(15, 0), friday(15, 0) + Duration::from_secs(10));
        hub.heard(7, "lyon", "enter", span, 0).await;
        hub.heard(7, "paris", "enter", span, 0).await;
        hub.work_at(friday(15, 1)).await;
        let replayed = Outcome::Refuse(Refusal::Replayed);
        assert_eq!(hub.decisions().await, [("lyon".to_owned(), replayed), ("paris".to_owned(), replayed)]);
        hub.stay(8, "lyon", friday(17, 0), 0).await;
        assert_eq!(hub.decisions().await.last(), Some(&("lyon".to_owned(), Outcome::Send)), "another stay, another id");
    })
    .await;
}

#[tokio::test]
async fn two_shops_of_a_mall_and_two_phones_of_one_member_are_no_replay() {
    both(async |db| {
        let mut hub = Hub::new(&db).await;
        hub.stay(7, "lyon", friday(15, 0), 0).await;
        hub.stay(7, "next-door", friday(15, 1), 0).await;
        hub.stay(8, "paris", friday(15, 3), 0).await;
        hub.work_at(friday(17, 0)).await;
        assert_eq!(hub.replays().await, Vec::<Vec<String>>::new());
        assert!(hub.visits().await.iter().all(|v| !v.proof.reasons.contains(&Reason::Replay)));
    })
    .await;
}

#[tokio::test]
async fn a_gateway_with_a_wrong_clock_is_no_replay() {
    both(async |db| {
        let mut hub = Hub::new(&db).await;
        // Twenty kilometres on, heard at the same minute by the word of a clock that was an hour off.
        hub.site.stores.get_mut(&store_id("paris")).unwrap().at = (5.0888, 45.7234).into();
        for worker in &mut hub.workers {
            worker.config = watch::channel(Arc::new(config(hub.site.clone()))).1;
        }
        hub.stay(7, "lyon", friday(15, 0), 0).await;
        hub.stay(7, "paris", friday(15, 1), 3_600_000).await;
        assert_eq!(hub.replays().await, Vec::<Vec<String>>::new());
        hub.stay(8, "lyon", friday(16, 0), 0).await;
        hub.stay(8, "paris", friday(16, 1), 0).await;
        assert_eq!(hub.replays().await.len(), 1, "with clocks that are right it is one");
    })
    .await;
}

#[tokio::test]
async fn who_does_not_allow_presence_any_more_is_heard_nowhere() {
    both(async |db| {
        let mut hub = Hub::new(&db).await;
        hub.stay(7, "lyon", friday(15, 0), 0).await;
        assert_eq!(hub.count("SELECT COUNT(*) FROM rid_heard").await, 1);
        hub.sql("UPDATE consent_now SET granted = 0 WHERE purpose = 'presence'", args![]).await;
        hub.stay(7, "lyon", friday(15, 4), 0).await;
        assert_eq!(hub.count("SELECT COUNT(*) FROM rid_heard").await, 0);
        assert_eq!(hub.count("SELECT COUNT(*) FROM event").await, 2, "those of before");
    })
    .await;
}

#[tokio::test]
async fn what_was_heard_is_forgotten_and_the_record_of_a_replay_stays() {
    both(async |db| {
        let mut hub = Hub::new(&db).await;
        hub.stay(7, "lyon", friday(15, 0), 0).await;
        hub.stay(7, "paris", friday(15, 5), 0).await;
        let mut tx = db.begin().await.unwrap();
        assert_eq!(store::replay::purge_heard(&mut tx, friday(15, 8)).await.unwrap(), 2);
        tx.commit().await.unwrap();
        assert_eq!(hub.replays().await.len(), 1, "the record stays");
    })
    .await;
}
