//! `[identity]` of `hub.toml`.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    collect::{mistake, suggest},
    model::{Identity, KeyRule, Partner, Platform},
    reader::Field,
};

const YEAR: Duration = Duration::from_secs(396 * 86_400);

pub(crate) fn read(f: Field<'_>) -> Option<Identity> {
    let r = f.table()?;
    let mut identity = Identity::default();
    let known = identity.keys.clone();
    if let Some(rules) = r.may("keys", |f| f.each(|f| key_rule(f, &known))) {
        identity.keys.extend(rules);
    }
    identity.block = r.or("block", BTreeMap::new(), |f| Some(f.each(|f| blocked(f, &known))?.into_iter().collect()));
    identity.shared_after = r.or("shared_after", identity.shared_after, |f| f.whole(1, 1000));
    identity.component_cap = r.or("component_cap", identity.component_cap, |f| f.whole(2, 100_000));
    identity.retro = r.or("retro", identity.retro, |f| f.duration(Duration::ZERO, YEAR));
    identity.sites = r.or("sites", Vec::new(), |f| Some(f.texts()?.iter().filter_map(|f| f.text().map(str::to_ascii_lowercase)).collect()));
    identity.third_party_cookies = r.or("third_party_cookies", false, |f| f.flag());
    identity.segments =
        r.or("segments", BTreeMap::new(), |f| Some(f.each(|f| Some((f.key.clone(), f.text()?.to_owned())))?.into_iter().collect()));
    identity.partners = r.or("partners", BTreeMap::new(), |f| Some(f.each(partner)?.into_iter().collect()));
    r.done();
    Some(identity)
}

fn partner(f: Field<'_>) -> Option<(String, Partner)> {
    let name = f.id_of_key()?;
    let r = f.table()?;
    let purposes = r.need("purposes", "purposes = [\"match\"]", |f| {
        let words = f.texts()?.iter().map(|f| f.choice(&[("match", false), ("ads", true)])).collect();
        crate::reader::whole(words)
    });
    let platform = r.or("platform", Platform::Meta, |f| f.choice(&[("google", Platform::Google), ("meta", Platform::Meta)]));
    r.done();
    let purposes = purposes?;
    Some((name, Partner { may_match: purposes.contains(&false), may_have_ads: purposes.contains(&true), platform }))
}

fn key_rule(f: Field<'_>, known: &BTreeMap<String, KeyRule>) -> Option<(String, KeyRule)> {
    let (kind, default) = kind(&f, known)?;
    let r = f.table()?;
    let limit = r.or("limit", default.limit, |f| f.whole(1, 100_000));
    let merge = r.or("merge", default.merge, |f| f.flag());
    let priority = r.or("priority", default.priority, |f| f.whole(1, 100));
    r.done();
    Some((kind, KeyRule { limit, merge, priority }))
}

fn blocked(f: Field<'_>, known: &BTreeMap<String, KeyRule>) -> Option<(String, Vec<String>)> {
    let (kind, _) = kind(&f, known)?;
    let values = f.texts()?.iter().filter_map(|f| f.text().map(str::to_owned)).collect();
    Some((kind, values))
}

/// The kind that a key of the table names.
fn kind(f: &Field<'_>, known: &BTreeMap<String, KeyRule>) -> Option<(String, KeyRule)> {
    if let Some(rule) = known.get(&f.key) {
        return Some((f.key.clone(), *rule));
    }
    let mend = suggest(&f.key, known.keys().map(String::as_str));
    f.refuse(mistake("P009", format!("`{}` is not a kind of identifier", f.key), "unknown kind", mend))
}
