//! From links to persons: union by size with path compression, then the slices of the keys that change hands.

use std::collections::{BTreeMap, HashMap, HashSet};

use passage_protocol::Millis;

use super::{Counts, Link, Node, Refusal, Rules, changes_hands, needs_match};
use crate::identity::{IdentifierKind, MemberId};

/// The links of some persons, all of them or a neighbourhood.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// When each member was made.
    pub members: HashMap<MemberId, Millis>,
    /// Every link that was not revoked, in any order.
    pub links: Vec<Link>,
    /// Strong values that were found to stand for too many persons before; they join nobody for good.
    pub shared: HashSet<Node>,
    /// From when on each member lets touchpoints be joined; members without an entry always did.
    pub match_since: HashMap<MemberId, Millis>,
}

/// A time in which a key is a person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The person, by her surviving member.
    pub holder: MemberId,
    /// What was before is not hers.
    pub since: Millis,
    /// What came after is not hers; `None` while it is.
    pub until: Option<Millis>,
}

/// The present reading of the links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Built {
    /// The member who stands for the person that each member is.
    pub survivor: BTreeMap<MemberId, MemberId>,
    /// Who holds each key and when, oldest first.
    pub held: BTreeMap<Node, Vec<Slice>>,
    /// Links that tie nothing, by their id.
    pub refused: BTreeMap<u128, Refusal>,
    /// Strong values that stand for too many persons.
    pub shared: Vec<Node>,
}

impl Graph {
    /// Reads the links by the rules. The order of `links` makes no difference.
    pub fn build(&self, rules: &Rules) -> Built {
        let mut build = Build::new(self, rules);
        let mut order: Vec<&Link> = self.links.iter().collect();
        order.sort_unstable_by_key(|link| (link.at, link.id));
        build.find_shared(&order);
        for link in order.iter().filter(|link| rules.is_strong(link.node.0)) {
            build.tie_strong(link);
        }
        let survivors = build.survivors();
        for (node, runs) in build.weak_runs(&order) {
            build.slice(node, &runs, &survivors);
        }
        build.finish(survivors)
    }
}

struct Build<'a> {
    graph: &'a Graph,
    rules: &'a Rules,
    ids: Vec<MemberId>,
    index: HashMap<MemberId, usize>,
    parent: Vec<usize>,
    size: Vec<usize>,
    counts: Vec<Counts>,
    /// Who tied a strong key first, whether she granted `match`, and from when on it is hers.
    holders: HashMap<Node, (usize, bool)>,
    shared: HashSet<Node>,
    out: Built,
}

