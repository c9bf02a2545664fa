//! From what a gateway can name to a member, in memory.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
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
        tables::{Build, Built, Found, HORIZON_MS, Owner, Tables},
    },
    store::{
        Db, StoreError, Tx,
        people::{self, Changed, installation},
    },
};

/// Members that are read at a time when all are.
const PAGE: u32 = 5000;

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
    grants: Grants,
    beacons: HashMap<Key, Owner>,
    tables: Tables,
}

/// To whom `presence` is granted: each set of (brand, entity) that occurs has a number.
#[derive(Debug, Default)]
struct Grants {
    sets: Vec<Vec<(String, String)>>,
    numbers: HashMap<Vec<(String, String)>, u32>,
}

impl Grants {
    fn number(&mut self, mut set: Vec<(String, String)>) -> u32 {
        set.sort_unstable();
        let next = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(set).or_insert_with_key(|set| {
            self.sets.push(set.clone());
            next
        })
    }

    fn allow(&self, number: u32, brand: &str, entity: &str) -> bool {
        self.sets.get(number as usize).into_iter().flatten().any(|(b, e)| b == brand && e == entity)
    }
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
        let owner = match subject {
            Subject::Rid { rid, hint } => match state.tables.rid(*rid, *hint, evidence, now) {
                Found::Owner(owner) => owner,
                Found::Nobody | Found::Later => return None,
            },
            Subject::Installation(id) => state.tables.installation(id)?,
            Subject::Beacon(beacon) => *state.beacons.get(&self.beacon_key(beacon))?,
        };
        Some((owner.member(), state.grants.allow(owner.grants(), &store.brand, &store.entity)))
    }

    /// By what it is noticed that one rotating id is in two places: a keyed hash of it. `None` for other subjects.
    pub(crate) fn mark(&self, subject: &Subject) -> Option<i64> {
        let Subject::Rid { rid, .. } = subject else { return None };
        let [a, b, c, d, e, f, g, h, ..] = self.0.keyring.hash("rid heard", &[&rid.0]);
        Some(i64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Brings the tables up to date with the database and the time. True if a subject that was unresolved before may resolve now.
    pub async fn refresh(&self, db: &Db, now: Millis) -> Result<bool, StoreError> {
        let _alone = self.0.refreshing.lock().await;
        let mut news = self.reload(db, now).await?;
        self.roll_forward(db, day_of(window_at(Millis(now.0 - HORIZON_MS)))).await?;
        while let Some(build) = self.next_build(now) {
            news |= build.was_asked_for();
            let built = if build.is_quick() { build.run() } else { off_the_way(move || build.run()).await };
            self.install(built)?;
        }
        Ok(news)
    }

    /// Takes over the changes of people that were committed before the call; builds nothing, so that nobody waits for it.
    pub async fn catch_up(&self, db: &Db, now: Millis) -> Result<(), StoreError> {
        let _alone = self.0.refreshing.lock().await;
        self.reload(db, now).await.map(|_| ())
    }

    fn next_build(&self, now: Millis) -> Option<Build> {
        self.state().tables.next_build(now)
    }

    fn install(&self, built: io::Result<Built>) -> Result<(), StoreError> {
        let built = built.map_err(|e| self.start_over(&e))?;
        self.state().tables.install(built);
        Ok(())
    }

    /// Reloads the members that changed since the last time; true if there were any.
    async fn reload(&self, db: &Db, now: Millis) -> Result<bool, StoreError> {
        let seen = {
            let mut state = self.state();
            state.now = state.now.max(now);
            if state.tables.is_worn() { 0 } else { state.version }
        };
        let mut tx = db.begin_read().await?;
        let version = people::version(&mut tx).await?;
        if version == seen {
            return Ok(false);
        }
        if seen == 0 {
            self.load(&mut tx).await?;
            self.state().version = version;
            return Ok(true);
        }
        let changed = people::changed_since(&mut tx, &self.0.keyring, seen).await?;
        let news = !changed.members.is_empty();
        let mut state = self.state();
        let taken = state.take(changed);
        state.version = version;
        drop(state);
        taken.map_err(|e| self.start_over(&e))?;
        Ok(news)
    }

    /// Reads everybody, in pages, in the order of members.
    async fn load(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let installations = installation::count(tx).await?;
        let folder = self.folder();
        let now = self.state().now;
        *self.state() = State { tables: Tables::new(installations, folder), now, ..State::default() };
        let mut after = MemberId(0);
        loop {
            let page = people::page(tx, &self.0.keyring, after, PAGE).await?;
            let Some(last) = page.members.last() else { return Ok(()) };
            after = *last;
            let taken = self.state().take(page);
            taken.map_err(|e| self.start_over(&e))?;
        }
    }

    /// Where very many keys lie, sealed, in a file without a name: beside the hub's own key.
    fn folder(&self) -> PathBuf {
        let config = self.0.config.borrow();
        config.key_file.parent().filter(|f| f.is_dir()).map_or_else(std::env::temp_dir, std::path::Path::to_owned)
    }

    /// Rolls the stored keys and those in memory forward to `day`, the oldest that is still resolved.
    async fn roll_forward(&self, db: &Db, day: i64) -> Result<(), StoreError> {
        if self.state().rolled_to >= day {
            return Ok(());
        }
        installation::roll_forward(db, &self.0.keyring, day).await?;
        let rolling = self.state().tables.rolling(day);
        off_the_way(rolling).await.map_err(|e| self.start_over(&e))?;
        self.state().rolled_to = day;
        Ok(())
    }

    /// The file of keys failed: everything is loaded anew at the next refresh.
    fn start_over(&self, error: &io::Error) -> StoreError {
        tracing::error!(%error, "the tables of rotating ids are lost and will be loaded anew");
        let now = self.state().now;
        *self.state() = State { now, ..State::default() };
        StoreError::Silent
    }

    fn beacon_key(&self, beacon: &StaticBeacon) -> Key {
        self.0.keyring.identifier(IdentifierKind::Beacon, &beacon.canonical())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another thread leaves at worst a table that the next refresh rebuilds.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs what takes seconds on a thread of its own.
async fn off_the_way<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

impl State {
    fn take(&mut self, changed: Changed) -> io::Result<()> {
        let members: HashSet<MemberId> = changed.members.iter().copied().collect();
        self.beacons.retain(|_, owner| !members.contains(&owner.member()));
        let mut phones: HashMap<MemberId, Vec<_>> = HashMap::new();
        for phone in changed.installations {
            phones.entry(phone.member).or_default().push((phone.id, phone.chain));
        }
        let mut presence: HashMap<MemberId, Vec<_>> = HashMap::new();
        for (member, brand, entity) in changed.presence {
            presence.entry(member).or_default().push((brand, entity));
        }
        let mut beacons: HashMap<MemberId, Vec<Key>> = HashMap::new();
        for (key, member) in changed.beacons {
            beacons.entry(member).or_default().push(key);
        }
        for member in changed.members {
            let grants = self.grants.number(presence.remove(&member).unwrap_or_default());
            self.tables.set(member, grants, phones.remove(&member).unwrap_or_default())?;
            for key in beacons.remove(&member).into_iter().flatten() {
                self.beacons.insert(key, Owner::new(member, grants));
            }
        }
        Ok(())
    }
}
