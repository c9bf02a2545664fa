//! The limits and guards, as the configuration sets them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use passage_config::{HubConfig, Identity};

use super::{Node, Refusal};
use crate::identity::{IdentifierKind, Key, Keyring, normalise::canonical};

/// What the graph is built by.
#[derive(Debug, Clone)]
pub struct Rules {
    limits: BTreeMap<IdentifierKind, usize>,
    strong: BTreeSet<IdentifierKind>,
    blocked: HashSet<Node>,
    /// A strong value that named more members than this joins nobody any more.
    pub shared_after: usize,
    /// Most keys of one person.
    pub component_cap: usize,
    /// How far back touchpoints of a weak key become hers when it is tied to her.
    pub retro: Duration,
}

impl Rules {
    /// The rules of a configuration. A blocked value is blocked in every form in which it can come: also as the hash of Google or Meta.
    pub fn new(identity: &Identity, region: &str, keyring: &Keyring) -> Self {
        let rule = |kind: &IdentifierKind| identity.keys.get(kind.word());
        let limits = IdentifierKind::ALL.iter().filter_map(|kind| Some((*kind, rule(kind)?.limit as usize))).collect();
        let strong = IdentifierKind::ALL.iter().filter(|kind| rule(kind).is_some_and(|rule| rule.merge)).copied().collect();
        let blocked = IdentifierKind::ALL
            .iter()
            .flat_map(|kind| identity.block.get(kind.word()).into_iter().flatten().map(move |value| (*kind, value)))
            .filter_map(|(kind, value)| Some((kind, canonical(kind, value, region).ok()?)))
            .flat_map(|(kind, form)| {
                let own = (kind, keyring.identifier(kind, &form));
                keyring.aliases(kind, &form).into_iter().chain([own])
            })
            .collect();
        Self {
            limits,
            strong,
            blocked,
            shared_after: identity.shared_after as usize,
            component_cap: identity.component_cap as usize,
            retro: identity.retro,
        }
    }

    /// The rules of a hub.
    pub fn of(config: &HubConfig, keyring: &Keyring) -> Self {
        Self::new(&config.identity, &config.phone_region, keyring)
    }

    /// Most keys of a kind that one person holds.
    pub fn limit(&self, kind: IdentifierKind) -> usize {
        self.limits.get(&kind).copied().unwrap_or(usize::MAX)
    }

    /// True for kinds that join members.
    pub fn is_strong(&self, kind: IdentifierKind) -> bool {
        self.strong.contains(&kind)
    }

    /// True if the value is on the block list.
    pub fn is_blocked(&self, kind: IdentifierKind, key: &Key) -> bool {
        self.blocked.contains(&(kind, *key))
    }

    /// May a person with these keys get one more of `kind`?
    pub fn may_add(&self, held: &Counts, kind: IdentifierKind, context: &str) -> Result<(), Refusal> {
        let more = if kind == IdentifierKind::CrmId { held.crm_in(context) } else { held.of(kind) } + 1;
        if more > self.limit(kind) {
            return Err(if kind == IdentifierKind::CrmId { Refusal::TwoCrmIds } else { Refusal::TooMany });
        }
        if held.total() + 1 > self.component_cap { Err(Refusal::TooLarge) } else { Ok(()) }
    }

    /// May two persons with these keys be one?
    pub fn may_join(&self, one: &Counts, other: &Counts) -> Result<(), Refusal> {
        let crm = self.limit(IdentifierKind::CrmId);
        if one.contexts.keys().any(|context| one.crm_in(context) + other.crm_in(context) > crm && other.crm_in(context) > 0) {
            return Err(Refusal::TwoCrmIds);
        }
        let plain = |kind: &&IdentifierKind| **kind != IdentifierKind::CrmId;
        if IdentifierKind::ALL.iter().filter(plain).any(|kind| one.of(*kind) + other.of(*kind) > self.limit(*kind)) {
            return Err(Refusal::TooMany);
        }
        if one.total() + other.total() > self.component_cap { Err(Refusal::TooLarge) } else { Ok(()) }
    }
}

/// How many keys of each kind a person holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    kinds: BTreeMap<IdentifierKind, usize>,
    contexts: BTreeMap<String, usize>,
}

impl Counts {
    /// Counts one key more.
    pub fn add(&mut self, kind: IdentifierKind, context: &str) {
        *self.kinds.entry(kind).or_default() += 1;
        if kind == IdentifierKind::CrmId {
            *self.contexts.entry(context.to_owned()).or_default() += 1;
        }
    }

    /// Takes over all keys of another person.
    pub fn absorb(&mut self, other: Self) {
        for (kind, n) in other.kinds {
            *self.kinds.entry(kind).or_default() += n;
        }
        for (context, n) in other.contexts {
            *self.contexts.entry(context).or_default() += n;
        }
    }

    fn of(&self, kind: IdentifierKind) -> usize {
        self.kinds.get(&kind).copied().unwrap_or_default()
    }

    fn crm_in(&self, context: &str) -> usize {
        self.contexts.get(context).copied().unwrap_or_default()
    }

    fn total(&self) -> usize {
        self.kinds.values().sum()
    }

    /// True if she has a CRM number.
    pub fn has_crm(&self) -> bool {
        self.of(IdentifierKind::CrmId) > 0
    }
}
