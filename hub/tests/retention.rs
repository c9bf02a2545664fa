//! What is past its retention goes, and nothing else.

mod support;

use std::{sync::Arc, time::Duration};

use passage_config::Mqtt;
use passage_hub::{
    args,
    retention::Retention,
    store::{Db, retention::counts},
};
use passage_protocol::{Clock, Millis};
use support::both;
use tokio::sync::watch;

const DAY: Duration = Duration::from_secs(86_400);
const NOW: Millis = Millis(1_795_167_000_000);

/// One row of each table that holds what somebody did, `days` old.
async fn live_a_day(db: &Db, days: u32) {
    let at = NOW - DAY * days;
    let name = |what: &str| format!("{what}-{days}");
    let rows = [
        (
            "INSERT INTO event (id, gateway, epoch, seq, store, zone, subject_kind, signal, phase, at, at_corrected, first_at, last_at, strength, \
             initial, late, received_at, member) VALUES ($1, 'g', 'e', 1, 's', 'in', 'rid', 'beacon', 'enter', $2, $2, $2, $2, '{}', 0, 0, $2, 1)",
            args![name("event"), at],
        ),
        (
            "INSERT INTO visit (id, member, store, start_at, end_at, dwell_ms, label, is_open, seen_from, seen_to, state, updated_at) \
             VALUES ($1, 1, 's', $2, $2, 0, 'qualified', 0, $2, $2, '{}', $2)",
            args![name("closed"), at],
        ),
        (
            "INSERT INTO visit (id, member, store, start_at, end_at, dwell_ms, label, is_open, seen_from, seen_to, state, updated_at) \
             VALUES ($1, 1, 's', $2, $2, 0, 'qualified', 1, $2, $2, '{}', $2)",
            args![name("open"), at],
        ),
        (
            "INSERT INTO touchpoint (id, at, kind, identifier_kind, identifier, received_at) VALUES ($1, $2, 'click', 'cookie', $3, $2)",
            args![name("touch"), at, vec![1_u8]],
        ),
        (
            "INSERT INTO counter_moment (id, store, kind, at, identifier_kind, identifier, received_at) VALUES ($1, 's', 'till', $2, 'cookie', $3, $2)",
            args![name("moment"), at, vec![1_u8]],
        ),
        (
            "INSERT INTO regular (member, store, reason, since_at, until_at) VALUES (1, $1, 'staff-learned', $2, $2)",
            args![name("store"), at],
        ),
        ("INSERT INTO purchase (store, ticket, at, received_at) VALUES ('s', $1, $2, $2)", args![name("ticket"), at]),
        ("INSERT INTO purchase_line (store, ticket, line, sku, cents) VALUES ('s', $1, 1, 'coat', 1)", args![name("ticket")]),
        (
            "INSERT INTO decision (id, member, brand, entity, offer, store, trigger_kind, at, result, reasons, config_revision) \
             VALUES ($1, 1, 'b', 'e', 'o', 's', 'enter', $2, 'send', '[]', '')",
            args![name("sent"), at],
        ),
        (
            "INSERT INTO decision (id, member, brand, entity, offer, store, trigger_kind, at, result, reasons, config_revision) \
             VALUES ($1, 1, 'b', 'e', 'o', 's', 'enter', $2, 'held-out', '[]', '')",
            args![name("refused"), at],
        ),
        ("INSERT INTO audit (id, at, actor, action, subject) VALUES ($1, $2, 'os:ana', 'why', 1)", args![name("look"), at]),
    ];
    for (sql, values) in rows {
        db.execute(sql, values).await.unwrap();
    }
    for state in ["delivered", "planned"] {
        let sql = "INSERT INTO message (id, send_key, decision, member, brand, entity, offer, store, destination, text, sender, parts, encoding, \
                   trigger_at, deadline, validity_ms, state, planned_at) \
                   VALUES ($1, $2, 'd', 1, 'b', 'e', 'o', 's', $2, 't', 's', 1, 'gsm', $3, $3, 0, $4, $3)";
        db.execute(sql, args![name(state), name(state).into_bytes(), at, state]).await.unwrap();
    }
    let suppression = "INSERT INTO suppression (brand, entity, destination, at, reason) VALUES ('b', 'e', $1, $2, 'stop')";
    db.execute(suppression, args![name("number").into_bytes(), at]).await.unwrap();
}

async fn left(db: &Db, sql: &'static str) -> Vec<String> {
    db.fetch(sql, args![]).await.unwrap().iter().map(|row| row.text(0).unwrap()).collect()
}

#[tokio::test]
async fn each_kind_of_row_goes_at_its_own_age_and_what_must_stay_stays() {
    both(async |db| {
        for days in [1, 29, 31, 89, 91, 395, 397] {
            live_a_day(&db, days).await;
        }
        let mqtt = Mqtt::plain("127.0.0.1", 1);
        let config = support::hub_config("hub-1", mqtt, support::site(&[]));
        let (_keep, config) = watch::channel(Arc::new(config));
        let retention = Retention { db: db.clone(), config, clock: Clock::stepped(NOW) };
        let forgotten = retention.step().await.unwrap();
        let told = |what: &str| forgotten.iter().find(|(name, _)| *name == what).map(|(_, rows)| *rows);
        for (what, rows) in [
            ("events", 5),
            ("visits", 1),
            ("moments at the counter", 6),
            ("regulars", 7),
            ("touchpoints", 1),
            ("purchases", 1),
            ("messages", 1),
            ("decisions", 4),
            ("looks at members", 2),
            ("members without activity", 0),
            ("event keys", 0),
        ] {
            assert_eq!(told(what), Some(rows), "{what}");
        }
        // A row for each table and day, also of what was nothing.
        let report = counts(&db, 7).await.unwrap();
        assert_eq!(report.len(), forgotten.len() - 1, "all but the event keys, which no retention is about");
        assert!(report.contains(&("2026-11-20".to_owned(), "events".to_owned(), 5)), "{report:?}");

        assert_eq!(left(&db, "SELECT id FROM event ORDER BY received_at DESC").await, ["event-1", "event-29"]);
        let closed = ["closed-1", "closed-29", "closed-31", "closed-89", "closed-91", "closed-395"];
        assert_eq!(left(&db, "SELECT id FROM visit WHERE is_open = 0 ORDER BY seen_to DESC").await, closed);
        assert_eq!(left(&db, "SELECT id FROM visit WHERE is_open = 1").await.len(), 7, "an open visit stays");
        assert_eq!(left(&db, "SELECT id FROM touchpoint").await.len(), 6);
        assert_eq!(left(&db, "SELECT ticket FROM purchase_line").await.len(), 6);
        assert_eq!(left(&db, "SELECT id FROM message WHERE state = 'delivered'").await.len(), 6);
        assert_eq!(left(&db, "SELECT id FROM message WHERE state = 'planned'").await.len(), 7, "what is under way stays");
        assert_eq!(left(&db, "SELECT id FROM decision WHERE result = 'send'").await.len(), 6);
        let refused = ["refused-1", "refused-29", "refused-31", "refused-89"];
        assert_eq!(left(&db, "SELECT id FROM decision WHERE result <> 'send' ORDER BY at DESC").await, refused);
        assert_eq!(left(&db, "SELECT reason FROM suppression").await.len(), 7, "nobody is written to again because it is long ago");
        assert!(retention.step().await.unwrap().iter().all(|(_, rows)| *rows == 0));
    })
    .await;
}
