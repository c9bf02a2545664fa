//! How far the events of each gateway and epoch are stored.

use passage_protocol::{GatewayId, Gone, Millis, Seq, SeqRange, SeqSet};

use crate::{
    args,
    store::{Db, Row, StoreError, Tx},
};

/// Most keys above the contiguous part that one step reads; with more, the step speaks of fewer seqs and the next one goes on.
const KEYS_AT_ONCE: u32 = 20_000;

/// What an ack can say of one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Highest seq that is stored or gone.
    pub max: Seq,
    /// Seqs below it that are neither.
    pub missing: Vec<SeqRange>,
    /// Two outboxes write this epoch: there must be no ack.
    pub forked: bool,
    /// There was more to read than one step does, and the next one will get farther.
    pub more: bool,
}

/// Marks an epoch that two outboxes write. It gets no ack any more.
pub(crate) async fn mark_forked(tx: &mut Tx, gateway: &GatewayId, epoch: &str, now: Millis) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO progress (gateway, epoch, upto, max, forked, seen_at) VALUES ($1, $2, 0, 0, 1, $3)
         ON CONFLICT (gateway, epoch) DO UPDATE SET forked = 1",
        args![gateway.as_str(), epoch, now],
    )
    .await?;
    Ok(())
}

/// Every gateway that ever said hello and was not revoked since.
pub(crate) async fn gateways(tx: &mut Tx) -> Result<Vec<GatewayId>, StoreError> {
    let sql =
        "SELECT DISTINCT gateway FROM progress WHERE gateway NOT IN (SELECT gateway FROM fleet_gateway WHERE barred = 1) ORDER BY gateway";
    let rows = tx.fetch(sql, args![]).await?;
    rows.iter().map(|row| GatewayId::checked(&row.text(0)?).map_err(|_| StoreError::Corrupt("gateway id"))).collect()
}

/// Advances the contiguous part of one epoch and returns its standing; `None` when another hub is just doing so.
pub(crate) async fn advance(tx: &mut Tx, gateway: &GatewayId, epoch: &str, now: Millis) -> Result<Option<Standing>, StoreError> {
    let Some(row) = lock(tx, gateway, epoch, now).await? else { return Ok(None) };
    let (upto, max, forked) = (seq(&row, 0)?, seq(&row, 1)?, row.flag(2)?);
    let Accounted { set, top, cut } = accounted(tx, gateway, epoch, upto).await?;
    let new_upto = contiguous(&set);
    if new_upto > upto || top > max {
        let sql = "UPDATE progress SET upto = $3, max = $4, seen_at = $5 WHERE gateway = $1 AND epoch = $2";
        tx.execute(sql, args![gateway.as_str(), epoch, new_upto, top.max(max), now]).await?;
    }
    Ok(Some(Standing { max: top, missing: set.missing_up_to(top), forked, more: cut && new_upto > upto }))
}

async fn lock(tx: &mut Tx, gateway: &GatewayId, epoch: &str, now: Millis) -> Result<Option<Row>, StoreError> {
    let sql = if tx.is_sqlite() {
        "SELECT upto, max, forked FROM progress WHERE gateway = $1 AND epoch = $2"
    } else {
        "SELECT upto, max, forked FROM progress WHERE gateway = $1 AND epoch = $2 FOR UPDATE SKIP LOCKED"
    };
    let row = tx.fetch_optional(sql, args![gateway.as_str(), epoch]).await?;
    if row.is_some() {
        return Ok(row);
    }
    let insert = "INSERT INTO progress (gateway, epoch, upto, max, forked, seen_at) VALUES ($1, $2, 0, 0, 0, $3) ON CONFLICT DO NOTHING";
    if tx.execute(insert, args![gateway.as_str(), epoch, now]).await? == 0 {
        // It is there, so it was locked.
        return Ok(None);
    }
    tx.fetch_optional(sql, args![gateway.as_str(), epoch]).await
}

/// The highest seq that is stored or gone, and the ones below that are neither, given that all up to `upto` are.
pub(crate) async fn standing(tx: &mut Tx, gateway: &GatewayId, epoch: &str, upto: Seq) -> Result<(Seq, Vec<SeqRange>), StoreError> {
    let Accounted { set, top, .. } = accounted(tx, gateway, epoch, upto).await?;
    Ok((top, set.missing_up_to(top)))
}

