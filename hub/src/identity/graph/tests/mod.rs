use std::time::Duration;

use passage_config::Identity;
use proptest::prelude::*;

use super::*;
use crate::identity::{IdentifierKind::*, Keyring};

const DAY: i64 = 86_400_000;
const START: Millis = Millis(100 * DAY);

fn rules() -> Rules {
    Rules::new(&Identity::default(), "FR", &Keyring::from_secret(&[1; 32]))
}

fn key(n: u8) -> Key {
    Key([n; 32])
}

fn link(id: u128, kind: IdentifierKind, n: u8, member: i64, minute: i64) -> Link {
    let at = Millis(START.0 + minute * 60_000);
    Link { id, node: (kind, key(n)), member: MemberId(member), at, last_at: at, context: String::new(), may_match: true }
}

fn graph(links: &[Link]) -> Graph {
    let members = links.iter().map(|l| (l.member, Millis(l.member.0))).collect();
    Graph { members, links: links.to_vec(), ..Graph::default() }
}

fn build(links: &[Link]) -> Built {
    graph(links).build(&rules())
}

fn survivor(built: &Built, member: i64) -> i64 {
    built.survivor[&MemberId(member)].0
}

#[test]
fn one_address_makes_one_person_of_the_newsletter_and_the_card() {
    let built = build(&[link(1, LoyaltyCard, 1, 10, 0), link(2, Email, 2, 10, 0), link(3, Email, 2, 20, 5), link(4, CrmId, 3, 20, 6)]);
    assert_eq!((survivor(&built, 10), survivor(&built, 20)), (20, 20), "the one with the CRM number stands for both");
    assert!(built.refused.is_empty());
    assert!(built.held.values().flatten().all(|slice| slice.holder == MemberId(20)));
}

#[test]
fn two_crm_numbers_are_never_joined_unless_they_are_of_two_contexts() {
    let mut links = [link(1, CrmId, 1, 10, 0), link(2, CrmId, 2, 20, 0), link(3, Phone, 9, 10, 1), link(4, Phone, 9, 20, 2)];
    let built = build(&links);
    assert_eq!((survivor(&built, 10), survivor(&built, 20)), (10, 20));
    assert_eq!(built.refused, [(4, Refusal::TwoCrmIds)].into());
    assert_eq!(built.held[&(Phone, key(9))][0].holder, MemberId(10), "the first keeps it");
    links[1].context = "business".to_owned();
    assert_eq!(survivor(&build(&links), 20), 10);
}

#[test]
fn a_value_of_more_than_three_persons_joins_nobody_for_good() {
    let mut links: Vec<Link> = (1..=4).map(|n| link(n as u128, Phone, 9, n, n)).collect();
    let built = build(&links[..3]);
    assert!((1..=3).all(|m| survivor(&built, m) == 1));
    let built = build(&links);
    assert!((1..=4).all(|m| survivor(&built, m) == m));
    assert_eq!((built.refused.len(), built.shared.as_slice()), (4, [(Phone, key(9))].as_slice()));
    assert!(!built.held.contains_key(&(Phone, key(9))));
    links.truncate(2);
    let later = Graph { shared: built.shared.into_iter().collect(), ..graph(&links) };
    assert_eq!(later.build(&rules()).refused.len(), 2, "also when fewer are left");
}

#[test]
fn a_shared_browser_is_divided_by_time() {
    let mut first = link(1, Cookie, 7, 10, 0);
    first.last_at = Millis(START.0 + 30 * 60_000);
    let links = [first, link(2, Cookie, 7, 20, 60), link(3, Cookie, 7, 10, 90)];
    let built = build(&links);
    let minute = |n: i64| Millis(START.0 + n * 60_000);
    let slices: Vec<_> = built.held[&(Cookie, key(7))].iter().map(|s| (s.holder.0, s.since, s.until)).collect();
    let since = Millis(START.0 - 30 * DAY);
    assert_eq!(slices, [(10, since, Some(minute(30))), (20, minute(60), Some(minute(60))), (10, minute(90), None)]);
    let until_consent = Graph { match_since: [(MemberId(10), Millis(START.0 - DAY))].into(), ..graph(&links[..1]) };
    assert_eq!(until_consent.build(&rules()).held[&(Cookie, key(7))][0].since, Millis(START.0 - DAY), "never before the consent");
}

#[test]
fn limits_blocks_and_missing_consent_are_told_apart() {
    let links: Vec<Link> = (1..=5).map(|n| link(n, Phone, n as u8, 10, n as i64)).collect();
    assert_eq!(build(&links).refused, [(5, Refusal::TooMany)].into());
    let mut silent = link(1, Email, 1, 10, 0);
    silent.may_match = false;
    assert_eq!(build(&[silent]).refused, [(1, Refusal::NoConsent)].into());
    let keyring = Keyring::from_secret(&[1; 32]);
    let block = [("phone".to_owned(), vec!["04 99 00 00 00".to_owned()])].into();
    let rules = Rules::new(&Identity { block, component_cap: 3, ..Identity::default() }, "FR", &keyring);
    let mut switchboard = link(1, Phone, 1, 10, 0);
    switchboard.node.1 = keyring.identifier(Phone, "+33499000000");
    let many: Vec<Link> = (1..=4).map(|n| link(10 + u128::from(n), Email, n, 20, 1)).collect();
    let built = graph(&[&[switchboard], many.as_slice()].concat()).build(&rules);
    assert_eq!(built.refused, [(1, Refusal::Blocked), (14, Refusal::TooLarge)].into());
    assert_eq!(rules.retro, Duration::from_secs(30 * 86_400));
}

