//! What a hub has taken back: installations that have ended, and tokens that were replaced before their time.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use passage_protocol::{DenyList, GatewayId, InstallationId, Millis, sign::Pinned};

use crate::SavedState;

/// Where in [`SavedState`] it is kept.
pub(crate) const MACHINE: &str = "deny";
/// No id can begin like this.
const REVISION: &[u8] = b"#revision/";
/// Entries that are kept. A list of real revocations never comes near it.
const MOST: usize = 1_000_000;

/// The book of denied installations. It is asked on every request, and outlives a restart.
#[derive(Default)]
pub struct DenyBook(RwLock<Book>);

#[derive(Default)]
struct Book {
    /// Tokens that expire before this are refused; [`ENDED`] when nothing is taken any more.
    until: HashMap<InstallationId, Millis>,
    revisions: HashMap<u32, u64>,
}

/// The installation has ended.
const ENDED: Millis = Millis(i64::MAX);

/// Why a list was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Not a list of this gateway, or not signed by a pinned key.
    #[error("it is not a deny list that a pinned hub key signed for this gateway")]
    Forged,
    /// Older than the last one.
    #[error("its revision is lower than that of the list in force")]
    Older,
}

impl std::fmt::Debug for DenyBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DenyBook({})", self.0.read().unwrap_or_else(PoisonError::into_inner).until.len())
    }
}

impl DenyBook {
    /// The book as it was when the outbox was last written.
    pub fn restored(saved: &[(String, Vec<u8>, Vec<u8>)]) -> Self {
        let mut book = Book::default();
        for (_, key, value) in saved.iter().filter(|(machine, ..)| machine == MACHINE) {
            let Ok(number) = <[u8; 8]>::try_from(value.as_slice()) else { continue };
            let Ok(key) = std::str::from_utf8(key) else { continue };
            if let Some(part) = key.strip_prefix("#revision/") {
                book.revisions.extend(part.parse().ok().map(|part| (part, u64::from_be_bytes(number))));
            } else {
                book.until.extend(key.parse().ok().map(|id| (id, Millis(i64::from_be_bytes(number)))));
            }
        }
        Self(RwLock::new(book))
    }

    /// False for a token that was taken back, and for every token of an installation that has ended.
    pub(super) fn admits(&self, who: &InstallationId, expires: Millis) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).until.get(who).is_none_or(|until| expires >= *until && *until != ENDED)
    }

    /// True when nothing of this installation may be taken any more.
    pub(super) fn has_ended(&self, who: &InstallationId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).until.get(who) == Some(&ENDED)
    }

    /// Takes a part of a list that came in for `gateway`. What it gives must be saved.
    pub fn take(&self, payload: &[u8], gateway: &GatewayId, pinned: &Pinned, now: Millis) -> Result<Vec<SavedState>, NotTaken> {
        let list = DenyList::from_slice(payload).map_err(|_| NotTaken::Forged)?;
        if list.gateway != *gateway || list.verify(pinned).is_err() {
            return Err(NotTaken::Forged);
        }
        let mut book = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if book.revisions.get(&list.part).is_some_and(|known| list.revision < *known) {
            return Err(NotTaken::Older);
        }
        Ok(book.unite(list, now))
    }
}

impl Book {
    fn unite(&mut self, list: DenyList, now: Millis) -> Vec<SavedState> {
        let mut saved = self.forget(now);
        if self.revisions.insert(list.part, list.revision) != Some(list.revision) {
            saved.push(entry([REVISION, list.part.to_string().as_bytes()].concat(), Some(list.revision.to_be_bytes())));
        }
        for denied in list.denied {
            let until = denied.until.unwrap_or(ENDED);
            let known = self.until.get(&denied.installation).copied();
            // Each entry is a fact: a later list can add to it, and cannot take it back.
            if until > now && known.is_none_or(|known| until > known) && (known.is_some() || self.until.len() < MOST) {
                saved.push(entry(denied.installation.as_str().into(), Some(until.0.to_be_bytes())));
                self.until.insert(denied.installation, until);
            }
        }
        saved
    }

