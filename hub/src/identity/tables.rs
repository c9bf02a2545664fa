//! Tables from rotating ids to installations, one per window of 900 s, built when they are needed. Pure: time comes in, no I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use passage_protocol::{
    ChainKey, InstallationId, Millis, Rid,
    rid::{day_of, window_at, window_for_hint},
};

use crate::identity::MemberId;

/// Evidence older than this is resolved by nobody, and no key older than this is kept.
pub const HORIZON_MS: i64 = 48 * 3600 * 1000;
/// How many windows a phone's clock may be off.
pub const MAX_SKEW: i64 = 1;
/// Up to so many installations a missing table is built on the spot (about 20 ms); above, at the next refresh.
const BUILD_AT_ONCE: usize = 20_000;
/// Most entries of all tables together; one takes about 20 bytes.
const MAX_ENTRIES: usize = 4_000_000;

/// One id stands for two installations: it resolves to nobody.
const AMBIGUOUS: u32 = u32::MAX;

#[derive(Debug)]
struct Phone {
    id: InstallationId,
    member: MemberId,
    chain: ChainKey,
}

#[derive(Debug, Default)]
struct Window {
    ids: HashMap<Rid, u32>,
    used: u64,
}

/// All live installations, and the tables of the windows that were asked for lately.
#[derive(Debug, Default)]
pub struct Tables {
    phones: Vec<Option<Phone>>,
    by_id: HashMap<InstallationId, u32>,
    by_member: HashMap<MemberId, Vec<u32>>,
    windows: BTreeMap<i64, Window>,
    wanted: BTreeSet<i64>,
    uses: u64,
}

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The member whose phone it is.
    Member(MemberId),
    /// Nobody's, as far as is known.
    Nobody,
    /// The table of that window is not built yet; it will be at the next refresh.
    Later,
}

impl Tables {
    /// How many installations there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True without any installation.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Sets the live installations of a member. Those that she had before keep their place in the tables.
    pub fn set(&mut self, member: MemberId, now: Vec<(InstallationId, ChainKey)>) {
        let mut slots = self.by_member.remove(&member).unwrap_or_default();
        slots.retain(|slot| {
            let stays = self.phones[*slot as usize].as_ref().is_some_and(|phone| now.iter().any(|(id, _)| *id == phone.id));
            if !stays && let Some(phone) = self.phones[*slot as usize].take() {
                // Its entries stay in the tables and lead to nobody.
                self.by_id.remove(&phone.id);
            }
            stays
        });
        for (id, chain) in now {
            if !self.by_id.contains_key(&id) {
                slots.push(self.add(Phone { id, member, chain }));
            }
        }
        if !slots.is_empty() {
            self.by_member.insert(member, slots);
        }
        if self.phones.len() > 1024 + 2 * self.len() {
            self.compact();
        }
    }

    /// Adds an installation to the tables that exist; returns its slot, which is never used again for another one.
    fn add(&mut self, phone: Phone) -> u32 {
        let slot = u32::try_from(self.phones.len()).unwrap_or(AMBIGUOUS);
        for (window, table) in &mut self.windows {
            enter(table, *window, slot, &phone.chain, &self.phones);
        }
        self.by_id.insert(phone.id.clone(), slot);
        self.phones.push(Some(phone));
        slot
    }

    /// Closes the gaps that deleted installations left; the tables are built again when they are needed.
    fn compact(&mut self) {
        let phones: Vec<Phone> = std::mem::take(&mut self.phones).into_iter().flatten().collect();
        self.by_member.clear();
        self.windows.clear();
        for phone in phones {
            let member = phone.member;
            let slot = self.add(phone);
            self.by_member.entry(member).or_default().push(slot);
        }
    }

    /// The member of an installation that spoke for itself.
    pub fn installation(&self, id: &InstallationId) -> Option<MemberId> {
        let slot = *self.by_id.get(id)?;
        self.phones.get(slot as usize)?.as_ref().map(|phone| phone.member)
    }

