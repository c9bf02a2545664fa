//! The chain keys of all installations by slot: the oldest ones that are still kept, and beside them those of one day, derived in bulk, so that
//! a window of that day costs one HMAC an installation and not three.

use std::{io, path::PathBuf};

use passage_protocol::{ChainKey, rid};

use super::vault::{PIECE, Secret, Vault};

/// No key is in this slot.
const NONE: u8 = u8::MAX;

/// The keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The oldest day for which keys are kept.
    first_day: i64,
    /// How many days after `first_day` the key of a slot begins: its app enrolled later.
    begins: Vec<u8>,
    oldest: Vault,
    /// The same keys, brought to one day.
    of_day: Option<(i64, Vault)>,
    folder: PathBuf,
}

impl Keys {
    /// No keys yet; `folder` is where very many of them lie, sealed.
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder, ..Self::default() }
    }

    /// Adds a key behind the last slot.
    pub(super) fn push(&mut self, chain: &ChainKey) -> io::Result<()> {
        if self.begins.is_empty() {
            self.first_day = chain.day;
        }
        self.reach_back_to(chain.day);
        let (begins, chain) = self.aligned(chain);
        self.begins.push(begins);
        self.oldest.push(chain.key, &self.folder)?;
        if let Some((day, vault)) = &mut self.of_day {
            vault.push(chain.for_day(*day).map_or([0; 32], |c| c.key), &self.folder)?;
        }
        Ok(())
    }

    /// Replaces the key of a slot.
    pub(super) fn replace(&mut self, slot: usize, chain: &ChainKey) -> io::Result<()> {
        self.reach_back_to(chain.day);
        let (begins, chain) = self.aligned(chain);
        self.begins[slot] = begins;
        self.oldest.set(slot, chain.key)?;
        match &mut self.of_day {
            Some((day, vault)) => vault.set(slot, chain.for_day(*day).map_or([0; 32], |c| c.key)),
            None => Ok(()),
        }
    }

    /// Forgets the key of a slot.
    pub(super) fn clear(&mut self, slot: usize) -> io::Result<()> {
        self.begins[slot] = NONE;
        self.oldest.set(slot, [0; 32])?;
        match &mut self.of_day {
            Some((_, vault)) => vault.set(slot, [0; 32]),
            None => Ok(()),
        }
    }

    /// The oldest key of a slot.
    pub(super) fn chain(&self, slot: usize) -> io::Result<Option<ChainKey>> {
        match self.begins.get(slot) {
            None | Some(&NONE) => Ok(None),
            Some(begins) => Ok(Some(ChainKey { day: self.first_day + i64::from(*begins), key: self.oldest.get(slot)? })),
        }
    }

    /// True if `chain` is the key of the slot, as it is or some days later.
    pub(super) fn is_of(&self, slot: usize, chain: &ChainKey) -> io::Result<bool> {
        let Some(known) = self.chain(slot)? else { return Ok(false) };
        let day = known.day.max(chain.day);
        Ok(known.for_day(day).is_some_and(|known| chain.for_day(day) == Some(known)))
    }

    /// Gives each slot's key of `day` to `take`; slots whose key begins later have none.
    pub(super) fn each_of_day(&self, day: i64, mut take: impl FnMut(usize, &Secret)) -> io::Result<()> {
        let (vault, at) = match &self.of_day {
            Some((at, vault)) if *at <= day => (vault, Some(*at)),
            _ => (&self.oldest, None),
        };
        let mut piece = Vec::with_capacity(PIECE);
        for n in 0..vault.pieces() {
            vault.read(n, &mut piece)?;
            for (slot, key) in (n * PIECE..).zip(&piece) {
                let begins = self.begins[slot];
                if begins == NONE || self.first_day + i64::from(begins) > day {
                    continue;
                }
                // A key that begins after the bulk's day is not in the bulk.
                let own = self.first_day + i64::from(begins);
                match at {
                    Some(at) if own > at => {
                        if let Some(chain) = self.chain(slot)?.and_then(|c| c.for_day(day)) {
                            take(slot, &chain.key);
                        }
                    }
                    Some(at) => take(slot, &stepped(key, day - at)),
                    None => take(slot, &stepped(key, day - own)),
                }
            }
        }
        Ok(())
    }

    /// Derives the keys of `day` for all slots, if that was not done.
    pub(super) fn prepare_day(&mut self, day: i64) -> io::Result<()> {
        if self.of_day.as_ref().is_some_and(|(at, _)| *at == day) || self.first_day > day {
            return Ok(());
        }
        let mut vault = Vault::default();
        let mut all_pushed = Ok(());
        let mut push = |key| {
            if all_pushed.is_ok() {
                all_pushed = vault.push(key, &self.folder);
            }
        };
        let mut next = 0;
        self.each_of_day(day, |slot, key| {
            (next..slot).for_each(|_| push([0; 32]));
            push(*key);
            next = slot + 1;
        })?;
        (next..self.begins.len()).for_each(|_| push([0; 32]));
        all_pushed?;
        self.of_day = Some((day, vault));
        Ok(())
    }

    /// Replaces keys of days before `day` by their successors, which cannot resolve those days.
    pub(super) fn roll_forward(&mut self, day: i64) -> io::Result<()> {
        let days = day - self.first_day;
        if days <= 0 {
            return Ok(());
        }
        let mut rolled = Vault::default();
        let mut piece = Vec::with_capacity(PIECE);
        for n in 0..self.oldest.pieces() {
            self.oldest.read(n, &mut piece)?;
            for (slot, key) in (n * PIECE..).zip(&piece) {
                let begins = self.begins[slot];
                let key = if begins == NONE { [0; 32] } else { stepped(key, days - i64::from(begins)) };
                rolled.push(key, &self.folder)?;
            }
        }
        for begins in self.begins.iter_mut().filter(|b| **b != NONE) {
            *begins = u8::try_from((i64::from(*begins) - days).max(0)).unwrap_or(NONE - 1);
        }
        (self.oldest, self.first_day) = (rolled, day);
        if self.of_day.as_ref().is_some_and(|(at, _)| *at < day) {
            self.of_day = None;
        }
        Ok(())
    }

    /// Makes room for a key that begins earlier than all others. Only a hub that has just started sees one.
    fn reach_back_to(&mut self, day: i64) {
        let back = self.first_day - day;
        if let Ok(back @ 1..) = u8::try_from(back) {
            for begins in self.begins.iter_mut().filter(|b| **b != NONE) {
                *begins = begins.saturating_add(back).min(NONE - 1);
            }
            self.first_day = day;
        }
    }

    /// How many days after the first a key begins, and the key of that day.
    fn aligned(&self, chain: &ChainKey) -> (u8, ChainKey) {
        let chain = chain.for_day(self.first_day.max(chain.day)).unwrap_or_else(|| chain.clone());
        (u8::try_from(chain.day - self.first_day).unwrap_or(NONE - 1).min(NONE - 1), chain)
    }
}

fn stepped(key: &Secret, days: i64) -> Secret {
    (0..days).fold(*key, |key, _| rid::next_key(&key))
}
