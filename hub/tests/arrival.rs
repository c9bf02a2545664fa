//! Links may arrive in any order: what the database has made of them one by one, with guards tripped on the way, is what the graph makes of all at once.
//!
//! A key that changes hands is named by each member once here: the words in between are not kept one by one.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use passage_config::Identity;
use passage_hub::{
    args,
    identity::{
        IdentifierKind::{self, Cookie, CrmId, Email, LoyaltyCard, Phone},
        Key, Keyring, MemberId,
        graph::{Graph, Link, Node, Rules, changes_hands},
    },
    store::{
        Db,
        people::{
            self,
            graph::{self, Claim},
        },
    },
};
use passage_protocol::Millis;
use support::both;

const MEMBERS: i64 = 8;
const SEEDS: u64 = 12;
const ORDERS: usize = 3;
const START: i64 = 1_795_000_000_000;

/// A small generator: the same seed, the same links and orders.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn shuffled<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        for i in (1..items.len()).rev() {
            items.swap(i, usize::try_from(self.below(i as u64 + 1)).unwrap());
        }
        items
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    kind: IdentifierKind,
    value: u64,
    member: MemberId,
    at: Millis,
}

/// Small limits of the keys that join, so that few links trip their guards.
fn rules(keyring: &Keyring) -> Rules {
    let mut identity = Identity { shared_after: 2, component_cap: 9, ..Identity::default() };
    for (kind, limit) in [("email", 2), ("phone", 2), ("loyalty_card", 2)] {
        identity.keys.get_mut(kind).unwrap().limit = limit;
    }
    identity.block = [("loyalty_card".to_owned(), vec!["3".to_owned()])].into();
    Rules::new(&identity, "FR", keyring)
}

fn said(dice: &mut Dice) -> Vec<Said> {
    let kinds = [CrmId, LoyaltyCard, LoyaltyCard, Email, Email, Email, Phone, Phone, Cookie, Cookie];
    let mut named: BTreeSet<(&str, u64, i64)> = BTreeSet::new();
    let mut all = Vec::new();
    for minute in 0..34 {
        let kind = kinds[usize::try_from(dice.below(kinds.len() as u64)).unwrap()];
        let (value, member) = (dice.below(if kind == CrmId { 4 } else { 7 }), 1 + i64::try_from(dice.below(MEMBERS as u64)).unwrap());
        if named.insert((kind.word(), value, member)) {
            all.push(Said { kind, value, member: MemberId(member), at: Millis(START + minute * 60_000) });
        }
    }
    all
}

fn key(keyring: &Keyring, said: &Said) -> Key {
    keyring.identifier(said.kind, &said.value.to_string())
}

/// What is left of all links in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    person: BTreeMap<i64, i64>,
    held: BTreeSet<(String, Key, i64, Millis, Option<Millis>)>,
    refused: BTreeSet<(String, Key, i64, String)>,
    shared: BTreeSet<(String, Key)>,
}

/// The graph of all links at once.
fn at_once(all: &[Said], keyring: &Keyring) -> Reading {
    let links = all.iter().zip(1_u128..).map(|(said, id)| Link {
        id,
        node: (said.kind, key(keyring, said)),
        member: said.member,
        at: said.at,
        last_at: said.at,
        context: String::new(),
        // The last member allows nothing to be joined.
        may_match: said.member.0 != MEMBERS,
    });
    let links: Vec<Link> = links.collect();
    let members = (1..=MEMBERS).map(|n| (MemberId(n), Millis(n))).collect();
    let built = Graph { members, links: links.clone(), ..Graph::default() }.build(&rules(keyring));
    let name = |node: &Node| (node.0.word().to_owned(), node.1);
    let slices = built.held.iter().flat_map(|(node, slices)| slices.iter().map(move |slice| (node, slice)));
    let refused = links.iter().filter_map(|link| Some((link, built.refused.get(&link.id)?)));
    Reading {
        person: built.survivor.iter().map(|(member, person)| (member.0, person.0)).collect(),
        held: slices.map(|(node, s)| (name(node).0, node.1, s.holder.0, s.since, s.until)).collect(),
        refused: refused.map(|(link, why)| (name(&link.node).0, link.node.1, link.member.0, why.word().to_owned())).collect(),
        shared: built.shared.iter().map(name).collect(),
    }
}

