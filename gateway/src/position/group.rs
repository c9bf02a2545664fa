//! Whose turn an installation is when several position gateways share the work.
//!
//! [`owner`] is a pure function of the gateways that are online and the installation (highest random weight, Thaler and Ravishankar 1998): every
//! gateway comes to the same answer without asking, and when one goes, only its installations move. Who is online is told by the gateways' own
//! retained states. Nothing that one gateway believed of an installation goes over to the next: there it begins as "already inside".

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use passage_protocol::{GatewayId, InstallationId};
use sha2::{Digest, Sha256};

/// Retained states follow the subscription at once; so long after it, the picture is whole. Machine time.
const SETTLED_AFTER: Duration = Duration::from_millis(500);
/// Changes of the group that are remembered.
const MOST_RINGS: usize = 64;
/// Installations whose last turn is remembered.
const MOST_SEEN: usize = 200_000;

/// The gateway among `online` whose turn `who` is; `None` when nobody is online.
pub fn owner<'a>(online: impl IntoIterator<Item = &'a GatewayId>, who: &InstallationId) -> Option<&'a GatewayId> {
    online.into_iter().max_by_key(|gateway| (weight(gateway, who), *gateway))
}

/// The first 8 bytes of SHA-256(gateway | 0 | installation).
fn weight(gateway: &GatewayId, who: &InstallationId) -> u64 {
    let mut hash = Sha256::new();
    hash.update(gateway.as_str().as_bytes());
    hash.update([0]);
    hash.update(who.as_str().as_bytes());
    let digest = hash.finalize();
    digest.iter().take(8).fold(0, |all, byte| (all << 8) | u64::from(*byte))
}

/// Whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ours. `fresh`: at some moment since we last took something of this installation it was not, or might not have been.
    Ours { fresh: bool },
    /// Another gateway's, at this address.
    Other(String),
    /// The broker has not told us yet who is online.
    Unknown,
}

/// The gateways that share the work, as this one sees them.
pub struct Group {
    own: GatewayId,
    addresses: BTreeMap<GatewayId, String>,
    view: Mutex<View>,
}

struct View {
    online: BTreeMap<GatewayId, bool>,
    subscribed: Option<Instant>,
    /// Who was online, from the oldest remembered picture to the present one. The first picture of all is empty: before our start it was
    /// nobody's turn that we know of.
    rings: VecDeque<BTreeSet<GatewayId>>,
    /// Number of the last of `rings`.
    newest: u64,
    /// The picture under which an installation was last taken here.
    seen: HashMap<InstallationId, u64>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("own", &self.own).field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Group {
    /// The group of the configuration; `own` is one of it.
    pub fn new(own: GatewayId, addresses: BTreeMap<GatewayId, String>) -> Self {
        let view =
            View { online: BTreeMap::new(), subscribed: None, rings: VecDeque::from([BTreeSet::new()]), newest: 0, seen: HashMap::new() };
        Self { own, addresses, view: Mutex::new(view) }
    }

    /// Whose states must be watched.
    pub(super) fn members(&self) -> impl Iterator<Item = &GatewayId> {
        self.addresses.keys()
    }

    /// The subscriptions stand. After a loss of the connection, what was known before is kept until the new states come.
    pub(super) fn subscribed(&self, now: Instant) {
        self.view().subscribed.get_or_insert(now);
    }

    /// A gateway said whether it is online. One that is not of the group is nobody.
    pub(super) fn heard(&self, gateway: &GatewayId, online: bool, now: Instant) {
        if !self.addresses.contains_key(gateway) {
            return;
        }
        let mut view = self.view();
        view.online.insert(gateway.clone(), online);
        if view.is_settled(now) {
            view.look(&self.own);
        }
    }

    /// Whose turn `who` is now.
    pub(super) fn turn(&self, who: &InstallationId, now: Instant) -> Turn {
        let mut view = self.view();
        if !view.is_settled(now) {
            return Turn::Unknown;
        }
        view.look(&self.own);
        let owner = view.rings.back().and_then(|ring| owner(ring, who));
        match owner {
            Some(other) if *other != self.own => Turn::Other(self.addresses.get(other).cloned().unwrap_or_default()),
            _ => Turn::Ours { fresh: view.is_fresh(&self.own, who) },
        }
    }

    /// Something of `who` was taken here.
    pub(super) fn taken(&self, who: &InstallationId) {
        let mut view = self.view();
        let newest = view.newest;
        if let Some(seen) = view.seen.get_mut(who) {
            *seen = newest;
            return;
        }
        // Who is forgotten begins as "already inside", which costs an offer and never makes one.
        if view.seen.len() >= MOST_SEEN {
            view.seen.retain(|_, seen| *seen == newest);
        }
        if view.seen.len() < MOST_SEEN {
            view.seen.insert(who.clone(), newest);
        }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    fn is_settled(&self, now: Instant) -> bool {
        self.subscribed.is_some_and(|since| now.duration_since(since) >= SETTLED_AFTER)
    }

    /// Notes a change of who is online. When the states say that nobody is, we are all that is left.
    fn look(&mut self, own: &GatewayId) {
        let mut ring: BTreeSet<GatewayId> = self.online.iter().filter(|(_, online)| **online).map(|(id, _)| id.clone()).collect();
        if ring.is_empty() {
            ring.insert(own.clone());
        }
        if self.rings.back() != Some(&ring) {
            self.rings.push_back(ring);
            self.newest += 1;
            if self.rings.len() > MOST_RINGS {
                self.rings.pop_front();
            }
        }
    }

    fn is_fresh(&self, own: &GatewayId, who: &InstallationId) -> bool {
        let Some(seen) = self.seen.get(who) else { return true };
        let since = self.newest - seen;
        match usize::try_from(since) {
            Ok(since) if since < self.rings.len() => self.rings.iter().rev().take(since).any(|ring| owner(ring, who) != Some(own)),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
