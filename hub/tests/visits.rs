//! What makes a visit besides the gateways, what is known of a member in a store, and what is told again, on both engines.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{sync::Arc, time::Duration};

use passage_config::Site;
use passage_hub::{
    args,
    identity::{IdentifierKind, Key, Keyring, MemberId},
    notice::{Notices, What},
    offer::{Worker, why::why},
    store::{
        self, Db, counter,
        work::{self, Todo, TodoKind},
    },
    touchpoint::{TouchKind, Touchpoint, till::import_tills},
    visit::{Kind, Label, Reason, RevisedBecause, Visit},
};
use passage_protocol::{Clock, Millis};
use shop::{config, day_of_november, friday, site, store_id};
use support::both;
use tokio::sync::{Notify, broadcast, watch};

const LINA: MemberId = MemberId(0x12_3456_789A);
const CARD: &str = "3016570001234";

/// A hub with one member, who has a loyalty card.
struct Hub {
    db: Db,
    site: Site,
    clock: Clock,
    worker: Worker,
    lines: broadcast::Receiver<passage_hub::notice::Notice>,
    keyring: Keyring,
    seq: i64,
}

impl Hub {
    async fn new(db: &Db, purposes: &[&str], change: impl FnOnce(&mut Site)) -> Self {
        let mut site = site();
        change(&mut site);
        let (clock, notices, keyring) = (Clock::stepped(friday(9, 0)), Notices::default(), Keyring::from_secret(&[5; 32]));
        let lines = notices.listen();
        let worker = Worker {
            db: db.clone(),
            keyring: keyring.clone(),
            config: watch::channel(Arc::new(config(site.clone()))).1,
            clock: clock.clone(),
            notices,
            wake: Arc::new(Notify::new()),
            planned: Arc::new(Notify::new()),
        };
        let hub = Self { db: db.clone(), site, clock, worker, lines, keyring, seq: 0 };
        hub.sql("INSERT INTO member (id, brand, created_at, version) VALUES ($1, 'maison', 0, 0)", args![LINA.0]).await;
        for purpose in purposes {
            let sql = "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source) \
                       VALUES ($1, 'maison', 'maison-sas', $2, 1, 0, 'crm')";
            hub.sql(sql, args![LINA.0, *purpose]).await;
        }
        hub
    }

    async fn sql(&self, sql: &'static str, args: Vec<store::Value>) {
        self.db.execute(sql, args).await.unwrap();
    }

    fn card(&self) -> Key {
        self.keyring.identifier(IdentifierKind::LoyaltyCard, CARD)
    }

    /// The card is hers.
    async fn link_card(&self) {
        let sql = "INSERT INTO identifier (kind, key, member, since) VALUES ($1, $2, $3, 0)";
        self.sql(sql, args![IdentifierKind::LoyaltyCard.word(), self.card().0, LINA.0]).await;
    }

    async fn ticket(&self, number: &str, at: &str) {
        let file = format!("ticket,store,at,identifier_kind,identifier,sku,cents\n{number},lyon,{at},loyalty_card,{CARD},coat,100\n");
        let now = self.clock.now();
        let report = import_tills(&self.db, &self.keyring, "FR", &self.site, file.as_bytes(), now).await.unwrap();
        assert_eq!(report.stored, 1);
    }

