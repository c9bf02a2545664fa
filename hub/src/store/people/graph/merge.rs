//! Writes what the graph says of a neighbourhood: who stands for whom, who holds which key, what ties nothing.

use std::collections::{BTreeMap, BTreeSet};

use passage_protocol::Millis;
use uuid::Uuid;

use super::load::{self, Near};
use crate::{
    args,
    identity::{
        MemberId, Purpose,
        consent::{Standing, either},
        graph::{Built, Node, Refusal, Rules, Slice},
    },
    store::{
        StoreError, Tx, counter,
        people::{self, consent, given, installation},
        replay, work,
    },
};

/// Tables whose rows follow a member into the person that she is: (what it is, rows to be noted, move by note).
const TABLES: [(&str, &str, &str); 5] = [
    (
        "visit",
        "INSERT INTO moved_row (what, ref, origin) SELECT 'visit', id, member FROM visit WHERE member = $1 ON CONFLICT DO NOTHING",
        "UPDATE visit SET member = $2 WHERE id IN (SELECT ref FROM moved_row WHERE what = 'visit' AND origin = $1)",
    ),
    (
        "decision",
        "INSERT INTO moved_row (what, ref, origin) SELECT 'decision', id, member FROM decision WHERE member = $1 ON CONFLICT DO NOTHING",
        "UPDATE decision SET member = $2 WHERE id IN (SELECT ref FROM moved_row WHERE what = 'decision' AND origin = $1)",
    ),
    (
        "message",
        "INSERT INTO moved_row (what, ref, origin) SELECT 'message', id, member FROM message WHERE member = $1 ON CONFLICT DO NOTHING",
        // The number stays sealed for whom it was sealed.
        "UPDATE message SET sealed_for = COALESCE(sealed_for, member), member = $2 \
         WHERE id IN (SELECT ref FROM moved_row WHERE what = 'message' AND origin = $1)",
    ),
    (
        "replay",
        "INSERT INTO moved_row (what, ref, origin) SELECT 'replay', id, member FROM replay WHERE member = $1 ON CONFLICT DO NOTHING",
        "UPDATE replay SET member = $2 WHERE id IN (SELECT ref FROM moved_row WHERE what = 'replay' AND origin = $1)",
    ),
    (
        "installation",
        "INSERT INTO moved_row (what, ref, origin) SELECT 'installation', id, member FROM installation WHERE member = $1 \
         ON CONFLICT DO NOTHING",
        "UPDATE installation SET member = $2 WHERE id IN (SELECT ref FROM moved_row WHERE what = 'installation' AND origin = $1)",
    ),
];

/// Reads the log around some members again and writes what follows from it. The transaction must have opened a change of people.
pub async fn rebuild(tx: &mut Tx, rules: &Rules, from: BTreeSet<MemberId>, source: &str, at: Millis) -> Result<Built, StoreError> {
    rebuild_and_divide(tx, rules, from, source, at, None).await
}

/// Like [`rebuild`], and the time of this weak key is divided anew also when no person changed.
pub(super) async fn rebuild_and_divide(
    tx: &mut Tx,
    rules: &Rules,
    from: BTreeSet<MemberId>,
    source: &str,
    at: Millis,
    divide: Option<Node>,
) -> Result<Built, StoreError> {
    let near = load::near(tx, rules, from).await?;
    let built = near.graph.build(rules);
    let moves = moves(&near, &built);
    lock(tx, &moves).await?;
    let version = people::version(tx).await?;
    for (member, before, after) in &moves {
        if before == member {
            join(tx, *member, *after, source, at).await?;
        } else {
            part(tx, *member, *before, *after, at).await?;
        }
        for changed in [member, before, after] {
            people::touch(tx, *changed, version).await?;
        }
    }
    note_shared(tx, &built, at).await?;
    note_refusals(tx, &near, &built, source, at).await?;
    write_holders(tx, &near, &built, !moves.is_empty(), divide).await?;
    Ok(built)
}

/// (member, who stood for her, who stands for her now), of those for whom it changed. Those who part come first, so that nothing is joined twice.
fn moves(near: &Near, built: &Built) -> Vec<(MemberId, MemberId, MemberId)> {
    let of = |member: &MemberId| Some((*member, *near.root.get(member)?, *built.survivor.get(member)?));
    let mut moves: Vec<_> = near.graph.members.keys().filter_map(of).filter(|(_, before, after)| before != after).collect();
    moves.sort_unstable_by_key(|(member, before, _)| (before == member, *member));
    moves
}