impl<'a> Build<'a> {
    fn new(graph: &'a Graph, rules: &'a Rules) -> Self {
        let mut ids: Vec<MemberId> = graph.members.keys().copied().chain(graph.links.iter().map(|l| l.member)).collect();
        ids.sort_unstable();
        ids.dedup();
        let n = ids.len();
        Self {
            index: ids.iter().enumerate().map(|(i, id)| (*id, i)).collect(),
            parent: (0..n).collect(),
            size: vec![1; n],
            counts: vec![Counts::default(); n],
            holders: HashMap::with_capacity(graph.links.len()),
            shared: graph.shared.clone(),
            out: Built::default(),
            ids,
            graph,
            rules,
        }
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    /// Strong values that name too many members join nobody, whoever named them first.
    fn find_shared(&mut self, order: &[&Link]) {
        let mut named: HashMap<Node, Vec<MemberId>> = HashMap::new();
        let joins = |link: &&&Link| self.rules.is_strong(link.node.0) && link.node.0 != IdentifierKind::CrmId;
        for link in order.iter().filter(joins) {
            let members = named.entry(link.node).or_default();
            if members.len() <= self.rules.shared_after && !members.contains(&link.member) {
                members.push(link.member);
            }
        }
        let many = named.into_iter().filter(|(_, members)| members.len() > self.rules.shared_after).map(|(node, _)| node);
        self.shared.extend(many);
    }

    /// The guards that look at the link alone.
    fn admit(&self, link: &Link) -> Result<(), Refusal> {
        let (kind, key) = &link.node;
        if self.rules.is_blocked(*kind, key) {
            return Err(Refusal::Blocked);
        }
        if needs_match(*kind) && !link.may_match {
            return Err(Refusal::NoConsent);
        }
        if self.shared.contains(&link.node) { Err(Refusal::Shared) } else { Ok(()) }
    }

    fn tie_strong(&mut self, link: &Link) {
        let tied = self.admit(link).and_then(|()| self.join(link));
        if let Err(refusal) = tied {
            self.out.refused.insert(link.id, refusal);
        }
    }

    fn join(&mut self, link: &Link) -> Result<(), Refusal> {
        let Some(own) = self.index.get(&link.member).copied() else { return Ok(()) };
        let mine = self.root(own);
        let Some((first, may_match)) = self.holders.get(&link.node).copied() else {
            self.rules.may_add(&self.counts[mine], link.node.0, &link.context)?;
            self.counts[mine].add(link.node.0, &link.context);
            self.holders.insert(link.node, (own, link.may_match));
            return Ok(());
        };
        let theirs = self.root(first);
        if theirs == mine {
            return Ok(());
        }
        self.rules.may_join(&self.counts[mine], &self.counts[theirs])?;
        if !(may_match && link.may_match) {
            return Err(Refusal::NoConsent);
        }
        let (small, large) = if self.size[mine] < self.size[theirs] { (mine, theirs) } else { (theirs, mine) };
        self.parent[small] = large;
        self.size[large] += self.size[small];
        let taken = std::mem::take(&mut self.counts[small]);
        self.counts[large].absorb(taken);
        Ok(())
    }

    /// Of each person the earliest member with a CRM number, or the earliest of all.
    fn survivors(&mut self) -> Vec<MemberId> {
        let with_crm: HashSet<usize> =
            self.holders.iter().filter(|(node, _)| node.0 == IdentifierKind::CrmId).map(|(_, (member, _))| *member).collect();
        let created = |id: &MemberId| self.graph.members.get(id).copied().unwrap_or(Millis(i64::MAX));
        let rank: Vec<_> = self.ids.iter().enumerate().map(|(i, id)| (!with_crm.contains(&i), created(id), *id)).collect();
        let mut best = rank.clone();
        for (i, own) in rank.iter().enumerate() {
            let root = self.root(i);
            best[root] = best[root].min(*own);
        }
        (0..self.ids.len()).map(|i| best[self.root(i)].2).collect()
    }

    /// Of each weak key the links that are admitted, by time.
    fn weak_runs<'l>(&mut self, order: &[&'l Link]) -> BTreeMap<Node, Vec<&'l Link>> {
        let mut runs: BTreeMap<Node, Vec<&'l Link>> = BTreeMap::new();
        for link in order.iter().filter(|link| !self.rules.is_strong(link.node.0)) {
            match self.admit(link) {
                Ok(()) => runs.entry(link.node).or_default().push(link),
                Err(refusal) => {
                    self.out.refused.insert(link.id, refusal);
                }
            }
        }
        runs
    }

    /// Divides the time of a weak key among the persons who used it. What lies between one's last word and the next one's first is nobody's.
    fn slice(&mut self, node: Node, links: &[&Link], survivors: &[MemberId]) {
        let mut slices: Vec<(Slice, Millis)> = Vec::new();
        let mut holders: Vec<usize> = Vec::new();
        for link in links {
            let Some(own) = self.index.get(&link.member).copied() else { continue };
            let root = self.root(own);
            if let Some((slice, last)) = slices.last_mut()
                && slice.holder == survivors[own]
            {
                *last = link.last_at.max(*last);
                continue;
            }
            let refused = if !slices.is_empty() && !changes_hands(node.0) {
                Some(Refusal::OtherMember)
            } else if holders.contains(&root) {
                None
            } else {
                self.rules.may_add(&self.counts[root], node.0, &link.context).err()
            };
            if let Some(refusal) = refused {
                self.out.refused.insert(link.id, refusal);
                continue;
            }
            if !holders.contains(&root) {
                holders.push(root);
                self.counts[root].add(node.0, &link.context);
            }
            let since = if slices.is_empty() { self.reach_back(link) } else { link.at };
            if let Some((before, last)) = slices.last_mut() {
                before.until = Some((*last).min(link.at));
            }
            slices.push((Slice { holder: survivors[own], since, until: None }, link.last_at));
        }
        if !slices.is_empty() {
            self.out.held.insert(node, slices.into_iter().map(|(slice, _)| slice).collect());
        }
    }

    /// How far into the past a weak key is hers: the window, and never before she let anything be joined.
    fn reach_back(&self, link: &Link) -> Millis {
        let window = link.at - self.rules.retro;
        self.graph.match_since.get(&link.member).map_or(window, |since| window.max(*since))
    }

    fn finish(mut self, survivors: Vec<MemberId>) -> Built {
        for (node, (member, _)) in &self.holders {
            let slice = Slice { holder: survivors[*member], since: Millis(0), until: None };
            self.out.held.insert(*node, vec![slice]);
        }
        self.out.survivor = self.ids.iter().copied().zip(survivors).collect();
        self.out.shared = self.shared.into_iter().collect();
        self.out.shared.sort_unstable();
        self.out
    }
}
