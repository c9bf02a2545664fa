//! Members of whom nothing was heard for three years, and cookies that nobody logged in with for thirteen months, are forgotten; what counts as having
//! been heard of; and what the report says of it.

use std::{sync::Arc, time::Duration};

use passage_hub::{
    args,
    identity::{IdentifierKind, MemberId, graph::Rules, import::import_crm},
    ingest::{Parked, Resolve, Who},
    privacy::erase::restrict,
    retention::Retention,
    store::{
        Db, StoreError,
        people::{
            self,
            graph::{self, Claim},
            ledger,
        },
        retention::counts,
    },
    touchpoint::import::import_touchpoints,
};
use passage_protocol::{Clock, Millis, StoreId, Subject};
use tokio::sync::{Notify, watch};

use crate::{
    rights::{keyring, member},
    shop::{config, friday, site},
    support::both,
};

fn day(n: u64) -> Millis {
    friday(9, 0) + Duration::from_secs(n * 86_400)
}

async fn forget(db: &Db, now: Millis) -> Vec<(&'static str, u64)> {
    let (_keep, config) = watch::channel(Arc::new(config(site())));
    Retention { db: db.clone(), config, clock: Clock::stepped(now) }.step().await.unwrap()
}

fn told(forgotten: &[(&'static str, u64)], what: &str) -> Option<u64> {
    forgotten.iter().find(|(name, _)| *name == what).map(|(_, rows)| *rows)
}

async fn who_is_left(db: &Db, of: u32) -> Vec<u32> {
    let mut left = Vec::new();
    for n in 1..=of {
        if member(db, &keyring(), &format!("C-{n}")).await.is_some() {
            left.push(n);
        }
    }
    left
}

fn file(of: u32, when: &str) -> String {
    let line = |n: u32| format!("C-{n},person-{n}@example.fr,06 39 98 00 {n:02},L-{n},maison,maison-sas,{when},yes\n");
    format!("crm_id,email,phone,loyalty_card,brand,entity,match,sms\n{}", (1..=of).map(line).collect::<String>())
}

async fn read_crm(db: &Db, file: &str, at: Millis) {
    import_crm(db, &keyring(), &config(site()), file.as_bytes(), at).await.unwrap();
}

async fn touch(db: &Db, kind: &str, person: u32, at: &str) {
    let file = format!("at,kind,identifier_kind,identifier,key\n{at},{kind},email,person-{person}@example.fr,{kind}-{person}\n");
    let report = import_touchpoints(db, &keyring(), &config(site()), "csv", file.as_bytes(), day(400)).await.unwrap();
    assert_eq!(report.stored, 1, "{report}");
}

async fn log_in(db: &Db, cookie: &str, who: MemberId, at: Millis) {
    let rules = Rules::of(&config(site()), &keyring());
    let key = keyring().identifier(IdentifierKind::Cookie, cookie);
    let mut tx = db.begin().await.unwrap();
    people::changes(&mut tx).await.unwrap();
    let claim = Claim { kind: IdentifierKind::Cookie, key, member: who, source: "site", reason: "login", context: "", variant: None, at };
    graph::claim(&mut tx, &rules, &claim).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn after_three_years_without_a_sign_of_her_own_a_member_is_forgotten() {
    both(async |db| {
        read_crm(&db, &file(7, "yes"), day(0)).await;
        // 400 days later: one clicks, one only gets a mail that her program opens, one buys with her card, one answers an SMS, one logs in.
        touch(&db, "click", 2, "2027-12-25T10:00:00+01:00").await;
        touch(&db, "open", 3, "2027-12-25T10:00:00+01:00").await;
        let card = keyring().identifier(IdentifierKind::LoyaltyCard, "L4");
        let bought = "INSERT INTO purchase (store, ticket, at, identifier_kind, identifier, received_at) VALUES ('s', 't', $1, 'loyalty_card', $2, $1)";
        db.execute(bought, args![day(400), &card.0]).await.unwrap();
        let number = keyring().identifier(IdentifierKind::Phone, "+33639980005");
        let answered = "INSERT INTO inbound (id, destination, number, verb, at) VALUES ('in', $1, '36111', 'other', $2)";
        db.execute(answered, args![&number.0, day(400)]).await.unwrap();
        log_in(&db, "maison.example/abc", member(&db, &keyring(), "C-6").await.unwrap(), day(400)).await;
        // And one asked that what is known of her is kept, because she disputes it.
        let disputes = member(&db, &keyring(), "C-7").await.unwrap();
        assert!(restrict(&db, disputes, Some("disputes her visits"), day(400)).await.unwrap());

        assert_eq!(told(&forget(&db, day(800)).await, "members without activity"), Some(0));
        let rows = "SELECT (SELECT COUNT(*) FROM touchpoint) + (SELECT COUNT(*) FROM purchase) + (SELECT COUNT(*) FROM inbound)";
        assert_eq!(db.fetch(rows, args![]).await.unwrap()[0].int(0).unwrap(), 0, "what told of her went before her time was over");
        // A file that names them again is no sign of theirs.
        read_crm(&db, &file(7, "yes"), day(1090)).await;
        assert_eq!(told(&forget(&db, day(1096)).await, "members without activity"), Some(0));
        let report = forget(&db, day(1097)).await;
        assert_eq!(told(&report, "members without activity"), Some(2));
        assert_eq!(who_is_left(&db, 7).await, [2, 4, 5, 6, 7]);

        let left = "SELECT (SELECT COUNT(*) FROM link WHERE member NOT IN (SELECT id FROM member)) \
                    + (SELECT COUNT(*) FROM identifier WHERE member NOT IN (SELECT id FROM member)) \
                    + (SELECT COUNT(*) FROM consent_now WHERE member NOT IN (SELECT id FROM member)) + (SELECT COUNT(*) FROM suppression)";
        assert_eq!(db.fetch(left, args![]).await.unwrap()[0].int(0).unwrap(), 0, "her keys and links go with her, and nobody stopped anything");
        assert!(ledger::verify(&mut db.begin_read().await.unwrap()).await.unwrap().iter().all(|chain| chain.broken.is_empty()));

        // Last night's file does not bring her back, a later word of hers does.
        read_crm(&db, &file(7, "yes"), day(1098)).await;
        assert_eq!(who_is_left(&db, 7).await, [2, 4, 5, 6, 7]);
        read_crm(&db, &file(1, "2029-11-30"), day(1200)).await;
        assert_eq!(who_is_left(&db, 1).await, [1]);
        // The others have three years from what they did; who is kept by her own wish stays.
        assert_eq!(told(&forget(&db, day(400 + 1098)).await, "members without activity"), Some(4));
        assert_eq!(who_is_left(&db, 7).await, [1, 7]);
        let days = counts(&db, 400).await.unwrap();
        let kept: i64 = days.iter().filter(|(_, what, _)| what == "members without activity").map(|(_, _, n)| n).sum();
        assert_eq!(kept, 6, "the report adds up");
    })
    .await;
}

#[tokio::test]
async fn whose_a_cookie_was_is_forgotten_thirteen_months_after_the_last_login_with_it() {
    both(async |db| {
        read_crm(&db, &file(2, "yes"), day(0)).await;
        let (one, other) = (member(&db, &keyring(), "C-1").await.unwrap(), member(&db, &keyring(), "C-2").await.unwrap());
        log_in(&db, "maison.example/left", one, day(0)).await;
        log_in(&db, "maison.example/used", one, day(0)).await;
        log_in(&db, "maison.example/used", one, day(300)).await;
        // Hers, and then somebody else's who still uses it.
        log_in(&db, "maison.example/handed-on", one, day(1)).await;
        log_in(&db, "maison.example/handed-on", other, day(300)).await;
        let held = async || {
            let sql = "SELECT (SELECT COUNT(*) FROM identifier WHERE kind = 'cookie'), (SELECT COUNT(*) FROM link WHERE kind = 'cookie'), \
                       (SELECT COUNT(*) FROM former_holder)";
            let row = db.fetch(sql, args![]).await.unwrap().remove(0);
            [row.int(0).unwrap(), row.int(1).unwrap(), row.int(2).unwrap()]
        };
        assert_eq!(held().await, [3, 4, 1]);
        assert_eq!(told(&forget(&db, day(395)).await, "links of cookies"), Some(0));
        let report = forget(&db, day(398)).await;
        assert_eq!((told(&report, "cookies"), told(&report, "links of cookies")), (Some(1), Some(2)));
        assert_eq!(held().await, [2, 2, 0]);
        let key = keyring().identifier(IdentifierKind::Cookie, "maison.example/handed-on");
        let holder = graph::holder(&mut db.begin_read().await.unwrap(), IdentifierKind::Cookie, &key).await.unwrap();
        assert_eq!(holder, Some(other));
        forget(&db, day(700)).await;
        assert_eq!(held().await, [0, 0, 0]);
        assert_eq!(who_is_left(&db, 2).await, [1, 2], "the members are not the cookies");
    })
    .await;
}

/// Nobody is known.
struct Nobody;

#[async_trait::async_trait]
impl Resolve for Nobody {
    fn who(&self, _: &Subject, _: Millis, _: &StoreId) -> Who {
        Who::Unknown
    }

    async fn refresh(&self, _: &Db, _: Millis) -> Result<bool, StoreError> {
        Ok(false)
    }
}

#[tokio::test]
async fn what_waited_48_hours_for_somebody_is_counted_when_it_goes() {
    both(async |db| {
        let event = "INSERT INTO event (id, gateway, epoch, seq, store, zone, subject_kind, signal, phase, at, at_corrected, first_at, last_at, \
                     strength, initial, late, received_at, subject) VALUES ('old', 'g', 'e', 1, 'lyon', 'in', 'installation', 'app', 'enter', $1, \
                     $1, $1, $1, '{}', 0, 0, $1, '{\"installation\":\"i-00000000000000000000000000000001\"}')";
        db.execute(event, args![day(0)]).await.unwrap();
        for (id, at) in [("old", day(0)), ("new", day(2))] {
            let payload = "INSERT INTO quarantine (id, at, gateway, reason, size, raw) VALUES ($1, $2, 'g', 'not-json', 1, $3)";
            db.execute(payload, args![id, at, vec![1_u8]]).await.unwrap();
        }
        let parked = |now| Parked { db: db.clone(), resolver: Arc::new(Nobody), clock: Clock::stepped(now), wake: Arc::new(Notify::new()) };
        parked(day(2) - Duration::from_secs(1)).step().await.unwrap();
        assert!(counts(&db, 9).await.unwrap().is_empty(), "a minute in which nothing goes leaves no row");
        parked(day(2)).step().await.unwrap();
        parked(day(2)).step().await.unwrap();
        let found: Vec<(String, i64)> = counts(&db, 9).await.unwrap().into_iter().map(|(_, what, n)| (what, n)).collect();
        assert_eq!(found, [("quarantined payloads".to_owned(), 1), ("unresolved events".to_owned(), 1)]);
    })
    .await;
}
