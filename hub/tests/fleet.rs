//! What the hub tells of its gateways, and how a person mends a forked epoch and takes out of quarantine what can be used after all; on both engines.

mod support;

use std::time::Duration;

use async_trait::async_trait;
use passage_hub::{
    args,
    ingest::{self, AgainError, Resolve, Who},
    store::{Db, StoreError, gateway, prune::prune, quarantine},
};
use passage_protocol::{Envelope, Event, Millis, Phase, SeqRange, Signal, StoreId, Strength, Subject, Zone};
use support::{both, site};

const NOW: Millis = Millis(1_795_166_400_000);

/// Knows nobody.
struct Nobody;

#[async_trait]
impl Resolve for Nobody {
    fn who(&self, _: &Subject, _: Millis, _: &StoreId) -> Who {
        Who::Unknown
    }

    async fn refresh(&self, _: &Db, _: Millis) -> Result<bool, StoreError> {
        Ok(false)
    }
}

fn event(seq: u64) -> Event {
    Event {
        id: uuid::Uuid::now_v7(),
        seq,
        store: "lyon".parse().unwrap(),
        zone: Zone::In,
        subject: Subject::Installation("anna-1".parse().unwrap()),
        signal: Signal::App,
        phase: Phase::Enter,
        at: NOW,
        mono: 1,
        first: NOW,
        last: NOW,
        strength: Strength::App,
        initial: false,
        late: false,
    }
}

async fn key(db: &Db, seq: u64, id: &str) {
    let sql = "INSERT INTO event_key (gateway, epoch, seq, event_id) VALUES ('lyon-1', 'e1', $1, $2)";
    db.execute(sql, args![seq, id]).await.unwrap();
}

async fn aside(db: &Db, raw: Vec<u8>) -> quarantine::Aside {
    let sql = "INSERT INTO quarantine (id, at, gateway, reason, size, raw) VALUES ('q1', $1, 'lyon-1', 'a reason', $2, $3)";
    db.execute(sql, args![NOW, raw.len() as u64, raw]).await.unwrap();
    quarantine::get(db, "q1").await.unwrap().unwrap()
}

async fn number(db: &Db, sql: &'static str) -> i64 {
    db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
}

#[tokio::test]
async fn the_fleet_shows_what_is_missing_and_a_forked_epoch_until_it_is_released() {
    both(async |db| {
        let progress = "INSERT INTO progress (gateway, epoch, upto, max, forked, seen_at) VALUES ('lyon-1', $1, $2, 9, $3, $4)";
        db.execute(progress, args!["e1", 2, 1, NOW]).await.unwrap();
        db.execute(progress, args!["e0", 9, 0, Millis(NOW.0 - 1)]).await.unwrap();
        for seq in [1, 2, 4, 9] {
            key(&db, seq, &seq.to_string()).await;
        }
        let gone = "INSERT INTO gone (gateway, epoch, from_seq, to_seq, reason, at) VALUES ('lyon-1', 'e1', 5, 6, 'evicted', $1)";
        db.execute(gone, args![NOW]).await.unwrap();
        let state = "INSERT INTO gateway_state (gateway, boot, online, at, version, backlog, oldest_ms, site_revision, flags, heard_at) \
                     VALUES ($2, 'b', 1, $1, '0.1.0', 3, 5000, 7, 'disk-full radio-silent', $1)";
        db.execute(state, args![NOW, "lyon-1"]).await.unwrap();
        db.execute(state, args![NOW, "paris-1"]).await.unwrap();

        let all = gateway::all(&db).await.unwrap();
        assert_eq!(all.len(), 2, "the older epoch lacks nothing, so it is not shown: {all:?}");
        let epoch = all[0].epoch.as_ref().unwrap();
        assert_eq!((epoch.id.as_str(), epoch.max, epoch.gone, epoch.forked), ("e1", 9, 2, true));
        assert_eq!(epoch.missing, [SeqRange { from: 3, to: 3 }, SeqRange { from: 7, to: 8 }]);
        assert_eq!(all[0].missing(), 3);
        assert_eq!(all[0].state.as_ref().unwrap().flags, ["disk-full", "radio-silent"]);
        assert_eq!((all[1].gateway.as_str(), all[1].epoch.is_none()), ("paris-1", true));

        assert!(gateway::release(&db, &all[0].gateway, "e1").await.unwrap());
        assert!(!gateway::release(&db, &all[0].gateway, "e1").await.unwrap(), "there is nothing to release any more");
        assert!(!gateway::all(&db).await.unwrap()[0].epoch.as_ref().unwrap().forked);
    })
    .await;
}

