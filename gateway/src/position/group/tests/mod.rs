//! The share as a pure function, and one gateway's view of the group.

use proptest::{prelude::*, sample::Index};

use super::*;

fn gateway(n: usize) -> GatewayId {
    format!("gw-position-{n}").parse().unwrap()
}

fn phone(n: u32) -> InstallationId {
    format!("i-{n:032x}").parse().unwrap()
}

fn gateways(n: usize) -> BTreeSet<GatewayId> {
    (0..n).map(gateway).collect()
}

proptest! {
    /// When a gateway goes, only its installations move; when it comes back, they and no others return.
    #[test]
    fn only_the_installations_of_the_gateway_that_goes_move(n in 2usize..12, gone: Index, phones in proptest::collection::vec(any::<u32>(), 1..200)) {
        let all = gateways(n);
        let gone = all.iter().nth(gone.index(n)).unwrap().clone();
        let rest: BTreeSet<GatewayId> = all.iter().filter(|g| **g != gone).cloned().collect();
        for who in phones.into_iter().map(phone) {
            let (before, after) = (owner(&all, &who).unwrap(), owner(&rest, &who).unwrap());
            prop_assert!(before == after || *before == gone);
        }
    }

    /// The order in which the gateways are named says nothing, so all of them come to the same answer.
    #[test]
    fn everybody_comes_to_the_same_answer(n in 1usize..12, turned in 0usize..12, who: u32) {
        let all: Vec<GatewayId> = gateways(n).into_iter().collect();
        let mut other = all.clone();
        other.rotate_left(turned % n);
        prop_assert_eq!(owner(&all, &phone(who)), owner(&other, &phone(who)));
    }
}

#[test]
fn the_shares_are_even() {
    for n in [2, 3, 5, 8] {
        let all = gateways(n);
        let mut shares: BTreeMap<&GatewayId, u32> = BTreeMap::new();
        for who in (0..40_000).map(phone) {
            *shares.entry(owner(&all, &who).unwrap()).or_default() += 1;
        }
        let mean = 40_000.0 / f64::from(u32::try_from(n).unwrap());
        // Five standard deviations of a binomial share.
        let bound = 5.0 * (mean * (1.0 - mean / 40_000.0)).sqrt();
        assert_eq!(shares.len(), n);
        assert!(shares.values().all(|s| (f64::from(*s) - mean).abs() < bound), "{shares:?}");
    }
}

#[test]
fn nobody_owns_anything_when_nobody_is_online() {
    assert_eq!(owner([], &phone(1)), None);
}

/// The view of gateway 0 in a group of two, with a phone of its own and one of the other.
struct Two {
    group: Group,
    start: Instant,
    mine: InstallationId,
    its: InstallationId,
}

impl Two {
    fn new() -> Self {
        let all = gateways(2);
        let owned_by = |n: usize| (0..).map(phone).find(|who| owner(&all, who) == Some(&gateway(n))).unwrap();
        let (mine, its) = (owned_by(0), owned_by(1));
        let addresses = all.iter().map(|id| (id.clone(), format!("{id}:80"))).collect();
        Self { group: Group::new(gateway(0), addresses), start: Instant::now(), mine, its }
    }

    fn now(&self) -> Instant {
        self.start + SETTLED_AFTER * 2
    }

    fn settled() -> Self {
        let two = Self::new();
        two.group.subscribed(two.start);
        two.online(0, true);
        two.online(1, true);
        two
    }

    fn online(&self, n: usize, online: bool) {
        self.group.heard(&gateway(n), online, self.now());
    }

    fn turn(&self, who: &InstallationId) -> Turn {
        self.group.turn(who, self.now())
    }
}

const FRESH: Turn = Turn::Ours { fresh: true };
const KNOWN: Turn = Turn::Ours { fresh: false };

#[test]
fn before_the_broker_has_told_who_is_online_it_is_nobodys_turn() {
    let two = Two::new();
    assert_eq!(two.turn(&two.mine), Turn::Unknown);
    two.group.subscribed(two.start);
    assert_eq!(two.group.turn(&two.mine, two.start), Turn::Unknown);
    // Then silence means that nobody else is there.
    assert_eq!(two.turn(&two.mine), FRESH);
    assert_eq!(two.turn(&two.its), FRESH);
}

#[test]
fn each_takes_its_share_and_the_first_report_after_the_start_is_fresh() {
    let two = Two::settled();
    assert_eq!(two.turn(&two.its), Turn::Other("gw-position-1:80".to_owned()));
    assert_eq!(two.turn(&two.mine), FRESH);
    two.group.taken(&two.mine);
    assert_eq!(two.turn(&two.mine), KNOWN);
}

#[test]
fn what_changes_hands_is_fresh_and_what_does_not_stays_known() {
    let two = Two::settled();
    two.turn(&two.mine);
    two.group.taken(&two.mine);
    two.online(1, false);
    assert_eq!(two.turn(&two.its), FRESH, "taken over");
    two.group.taken(&two.its);
    assert_eq!(two.turn(&two.its), KNOWN);
    assert_eq!(two.turn(&two.mine), KNOWN, "it was ours all the time");
    two.online(1, true);
    assert_eq!(two.turn(&two.its), Turn::Other("gw-position-1:80".to_owned()));
    two.online(1, false);
    assert_eq!(two.turn(&two.its), FRESH, "the other one looked after it meanwhile");
    assert_eq!(two.turn(&two.mine), KNOWN);
}

#[test]
fn when_the_broker_takes_us_for_gone_the_others_have_our_share() {
    let two = Two::settled();
    two.online(0, false);
    assert_eq!(two.turn(&two.mine), Turn::Other("gw-position-1:80".to_owned()));
    two.online(1, false);
    assert_eq!(two.turn(&two.mine), FRESH, "nobody is left but us");
}

#[test]
fn strangers_to_the_group_get_no_share_and_many_changes_cost_bounded_memory() {
    let two = Two::settled();
    two.turn(&two.mine);
    two.group.taken(&two.mine);
    two.online(7, true);
    assert_eq!(two.turn(&two.mine), KNOWN);
    for _ in 0..200 {
        two.online(1, false);
        two.online(1, true);
    }
    assert_eq!(two.group.view().rings.len(), MOST_RINGS);
    assert_eq!(two.turn(&two.mine), FRESH, "longer ago than is remembered");
}