async fn forget_all(db: &Db) {
    let tables = ["link", "identifier", "former_holder", "shared_key", "conflict", "merge", "moved_row", "consent_now", "member"];
    for sql in tables.map(|table| match table {
        "link" => "DELETE FROM link",
        "identifier" => "DELETE FROM identifier",
        "former_holder" => "DELETE FROM former_holder",
        "shared_key" => "DELETE FROM shared_key",
        "conflict" => "DELETE FROM conflict",
        "merge" => "DELETE FROM merge",
        "moved_row" => "DELETE FROM moved_row",
        "consent_now" => "DELETE FROM consent_now",
        _ => "DELETE FROM member",
    }) {
        db.execute(sql, args![]).await.unwrap();
    }
    for n in 1..=MEMBERS {
        db.execute("INSERT INTO member (id, brand, created_at, version) VALUES ($1, 'maison', $1, 1)", args![n]).await.unwrap();
        let consent = "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source) \
                       VALUES ($1, 'maison', 'maison-sas', 'match', $2, $1, 'crm')";
        db.execute(consent, args![n, n != MEMBERS]).await.unwrap();
    }
}

/// The links one by one, each in a transaction of its own.
async fn one_by_one(db: &Db, arrivals: &[Said], keyring: &Keyring) -> Reading {
    forget_all(db).await;
    let rules = rules(keyring);
    for said in arrivals {
        let Said { kind, member, at, .. } = *said;
        let claim = Claim { kind, key: key(keyring, said), member, source: "site", reason: "login", context: "", variant: None, at };
        let mut tx = db.begin().await.unwrap();
        people::changes(&mut tx).await.unwrap();
        graph::claim(&mut tx, &rules, &claim).await.unwrap();
        tx.commit().await.unwrap();
    }
    read(db).await
}

async fn read(db: &Db) -> Reading {
    let bytes = |row: &passage_hub::store::Row, n| Key(row.bytes32(n).unwrap());
    let members = db.fetch("SELECT id, COALESCE(merged_into, id) FROM member", args![]).await.unwrap();
    let held = "SELECT kind, key, member, since, CAST(NULL AS BIGINT) FROM identifier \
                UNION ALL SELECT kind, key, member, since, until FROM former_holder";
    let held = db.fetch(held, args![]).await.unwrap();
    let refused = db.fetch("SELECT kind, key, member, refused FROM link WHERE refused IS NOT NULL", args![]).await.unwrap();
    let shared = db.fetch("SELECT kind, key FROM shared_key", args![]).await.unwrap();
    let slice = |row: &passage_hub::store::Row| {
        let until = row.opt_int(4).unwrap().map(Millis);
        (row.text(0).unwrap(), bytes(row, 1), row.int(2).unwrap(), row.millis(3).unwrap(), until)
    };
    Reading {
        person: members.iter().map(|row| (row.int(0).unwrap(), row.int(1).unwrap())).collect(),
        held: held.iter().map(slice).collect(),
        refused: refused.iter().map(|row| (row.text(0).unwrap(), bytes(row, 1), row.int(2).unwrap(), row.text(3).unwrap())).collect(),
        shared: shared.iter().map(|row| (row.text(0).unwrap(), bytes(row, 1))).collect(),
    }
}

#[tokio::test]
async fn whatever_arrives_first_the_same_persons_holders_and_conflicts_are_left() {
    both(async |db| {
        let keyring = Keyring::from_secret(&[7; 32]);
        let mut tripped: BTreeSet<String> = BTreeSet::new();
        let mut merged = 0;
        for seed in 1..=SEEDS {
            let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let all = said(&mut dice);
            let expected = at_once(&all, &keyring);
            tripped.extend(expected.refused.iter().map(|(.., why)| why.clone()));
            merged += expected.person.iter().filter(|(member, person)| member != person).count();
            for order in 0..ORDERS {
                let arrivals = if order == 0 { all.clone() } else { dice.shuffled(&all) };
                let found = one_by_one(&db, &arrivals, &keyring).await;
                assert_eq!(found, expected, "seed {seed}, order {order}: {arrivals:?}");
            }
        }
        // The story is worth something only if it reaches the guards.
        let guards: BTreeSet<&str> = tripped.iter().map(String::as_str).collect();
        assert!(["blocked", "no-consent", "shared", "too-many", "two-crm-ids"].iter().all(|why| guards.contains(why)), "{guards:?}");
        assert!(merged > 10, "{merged}");
        assert!(changes_hands(Cookie));
    })
    .await;
}
