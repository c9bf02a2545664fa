use passage_config::{bundle, load_gateway, load_site};
use passage_protocol::{
    GatewayId, MAX_PAYLOAD,
    sign::{Pinned, Signing},
    site::{MAX_PARTS, SiteManifest, digest},
};
use proptest::prelude::*;

use super::*;

fn own() -> GatewayId {
    "gw-lyon".parse().unwrap()
}

fn key() -> Signing {
    Signing::from_bytes(&[3; 32])
}

fn pinned() -> Pinned {
    Pinned::from_base64([key().public().as_str()]).unwrap()
}

fn manifest(revision: u64, parts: &[Vec<u8>]) -> SiteManifest {
    let sha256 = digest(parts.iter().map(Vec::as_slice));
    let parts = u32::try_from(parts.len()).unwrap();
    SiteManifest { v: 1, gateway: own(), revision, sha256, parts, rollback: None, key: String::new(), sig: String::new() }
}

fn piece(revision: u64, part: usize, bytes: &[u8]) -> Piece {
    Piece { revision, part: u32::try_from(part).unwrap(), bytes: bytes.to_vec() }
}

/// What the rule says to a manifest, when revision 5 with content `a` is in force.
fn judged(manifest: SiteManifest) -> Result<bool, String> {
    let held = digest([b"a".as_slice()]);
    let manifest = if manifest.sig.is_empty() { manifest.signed(&key()) } else { manifest };
    let judged = judge(&manifest.to_vec(), &own(), &pinned(), Held { revision: 5, sha256: &held });
    judged.map(|followed| followed.is_some()).map_err(|e| e.to_string())
}

#[test]
fn a_higher_revision_is_followed_and_the_one_in_force_is_none() {
    assert_eq!(judged(manifest(6, &[b"b".to_vec()])), Ok(true));
    assert_eq!(judged(manifest(6, &[b"a".to_vec()])), Ok(true), "the same content under a higher number is that number");
    assert_eq!(judged(manifest(5, &[b"a".to_vec()])), Ok(false));
}

#[test]
fn a_lower_revision_is_refused_unless_a_signed_rollback_names_the_one_in_force() {
    let lower = || manifest(4, &[b"b".to_vec()]);
    assert!(judged(lower()).unwrap_err().contains("lower than 5"));
    assert_eq!(judged(SiteManifest { rollback: Some(5), ..lower() }), Ok(true));
    assert!(judged(SiteManifest { rollback: Some(6), ..lower() }).unwrap_err().contains("lower"));
    // Put in by somebody else, it is no signed one.
    let forged = SiteManifest { rollback: Some(5), ..lower().signed(&key()) };
    assert!(judged(forged).unwrap_err().contains("signature"));
}

#[test]
fn another_content_under_the_same_number_needs_a_rollback_too() {
    let other = || manifest(5, &[b"b".to_vec()]);
    assert!(judged(other()).unwrap_err().contains("another site with the number 5"));
    assert_eq!(judged(SiteManifest { rollback: Some(5), ..other() }), Ok(true));
}

#[test]
fn forged_foreign_and_malformed_manifests_are_refused() {
    let stranger = manifest(6, &[b"b".to_vec()]).signed(&Signing::from_bytes(&[4; 32]));
    assert!(judged(stranger).unwrap_err().contains("not pinned"));
    let changed = SiteManifest { revision: 7, ..manifest(6, &[b"b".to_vec()]).signed(&key()) };
    assert!(judged(changed).unwrap_err().contains("does not fit"));
    let foreign = SiteManifest { gateway: "gw-paris".parse().unwrap(), ..manifest(6, &[b"b".to_vec()]) };
    assert!(judged(foreign).unwrap_err().contains("another gateway"));
    let endless = SiteManifest { parts: MAX_PARTS + 1, ..manifest(6, &[b"b".to_vec()]) };
    assert!(judged(endless).unwrap_err().contains("1 to 64 parts"));
}

#[test]
fn whatever_is_published_costs_bounded_memory() {
    let mut collector = Collector::default();
    let full = vec![7; MAX_PAYLOAD];
    for revision in 0..50 {
        for part in 0..100 {
            assert_eq!(collector.take(piece(revision, part, &full)), Collected::Waiting);
        }
    }
    let most = MAX_PARTS as usize * MAX_PAYLOAD;
    assert!(collector.bytes() <= most, "{}", collector.bytes());
    // Nor do manifests of a hub, one after the other.
    for revision in 100..150 {
        collector.want(manifest(revision, &vec![vec![8; 10]; MAX_PARTS as usize]));
        for part in 0..60 {
            collector.take(piece(revision, part, &full));
            collector.take(piece(revision + 500, part, &full));
        }
        assert!(collector.bytes() <= 2 * most, "{}", collector.bytes());
    }
    assert_eq!(collector.take(piece(1, 0, &vec![7; MAX_PAYLOAD + 1])), Collected::Waiting);
}