/// The seqs that are stored or gone.
struct Accounted {
    set: SeqSet,
    /// The highest seq that the set tells the whole truth of.
    top: Seq,
    /// There are more keys than were read.
    cut: bool,
}

/// What is stored or gone, given that all up to `upto` is.
async fn accounted(tx: &mut Tx, gateway: &GatewayId, epoch: &str, upto: Seq) -> Result<Accounted, StoreError> {
    let mut set = SeqSet::new();
    SeqRange::new(1, upto).into_iter().for_each(|done| set.insert(done));
    // Of thousands of keys only those behind a gap, and the last one, leave the database.
    let sql = "SELECT before, seq, place FROM (SELECT seq, COALESCE(LAG(seq) OVER w, $3) AS before, LEAD(seq) OVER w AS after, \
               ROW_NUMBER() OVER w AS place FROM (SELECT seq FROM event_key WHERE gateway = $1 AND epoch = $2 AND seq > $3 \
               ORDER BY seq LIMIT $4) AS keys WINDOW w AS (ORDER BY seq)) AS steps WHERE seq > before + 1 OR after IS NULL ORDER BY seq";
    let (mut last, mut from, mut keys) = (upto, upto + 1, 0);
    for row in tx.fetch(sql, args![gateway.as_str(), epoch, upto, KEYS_AT_ONCE]).await? {
        let before = seq(&row, 0)?;
        (last, keys) = (seq(&row, 1)?, row.int(2)?);
        if last > before + 1 {
            SeqRange::new(from, before).into_iter().for_each(|run| set.insert(run));
            from = last;
        }
    }
    SeqRange::new(from, last).into_iter().for_each(|run| set.insert(run));
    let sql = "SELECT from_seq, to_seq FROM gone WHERE gateway = $1 AND epoch = $2 AND to_seq > $3";
    for row in tx.fetch(sql, args![gateway.as_str(), epoch, upto]).await? {
        set.insert(SeqRange::from((seq(&row, 0)?, seq(&row, 1)?)));
    }
    let cut = keys >= i64::from(KEYS_AT_ONCE);
    let top = if cut { last } else { set.ranges().last().map_or(0, |r| r.to) };
    Ok(Accounted { set, top, cut })
}

fn contiguous(set: &SeqSet) -> Seq {
    set.ranges().first().filter(|r| r.from <= 1).map_or(0, |r| r.to)
}

/// What became of the events of one gateway and epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose.
    pub gateway: GatewayId,
    /// The epoch of its outbox.
    pub epoch: String,
    /// How many events are stored, each once.
    pub stored: u64,
    /// Highest seq that is stored or gone.
    pub max: Seq,
    /// Seqs below it that are neither: each one is a broken promise or still on its way.
    pub missing: Vec<SeqRange>,
    /// Seqs that the gateway accounted for but could not deliver.
    pub gone: Vec<Gone>,
    /// Two outboxes wrote this epoch; a person has to look.
    pub forked: bool,
}

/// The accounts of all gateways, by gateway and epoch. Counted from the stored keys, not from what was acked.
pub async fn missing(db: &Db) -> Result<Vec<Account>, StoreError> {
    let mut tx = db.begin_read().await?;
    let pairs = "SELECT gateway, epoch FROM progress UNION SELECT gateway, epoch FROM event_key \
                 UNION SELECT gateway, epoch FROM gone ORDER BY 1, 2";
    let mut accounts = Vec::new();
    for row in tx.fetch(pairs, args![]).await? {
        let gateway = row.text(0)?.try_into().map_err(|_| StoreError::Corrupt("gateway id"))?;
        accounts.push(account(&mut tx, gateway, row.text(1)?).await?);
    }
    Ok(accounts)
}

