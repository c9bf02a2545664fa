//! `passage-hub identity explain` and `conflicts`. Values are never shown, not even the one that was asked for.

use passage_config::HubConfig;

use crate::{
    command::look,
    identity::{IdentifierKind, Keyring, MemberId, graph::Refusal, normalise::canonical},
    report::text::utc,
    store::{
        Db, Tx,
        people::graph::{
            self,
            explain::{ConflictLine, LinkLine, Person},
        },
    },
};

pub(super) async fn explain(db: &Db, config: &HubConfig, keyring: &Keyring, who: &str) -> anyhow::Result<()> {
    let mut tx = db.begin_read().await?;
    let (told, members) = match who.split_once(':') {
        None => (String::new(), vec![graph::standing_for(&mut tx, super::member(who)?).await?]),
        Some((kind, value)) => of_key(&mut tx, config, keyring, kind, value).await?,
    };
    look::note(db, config, "identity explain", &members).await?;
    print!("{told}");
    for member in members {
        match graph::explain::person(&mut tx, member).await? {
            Some(person) => println!("{}", text(&person)),
            None => anyhow::bail!("there is no member {member}"),
        }
    }
    Ok(())
}

/// What was said about a key, and the members whom it names.
async fn of_key(tx: &mut Tx, config: &HubConfig, keyring: &Keyring, kind: &str, value: &str) -> anyhow::Result<(String, Vec<MemberId>)> {
    let kind: IdentifierKind =
        kind.parse().map_err(|()| anyhow::anyhow!("that is not a kind of key. Mend: write for example email:VALUE"))?;
    let form =
        canonical(kind, value, &config.phone_region).map_err(|e| anyhow::anyhow!("the value cannot be used as {}: {e}", kind.word()))?;
    let key = keyring.identifier(kind, &form);
    let links = graph::explain::of_key(tx, kind, &key).await?;
    let mut told = match graph::holder(tx, kind, &key).await? {
        Some(holder) => format!("{}: the key is {holder}'s\n", kind.word()),
        None => format!("{}: the key is nobody's\n", kind.word()),
    };
    links.iter().for_each(|link| told += &format!("  {}\n", line(link)));
    let mut members = Vec::new();
    for link in links {
        let person = graph::standing_for(tx, link.member).await?;
        if !members.contains(&person) {
            members.push(person);
        }
    }
    Ok((told, members))
}

fn text(person: &Person) -> String {
    let aliases: Vec<String> = person.members.iter().filter(|m| **m != person.survivor).map(ToString::to_string).collect();
    let mut out = format!("\n{}", person.survivor);
    if !aliases.is_empty() {
        out += &format!(" (also {})", aliases.join(", "));
    }
    let section = |name: &str, lines: Vec<String>| {
        let none = vec!["none".to_owned()];
        let lines = if lines.is_empty() { none } else { lines };
        format!("\n  {name}\n    {}", lines.join("\n    "))
    };
    out += &section("links, oldest first", person.links.iter().map(line).collect());
    out += &section("conflicts", person.conflicts.iter().map(conflict).collect());
    let merge = |m: &graph::explain::MergeLine| {
        let undone = m.undone_at.map(|at| format!(", told apart again {}", utc(at))).unwrap_or_default();
        format!("{} {} went into {} by {}{undone}", utc(m.at), m.member, m.survivor, m.source)
    };
    out += &section("merges", person.merges.iter().map(merge).collect());
    let consent = |s: &crate::identity::consent::Standing| {
        let word = if s.granted { "granted" } else { "withdrawn" };
        format!("{} {word} to {}/{} since {} ({})", s.purpose.word(), s.brand, s.entity, utc(s.at), s.source)
    };
    out + &section("consents", person.consents.iter().map(consent).collect())
}

fn line(link: &LinkLine) -> String {
    let mut out = format!("{} {} {} {}.. of {}", &link.id[..8.min(link.id.len())], utc(link.at.0), link.kind, link.key, link.member);
    out += &format!(", {} by {}", link.reason, link.source);
    if !link.context.is_empty() {
        out += &format!(" ({})", link.context);
    }
    if link.at.1 > link.at.0 {
        out += &format!(", again {}", utc(link.at.1));
    }
    if let Some(word) = &link.refused {
        out += &format!("; refused: {}", sentence(word));
    }
    if let Some((at, by, why)) = &link.revoked {
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        out += &format!("; taken back {} by {by}{why}", utc(*at));
    }
    out
}

fn conflict(c: &ConflictLine) -> String {
    let other = c.other.map(|other| format!(", held by {other}")).unwrap_or_default();
    format!("{} {} {}.. for {}{other}: {} (by {})", utc(c.at), c.kind, c.key, c.member, sentence(&c.reason), c.source)
}

fn sentence(word: &str) -> &str {
    Refusal::from_word(word).map_or(word, |refusal| refusal.sentence())
}

pub(super) async fn conflicts(db: &Db, limit: u32) -> anyhow::Result<()> {
    for (kind, reason, count) in graph::explain::conflict_counts(db).await? {
        println!("{count:>8} {kind}: {}", sentence(&reason));
    }
    for line in graph::explain::conflicts(db, limit).await? {
        println!("{}", conflict(&line));
    }
    Ok(())
}