#[test]
fn what_is_on_the_disk_is_in_force_after_a_restart_and_damage_on_it_is_noticed() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo");
    let files = load_gateway(format!("{demo}/gateway-lyon.toml").as_ref()).unwrap();
    let config = GatewayConfig { site_from_hub: true, site: Arc::default(), ..files.clone() };
    let site = load_site(demo.as_ref()).unwrap();
    let packed = bundle::make(&site, &site.gateways[&own()]).pack().unwrap();
    let manifest = manifest(7, std::slice::from_ref(&packed)).signed(&key());
    let saved: Vec<_> =
        last_good::entries(&manifest, packed).into_iter().map(|s| (s.machine.to_owned(), s.key, s.value.unwrap())).collect();

    let restored = last_good::restored(&config, &saved);
    assert_eq!((restored.revision, restored.config.site.stores.len()), (7, 1));
    assert_eq!(restored.config.dwell_marks, site.dwell_marks());
    assert_eq!(last_good::restored(&files, &saved).revision, 0, "files that are named count");
    assert!(last_good::restored(&config, &[]).is_empty());
    let mut damaged = saved.clone();
    *damaged[1].2.last_mut().unwrap() ^= 1;
    assert!(last_good::restored(&config, &damaged).is_empty());
    let other_box = GatewayConfig { id: "gw-lyon-2".parse().unwrap(), ..config.clone() };
    assert!(last_good::restored(&other_box, &saved).is_empty());
    let moved = GatewayConfig { store: Some("paris-marais".parse().unwrap()), ..config };
    assert!(last_good::restored(&moved, &saved).is_empty());
}

/// What is published to a gateway, in any order: parts of two revisions, one after the other wanted, and rubbish.
#[derive(Debug, Clone)]
enum Word {
    Want(bool),
    Part(bool, usize),
    Damaged(bool, usize, u8),
    Stray(u64, usize),
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        2 => any::<bool>().prop_map(Word::Want),
        8 => (any::<bool>(), 0usize..5).prop_map(|(new, part)| Word::Part(new, part)),
        2 => (any::<bool>(), 0usize..5, any::<u8>()).prop_map(|(new, part, byte)| Word::Damaged(new, part, byte)),
        1 => (0u64..20, 0usize..80).prop_map(|(revision, part)| Word::Stray(revision, part)),
    ]
}

proptest! {
    #[test]
    fn parts_in_any_order_mixed_and_damaged_never_make_another_site_than_the_signed_one(
        old in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 1..5),
        new in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 1..5),
        words in prop::collection::vec(word(), 0..60),
        order in any::<prop::sample::Index>(),
    ) {
        let parts = |is_new: bool| if is_new { &new } else { &old };
        let revision = |is_new: bool| if is_new { 11 } else { 10 };
        let mut collector = Collector::default();
        let check = |collected: Collected| {
            if let Collected::Complete(manifest, joined) = collected {
                let whole = parts(manifest.revision == 11).concat();
                assert!(joined == whole && digest([joined.as_slice()]) == manifest.sha256);
            }
        };
        for word in words {
            check(match word {
                Word::Want(is_new) => collector.want(manifest(revision(is_new), parts(is_new))),
                Word::Part(is_new, n) => match parts(is_new).get(n) {
                    Some(bytes) => collector.take(piece(revision(is_new), n, bytes)),
                    None => Collected::Waiting,
                },
                Word::Damaged(is_new, n, byte) => collector.take(piece(revision(is_new), n, &[byte, byte, byte])),
                Word::Stray(revision, n) => collector.take(piece(revision + 100, n, b"stray")),
            });
        }
        // However it went before: a manifest and all of its parts, from any one on, are the site.
        let wanted = manifest(12, &new);
        let mut collected = collector.want(wanted.clone());
        let from = order.index(new.len());
        for n in (0..new.len()).map(|n| (n + from) % new.len()) {
            prop_assert_eq!(&collected, &Collected::Waiting);
            collected = collector.take(piece(12, n, &new[n]));
        }
        prop_assert_eq!(collected, Collected::Complete(Box::new(wanted), new.concat()));
        prop_assert!(!collector.is_waiting());
    }
}
