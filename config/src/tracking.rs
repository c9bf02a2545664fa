//! `tracking.toml`: what each source may tell, and which categories of products never leave. Links and telephone numbers of `campaigns/*.toml`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    collect::{Collector, mistake, suggest},
    common::is_loopback,
    model::{Link, Planned, Product, TOUCH_FIELDS, TOUCH_KINDS, TouchRules},
    reader::{Field, Reader},
};

/// Reads `tracking.toml` into `rules`.
pub(crate) fn read(r: Reader<'_>, products: &BTreeMap<String, Product>, rules: &mut TouchRules) {
    let categories: BTreeSet<&str> = products.values().map(|p| p.category.as_str()).collect();
    rules.sensitive = r.or("sensitive", BTreeSet::new(), |f| Some(f.texts()?.iter().filter_map(|f| category(f, &categories)).collect()));
    rules.plan = r.may("sources", |f| {
        let sources = f.each(|f| {
            let name = f.id_of_key();
            name.zip(planned(f))
        });
        Some(sources?.into_iter().collect())
    });
    rules.events = r.or("events", BTreeMap::new(), |f| {
        let kinds: Vec<_> = TOUCH_KINDS.iter().map(|word| (*word, *word)).collect();
        Some(f.each(|f| Some((f.key.clone(), f.choice(&kinds)?.to_owned())))?.into_iter().collect())
    });
    r.done();
}

fn category(f: &Field<'_>, all: &BTreeSet<&str>) -> Option<String> {
    let text = f.text()?;
    if all.contains(text) {
        return Some(text.to_owned());
    }
    let mend = suggest(text, all.iter().copied());
    f.refuse(mistake("P024", format!("no article has the category \"{text}\""), "not in products.csv", mend))
}

fn planned(f: Field<'_>) -> Option<Planned> {
    let r = f.table()?;
    let kinds = r.need("kinds", "kinds = [\"page\", \"view\"]", |f| words(&f, &TOUCH_KINDS));
    let fields = r.may("fields", |f| words(&f, &TOUCH_FIELDS));
    r.done();
    Some(Planned { kinds: kinds?, fields })
}

fn words(f: &Field<'_>, all: &[&'static str]) -> Option<BTreeSet<String>> {
    let choices: Vec<(&'static str, &'static str)> = all.iter().map(|word| (*word, *word)).collect();
    Some(f.texts()?.iter().filter_map(|f| f.choice(&choices).map(str::to_owned)).collect())
}

/// What a campaign's file adds to the rules: codes with their targets, and telephone numbers. Each code and number belongs to one campaign.
pub(crate) fn campaign(r: &Reader<'_>, id: &str, rules: &mut TouchRules) {
    let links = r.may("links", |f| {
        f.each(|f| {
            let code = f.id_of_key()?;
            if rules.links.contains_key(&code) {
                let m = mistake("P080", format!("the code \"{code}\" leads elsewhere already"), "second time", "choose another code");
                return f.refuse(m);
            }
            Some((code, Link { campaign: id.to_owned(), to: target(&f)? }))
        })
    });
    rules.links.extend(links.unwrap_or_default());
    let numbers = r.may("numbers", |f| {
        let all = f.texts()?;
        Some(all.iter().filter_map(|f| number(f, &rules.numbers)).map(|n| (n, id.to_owned())).collect::<Vec<_>>())
    });
    rules.numbers.extend(numbers.unwrap_or_default());
}

/// An address that a redirect may lead to. It stands in a file, so nobody who calls can choose another one.
fn target(f: &Field<'_>) -> Option<String> {
    let text = f.text()?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://").filter(|rest| is_loopback(host(rest))));
    let good = rest.is_some_and(|rest| !host(rest).is_empty() && !host(rest).contains('@'))
        && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'));
    if good {
        return Some(text.to_owned());
    }
    let mend = "write the whole address, such as \"https://www.example.fr/manteaux\"; letters with accents as %C3%A9";
    f.refuse(mistake("P081", "this is no address that a redirect may lead to", "not https://..", mend))
}

/// The host, with a user in front if there is one, of what follows `://`.
fn host(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

fn number(f: &Field<'_>, known: &BTreeMap<String, String>) -> Option<String> {
    let text: String = f.text()?.chars().filter(|c| !c.is_whitespace() && !matches!(c, '.' | '-' | '(' | ')')).collect();
    let digits = text.strip_prefix('+').unwrap_or("");
    if !(8..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        let m = mistake("P082", "this is not a telephone number with its country", "not + and digits", "write it as \"+33 1 99 00 00 01\"");
        return f.refuse(m);
    }
    if let Some(other) = known.get(&text) {
        let message = format!("this number belongs to the campaign \"{other}\" already");
        return f.refuse(mistake("P080", message, "second time", "give each campaign numbers of its own"));
    }
    Some(text)
}

/// A segment whose name tells of a sensitive category: `segments` of `[identity]`. Whoever is in it would be told by its name, here and at partners.
pub(crate) fn no_sensitive_segments(rules: &TouchRules, segments: Field<'_>) {
    let values = segments.clone();
    let _ = segments.each(|f| {
        // What is no text was named before.
        let name = values.word(&f.key)?;
        match rules.sensitive_in(name).or_else(|| rules.sensitive_in(&f.key)) {
            None => Some(()),
            Some(category) => {
                let message = format!("the segment \"{name}\" tells of the sensitive category \"{category}\"");
                let mend = "leave it out, or take the category out of `sensitive` in tracking.toml";
                f.refuse(mistake("P083", message, "this segment", mend))
            }
        }
    });
}

/// An offer that speaks of a sensitive category would tell everybody who sees the phone.
pub(crate) fn not_sensitive(rules: &TouchRules, offers: &[crate::offer::Placed], out: &Collector) {
    for placed in offers {
        let category = placed.offer.audience.viewed_not_bought.as_ref().and_then(|v| v.category.as_deref());
        if let Some(category) = category.filter(|c| rules.sensitive.contains(*c)) {
            let message = format!("the offer \"{}\" speaks of the sensitive category \"{category}\"", placed.offer.id);
            let mend = "take the category out of the offer, or out of `sensitive` in tracking.toml";
            out.placed(&placed.trigger, mistake("P083", message, "this offer", mend));
        }
    }
}