#[test]
fn a_card_joins_two_members_only_if_both_let_it() {
    let mut links = [link(1, LoyaltyCard, 1, 10, 0), link(2, LoyaltyCard, 1, 20, 1)];
    links[0].may_match = false;
    assert_eq!(build(&links).refused, [(2, Refusal::NoConsent)].into());
    let fobs = [link(1, Beacon, 1, 10, 0), link(2, Beacon, 1, 20, 1)];
    assert_eq!(build(&fobs).refused, [(2, Refusal::OtherMember)].into());
}

fn any_links() -> impl Strategy<Value = Vec<Link>> {
    let kind = prop::sample::select(vec![CrmId, LoyaltyCard, Email, Phone, Cookie, Device]);
    let one = (kind, 0_u8..12, 0_i64..8, 0_i64..20, any::<bool>());
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let made = all.into_iter().enumerate().map(|(i, (kind, n, member, minute, may_match))| {
            let mut link = link(i as u128, kind, n, member, minute);
            link.may_match = may_match || n % 4 != 0;
            link
        });
        made.collect()
    })
}

proptest! {
    /// Whatever arrives first: the same persons, holders and conflicts. Links of one moment are ordered by their ids.
    #[test]
    fn the_order_of_arrival_makes_no_difference(links in any_links(), seed in any::<u64>()) {
        let mut shuffled = links.clone();
        shuffled.sort_by_key(|l| (l.id as u64).wrapping_mul(seed | 1).rotate_left(17));
        prop_assert_eq!(build(&links), build(&shuffled));
    }

    /// While no limit is hit, not even times and ids matter: the persons are the connected components.
    #[test]
    fn without_limits_persons_are_connected_components(links in any_links(), seed in any::<u64>()) {
        let links: Vec<Link> = links.into_iter().filter(|l| l.node.0 != CrmId).map(|l| Link { may_match: true, ..l }).collect();
        let mut identity = Identity { shared_after: 1000, component_cap: 10_000, ..Identity::default() };
        identity.keys.values_mut().for_each(|rule| rule.limit = 1000);
        let rules = Rules::new(&identity, "FR", &Keyring::from_secret(&[1; 32]));
        let mut retimed = links.clone();
        for l in &mut retimed {
            l.at = Millis(START.0 + ((l.id as u64).wrapping_mul(seed | 1) >> 40) as i64);
        }
        let (one, other) = (graph(&links).build(&rules), graph(&retimed).build(&rules));
        prop_assert!(one.refused.is_empty());
        prop_assert_eq!(one.survivor, other.survivor);
    }

    /// Taking a link back and reading its neighbourhood again gives what reading everything again gives.
    #[test]
    fn unlinking_rebuilds_the_touched_persons_as_from_scratch(links in any_links(), at in any::<prop::sample::Index>()) {
        prop_assume!(!links.is_empty());
        let gone = at.get(&links).clone();
        let whole = build(&links);
        let left: Vec<Link> = links.iter().filter(|l| l.id != gone.id).cloned().collect();
        let memory = |links: &[Link]| Graph { shared: whole.shared.iter().copied().collect(), ..graph(links) };
        let scratch = memory(&left).build(&rules());
        let near = neighbourhood(&links, gone.member);
        let touched = memory(&left.iter().filter(|l| near.contains(&l.member)).cloned().collect::<Vec<_>>()).build(&rules());
        for (member, survivor) in &touched.survivor {
            prop_assert_eq!(scratch.survivor.get(member), Some(survivor));
        }
        for (id, refusal) in &touched.refused {
            prop_assert_eq!(scratch.refused.get(id), Some(refusal));
        }
    }

    #[test]
    fn no_person_holds_two_crm_numbers_or_more_than_the_cap(links in any_links()) {
        let built = build(&links);
        let mut crm = std::collections::HashMap::new();
        for (node, slices) in built.held.iter().filter(|(node, _)| node.0 == CrmId) {
            prop_assert_eq!(slices.len(), 1);
            prop_assert!(crm.insert(slices[0].holder, node).is_none());
        }
        for slices in built.held.values() {
            for pair in slices.windows(2) {
                prop_assert!(pair[0].until.unwrap() <= pair[1].since && pair[0].holder != pair[1].holder);
            }
        }
    }
}

/// All members that strong or weak keys reach from one, over refused links too.
fn neighbourhood(links: &[Link], from: MemberId) -> Vec<MemberId> {
    let mut reached = vec![from];
    loop {
        let nodes: Vec<Node> = links.iter().filter(|l| reached.contains(&l.member)).map(|l| l.node).collect();
        let more: Vec<MemberId> =
            links.iter().filter(|l| nodes.contains(&l.node) && !reached.contains(&l.member)).map(|l| l.member).collect();
        if more.is_empty() {
            return reached;
        }
        reached.extend(more);
        reached.sort_unstable();
        reached.dedup();
    }
}
