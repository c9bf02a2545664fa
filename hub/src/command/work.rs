//! `passage-hub work`: work that failed even alone, and another try at it.

use clap::Subcommand;
use passage_protocol::Millis;

use crate::{
    report::text,
    store::{
        Db,
        work::{self, Parked, Retried},
    },
};

/// Most lines of a list, and most pieces that one call tries again.
const LINES: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Work {
    /// What failed and waits for a person, the newest first.
    List,
    /// Let the hubs try it again, for example after a store was added to the configuration.
    Retry {
        /// Its id, as the list shows it.
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All that the list shows.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

pub(super) async fn work(db: &Db, now: Millis, asked: Work) -> anyhow::Result<()> {
    let parked = work::parked(db, LINES).await?;
    match asked {
        Work::List => print!("{}", list(&parked)),
        Work::Retry { id, .. } => {
            let wanted: Vec<_> = parked.into_iter().filter(|p| id.as_ref().is_none_or(|id| *id == p.reference)).collect();
            anyhow::ensure!(id.is_none() || !wanted.is_empty(), "no parked work has this id. Mend: `passage-hub work list`");
            println!("{}", retry(db, &wanted, now).await?);
        }
    }
    Ok(())
}

/// Makes all of it due in one transaction, and says what came of it.
async fn retry(db: &Db, wanted: &[Parked], now: Millis) -> anyhow::Result<String> {
    let (mut due, mut forgotten) = (0, 0);
    let mut tx = db.begin().await?;
    for one in wanted {
        match work::retry(&mut tx, one.kind, &one.reference, now).await? {
            Some(Retried::Due) => due += 1,
            Some(Retried::Forgotten) => forgotten += 1,
            None => {}
        }
    }
    tx.commit().await?;
    let gone = if forgotten > 0 { format!("; what {forgotten} others were about is forgotten already") } else { String::new() };
    Ok(format!("{due} are tried again now{gone}"))
}

fn list(parked: &[Parked]) -> String {
    let row = |p: &Parked| vec![p.reference.clone(), p.kind.word().to_owned(), text::utc(p.at), p.reason.clone()];
    let rows: Vec<_> = parked.iter().map(row).collect();
    format!("{}{} parked\n", text::table(&["id", "kind", "since", "reason"], &rows), rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args, store::work::TodoKind};

    const NOW: Millis = Millis(1_795_166_400_000);

    #[tokio::test]
    async fn what_was_parked_is_tried_again_by_the_hubs_unless_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&format!("sqlite:{}", folder.path().join("hub.db").display())).await.unwrap();
        let event = "INSERT INTO event (id, gateway, epoch, seq, store, zone, subject_kind, signal, phase, at, at_corrected, first_at, last_at, \
                     strength, initial, late, received_at, member) VALUES ('e1', 'g', 'e', 1, 's', 'in', 'rid', 'beacon', 'enter', 1, 1, 1, 1, '{}', \
                     0, 0, 1, 7)";
        db.execute(event, args![]).await.unwrap();
        for id in ["e1", "e2"] {
            let sql = "INSERT INTO parked_work (kind, ref, member, reason, at) VALUES ('event', $1, 6, 'no store \"s\"', $2)";
            db.execute(sql, args![id, NOW]).await.unwrap();
        }
        let parked = work::parked(&db, LINES).await.unwrap();
        let told = list(&parked);
        assert!(told.contains("no store \"s\"") && told.ends_with("2 parked\n"), "{told}");
        let said = retry(&db, &parked, NOW).await.unwrap();
        assert_eq!(said, "1 are tried again now; what 1 others were about is forgotten already");
        assert_eq!(work::parked_count(&db).await.unwrap(), 0);
        let mut tx = db.begin().await.unwrap();
        // The member who has the event now, not the one who had it when it was parked.
        let todo = work::take(&mut tx, crate::identity::MemberId(7).shard(), NOW, 10).await.unwrap();
        assert_eq!(todo, [work::Todo::new(crate::identity::MemberId(7), NOW, TodoKind::Event, "e1")]);
        drop(tx);
        db.close().await;
    }
}