#[tokio::test]
async fn an_event_of_a_store_that_was_unknown_is_stored_when_the_store_is_known() {
    both(async |db| {
        let event = event(1);
        key(&db, 1, &event.id.to_string()).await;
        let aside = aside(&db, serde_json::to_vec(&event).unwrap()).await;
        let refused = ingest::again(&db, &site(&["paris"]), &Nobody, &aside, false).await;
        assert!(matches!(refused, Err(AgainError::Refused(_))), "{refused:?}");
        assert_eq!(number(&db, "SELECT COUNT(*) FROM quarantine").await, 1);
        assert_eq!(ingest::again(&db, &site(&["lyon"]), &Nobody, &aside, false).await.unwrap(), 1);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 1);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM quarantine").await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_events_of_a_fork_can_be_kept_beside_those_that_have_their_numbers() {
    both(async |db| {
        key(&db, 1, "another").await;
        let mut envelope = Envelope::new("lyon-1".parse().unwrap(), "e1".to_owned(), "b".to_owned());
        envelope.events = vec![event(1), event(2)];
        let aside = aside(&db, envelope.to_vec()).await;
        let taken = ingest::again(&db, &site(&["lyon"]), &Nobody, &aside, false).await;
        assert!(matches!(taken, Err(AgainError::Taken)), "{taken:?}");
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event_key").await, 1, "a fork was stored in part");
        assert_eq!(ingest::again(&db, &site(&["lyon"]), &Nobody, &aside, true).await.unwrap(), 2);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 2);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event_key").await, 3);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM quarantine").await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_event_that_comes_again_after_its_key_was_pruned_still_counts_once() {
    const DAY: Duration = Duration::from_secs(86_400);
    both(async |db| {
        let mut envelope = Envelope::new("lyon-1".parse().unwrap(), "e1".to_owned(), "b".to_owned());
        envelope.events = (1..=4).map(event).collect();
        let first = aside(&db, envelope.to_vec()).await;
        assert_eq!(ingest::again(&db, &site(&["lyon"]), &Nobody, &first, false).await.unwrap(), 4);
        let complete = "INSERT INTO progress (gateway, epoch, upto, max, forked, seen_at) VALUES ('lyon-1', 'e1', 3, 4, 0, $1)";
        db.execute(complete, args![NOW]).await.unwrap();

        // Noted, too young, old enough: a key goes when the moment at which it was complete is long enough ago.
        for (days, forgotten) in [(0, 0), (59, 0), (60, 3), (61, 0)] {
            assert_eq!(prune(&db, NOW + DAY * days, DAY * 60).await.unwrap(), forgotten, "after {days} days");
        }
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event_key").await, 1, "what lies above the complete part stays");
        db.execute("DELETE FROM event", args![]).await.unwrap();

        let again = aside(&db, envelope.to_vec()).await;
        ingest::again(&db, &site(&["lyon"]), &Nobody, &again, false).await.unwrap();
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 0, "an old event was counted a second time");
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event_key").await, 1);
        envelope.events = vec![event(5)];
        let next = aside(&db, envelope.to_vec()).await;
        ingest::again(&db, &site(&["lyon"]), &Nobody, &next, false).await.unwrap();
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 1, "a new one counts");

        let account = &ingest::missing(&db).await.unwrap()[0];
        assert_eq!((account.stored, account.max, account.missing.len()), (5, 5, 0));
    })
    .await;
}

#[tokio::test]
async fn what_was_cut_or_has_no_sender_is_not_guessed_at() {
    both(async |db| {
        let mut aside = aside(&db, b"{}".to_vec()).await;
        aside.size = 100_000;
        assert!(matches!(ingest::again(&db, &site(&["lyon"]), &Nobody, &aside, false).await, Err(AgainError::Cut(..))));
        aside = quarantine::Aside { gateway: None, size: 2, ..aside };
        assert!(matches!(ingest::again(&db, &site(&["lyon"]), &Nobody, &aside, false).await, Err(AgainError::Nobody)));
    })
    .await;
}