    /// Looks up a rotating id that was heard at `evidence` with this hint. `now` may be as old as the last refresh.
    pub fn rid(&mut self, rid: Rid, hint: u8, evidence: Millis, now: Millis) -> Found {
        let around = window_at(evidence);
        let window = window_for_hint(around, hint);
        if (window - around).abs() > MAX_SKEW || now.since(evidence).abs() > HORIZON_MS {
            return Found::Nobody;
        }
        if !self.windows.contains_key(&window) {
            if self.len() > BUILD_AT_ONCE {
                self.wanted.insert(window);
                return Found::Later;
            }
            self.build(window);
        }
        self.uses += 1;
        let Some(table) = self.windows.get_mut(&window) else { return Found::Nobody };
        table.used = self.uses;
        let slot = table.ids.get(&rid).copied();
        match slot.and_then(|slot| self.phones.get(slot as usize)?.as_ref()) {
            Some(phone) => Found::Member(phone.member),
            None => Found::Nobody,
        }
    }

    /// Builds the windows around `now` and those that were asked for in vain; true if one of the latter is there now.
    pub fn prepare(&mut self, now: Millis) -> bool {
        let oldest = window_at(Millis(now.0 - HORIZON_MS)) - MAX_SKEW;
        self.windows.retain(|window, _| *window >= oldest);
        let around = window_at(now);
        let wanted = std::mem::take(&mut self.wanted);
        let asked = !wanted.is_empty();
        for window in wanted.into_iter().chain(around - MAX_SKEW..=around + MAX_SKEW) {
            if !self.windows.contains_key(&window) {
                self.build(window);
            }
        }
        asked
    }

    /// Replaces keys of days that have left the horizon by their successors, which cannot resolve those days.
    pub fn roll_forward(&mut self, day: i64) {
        for phone in self.phones.iter_mut().flatten() {
            if let Some(chain) = phone.chain.for_day(day) {
                phone.chain = chain;
            }
        }
    }

    fn build(&mut self, window: i64) {
        self.make_room();
        self.uses += 1;
        let mut table = Window { ids: HashMap::with_capacity(self.by_id.len()), used: self.uses };
        for (slot, phone) in self.phones.iter().enumerate() {
            if let (Some(phone), Ok(slot)) = (phone, u32::try_from(slot)) {
                enter(&mut table, window, slot, &phone.chain, &self.phones);
            }
        }
        self.windows.insert(window, table);
    }

    /// Drops the tables that were used longest ago until one more fits.
    fn make_room(&mut self) {
        let most = (MAX_ENTRIES / self.len().max(1)).clamp(8, 256);
        while self.windows.len() >= most {
            let Some(oldest) = self.windows.iter().min_by_key(|(_, table)| table.used).map(|(window, _)| *window) else { return };
            self.windows.remove(&oldest);
        }
    }
}

