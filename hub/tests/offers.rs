//! From stored events to visits, decisions and planned messages, on both engines.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::sync::Arc;

use passage_config::Site;
use passage_hub::{
    args,
    identity::{IdentifierKind, Keyring, MemberId},
    notice::{Notices, What},
    offer::{Decision, Worker, why::why},
    store::{
        self, Db,
        work::{self, Todo, TodoKind},
    },
    visit::Visit,
};
use passage_protocol::{Clock, Millis};
use shop::{MIN, config, day_of_november, friday, site};
use support::both;
use tokio::sync::{Notify, broadcast, watch};

const COAT: MemberId = MemberId(0x12_3456_789A);
const OTHER: MemberId = MemberId(0x12_3456_789A + 64);

/// A hub with two members, of whom [`COAT`] looked at a coat on three days.
struct Hub {
    db: Db,
    clock: Clock,
    worker: Worker,
    lines: broadcast::Receiver<passage_hub::notice::Notice>,
    seq: i64,
}

impl Hub {
    async fn new(db: &Db, change: impl FnOnce(&mut Site)) -> Self {
        let mut site = site();
        change(&mut site);
        let clock = Clock::stepped(friday(15, 0));
        let notices = Notices::default();
        let lines = notices.listen();
        let worker = worker(db, site, &clock, notices);
        let hub = Self { db: db.clone(), clock, worker, lines, seq: 0 };
        for (member, number) in [(COAT, 1), (OTHER, 2)] {
            hub.member(member, number, &["presence", "sms", "match", "personalise"]).await;
        }
        for day in [12, 15, 18] {
            hub.look(day).await;
        }
        hub
    }

    async fn sql(&self, sql: &'static str, args: Vec<store::Value>) {
        self.db.execute(sql, args).await.unwrap();
    }

    async fn member(&self, member: MemberId, number: u8, purposes: &[&str]) {
        self.sql("INSERT INTO member (id, brand, created_at, version) VALUES ($1, 'maison', 0, 0)", args![member.0]).await;
        self.sql("INSERT INTO destination (member, key, sealed, at) VALUES ($1, $2, $2, 0)", args![member.0, [number; 32]]).await;
        for purpose in purposes {
            let sql = "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source) \
                       VALUES ($1, 'maison', 'maison-sas', $2, 1, 0, 'crm')";
            self.sql(sql, args![member.0, *purpose]).await;
        }
        let sql = "INSERT INTO identifier (kind, key, member, since) VALUES ($1, $2, $3, 0)";
        self.sql(sql, args![IdentifierKind::Cookie.word(), [number; 32], member.0]).await;
    }

    async fn withdraw(&self, member: MemberId, purpose: &str) {
        self.sql("UPDATE consent_now SET granted = 0 WHERE member = $1 AND purpose = $2", args![member.0, purpose]).await;
    }

    async fn look(&self, day: i64) {
        let sql = "INSERT INTO touchpoint (id, at, kind, campaign, sku, size, identifier_kind, identifier, received_at) \
                   VALUES ($1, $2, 'view', 'automne', 'coat-camel', '42', 'cookie', $3, 0)";
        self.sql(sql, args![format!("site/{day}"), day_of_november(day, 21, 0), [1_u8; 32]]).await;
    }

    /// Stores an event as ingest does, with its work.
    async fn event(&mut self, member: MemberId, zone: &str, phase: &str, first: Millis, last: Millis) -> String {
        self.event_in(if zone.starts_with("paris") { "paris" } else { "lyon" }, member, zone, phase, first, last).await
    }

    async fn event_in(&mut self, store: &str, member: MemberId, zone: &str, phase: &str, first: Millis, last: Millis) -> String {
        self.event_by("gw-1", store, (member, zone), phase, first, last).await
    }

    async fn event_by(
        &mut self,
        gateway: &str,
        store: &str,
        (member, zone): (MemberId, &str),
        phase: &str,
        first: Millis,
        last: Millis,
    ) -> String {
        self.seq += 1;
        let id = format!("event-{}", self.seq);
        let signal = if zone.contains('-') { "position" } else { "beacon" };
        let sql = "INSERT INTO event (id, gateway, epoch, seq, store, zone, subject_kind, signal, phase, at, at_corrected, first_at, last_at, \
                   strength, initial, late, received_at, member) \
                   VALUES ($1, $10, 'e', $2, $3, $4, 'rid', $5, $6, $7, $7, $8, $7, '\"app\"', 0, 0, $7, $9)";
        self.sql(sql, args![&id, self.seq, store, zone, signal, phase, last, first, member.0, gateway]).await;
        self.todo(Todo::new(member, last, TodoKind::Event, id.clone())).await;
        id
    }