    /// Tokens that have expired by themselves need no entry.
    fn forget(&mut self, now: Millis) -> Vec<SavedState> {
        let over: Vec<_> = self.until.extract_if(|_, until| *until <= now).collect();
        over.into_iter().map(|(id, _)| entry(id.as_str().into(), None)).collect()
    }
}

fn entry(key: Vec<u8>, value: Option<[u8; 8]>) -> SavedState {
    SavedState { machine: MACHINE, key, value: value.map(|v| v.to_vec()) }
}

#[cfg(test)]
mod tests {
    use passage_protocol::{Denied, sign::Signing};

    use super::*;

    fn own() -> GatewayId {
        "gw-position".parse().unwrap()
    }

    fn key() -> Signing {
        Signing::from_bytes(&[3; 32])
    }

    fn pinned() -> Pinned {
        Pinned::from_base64([key().public().as_str()]).unwrap()
    }

    fn list(revision: u64, denied: &[(&str, Option<i64>)]) -> Vec<u8> {
        let denied: Vec<Denied> =
            denied.iter().map(|(id, until)| Denied { installation: id.parse().unwrap(), until: until.map(Millis) }).collect();
        DenyList::parts(&own(), revision, &denied, &key()).remove(0).to_vec()
    }

    fn who(id: &str) -> InstallationId {
        id.parse().unwrap()
    }

    #[test]
    fn an_ended_installation_gets_in_no_more_and_a_replaced_token_no_longer() {
        let book = DenyBook::default();
        book.take(&list(1, &[("i-ended", None), ("i-rotated", Some(1_000))]), &own(), &pinned(), Millis(0)).unwrap();
        assert!(!book.admits(&who("i-ended"), Millis(i64::MAX)) && book.has_ended(&who("i-ended")));
        assert!(!book.admits(&who("i-rotated"), Millis(999)));
        assert!(book.admits(&who("i-rotated"), Millis(1_000)), "the newer token is good");
        assert!(!book.has_ended(&who("i-rotated")));
        assert!(book.admits(&who("i-other"), Millis(1)));
    }

    #[test]
    fn a_list_of_another_key_or_gateway_or_an_older_one_changes_nothing() {
        let book = DenyBook::default();
        book.take(&list(5, &[]), &own(), &pinned(), Millis(0)).unwrap();
        let denied = [Denied { installation: who("i-ended"), until: None }];
        let foreign_key = DenyList::parts(&own(), 9, &denied, &Signing::from_bytes(&[4; 32])).remove(0);
        let foreign_gateway = DenyList::parts(&"gw-other".parse().unwrap(), 9, &denied, &key()).remove(0);
        for forged in [foreign_key.to_vec(), foreign_gateway.to_vec(), b"{}".to_vec()] {
            assert_eq!(book.take(&forged, &own(), &pinned(), Millis(0)), Err(NotTaken::Forged));
        }
        assert_eq!(book.take(&list(4, &[("i-ended", None)]), &own(), &pinned(), Millis(0)), Err(NotTaken::Older));
        assert!(book.admits(&who("i-ended"), Millis(1)));
    }

    #[test]
    fn a_shorter_list_takes_nothing_back_and_a_restart_forgets_nothing() {
        let book = DenyBook::default();
        let mut disk = HashMap::new();
        let mut keep = |saved: Vec<SavedState>| {
            for s in saved {
                disk.insert((s.machine.to_owned(), s.key), s.value);
            }
        };
        keep(book.take(&list(1, &[("i-ended", None), ("i-rotated", Some(1_000))]), &own(), &pinned(), Millis(0)).unwrap());
        keep(book.take(&list(2, &[]), &own(), &pinned(), Millis(2_000)).unwrap());
        assert!(!book.admits(&who("i-ended"), Millis(9_999)));
        let saved: Vec<_> = disk.into_iter().filter_map(|((machine, key), value)| Some((machine, key, value?))).collect();
        let again = DenyBook::restored(&saved);
        assert!(again.has_ended(&who("i-ended")));
        assert!(again.0.read().unwrap().until.len() == 1, "a token that expired by itself is forgotten on the disk too");
        assert_eq!(again.take(&list(1, &[]), &own(), &pinned(), Millis(0)), Err(NotTaken::Older));
    }
}
