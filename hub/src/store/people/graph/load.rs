//! Reads the neighbourhood of some members from the log.

use std::collections::{BTreeSet, HashMap, HashSet};

use passage_protocol::Millis;
use uuid::Uuid;

use crate::{
    args,
    identity::{
        IdentifierKind, Key, MemberId,
        consent::CRM,
        graph::{Graph, Link, Node, Rules},
    },
    store::{Row, StoreError, Tx},
};

/// Most members of a neighbourhood. Values that lead to more are shared ones, which lead nowhere; this bounds what a wrong file can cost.
const MOST_MEMBERS: usize = 500;

const LINK: &str = "SELECT id, kind, key, member, at, last_at, context, refused FROM link WHERE member = $1 AND revoked_at IS NULL";
const NAMED: &str = "SELECT id, kind, key, member, at, last_at, context, refused FROM link \
                     WHERE kind = $1 AND key = $2 AND revoked_at IS NULL AND member IS NOT NULL ORDER BY at, id LIMIT 500";

/// A neighbourhood: the links, and how the log reads them so far.
pub(super) struct Near {
    pub graph: Graph,
    /// The member who stands for each member so far.
    pub root: HashMap<MemberId, MemberId>,
    /// What each link was refused for so far.
    pub refused: HashMap<u128, Option<String>>,
}

/// All members whom strong keys and merges reach from some, over refused links too.
pub(super) async fn reach(tx: &mut Tx, rules: &Rules, from: BTreeSet<MemberId>) -> Result<BTreeSet<MemberId>, StoreError> {
    Ok(near(tx, rules, from).await?.graph.members.into_keys().collect())
}

/// Reads everything that decides on the persons around some members.
pub(super) async fn near(tx: &mut Tx, rules: &Rules, from: BTreeSet<MemberId>) -> Result<Near, StoreError> {
    let mut near = Near { graph: Graph::default(), root: HashMap::new(), refused: HashMap::new() };
    let (mut waiting, mut followed): (Vec<MemberId>, HashSet<Node>) = (from.into_iter().collect(), HashSet::new());
    while let Some(member) = waiting.pop() {
        if near.root.contains_key(&member) || near.root.len() >= MOST_MEMBERS {
            continue;
        }
        near.member(tx, member, &mut waiting).await?;
        let rows = tx.fetch(LINK, args![member.0]).await?;
        for link in near.take(&rows)? {
            if !rules.is_strong(link.node.0) || !followed.insert(link.node) || near.is_shared(tx, link.node).await? {
                continue;
            }
            let named = tx.fetch(NAMED, args![link.node.0.word(), &link.node.1.0]).await?;
            for row in &named {
                waiting.push(MemberId(row.int(3)?));
            }
        }
    }
    near.weak_keys(tx, rules).await?;
    near.consents(tx).await?;
    Ok(near)
}

impl Near {
    /// Reads a member, and puts those on the list with whom she is one person so far.
    async fn member(&mut self, tx: &mut Tx, member: MemberId, waiting: &mut Vec<MemberId>) -> Result<(), StoreError> {
        let sql = "SELECT id, created_at, merged_into FROM member WHERE id = $1 OR merged_into = $1 \
                   OR merged_into = (SELECT merged_into FROM member WHERE id = $1) OR id = (SELECT merged_into FROM member WHERE id = $1)";
        for row in tx.fetch(sql, args![member.0]).await? {
            let id = MemberId(row.int(0)?);
            if id == member {
                self.graph.members.insert(id, row.millis(1)?);
                self.root.insert(id, row.opt_int(2)?.map_or(id, MemberId));
            } else {
                waiting.push(id);
            }
        }
        self.root.entry(member).or_insert(member);
        Ok(())
    }

    /// Takes links over that are new, and returns them.
    fn take(&mut self, rows: &[Row]) -> Result<Vec<Link>, StoreError> {
        let mut new = Vec::new();
        for row in rows {
            let id = Uuid::parse_str(&row.text(0)?).map_err(|_| StoreError::Corrupt("link id"))?.as_u128();
            if self.refused.contains_key(&id) {
                continue;
            }
            let kind: IdentifierKind = row.text(1)?.parse().map_err(|()| StoreError::Corrupt("kind of identifier"))?;
            let (at, last_at) = (row.millis(4)?, row.millis(5)?);
            self.refused.insert(id, row.opt_text(7)?);
            new.push(Link {
                id,
                node: (kind, Key(row.bytes32(2)?)),
                member: MemberId(row.int(3)?),
                at,
                last_at: last_at.max(at),
                context: row.text(6)?,
                may_match: false,
            });
        }
        self.graph.links.extend(new.iter().cloned());
        Ok(new)
    }

    async fn is_shared(&mut self, tx: &mut Tx, node: Node) -> Result<bool, StoreError> {
        let sql = "SELECT at FROM shared_key WHERE kind = $1 AND key = $2";
        let shared = tx.fetch_optional(sql, args![node.0.word(), &node.1.0]).await?.is_some();
        if shared {
            self.graph.shared.insert(node);
        }
        Ok(shared)
    }

    /// Who else used the browsers of these members: their time is divided among all.
    async fn weak_keys(&mut self, tx: &mut Tx, rules: &Rules) -> Result<(), StoreError> {
        let weak: HashSet<Node> = self.graph.links.iter().map(|l| l.node).filter(|node| !rules.is_strong(node.0)).collect();
        for node in weak {
            let rows = tx.fetch(NAMED, args![node.0.word(), &node.1.0]).await?;
            let known = self.graph.links.len();
            self.take(&rows)?;
            for at in known..self.graph.links.len() {
                let outsider = self.graph.links[at].member;
                self.graph.links[at].member = super::standing_for(tx, outsider).await?;
            }
        }
        Ok(())
    }

    async fn consents(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let members: BTreeSet<MemberId> = self.graph.links.iter().map(|l| l.member).collect();
        let mut granting = HashSet::new();
        for member in members {
            if grants_match(tx, member).await? {
                granting.insert(member);
            }
            if let Some(since) = match_since(tx, member).await? {
                self.graph.match_since.insert(member, since);
            }
        }
        self.graph.links.iter_mut().for_each(|link| link.may_match = granting.contains(&link.member));
        Ok(())
    }
}

/// True if the member grants `match` to some brand and entity.
pub(super) async fn grants_match(tx: &mut Tx, member: MemberId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM consent_now WHERE member = $1 AND purpose = 'match' AND granted = 1";
    Ok(!tx.fetch(sql, args![member.0]).await?.is_empty())
}

/// From when on she lets touchpoints be joined. What a CRM file said at the import that made her has no date of its own: it was so before.
pub(super) async fn match_since(tx: &mut Tx, member: MemberId) -> Result<Option<Millis>, StoreError> {
    let sql = "SELECT c.at, c.source, m.created_at FROM consent_now c JOIN member m ON m.id = c.member \
               WHERE c.member = $1 AND c.purpose = 'match' AND c.granted = 1";
    let mut since = None;
    for row in tx.fetch(sql, args![member.0]).await? {
        let at = row.millis(0)?;
        if row.text(1)? == CRM && at == row.millis(2)? {
            return Ok(None);
        }
        since = Some(since.map_or(at, |earlier: Millis| earlier.min(at)));
    }
    Ok(since)
}