    async fn todo(&self, todo: Todo) {
        let mut tx = self.db.begin().await.unwrap();
        work::put(&mut tx, &todo).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Moves the clock and works until nothing is due.
    async fn work_at(&mut self, now: Millis) {
        self.clock.set(now);
        while self.worker.step().await.unwrap() > 0 {}
        assert_eq!(work::due_count(&self.db, now).await.unwrap(), 0);
    }

    async fn visits(&self, member: MemberId) -> Vec<Visit> {
        let mut tx = self.db.begin_read().await.unwrap();
        store::visit::of_member(&mut tx, member).await.unwrap()
    }

    async fn decisions(&self, member: MemberId) -> Vec<Decision> {
        let mut tx = self.db.begin_read().await.unwrap();
        store::decision::of_member(&mut tx, member).await.unwrap()
    }

    /// Offer and result of each decision in order.
    async fn results(&self, member: MemberId) -> Vec<(String, &'static str)> {
        self.decisions(member).await.into_iter().map(|d| (d.offer, d.result.word())).collect()
    }

    async fn texts(&self) -> Vec<String> {
        let rows = self.db.fetch("SELECT text FROM message ORDER BY planned_at, id", args![]).await.unwrap();
        rows.iter().map(|r| r.text(0).unwrap()).collect()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
    }

    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.try_recv().ok()).map(|n| line(&n.what)).collect()
    }
}

fn worker(db: &Db, site: Site, clock: &Clock, notices: Notices) -> Worker {
    let (_, config) = watch::channel(Arc::new(config(site)));
    let keyring = Keyring::from_secret(&[5; 32]);
    Worker {
        db: db.clone(),
        keyring,
        config,
        clock: clock.clone(),
        notices,
        wake: Arc::new(Notify::new()),
        planned: Arc::new(Notify::new()),
    }
}

fn line(what: &What) -> String {
    match what {
        What::Entered(zone) => format!("entered {zone}"),
        What::VisitQualified => "qualified".to_owned(),
        What::VisitClosed(label) => format!("closed {label}"),
        What::VisitRevised(revision, because) => format!("revised {revision} {because}"),
        What::ExposureCredited(campaign) => format!("credited {campaign}"),
        What::OfferDecided(offer, result) => format!("{offer}: {result}"),
        other => format!("{other:?}"),
    }
}

fn pair(offer: &str, result: &'static str) -> (String, &'static str) {
    (offer.to_owned(), result)
}