async fn account(tx: &mut Tx, gateway: GatewayId, epoch: String) -> Result<Account, StoreError> {
    let key = || args![gateway.as_str(), &epoch];
    let totals = "SELECT COUNT(*), COALESCE(MAX(seq), 0) FROM event_key WHERE gateway = $1 AND epoch = $2";
    let totals = tx.fetch_optional(totals, key()).await?;
    let (stored, last) = totals.map_or(Ok((0, 0)), |row| Ok::<_, StoreError>((seq(&row, 0)?, seq(&row, 1)?)))?;
    let standing = "SELECT pruned, pruned_events, forked FROM progress WHERE gateway = $1 AND epoch = $2";
    let standing = tx.fetch_optional(standing, key()).await?;
    let (pruned, pruned_events, forked) =
        standing.map_or(Ok((0, 0, false)), |row| Ok::<_, StoreError>((seq(&row, 0)?, seq(&row, 1)?, row.flag(2)?)))?;
    let gaps = "SELECT before, seq FROM (SELECT COALESCE(LAG(seq) OVER (ORDER BY seq), $3) AS before, seq FROM event_key \
                WHERE gateway = $1 AND epoch = $2) AS steps WHERE seq > before + 1 ORDER BY seq";
    let mut set = SeqSet::new();
    SeqRange::new(1, pruned).into_iter().for_each(|run| set.insert(run));
    let mut from = pruned + 1;
    for row in tx.fetch(gaps, args![gateway.as_str(), &epoch, pruned]).await? {
        SeqRange::new(from, seq(&row, 0)?).into_iter().for_each(|run| set.insert(run));
        from = seq(&row, 1)?;
    }
    SeqRange::new(from, last).into_iter().for_each(|run| set.insert(run));
    let gone = "SELECT from_seq, to_seq, reason FROM gone WHERE gateway = $1 AND epoch = $2 ORDER BY from_seq, to_seq";
    let gone: Vec<Gone> = tx.fetch(gone, key()).await?.iter().map(gone_from_row).collect::<Result<_, _>>()?;
    gone.iter().for_each(|g| set.insert(g.range));
    let max = set.ranges().last().map_or(0, |r| r.to);
    Ok(Account { missing: set.missing_up_to(max), gateway, epoch, stored: stored + pruned_events, max, gone, forked })
}

fn gone_from_row(row: &Row) -> Result<Gone, StoreError> {
    let reason = serde_json::from_value(serde_json::Value::String(row.text(2)?)).map_err(|_| StoreError::Corrupt("reason"))?;
    Ok(Gone { range: SeqRange::from((seq(row, 0)?, seq(row, 1)?)), reason })
}

fn seq(row: &Row, i: usize) -> Result<Seq, StoreError> {
    u64::try_from(row.int(i)?).map_err(|_| StoreError::Corrupt("seq"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store(db: &Db, seqs: std::ops::RangeInclusive<Seq>) {
        let mut tx = db.begin().await.unwrap();
        let rows = seqs.map(|n| args!["gateway-1", "e", n, n.to_string()]).collect();
        tx.insert_many("INSERT INTO event_key (gateway, epoch, seq, event_id)", rows, "").await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn step(db: &Db) -> Standing {
        let mut tx = db.begin().await.unwrap();
        let standing = advance(&mut tx, &"gateway-1".parse().unwrap(), "e", Millis(1)).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        standing
    }

    #[tokio::test]
    async fn more_keys_than_one_step_reads_are_acked_in_several_and_never_too_far() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&format!("sqlite:{}", folder.path().join("hub.db").display())).await.unwrap();
        let last = u64::from(KEYS_AT_ONCE) + 500;
        store(&db, 2..=last).await;
        // The hole holds everything up: the same words again and again would not help, so there is no more.
        let held_up = step(&db).await;
        assert_eq!((held_up.max, held_up.more), (u64::from(KEYS_AT_ONCE) + 1, false));
        assert_eq!(held_up.missing, [SeqRange { from: 1, to: 1 }]);
        store(&db, 1..=1).await;
        let first = step(&db).await;
        assert_eq!((first.max, first.missing.len(), first.more), (u64::from(KEYS_AT_ONCE), 0, true));
        let second = step(&db).await;
        assert_eq!((second.max, second.missing.len(), second.more), (last, 0, false));
        let account = &missing(&db).await.unwrap()[0];
        assert_eq!((account.stored, account.max, account.missing.len()), (last, last, 0));
        db.close().await;
    }
}
