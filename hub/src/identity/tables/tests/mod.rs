//! Rotating ids through the tables.

use super::*;

const NOON: Millis = Millis(1_795_176_000_000); // 2026-11-20T12:00:00Z, the start of a window

fn chain(n: u8) -> ChainKey {
    ChainKey { day: day_of(window_at(NOON)) - 2, key: [n; 32] }
}

fn tables() -> Tables {
    let mut tables = Tables::default();
    for n in 1..=3 {
        set(&mut tables, i64::from(n), vec![(format!("i-{n:03}").parse().unwrap(), chain(n))]);
    }
    tables
}

fn set(tables: &mut Tables, member: i64, phones: Vec<(InstallationId, ChainKey)>) {
    tables.set(MemberId(member), 1, phones).unwrap();
}

fn found(member: i64) -> Found {
    Found::Owner(Owner::new(MemberId(member), 1))
}

/// Builds what is to be built at `now`; true if something was asked for.
fn prepare(tables: &mut Tables, now: Millis) -> bool {
    let mut asked = false;
    while let Some(build) = tables.next_build(now) {
        asked |= build.was_asked_for();
        tables.install(build.run().unwrap());
    }
    asked
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
        assert_eq!(heard(&mut tables, 2, at, at, NOON), found(2), "{quarter} windows ago");
    }
}