/// Locks the shards of all who are moved, in ascending order: a worker that has one of them is waited for, and sees the members as they are now.
async fn lock(tx: &mut Tx, moves: &[(MemberId, MemberId, MemberId)]) -> Result<(), StoreError> {
    let shards: BTreeSet<i64> = moves.iter().flat_map(|(a, b, c)| [a.shard(), b.shard(), c.shard()]).collect();
    for shard in shards {
        work::lock_shard_waiting(tx, shard).await?;
    }
    Ok(())
}

/// One who stood for herself goes into another: her rows, her work, her consents.
async fn join(tx: &mut Tx, member: MemberId, into: MemberId, source: &str, at: Millis) -> Result<(), StoreError> {
    work::reassign(tx, member, into).await?;
    for (_, note, _) in TABLES {
        tx.execute(note, args![member.0]).await?;
    }
    move_rows(tx, member, into).await?;
    replay::join(tx, member, into).await?;
    counter::join(tx, member, into).await?;
    tx.execute("UPDATE event SET member = $2 WHERE member = $1", args![member.0, into.0]).await?;
    tx.execute("UPDATE member SET merged_into = $2 WHERE id = $1", args![member.0, into.0]).await?;
    // Who asked that her data is not used did not ask for one record of it.
    let restrict =
        "INSERT INTO restriction (member, at, reason) SELECT $2, at, reason FROM restriction WHERE member = $1 ON CONFLICT DO NOTHING";
    tx.execute(restrict, args![member.0, into.0]).await?;
    let before = consent::standing(tx, into).await?;
    let theirs = consent::standing(tx, member).await?;
    let json = serde_json::to_string(&before).map_err(|_| StoreError::Corrupt("consents"))?;
    let id = Uuid::from_u128(rand::random()).simple().to_string();
    let sql = "INSERT INTO merge (id, member, survivor, source, reason, at, consents_before) VALUES ($1, $2, $3, $4, 'link', $5, $6)";
    tx.execute(sql, args![id, member.0, into.0, source, at, json]).await?;
    let both = either(before, theirs);
    for said in &both {
        consent::set(tx, into, said).await?;
    }
    obey(tx, into, &both, at).await
}

/// What the consents of the person leave: a withdrawal that either member made counts for both.
async fn obey(tx: &mut Tx, into: MemberId, standing: &[Standing], at: Millis) -> Result<(), StoreError> {
    for said in standing.iter().filter(|s| s.purpose == Purpose::Presence && !s.granted) {
        installation::delete_all(tx, into, &said.brand, &said.entity, at).await?;
    }
    for said in standing.iter().filter(|s| s.purpose == Purpose::Ads && !s.granted) {
        given::end(tx, into, Some((&said.brand, &said.entity)), at).await?;
    }
    if !consent::any(standing, Purpose::Sms) {
        people::set_destination(tx, into, None, at).await?;
    }
    Ok(())
}

/// One who had gone into another stands for herself again, or goes into a third.
async fn part(tx: &mut Tx, member: MemberId, from: MemberId, into: MemberId, at: Millis) -> Result<(), StoreError> {
    let visits = "UPDATE todo SET member = $2, shard = $3 WHERE kind = 'visit' AND ref IN \
                  (SELECT ref FROM moved_row WHERE what = 'visit' AND origin = $1)";
    tx.execute(visits, args![member.0, into.0, into.shard()]).await?;
    move_rows(tx, member, into).await?;
    counter::part(tx, from).await?;
    let alias = (into != member).then_some(into.0);
    tx.execute("UPDATE member SET merged_into = $2 WHERE id = $1", args![member.0, alias]).await?;
    if alias.is_some() {
        return Ok(());
    }
    tx.execute("DELETE FROM moved_row WHERE origin = $1", args![member.0]).await?;
    give_back_consents(tx, member, from).await?;
    tx.execute("UPDATE merge SET undone_at = $2 WHERE member = $1 AND undone_at IS NULL", args![member.0, at]).await?;
    Ok(())
}

