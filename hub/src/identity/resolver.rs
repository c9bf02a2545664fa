//! From what a gateway can name to a member, in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use passage_config::HubConfig;
use passage_protocol::{
    Millis, StaticBeacon, StoreId, Subject,
    rid::{day_of, window_at},
};
use tokio::sync::watch;

use crate::{
    identity::{
        IdentifierKind, Key, Keyring, MemberId,
        tables::{Found, HORIZON_MS, Tables},
    },
    store::{
        Db, StoreError,
        people::{self, Changed, installation},
    },
};

/// Finds the member behind a subject. Clones share one state.
#[derive(Debug, Clone)]
pub struct Resolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keyring: Keyring,
    config: watch::Receiver<Arc<HubConfig>>,
    state: Mutex<State>,
    /// Two refreshes at once would read the same changes twice.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    version: people::Version,
    now: Millis,
    rolled_to: i64,
    presence: HashMap<MemberId, Vec<(String, String)>>,
    beacons: HashMap<Key, MemberId>,
    tables: Tables,
}

impl Resolver {
    /// A resolver that knows nobody until the first [`Resolver::refresh`].
    pub fn new(keyring: Keyring, config: watch::Receiver<Arc<HubConfig>>) -> Self {
        Self(Arc::new(Inner { keyring, config, state: Mutex::default(), refreshing: tokio::sync::Mutex::default() }))
    }

    /// The member behind `subject`, seen at `evidence` in `store`; only members who grant `presence` to the store's brand and entity.
    /// Quick, in memory, no I/O.
    pub fn resolve(&self, subject: &Subject, evidence: Millis, store: &StoreId) -> Option<MemberId> {
        self.find(subject, evidence, store).filter(|(_, granted)| *granted).map(|(member, _)| member)
    }

    /// The member behind `subject`, and whether she grants `presence` to the brand and entity of `store`.
    pub(crate) fn find(&self, subject: &Subject, evidence: Millis, store: &StoreId) -> Option<(MemberId, bool)> {
        let config = Arc::clone(&self.0.config.borrow());
        let store = config.site.stores.get(store)?;
        let mut state = self.state();
        let now = state.now;
        let member = match subject {
            Subject::Rid { rid, hint } => match state.tables.rid(*rid, *hint, evidence, now) {
                Found::Member(member) => member,
                Found::Nobody | Found::Later => return None,
            },
            Subject::Installation(id) => state.tables.installation(id)?,
            Subject::Beacon(beacon) => *state.beacons.get(&self.beacon_key(beacon))?,
        };
        let granted = state.presence.get(&member).into_iter().flatten();
        Some((member, granted.into_iter().any(|(brand, entity)| *brand == store.brand && *entity == store.entity)))
    }

    /// Brings the tables up to date with the database and the time. True if a subject that was unresolved before may resolve now.
    pub async fn refresh(&self, db: &Db, now: Millis) -> Result<bool, StoreError> {
        let _alone = self.0.refreshing.lock().await;
        let news = self.reload(db).await?;
        let first_day = day_of(window_at(Millis(now.0 - HORIZON_MS)));
        let rolled_to = self.state().rolled_to;
        if rolled_to < first_day {
            installation::roll_forward(db, &self.0.keyring, first_day).await?;
        }
        let mut state = self.state();
        if state.rolled_to < first_day {
            state.tables.roll_forward(first_day);
            state.rolled_to = first_day;
        }
        state.now = state.now.max(now);
        let built = state.tables.prepare(now);
        Ok(news || built)
    }

    /// Reloads the members that changed since the last time; true if there were any.
    async fn reload(&self, db: &Db) -> Result<bool, StoreError> {
        let mut tx = db.begin_read().await?;
        let seen = self.state().version;
        let version = people::version(&mut tx).await?;
        if version == seen {
            return Ok(false);
        }
        let changed = people::changed_since(&mut tx, &self.0.keyring, seen).await?;
        let news = !changed.members.is_empty();
        self.state().take(changed, version);
        Ok(news)
    }

    fn beacon_key(&self, beacon: &StaticBeacon) -> Key {
        self.0.keyring.identifier(IdentifierKind::Beacon, &beacon.canonical())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another thread leaves at worst a table that the next refresh rebuilds.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, changed: Changed, version: people::Version) {
        let mut phones: HashMap<MemberId, Vec<_>> = changed.members.into_iter().map(|member| (member, Vec::new())).collect();
        self.beacons.retain(|_, member| !phones.contains_key(member));
        for phone in changed.installations {
            phones.entry(phone.member).or_default().push((phone.id, phone.chain));
        }
        for (member, phones) in phones {
            self.presence.remove(&member);
            self.tables.set(member, phones);
        }
        for (member, brand, entity) in changed.presence {
            self.presence.entry(member).or_default().push((brand, entity));
        }
        self.beacons.extend(changed.beacons);
        self.version = version;
    }
}