#[test]
fn a_clock_that_is_one_window_off_resolves_and_one_that_is_two_off_does_not() {
    for (off, expected) in [(-1, found(1)), (1, found(1)), (-2, Found::Nobody), (2, Found::Nobody)] {
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
    tables.rolling(today)().unwrap();
    assert_eq!(heard(&mut tables, 3, NOON, NOON, NOON), found(3));
    let yesterday = Millis(NOON.0 - 86_400_000);
    assert_eq!(heard(&mut tables, 3, yesterday, yesterday, NOON), Found::Nobody);
}

#[test]
fn a_forgotten_member_leaves_all_tables_and_a_new_one_enters_them() {
    let mut tables = tables();
    assert_eq!(heard(&mut tables, 1, NOON, NOON, NOON), found(1));
    set(&mut tables, 1, Vec::new());
    assert_eq!(heard(&mut tables, 1, NOON, NOON, NOON), Found::Nobody);
    assert_eq!(tables.installation(&"i-001".parse().unwrap()), None);
    set(&mut tables, 9, vec![("i-009".parse().unwrap(), chain(9))]);
    assert_eq!(heard(&mut tables, 9, NOON, NOON, NOON), found(9));
    assert_eq!(heard(&mut tables, 2, NOON, NOON, NOON), found(2));
    set(&mut tables, 5, vec![("i-001".parse().unwrap(), chain(1))]);
    assert_eq!(heard(&mut tables, 1, NOON, NOON, NOON), found(5));
}

#[test]
fn a_change_that_leaves_the_phones_alone_leaves_the_tables_alone() {
    let mut tables = tables();
    assert_eq!(heard(&mut tables, 2, NOON, NOON, NOON), found(2));
    set(&mut tables, 2, vec![("i-002".parse().unwrap(), chain(2))]);
    assert_eq!((tables.len(), tables.owners.len()), (3, 3));
    assert_eq!(heard(&mut tables, 2, NOON, NOON, NOON), found(2));
}

#[test]
fn everybody_is_found_among_those_who_have_gone_until_it_is_time_to_load_anew() {
    let mut tables = tables();
    for n in 0..1100 {
        assert!(!tables.is_worn() || n > 1000, "{n}");
        set(&mut tables, 77, vec![(format!("i-new-{n}").parse().unwrap(), chain(77))]);
    }
    assert!(tables.is_worn());
    for phone in [1, 2, 3, 77] {
        assert_eq!(heard(&mut tables, phone, NOON, NOON, NOON), found(i64::from(phone)));
    }
    assert_eq!(tables.len(), 4);
    assert_eq!(tables.installation(&"i-new-7".parse().unwrap()), None);
    assert_eq!(tables.installation(&"i-new-1099".parse().unwrap()), Some(Owner::new(MemberId(77), 1)));
}

#[test]
fn another_key_takes_the_place_of_the_old_one_at_once() {
    let mut tables = tables();
    assert_eq!(heard(&mut tables, 2, NOON, NOON, NOON), found(2));
    let new = ChainKey { day: day_of(window_at(NOON)), key: [99; 32] };
    set(&mut tables, 2, vec![("i-002".parse().unwrap(), new.clone())]);
    assert_eq!(heard(&mut tables, 2, NOON, NOON, NOON), Found::Nobody);
    let (window, rid) = new.rid_at(NOON).unwrap();
    assert_eq!(tables.rid(rid, u8::try_from(window.rem_euclid(16)).unwrap(), NOON, NOON), found(2));
    assert_eq!(tables.owners.len(), 3, "it is the same installation");
}

#[test]
fn an_installation_that_goes_over_to_another_member_is_hers_whichever_change_is_seen_first() {
    for order in [[1, 9], [9, 1]] {
        let mut tables = tables();
        for member in order {
            let phones = if member == 9 { vec![("i-001".parse().unwrap(), chain(1))] } else { Vec::new() };
            set(&mut tables, member, phones);
        }
        assert_eq!(heard(&mut tables, 1, NOON, NOON, NOON), found(9), "{order:?}");
        assert_eq!(tables.installation(&"i-001".parse().unwrap()), Some(Owner::new(MemberId(9), 1)));
        assert_eq!(tables.len(), 3);
    }
}

#[test]
fn midnight_and_a_roll_forward_leave_every_phone_where_it_is() {
    let mut tables = tables();
    let today = ChainKey { day: day_of(window_at(NOON)), key: [50; 32] };
    set(&mut tables, 50, vec![("i-050".parse().unwrap(), today.clone())]);
    for hours in 0..40 {
        let now = Millis(NOON.0 + hours * 3_600_000 + 600_000);
        tables.rolling(day_of(window_at(Millis(now.0 - HORIZON_MS))))().unwrap();
        prepare(&mut tables, now);
        assert_eq!(heard(&mut tables, 3, now, now, now), found(3), "after {hours} h");
        let (window, rid) = today.rid_at(now).unwrap();
        assert_eq!(tables.rid(rid, u8::try_from(window.rem_euclid(16)).unwrap(), now, now), found(50), "after {hours} h");
        assert_eq!(heard(&mut tables, 3, NOON, NOON, now), found(3), "late by {hours} h");
    }
}

#[test]
fn two_installations_with_one_id_resolve_to_nobody() {
    let mut tables = tables();
    set(&mut tables, 4, vec![("i-twin".parse().unwrap(), chain(1))]);
    assert_eq!(heard(&mut tables, 1, NOON, NOON, NOON), Found::Nobody);
}

#[test]
fn many_installations_wait_for_the_next_refresh() {
    let mut tables = Tables::default();
    let today = ChainKey { day: day_of(window_at(NOON)), key: [1; 32] };
    for n in 0..=BUILD_AT_ONCE {
        let mut key = today.clone();
        key.key[..8].copy_from_slice(&(n as u64).to_be_bytes());
        set(&mut tables, n as i64, vec![(format!("i-{n}").parse().unwrap(), key)]);
    }
    let mut key = today.clone();
    key.key[..8].copy_from_slice(&7_u64.to_be_bytes());
    let (window, rid) = key.rid_at(NOON).unwrap();
    let hint = u8::try_from(window.rem_euclid(16)).unwrap();
    assert_eq!(tables.rid(rid, hint, NOON, NOON), Found::Later);
    assert!(prepare(&mut tables, NOON));
    assert_eq!(tables.rid(rid, hint, NOON, NOON), found(7));
}
