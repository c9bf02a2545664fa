//! What gateways say of themselves, and how their events stand: the fleet at one glance.

use passage_protocol::{GatewayId, GatewayState, Millis, RadioCounters, RadioRestarts, Seq, SeqRange};

use crate::{
    args,
    store::{Db, Row, StoreError, Tx, progress, site},
};

/// A gateway and one epoch of its outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Whose.
    pub gateway: GatewayId,
    /// What it last said of itself; `None` when no hub has heard it speak.
    pub state: Option<State>,
    /// How its radio does in the same run, as it last said; `None` without a radio, and of gateways that do not tell yet.
    pub radio: Option<RadioCounters>,
    /// Its newest epoch, or an older one that still lacks something; `None` when no event ever came.
    pub epoch: Option<Epoch>,
}

/// The last word of a gateway about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// False after its last will or a farewell.
    pub online: bool,
    /// Program.
    pub version: String,
    /// Events in its outbox.
    pub backlog: u64,
    /// Age of the oldest of them, in milliseconds.
    pub oldest_ms: i64,
    /// Revision of its site configuration; 0 for local files.
    pub site_revision: u64,
    /// What a person should look at.
    pub flags: Vec<String>,
    /// When it was heard, business time.
    pub heard_at: Millis,
}

/// How the events of an epoch stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// Id of the outbox file.
    pub id: String,
    /// Highest seq that is stored or gone.
    pub max: Seq,
    /// Seqs below it that are neither; asked for again with every ack.
    pub missing: Vec<SeqRange>,
    /// Seqs that it could not deliver.
    pub gone: u64,
    /// Two outboxes write it: it gets no ack until a person releases it.
    pub forked: bool,
    /// When events last came, business time.
    pub heard_at: Millis,
}

impl Gateway {
    /// When anything was last heard of it.
    pub fn heard_at(&self) -> Option<Millis> {
        self.state.iter().map(|s| s.heard_at).chain(self.epoch.iter().map(|e| e.heard_at)).max()
    }

    /// How many seqs are missing.
    pub fn missing(&self) -> u64 {
        self.epoch.iter().flat_map(|e| &e.missing).map(SeqRange::count).sum()
    }
}

/// Notes what gateways say of themselves. A word from before the one that is known counts only as the last will of the same run.
pub(crate) async fn heard(tx: &mut Tx, states: &[GatewayState], now: Millis) -> Result<(), StoreError> {
    let row = |s: &GatewayState| {
        let flags = s.flags.join(" ");
        args![s.gateway.as_str(), &s.boot, s.online, s.at, &s.version, s.backlog, s.oldest_ms, s.site_revision, flags, now]
    };
    let head = "INSERT INTO gateway_state (gateway, boot, online, at, version, backlog, oldest_ms, site_revision, flags, heard_at)";
    // A will was written when its connection began, so of a will only the end counts.
    let tail = "ON CONFLICT (gateway) DO UPDATE SET online = excluded.online, heard_at = excluded.heard_at, boot = excluded.boot, \
                at = CASE WHEN excluded.at > gateway_state.at THEN excluded.at ELSE gateway_state.at END, version = excluded.version, \
                backlog = CASE WHEN excluded.at > gateway_state.at THEN excluded.backlog ELSE gateway_state.backlog END, \
                oldest_ms = CASE WHEN excluded.at > gateway_state.at THEN excluded.oldest_ms ELSE gateway_state.oldest_ms END, \
                site_revision = CASE WHEN excluded.at > gateway_state.at THEN excluded.site_revision ELSE gateway_state.site_revision END, \
                flags = CASE WHEN excluded.at > gateway_state.at THEN excluded.flags ELSE gateway_state.flags END \
                WHERE excluded.at > gateway_state.at \
                OR (excluded.boot = gateway_state.boot AND excluded.online = 0 AND gateway_state.online = 1)";
    tx.insert_many(head, states.iter().map(row).collect(), tail).await?;
    for state in states {
        for command in &state.commands {
            site::answered(tx, &state.gateway, *command, now).await?;
        }
    }
    Ok(())
}

/// Notes how radios do. Of two words the later one counts.
pub(crate) async fn radios_heard(tx: &mut Tx, radios: &[(GatewayState, RadioCounters)]) -> Result<(), StoreError> {
    let row = |(state, r): &(GatewayState, RadioCounters)| {
        let RadioRestarts { scan, connection, daemon } = r.restarts;
        args![
            state.gateway.as_str(),
            &state.boot,
            state.at,
            r.adverts,
            r.adverts_10s,
            r.sightings,
            r.sightings_10s,
            r.silent_ms,
            r.queued,
            r.dropped,
            scan,
            connection,
            daemon
        ]
    };
    let head = "INSERT INTO gateway_radio (gateway, boot, at, adverts, adverts_10s, sightings, sightings_10s, silent_ms, queued, dropped, scans, \
                connections, daemons)";
    let tail = "ON CONFLICT (gateway) DO UPDATE SET boot = excluded.boot, at = excluded.at, adverts = excluded.adverts, \
                adverts_10s = excluded.adverts_10s, sightings = excluded.sightings, sightings_10s = excluded.sightings_10s, \
                silent_ms = excluded.silent_ms, queued = excluded.queued, dropped = excluded.dropped, scans = excluded.scans, \
                connections = excluded.connections, daemons = excluded.daemons \
                WHERE excluded.at > gateway_radio.at";
    tx.insert_many(head, radios.iter().map(row).collect(), tail).await?;
    Ok(())
}