#[tokio::test]
async fn she_enters_and_gets_the_coat_once_and_the_visit_is_credited_and_closed() {
    both(async |db| {
        let mut hub = Hub::new(&db, |_| ()).await;
        hub.look(19).await;
        let start = friday(15, 0);
        let replayed = hub.event(COAT, "in", "enter", start, start + std::time::Duration::from_secs(5)).await;
        hub.work_at(friday(15, 1)).await;
        let text = "Maison : votre manteau Élise vous attend en taille 42 à Lyon Bellecour. Venez l'essayer ! STOP au 36111";
        assert_eq!(hub.texts().await, [text]);
        assert_eq!(hub.results(COAT).await, [pair("coat", "send"), pair("welcome", "other-offer-won")]);
        let visit = hub.visits(COAT).await.remove(0);
        let decision = hub.decisions(COAT).await.remove(0);
        assert_eq!((decision.visit, decision.trigger.as_str(), decision.revision.as_str()), (Some(visit.id), "enter", "0123456789abcdef"));
        assert_eq!(hub.count("SELECT trigger_at FROM message").await, start.0 + 5000);
        assert_eq!(hub.count("SELECT deadline FROM message").await, start.0 + 5000 + 600_000);
        assert_eq!(hub.count("SELECT COUNT(*) FROM message m JOIN decision d ON d.id = m.decision AND d.result = 'send'").await, 1);

        // The same event again, as after a crash: nothing new.
        hub.todo(Todo::new(COAT, friday(15, 1), TodoKind::Event, replayed)).await;
        hub.event(COAT, "in", "dwell", start, friday(15, 2)).await;
        hub.event(COAT, "in", "exit", start, friday(15, 20)).await;
        hub.work_at(friday(15, 24)).await;
        hub.work_at(friday(15, 50)).await;
        assert_eq!(hub.decisions(COAT).await.len(), 2);
        let told = ["entered in", "coat: send", "welcome: other-offer-won", "qualified", "credited automne", "closed qualified"];
        assert_eq!(hub.told(), told);
        let visit = hub.visits(COAT).await.remove(0);
        assert_eq!((visit.start, visit.end, visit.dwell_ms, visit.open), (start, friday(15, 20), 20 * MIN, false));

        // A second visit on the same day has its decisions, and both refuse.
        hub.event(COAT, "in", "enter", friday(18, 0), friday(18, 0)).await;
        hub.work_at(friday(18, 0)).await;
        assert_eq!(hub.results(COAT).await[2..], [pair("coat", "cap-day"), pair("welcome", "cap-day")]);
        assert_eq!(hub.texts().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn segments_of_a_rotating_id_are_joined_into_one_visit_with_one_trigger() {
    both(async |db| {
        let mut hub = Hub::new(&db, |_| ()).await;
        for (phase, first, last) in
            [("enter", 0, 0), ("exit", 0, 14), ("enter", 15, 15), ("dwell", 15, 17), ("exit", 15, 29), ("enter", 30, 30)]
        {
            hub.event(COAT, "in", phase, friday(15, first), friday(15, last)).await;
            hub.work_at(friday(15, last)).await;
        }
        let visits = hub.visits(COAT).await;
        assert_eq!(visits.len(), 1);
        assert_eq!((visits[0].start, visits[0].end, visits[0].dwell_ms), (friday(15, 0), friday(15, 30), 30 * MIN));
        assert_eq!(hub.decisions(COAT).await.len(), 2, "one trigger, two offers");
        hub.work_at(friday(15, 59)).await;
        assert!(hub.visits(COAT).await[0].open);
        hub.work_at(friday(16, 0)).await;
        assert!(!hub.visits(COAT).await[0].open);
        assert_eq!(hub.count("SELECT COUNT(*) FROM todo").await, 0);
    })
    .await;
}

#[tokio::test]
async fn two_gateways_of_one_shop_make_one_visit_with_one_trigger_and_the_exit_at_one_does_not_end_it() {
    both(async |db| {
        let mut hub = Hub::new(&db, |_| ()).await;
        // Hours and minutes of the first and the last evidence. The second gateway hears her to the end, and speaks only at its dwell marks.
        for (gateway, phase, first, last, told_at) in [
            ("gw-1", "enter", (15, 0), (15, 0), (15, 0)),
            ("gw-2", "enter", (15, 1), (15, 1), (15, 1)),
            ("gw-1", "dwell", (15, 0), (15, 40), (15, 40)),
            ("gw-2", "dwell", (15, 1), (15, 41), (15, 41)),
            ("gw-1", "exit", (15, 0), (15, 42), (15, 45)),
        ] {
            let at = |(hour, minute)| friday(hour, minute);
            hub.event_by(gateway, "lyon", (COAT, "in"), phase, at(first), at(last)).await;
            hub.work_at(at(told_at)).await;
        }
        assert_eq!(hub.decisions(COAT).await.len(), 2, "one trigger, two offers");
        hub.work_at(friday(16, 20)).await;
        let visits = hub.visits(COAT).await;
        assert_eq!((visits.len(), visits[0].open), (1, true), "38 minutes after the exit at the first gateway");
        hub.event_by("gw-2", "lyon", (COAT, "in"), "dwell", friday(15, 1), friday(16, 21)).await;
        hub.work_at(friday(16, 21)).await;
        hub.event_by("gw-2", "lyon", (COAT, "in"), "exit", friday(15, 1), friday(16, 25)).await;
        hub.work_at(friday(16, 54)).await;
        assert!(hub.visits(COAT).await[0].open);
        hub.work_at(friday(16, 55)).await;
        let visits = hub.visits(COAT).await;
        assert_eq!((visits.len(), visits[0].start, visits[0].end, visits[0].open), (1, friday(15, 0), friday(16, 25), false));
        assert_eq!(visits[0].dwell_ms, 85 * MIN, "what both heard counts once");
        assert_eq!(hub.decisions(COAT).await.len(), 2, "still the one trigger");
        let told = hub.told();
        let count = |what: &str| told.iter().filter(|line| line.starts_with(what)).count();
        assert_eq!((count("entered"), count("closed")), (1, 1), "{told:?}");
        assert_eq!(hub.count("SELECT COUNT(*) FROM todo").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_dies_in_the_middle_of_a_visit_does_not_keep_it_open_for_ever() {
    both(async |db| {
        let mut hub = Hub::new(&db, |_| ()).await;
        hub.event(COAT, "in", "enter", friday(15, 0), friday(15, 0)).await;
        hub.event(COAT, "in", "dwell", friday(15, 0), friday(15, 40)).await;
        hub.work_at(friday(16, 24)).await;
        assert!(hub.visits(COAT).await[0].open, "the next dwell mark is due at 16:20");
        hub.work_at(friday(16, 25)).await;
        let visits = hub.visits(COAT).await;
        assert_eq!((visits[0].open, visits[0].end), (false, friday(15, 40)));
    })
    .await;
}

#[tokio::test]
async fn who_left_one_gateway_is_not_leaving_while_another_of_the_shop_hears_her() {
    both(async |db| {
        let dwell = passage_config::Trigger::Dwell(std::time::Duration::from_secs(180));
        let mut hub = Hub::new(&db, |site| site.offers = [("stay".to_owned(), shop::offer("stay", dwell, 1, "{{ stop }}"))].into()).await;
        for member in [COAT, OTHER] {
            hub.event(member, "in", "enter", friday(15, 0), friday(15, 0)).await;
        }
        hub.event_by("gw-2", "lyon", (COAT, "in"), "enter", friday(15, 1), friday(15, 1)).await;
        for member in [COAT, OTHER] {
            hub.event(member, "in", "exit", friday(15, 0), friday(15, 3)).await;
        }
        hub.work_at(friday(15, 3)).await;
        assert_eq!(hub.results(COAT).await, [pair("stay", "send")]);
        assert_eq!(hub.results(OTHER).await, [pair("stay", "left")]);
    })
    .await;
}

#[tokio::test]
async fn who_stays_in_front_is_a_passer_by_and_gets_nothing() {
    both(async |db| {
        let mut hub = Hub::new(&db, |_| ()).await;
        hub.event(COAT, "front", "enter", friday(15, 0), friday(15, 0)).await;
        hub.event(COAT, "front", "exit", friday(15, 0), friday(15, 12)).await;
        hub.work_at(friday(15, 13)).await;
        hub.work_at(friday(15, 42)).await;
        let visits = hub.visits(COAT).await;
        assert_eq!(visits.iter().map(|v| (v.label.word(), v.dwell_ms, v.open)).collect::<Vec<_>>(), [("passer-by", 0, false)]);
        assert!(hub.decisions(COAT).await.is_empty());
        assert_eq!(hub.told(), ["entered front", "closed passer-by"]);
    })
    .await;
}

#[tokio::test]
async fn who_passes_near_the_shop_after_an_exposure_is_invited_and_who_saw_nothing_is_not() {
    both(async |db| {
        let mut hub = Hub::new(&db, |_| ()).await;
        for member in [COAT, OTHER] {
            hub.event(member, "paris-around", "enter", friday(15, 0), friday(15, 0)).await;
        }
        hub.work_at(friday(15, 0)).await;
        assert_eq!(hub.texts().await, ["Maison : on vous attend à Paris Marais. STOP au 36111"]);
        assert_eq!(hub.count("SELECT COUNT(*) FROM message WHERE visit IS NULL").await, 1);
        assert_eq!(hub.results(COAT).await, [pair("passing", "send")]);
        assert_eq!(hub.results(OTHER).await, [pair("passing", "not-exposed")]);
    })
    .await;
}

#[tokio::test]
async fn a_member_who_is_held_out_has_a_decision_and_no_message() {
    both(async |db| {
        let mut hub = Hub::new(&db, |site| {
            site.offers.retain(|id, _| id == "coat");
            site.offers.get_mut("coat").unwrap().holdout = 1.0;
        })
        .await;
        hub.event(COAT, "in", "enter", friday(15, 0), friday(15, 0)).await;
        hub.work_at(friday(15, 0)).await;
        assert_eq!(hub.results(COAT).await, [pair("coat", "held-out")]);
        assert!(hub.texts().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_offer_on_dwell_fires_when_the_evidence_reaches_it_and_stale_evidence_is_refused() {
    both(async |db| {
        let dwell = passage_config::Trigger::Dwell(std::time::Duration::from_secs(180));
        let mut hub = Hub::new(&db, |site| site.offers = [("stay".to_owned(), shop::offer("stay", dwell, 1, "{{ stop }}"))].into()).await;
        for member in [COAT, OTHER] {
            hub.event(member, "in", "enter", friday(15, 0), friday(15, 0)).await;
        }
        hub.work_at(friday(15, 2)).await;
        assert!(hub.decisions(COAT).await.is_empty());
        hub.event(COAT, "in", "dwell", friday(15, 0), friday(15, 3)).await;
        hub.work_at(friday(15, 3)).await;
        assert_eq!(hub.results(COAT).await, [pair("stay", "send")]);
        hub.event(OTHER, "in", "dwell", friday(15, 0), friday(15, 3)).await;
        hub.work_at(friday(15, 10)).await;
        assert_eq!(hub.results(OTHER).await, [pair("stay", "stale-evidence")]);
    })
    .await;
}

#[tokio::test]
async fn without_presence_nothing_at_all_is_written_about_a_member() {
    both(async |db| {
        let mut hub = Hub::new(&db, |_| ()).await;
        hub.withdraw(COAT, "presence").await;
        hub.event(COAT, "in", "enter", friday(15, 0), friday(15, 0)).await;
        hub.work_at(friday(15, 0)).await;
        assert!(hub.visits(COAT).await.is_empty() && hub.decisions(COAT).await.is_empty());
        assert_eq!(hub.count("SELECT COUNT(*) FROM event").await, 0, "an event that was resolved before she withdrew is deleted");
        assert!(hub.told().is_empty());

        // Withdrawn in the middle of a visit: nothing is added to it, and it closes.
        hub.event(OTHER, "in", "enter", friday(15, 0), friday(15, 0)).await;
        hub.work_at(friday(15, 0)).await;
        hub.withdraw(OTHER, "presence").await;
        hub.event(OTHER, "in", "dwell", friday(15, 0), friday(15, 5)).await;
        hub.work_at(friday(15, 5)).await;
        hub.work_at(friday(15, 30)).await;
        let visit = hub.visits(OTHER).await.remove(0);
        assert_eq!((visit.dwell_ms, visit.open), (0, false));
    })
    .await;
}

#[tokio::test]
async fn without_match_the_visit_stands_alone() {
    both(async |db| {
        let mut hub = Hub::new(&db, |_| ()).await;
        hub.withdraw(COAT, "match").await;
        hub.event(COAT, "in", "enter", friday(15, 0), friday(15, 0)).await;
        hub.event(COAT, "in", "dwell", friday(15, 0), friday(15, 2)).await;
        hub.work_at(friday(15, 2)).await;
        assert_eq!(hub.results(COAT).await, [pair("coat", "no-match-consent"), pair("welcome", "send")]);
        assert!(!hub.told().iter().any(|l| l.starts_with("credited")));
    })
    .await;
}

#[tokio::test]
async fn evidence_that_comes_late_joins_two_visits_and_what_named_the_second_names_the_first() {
    both(async |db| {
        let mut hub = Hub::new(&db, |site| site.offers.retain(|id, _| id == "welcome")).await;
        hub.event(COAT, "in", "exit", friday(14, 0), friday(14, 10)).await;
        hub.event(COAT, "in", "enter", friday(15, 0), friday(15, 0)).await;
        hub.work_at(friday(15, 0)).await;
        assert_eq!(hub.visits(COAT).await.len(), 2);
        hub.event(COAT, "in", "exit", friday(14, 30), friday(14, 40)).await;
        hub.work_at(friday(15, 1)).await;
        let visits = hub.visits(COAT).await;
        assert_eq!(visits.len(), 1);
        assert_eq!((visits[0].start, visits[0].end, visits[0].dwell_ms), (friday(14, 0), friday(15, 0), 20 * MIN));
        assert!(hub.decisions(COAT).await.iter().all(|d| d.visit == Some(visits[0].id)));
        let messages = hub.db.fetch("SELECT visit FROM message", args![]).await.unwrap();
        assert_eq!(messages[0].text(0).unwrap(), visits[0].id.to_string());
        hub.work_at(friday(15, 40)).await;
        assert_eq!(hub.count("SELECT COUNT(*) FROM todo").await, 0);
    })
    .await;
}

#[tokio::test]
async fn work_that_fails_even_alone_is_parked_and_what_shares_its_shard_goes_on() {
    both(async |db| {
        let mut hub = Hub::new(&db, |_| ()).await;
        assert_eq!(COAT.shard(), OTHER.shard());
        hub.event(COAT, "in", "enter", friday(14, 50), friday(14, 50)).await;
        hub.work_at(friday(14, 51)).await;
        hub.sql("UPDATE visit SET state = 'broken'", args![]).await;
        hub.event(COAT, "in", "dwell", friday(14, 50), friday(15, 0)).await;
        hub.event(OTHER, "in", "enter", friday(15, 0), friday(15, 0)).await;
        hub.event_in("closed-down", OTHER, "in", "enter", friday(15, 0), friday(15, 0)).await;
        hub.work_at(friday(15, 0)).await;
        assert_eq!(hub.results(OTHER).await.len(), 2);
        let parked = hub.db.fetch("SELECT ref, reason FROM parked_work ORDER BY ref", args![]).await.unwrap();
        let parked: Vec<(String, String)> = parked.iter().map(|r| (r.text(0).unwrap(), r.text(1).unwrap())).collect();
        assert_eq!(parked.len(), 2);
        assert_eq!(parked[0], ("event-2".to_owned(), "the database holds an unreadable visit state".to_owned()));
        assert!(parked[1].1.contains("no store 'closed-down'"), "{parked:?}");
    })
    .await;
}

#[tokio::test]
async fn two_workers_on_one_database_do_everything_once() {
    both(async |db| {
        let mut hub = Hub::new(&db, |site| site.offers.retain(|id, _| id == "welcome")).await;
        let members: Vec<MemberId> = (1..=60).map(MemberId).collect();
        for member in &members {
            hub.member(*member, u8::try_from(member.0).unwrap() + 10, &["presence", "sms"]).await;
            hub.event(*member, "in", "enter", friday(15, 0), friday(15, 0)).await;
            hub.event(*member, "in", "dwell", friday(15, 0), friday(15, 2)).await;
        }
        hub.clock.set(friday(15, 2));
        let second = worker(&db, site(), &hub.clock, Notices::default());
        // Either may find a shard taken, so both look again.
        for _ in 0..3 {
            let (a, b) = tokio::join!(hub.worker.step(), second.step());
            assert!(a.is_ok() && b.is_ok());
        }
        hub.work_at(friday(15, 2)).await;
        assert_eq!(hub.count("SELECT COUNT(*) FROM visit").await, 60);
        assert_eq!(hub.count("SELECT COUNT(*) FROM message WHERE offer = 'welcome'").await, 60);
    })
    .await;
}

#[tokio::test]
async fn why_tells_the_visits_and_every_check_in_plain_words() {
    both(async |db| {
        let mut hub = Hub::new(&db, |_| ()).await;
        hub.withdraw(COAT, "personalise").await;
        hub.event(COAT, "in", "enter", friday(15, 0), friday(15, 0)).await;
        hub.work_at(friday(15, 0)).await;
        let visit = hub.visits(COAT).await.remove(0);
        let site = site();
        let answer = why(&hub.db, &site, &COAT.code(), friday(20, 0)).await.unwrap();
        for part in [
            format!("Member {}", COAT.code()),
            format!("Visit {} in lyon: 2026-11-20 15:00:00", visit.id),
            "offer coat on enter: not sent: no-personalise-consent (configuration 01234567)".to_owned(),
            "NO no-personalise-consent no consent to products in offers".to_owned(),
            "offer welcome on enter: sent".to_owned(),
        ] {
            assert!(answer.contains(&part), "{part}\n{answer}");
        }
        assert_eq!(why(&hub.db, &site, &visit.id.to_string(), friday(20, 0)).await.unwrap(), answer);
        assert!(why(&hub.db, &site, &OTHER.code(), friday(20, 0)).await.unwrap().contains("Nothing is recorded"));
        assert!(why(&hub.db, &site, "Madame X", friday(20, 0)).await.unwrap_err().to_string().contains("neither a member code"));
    })
    .await;
}