/// Puts one installation into the table of a window, if its key reaches that day.
fn enter(table: &mut Window, window: i64, slot: u32, chain: &ChainKey, phones: &[Option<Phone>]) {
    let Some(chain) = chain.for_day(day_of(window)) else { return };
    let is_live = |slot: u32| phones.get(slot as usize).is_some_and(Option::is_some);
    let entry = table.ids.entry(chain.rid(window)).or_insert(slot);
    if *entry != slot {
        *entry = if is_live(*entry) { AMBIGUOUS } else { slot };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = Millis(1_795_176_000_000); // 2026-11-20T12:00:00Z, the start of a window

    fn chain(n: u8) -> ChainKey {
        ChainKey { day: day_of(window_at(NOON)) - 2, key: [n; 32] }
    }

    fn tables() -> Tables {
        let mut tables = Tables::default();
        for n in 1..=3 {
            tables.set(MemberId(i64::from(n)), vec![(format!("i-{n:03}").parse().unwrap(), chain(n))]);
        }
        tables
    }

    fn heard(tables: &mut Tables, phone: u8, phone_clock: Millis, evidence: Millis, now: Millis) -> Found {
        let (window, rid) = chain(phone).rid_at(phone_clock).unwrap();
        tables.rid(rid, u8::try_from(window.rem_euclid(16)).unwrap(), evidence, now)
    }

    #[test]
    fn an_id_resolves_through_every_rotation_of_two_days() {
        let mut tables = tables();
        for quarter in 0..190 {
            let at = Millis(NOON.0 - quarter * 900_000);
            assert_eq!(heard(&mut tables, 2, at, at, NOON), Found::Member(MemberId(2)), "{quarter} windows ago");
        }
    }

    #[test]
    fn a_clock_that_is_one_window_off_resolves_and_one_that_is_two_off_does_not() {
        for (off, expected) in [(-1, Found::Member(MemberId(1))), (1, Found::Member(MemberId(1))), (-2, Found::Nobody), (2, Found::Nobody)]
        {
            assert_eq!(heard(&mut tables(), 1, Millis(NOON.0 + off * 900_000), NOON, NOON), expected, "{off} windows off");
        }
    }

    #[test]
    fn evidence_from_beyond_the_horizon_or_the_future_is_nobodys() {
        let old = Millis(NOON.0 - HORIZON_MS - 1);
        assert_eq!(heard(&mut tables(), 1, old, old, NOON), Found::Nobody);
        let soon = Millis(NOON.0 + HORIZON_MS + 1);
        assert_eq!(heard(&mut tables(), 1, soon, soon, NOON), Found::Nobody);
    }

    #[test]
    fn a_rolled_key_resolves_its_day_and_nothing_before() {
        let mut tables = tables();
        let today = day_of(window_at(NOON));
        tables.roll_forward(today);
        assert_eq!(heard(&mut tables, 3, NOON, NOON, NOON), Found::Member(MemberId(3)));
        let yesterday = Millis(NOON.0 - 86_400_000);
        assert_eq!(heard(&mut tables, 3, yesterday, yesterday, NOON), Found::Nobody);
    }

    #[test]
    fn a_forgotten_member_leaves_all_tables_and_a_new_one_enters_them() {
        let mut tables = tables();
        assert_eq!(heard(&mut tables, 1, NOON, NOON, NOON), Found::Member(MemberId(1)));
        tables.set(MemberId(1), Vec::new());
        assert_eq!(heard(&mut tables, 1, NOON, NOON, NOON), Found::Nobody);
        assert_eq!(tables.installation(&"i-001".parse().unwrap()), None);
        tables.set(MemberId(9), vec![("i-009".parse().unwrap(), chain(9))]);
        assert_eq!(heard(&mut tables, 9, NOON, NOON, NOON), Found::Member(MemberId(9)));
        assert_eq!(heard(&mut tables, 2, NOON, NOON, NOON), Found::Member(MemberId(2)));
        tables.set(MemberId(5), vec![("i-001".parse().unwrap(), chain(1))]);
        assert_eq!(heard(&mut tables, 1, NOON, NOON, NOON), Found::Member(MemberId(5)));
    }

    #[test]
    fn a_change_that_leaves_the_phones_alone_leaves_the_tables_alone() {
        let mut tables = tables();
        assert_eq!(heard(&mut tables, 2, NOON, NOON, NOON), Found::Member(MemberId(2)));
        tables.set(MemberId(2), vec![("i-002".parse().unwrap(), chain(2))]);
        assert_eq!((tables.len(), tables.phones.len()), (3, 3));
        assert_eq!(heard(&mut tables, 2, NOON, NOON, NOON), Found::Member(MemberId(2)));
    }

    #[test]
    fn gaps_are_closed_and_everybody_is_still_found() {
        let mut tables = tables();
        for n in 0..2000 {
            tables.set(MemberId(77), vec![(format!("i-new-{n}").parse().unwrap(), chain(77))]);
        }
        assert!(tables.phones.len() < 1100);
        for phone in [1, 2, 3, 77] {
            assert_eq!(heard(&mut tables, phone, NOON, NOON, NOON), Found::Member(MemberId(i64::from(phone))));
        }
    }

    #[test]
    fn two_installations_with_one_id_resolve_to_nobody() {
        let mut tables = tables();
        tables.set(MemberId(4), vec![("i-twin".parse().unwrap(), chain(1))]);
        assert_eq!(heard(&mut tables, 1, NOON, NOON, NOON), Found::Nobody);
    }

    #[test]
    fn many_installations_wait_for_the_next_refresh() {
        let mut tables = Tables::default();
        let today = ChainKey { day: day_of(window_at(NOON)), key: [1; 32] };
        for n in 0..=BUILD_AT_ONCE {
            let mut key = today.clone();
            key.key[..8].copy_from_slice(&(n as u64).to_be_bytes());
            tables.set(MemberId(n as i64), vec![(format!("i-{n}").parse().unwrap(), key)]);
        }
        let mut key = today.clone();
        key.key[..8].copy_from_slice(&7_u64.to_be_bytes());
        let (window, rid) = key.rid_at(NOON).unwrap();
        let hint = u8::try_from(window.rem_euclid(16)).unwrap();
        assert_eq!(tables.rid(rid, hint, NOON, NOON), Found::Later);
        assert!(tables.prepare(NOON));
        assert_eq!(tables.rid(rid, hint, NOON, NOON), Found::Member(MemberId(7)));
    }
}
