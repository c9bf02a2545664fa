//! `[page]` of `hub.toml`: where members reach their own page.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    collect::mistake,
    model::{Language, MemberPage},
    reader::Field,
};

const DAY: Duration = Duration::from_secs(86_400);

/// Reads it.
pub(crate) fn read(f: Field<'_>) -> Option<MemberPage> {
    let r = f.table()?;
    let url = r.may("url", |f| url(&f));
    let life = r.or("life", MemberPage::default().life, |f| f.duration(DAY, 90 * DAY));
    let languages = r.or("languages", BTreeMap::new(), languages);
    r.done();
    Some(MemberPage { url, life, languages })
}

fn languages(f: Field<'_>) -> Option<BTreeMap<String, Language>> {
    let all = f.each(|brand| brand.id_of_key().zip(brand.choice(&[("fr", Language::Fr), ("en", Language::En)])))?;
    Some(all.into_iter().collect())
}

/// HTTPS, but for a rehearsal on this machine. A short one leaves more room in the SMS.
fn url(f: &Field<'_>) -> Option<String> {
    let text = f.text()?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://127.0.0.1"));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '/');
    if rest.is_some_and(|rest| rest.chars().all(plain)) && text.len() <= 60 && text.len() > 8 {
        return Some(text.trim_end_matches('/').to_owned());
    }
    f.refuse(mistake(
        "P085",
        "`url` is not where members can reach their page",
        "not of the form https://HOST",
        "write \"https://hub.example.fr\", at most 60 characters, the shorter the better",
    ))
}