/// All gateways that ever said anything, by id; of each the newest epoch, and older ones that are forked or lack something.
pub async fn all(db: &Db) -> Result<Vec<Gateway>, StoreError> {
    let mut tx = db.begin_read().await?;
    let sql = "SELECT g.gateway, s.online, s.version, s.backlog, s.oldest_ms, s.site_revision, s.flags, s.heard_at, \
               r.adverts, r.adverts_10s, r.sightings, r.sightings_10s, r.silent_ms, r.queued, r.dropped, r.scans, r.connections, r.daemons \
               FROM (SELECT gateway FROM progress UNION SELECT gateway FROM gateway_state) g \
               LEFT JOIN gateway_state s ON s.gateway = g.gateway \
               LEFT JOIN gateway_radio r ON r.gateway = s.gateway AND r.boot = s.boot ORDER BY g.gateway";
    let mut gateways = Vec::new();
    for row in tx.fetch(sql, args![]).await? {
        let gateway: GatewayId = row.text(0)?.try_into().map_err(|_| StoreError::Corrupt("gateway id"))?;
        let (state, radio) = (state(&row)?, radio(&row)?);
        let epochs = epochs(&mut tx, &gateway).await?;
        let told: Vec<_> = epochs.into_iter().enumerate().filter(|(n, e)| *n == 0 || e.forked || !e.missing.is_empty()).collect();
        if told.is_empty() {
            gateways.push(Gateway { gateway: gateway.clone(), state: state.clone(), radio, epoch: None });
        }
        let line = |(_, epoch)| Gateway { gateway: gateway.clone(), state: state.clone(), radio, epoch: Some(epoch) };
        gateways.extend(told.into_iter().map(line));
    }
    Ok(gateways)
}

fn state(row: &Row) -> Result<Option<State>, StoreError> {
    if row.opt_int(1)?.is_none() {
        return Ok(None);
    }
    let count = |i| row.int(i).map(i64::unsigned_abs);
    Ok(Some(State {
        online: row.flag(1)?,
        version: row.text(2)?,
        backlog: count(3)?,
        oldest_ms: row.int(4)?,
        site_revision: count(5)?,
        flags: row.text(6)?.split_whitespace().map(str::to_owned).collect(),
        heard_at: row.millis(7)?,
    }))
}

fn radio(row: &Row) -> Result<Option<RadioCounters>, StoreError> {
    if row.opt_int(8)?.is_none() {
        return Ok(None);
    }
    let count = |i| row.int(i).map(i64::unsigned_abs);
    Ok(Some(RadioCounters {
        adverts: count(8)?,
        adverts_10s: count(9)?,
        sightings: count(10)?,
        sightings_10s: count(11)?,
        silent_ms: count(12)?,
        queued: count(13)?,
        dropped: count(14)?,
        restarts: RadioRestarts { scan: count(15)?, connection: count(16)?, daemon: count(17)? },
    }))
}

/// The epochs of a gateway, the newest first.
async fn epochs(tx: &mut Tx, gateway: &GatewayId) -> Result<Vec<Epoch>, StoreError> {
    let sql = "SELECT epoch, forked, seen_at, upto FROM progress WHERE gateway = $1 ORDER BY seen_at DESC, epoch";
    let mut epochs = Vec::new();
    for row in tx.fetch(sql, args![gateway.as_str()]).await? {
        let id = row.text(0)?;
        let (max, missing) = progress::standing(tx, gateway, &id, row.int(3)?.unsigned_abs()).await?;
        let gone = "SELECT CAST(COALESCE(SUM(to_seq - from_seq + 1), 0) AS BIGINT) FROM gone WHERE gateway = $1 AND epoch = $2";
        let gone = tx.fetch_optional(gone, args![gateway.as_str(), &id]).await?;
        let gone = gone.map_or(Ok(0), |row| row.int(0))?.unsigned_abs();
        epochs.push(Epoch { id, max, missing, gone, forked: row.flag(1)?, heard_at: row.millis(2)? });
    }
    Ok(epochs)
}

/// Lets an epoch that counted as forked get acks again. False when there is no such epoch, or it is not forked.
pub async fn release(db: &Db, gateway: &GatewayId, epoch: &str) -> Result<bool, StoreError> {
    let sql = "UPDATE progress SET forked = 0 WHERE gateway = $1 AND epoch = $2 AND forked <> 0";
    Ok(db.execute(sql, args![gateway.as_str(), epoch]).await? > 0)
}