    async fn touch(&self, kind: TouchKind, at: Millis) {
        let mut touch = Touchpoint {
            id: format!("crm/{at}"),
            at,
            kind,
            campaign: None,
            channel: None,
            sku: None,
            size: None,
            identifier_kind: IdentifierKind::LoyaltyCard,
            identifier: self.card(),
            detail: Default::default(),
        };
        touch.detail.store = Some("lyon".to_owned());
        let mut tx = self.db.begin().await.unwrap();
        store::touchpoint::insert(&mut tx, &[touch], self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn event(&mut self, store: &str, phase: &str, first: Millis, last: Millis) {
        self.seq += 1;
        let id = format!("event-{}", self.seq);
        let sql = "INSERT INTO event (id, gateway, epoch, seq, store, zone, subject_kind, signal, phase, at, at_corrected, first_at, last_at, \
                   strength, initial, late, received_at, member) \
                   VALUES ($1, 'gw-1', 'e', $2, $3, 'in', 'rid', 'beacon', $4, $5, $5, $6, $5, '{\"radio\":{\"rssi\":-60,\"count\":9}}', 0, 0, $5, $7)";
        self.sql(sql, args![&id, self.seq, store, phase, last, first, LINA.0]).await;
        let mut tx = self.db.begin().await.unwrap();
        work::put(&mut tx, &Todo::new(LINA, last, TodoKind::Event, id)).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A whole stay, heard from its first to its last moment, and the hour after it.
    async fn stay(&mut self, store: &str, from: Millis, to: Millis) {
        self.event(store, "enter", from, from + Duration::from_secs(5)).await;
        self.event(store, "dwell", from, from + Duration::from_secs(120)).await;
        self.event(store, "exit", from, to).await;
        self.work_at(to + Duration::from_secs(3600)).await;
    }

    async fn work_at(&mut self, now: Millis) {
        self.clock.set(now);
        while self.worker.step().await.unwrap() > 0 {}
    }

    async fn visits(&self) -> Vec<Visit> {
        let mut tx = self.db.begin_read().await.unwrap();
        store::visit::of_member(&mut tx, LINA).await.unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
    }

    fn revisions(&mut self) -> Vec<(u32, &'static str)> {
        let all = std::iter::from_fn(|| self.lines.try_recv().ok());
        all.filter_map(|n| if let What::VisitRevised(n, because) = n.what { Some((n, because)) } else { None }).collect()
    }
}

const ALL: [&str; 2] = ["presence", "match"];

#[tokio::test]
async fn a_ticket_with_her_card_is_a_visit_and_joins_what_the_radio_heard() {
    both(async |db| {
        let mut hub = Hub::new(&db, &ALL, |_| ()).await;
        hub.link_card().await;
        hub.ticket("1", "2026-11-20T15:30:00").await;
        hub.work_at(friday(16, 30)).await;
        let visits = hub.visits().await;
        assert_eq!(visits.len(), 1);
        assert_eq!((visits[0].start, visits[0].label, &visits[0].proof.kinds[..]), (friday(15, 30), Label::Qualified, &[Kind::Till][..]));
        // The gateway's line was cut; its events come now.
        hub.stay("lyon", friday(15, 10), friday(15, 29)).await;
        let visits = hub.visits().await;
        assert_eq!(visits.len(), 1);
        assert_eq!((visits[0].start, visits[0].end), (friday(15, 10), friday(15, 30)));
        assert_eq!((&visits[0].proof.kinds[..], visits[0].proof.confidence.word()), (&[Kind::Beacon, Kind::Till][..], "high"));
        assert_eq!((visits[0].proof.revision, visits[0].proof.revised), (1, Some(RevisedBecause::LateEvidence)));
        assert_eq!(hub.revisions(), [(1, "late-evidence")], "told once");
    })
    .await;
}

#[tokio::test]
async fn a_pickup_is_a_visit_of_its_own_kind_and_so_is_trying_on_while_a_look_at_a_page_is_none() {
    both(async |db| {
        let mut hub = Hub::new(&db, &ALL, |_| ()).await;
        hub.link_card().await;
        hub.touch(TouchKind::Pickup, friday(11, 0)).await;
        hub.touch(TouchKind::Fitting, friday(14, 0)).await;
        hub.touch(TouchKind::View, friday(17, 0)).await;
        hub.work_at(friday(18, 0)).await;
        let kinds: Vec<Vec<Kind>> = hub.visits().await.into_iter().map(|v| v.proof.kinds).collect();
        assert_eq!(kinds, [vec![Kind::Pickup], vec![Kind::Fitting]]);
        assert_eq!(hub.count("SELECT COUNT(*) FROM counter_moment").await, 0, "what was taken is gone");
    })
    .await;
}

#[tokio::test]
async fn a_card_that_turns_out_to_be_hers_gives_her_the_visit_afterwards() {
    both(async |db| {
        let mut hub = Hub::new(&db, &ALL, |_| ()).await;
        hub.ticket("1", "2026-11-20T15:30:00").await;
        hub.work_at(friday(16, 30)).await;
        assert!(hub.visits().await.is_empty());
        hub.link_card().await;
        let mut tx = hub.db.begin().await.unwrap();
        assert_eq!(counter::assign(&mut tx, friday(18, 0)).await.unwrap(), 1);
        tx.commit().await.unwrap();
        hub.work_at(friday(18, 0)).await;
        assert_eq!(hub.visits().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn without_match_a_ticket_says_nothing_of_her_visits() {
    both(async |db| {
        let mut hub = Hub::new(&db, &["presence"], |_| ()).await;
        hub.link_card().await;
        hub.ticket("1", "2026-11-20T15:30:00").await;
        hub.work_at(friday(18, 0)).await;
        assert!(hub.visits().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn who_works_there_is_learned_from_a_week_and_only_the_label_is_kept() {
    both(async |db| {
        let mut hub = Hub::new(&db, &ALL, |_| ()).await;
        for day in [16, 17, 18] {
            hub.stay("lyon", day_of_november(day, 10, 30), day_of_november(day, 14, 0)).await;
        }
        let labels: Vec<Label> = hub.visits().await.into_iter().map(|v| v.label).collect();
        assert_eq!(labels, [Label::Staff; 3], "the days before count as well");
        assert!(hub.visits().await.iter().all(|v| v.proof.reasons == [Reason::StaffLearned]));
        assert_eq!(hub.revisions(), [(1, "regular"); 3]);
        assert_eq!(hub.count("SELECT COUNT(*) FROM regular").await, 1);
        hub.stay("lyon", day_of_november(19, 11, 0), day_of_november(19, 11, 20)).await;
        assert_eq!(hub.visits().await[3].label, Label::Staff, "and the label holds");
        hub.stay("paris", day_of_november(20, 15, 0), day_of_november(20, 15, 20)).await;
        assert_eq!(hub.visits().await[4].label, Label::Qualified, "in that store alone");
        let told = why(&hub.db, &hub.site, &LINA.code(), day_of_november(23, 16, 0)).await.unwrap();
        assert!(told.contains("Qualified visits: 1, the last one on 2026-11-20 15:00:00 in paris, 3 days ago"), "{told}");
        assert!(told.contains("not qualified because staff-learned") && told.contains("revision 1 because of regular"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn how_often_she_came_and_when_the_last_time_counts_visits_alone() {
    both(async |db| {
        let mut hub = Hub::new(&db, &ALL, |_| ()).await;
        for (store, day) in [("lyon", 12), ("paris", 14), ("lyon", 18)] {
            hub.stay(store, day_of_november(day, 11, 0), day_of_november(day, 11, 20)).await;
        }
        for (store, day) in [("lyon", 17), ("paris", 19)] {
            let (from, to) = (day_of_november(day, 11, 0), day_of_november(day, 11, 1));
            hub.event(store, "enter", from, from).await;
            hub.event(store, "exit", from, to).await;
            hub.work_at(to + Duration::from_secs(3600)).await;
        }
        let told = why(&hub.db, &hub.site, &LINA.code(), day_of_november(22, 12, 0)).await.unwrap();
        assert!(told.contains("Qualified visits: 3, the last one on 2026-11-18 11:00:00 in lyon, 4 days ago"), "{told}");
        assert_eq!(told.matches("passer-by").count(), 2, "who only passed did not come: {told}");
    })
    .await;
}

#[tokio::test]
async fn who_is_on_the_list_of_staff_has_no_visit() {
    both(async |db| {
        let listed = |site: &mut Site| {
            site.staff.insert(store_id("lyon"), [LINA.code()].into());
        };
        let mut hub = Hub::new(&db, &ALL, listed).await;
        hub.stay("lyon", friday(11, 0), friday(11, 20)).await;
        let visits = hub.visits().await;
        assert_eq!((visits[0].label, &visits[0].proof.reasons[..]), (Label::Staff, &[Reason::StaffListed][..]));
        assert!(hub.revisions().is_empty());
    })
    .await;
}

#[tokio::test]
async fn nobody_is_in_lyon_and_in_paris_at_once() {
    both(async |db| {
        let apart = |site: &mut Site| {
            if let Some(store) = site.stores.get_mut(&store_id("paris")) {
                store.at = (2.33, 48.87).into();
            }
        };
        let mut hub = Hub::new(&db, &ALL, apart).await;
        hub.stay("lyon", friday(11, 0), friday(11, 20)).await;
        assert_eq!(hub.visits().await[0].label, Label::Qualified);
        // A copied id, heard in the other town twenty minutes later.
        hub.stay("paris", friday(11, 40), friday(11, 50)).await;
        let visits = hub.visits().await;
        assert!(visits.iter().all(|v| v.label == Label::Suspect && v.proof.reasons == [Reason::Teleport]), "{visits:?}");
        assert!(visits.iter().any(|v| v.proof.revised == Some(RevisedBecause::Contradiction)), "the first was closed before");
    })
    .await;
}