/// The survivor has her own consents again; what was withdrawn while they were one stays withdrawn for both.
async fn give_back_consents(tx: &mut Tx, member: MemberId, survivor: MemberId) -> Result<(), StoreError> {
    let sql = "SELECT consents_before, at FROM merge WHERE member = $1 AND survivor = $2 AND undone_at IS NULL ORDER BY at DESC";
    let Some(row) = tx.fetch_optional(sql, args![member.0, survivor.0]).await? else { return Ok(()) };
    let before: Vec<Standing> = serde_json::from_str(&row.text(0)?).map_err(|_| StoreError::Corrupt("consents"))?;
    let merged_at = row.millis(1)?;
    for now in consent::standing(tx, survivor).await? {
        let same = |s: &&Standing| (&s.brand, &s.entity, s.purpose) == (&now.brand, &now.entity, now.purpose);
        if now.at > merged_at {
            if !now.granted {
                consent::set(tx, member, &now).await?;
            }
            continue;
        }
        match before.iter().find(same) {
            Some(own) => consent::set(tx, survivor, own).await?,
            None => consent::unset(tx, survivor, &now).await?,
        }
    }
    Ok(())
}

async fn move_rows(tx: &mut Tx, origin: MemberId, to: MemberId) -> Result<(), StoreError> {
    for (_, _, go) in TABLES {
        tx.execute(go, args![origin.0, to.0]).await?;
    }
    Ok(())
}

async fn note_shared(tx: &mut Tx, built: &Built, at: Millis) -> Result<(), StoreError> {
    for (kind, key) in &built.shared {
        let sql = "INSERT INTO shared_key (kind, key, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        tx.execute(sql, args![kind.word(), &key.0, at]).await?;
    }
    Ok(())
}

/// Writes the refusals that are new, and takes those back whose reason is gone.
async fn note_refusals(tx: &mut Tx, near: &Near, built: &Built, source: &str, at: Millis) -> Result<(), StoreError> {
    for link in &near.graph.links {
        let now = built.refused.get(&link.id).copied();
        let before = near.refused.get(&link.id).cloned().flatten();
        if before.as_deref() == now.map(Refusal::word) {
            continue;
        }
        let id = Uuid::from_u128(link.id).simple().to_string();
        tx.execute("UPDATE link SET refused = $2 WHERE id = $1", args![id, now.map(Refusal::word)]).await?;
        let (kind, key) = (link.node.0.word(), &link.node.1.0);
        tx.execute("DELETE FROM conflict WHERE kind = $1 AND key = $2 AND member = $3", args![kind, key, link.member.0]).await?;
        if let Some(why) = now {
            let other = built.held.get(&link.node).and_then(|slices| slices.last()).map(|slice| slice.holder.0);
            let sql = "INSERT INTO conflict (kind, key, member, other, reason, source, at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
                       ON CONFLICT DO NOTHING";
            tx.execute(sql, args![kind, key, link.member.0, other, why.word(), source, at]).await?;
        }
    }
    Ok(())
}

/// Writes who holds each key. The times of weak keys are divided anew only when a person changed; otherwise all but `divide` are up to date.
async fn write_holders(tx: &mut Tx, near: &Near, built: &Built, persons_changed: bool, divide: Option<Node>) -> Result<(), StoreError> {
    let nodes: BTreeSet<Node> = near.graph.links.iter().map(|link| link.node).collect();
    let mut seen: BTreeMap<Node, Millis> = BTreeMap::new();
    for link in &near.graph.links {
        let last = seen.entry(link.node).or_insert(link.last_at);
        *last = link.last_at.max(*last);
    }
    for node in nodes {
        let slices = built.held.get(&node).map_or(&[][..], Vec::as_slice);
        if slices.len() > 1 && !persons_changed && divide != Some(node) {
            continue;
        }
        write_slices(tx, node, slices, seen.get(&node).copied().unwrap_or_default()).await?;
    }
    Ok(())
}

async fn write_slices(tx: &mut Tx, node: Node, slices: &[Slice], seen: Millis) -> Result<(), StoreError> {
    let (kind, key) = (node.0.word(), &node.1.0);
    tx.execute("DELETE FROM former_holder WHERE kind = $1 AND key = $2", args![kind, key]).await?;
    let Some((now, former)) = slices.split_last() else {
        tx.execute("DELETE FROM identifier WHERE kind = $1 AND key = $2", args![kind, key]).await?;
        return Ok(());
    };
    for slice in former {
        let sql = "INSERT INTO former_holder (kind, key, member, since, until) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let until = slice.until.unwrap_or(slice.since);
        tx.execute(sql, args![kind, key, slice.holder.0, slice.since, until]).await?;
    }
    let sql = "INSERT INTO identifier (kind, key, member, since, seen_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, key) \
               DO UPDATE SET member = excluded.member, since = excluded.since";
    tx.execute(sql, args![kind, key, now.holder.0, now.since, seen]).await?;
    Ok(())
}
