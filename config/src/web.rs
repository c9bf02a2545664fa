//! `[web]` of `hub.toml`, and what API tokens may do.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    collect::mistake,
    common::is_loopback,
    model::{Grant, Scope, Secret, Web, Webhook, WebhookKind},
    reader::Field,
};

impl Default for Web {
    fn default() -> Self {
        Self {
            url: None,
            sites: Vec::new(),
            pixel: false,
            cookie_domain: None,
            consent_cookie: None,
            rate: 20_000,
            grants: BTreeMap::new(),
            webhooks: BTreeMap::new(),
        }
    }
}

/// Reads `[web]`.
pub(crate) fn read(f: Field<'_>) -> Option<Web> {
    let r = f.table()?;
    let d = Web::default();
    let web = Web {
        url: r.may("url", |f| origin(&f)),
        sites: r.or("sites", Vec::new(), |f| Some(f.texts()?.iter().filter_map(origin).collect())),
        pixel: r.or("pixel", false, |f| f.flag()),
        cookie_domain: r.may("cookie_domain", |f| domain(&f)),
        consent_cookie: r.may("consent_cookie", consent_cookie),
        rate: r.or("rows_per_second", d.rate, |f| f.whole(1, 10_000_000)),
        grants: BTreeMap::new(),
        webhooks: r.or("webhooks", BTreeMap::new(), |f| Some(f.each(|f| f.id_of_key().zip(webhook(f)))?.into_iter().collect())),
    };
    r.done();
    Some(web)
}

/// One API token: its secret alone, or a table that says what it may do.
pub(crate) fn token(f: Field<'_>) -> Option<(Secret, Option<Grant>)> {
    if !f.is_table() {
        return f.secret().map(|secret| (secret, None));
    }
    let r = f.table()?;
    let secret = r.need("token", "token = \"env:SHOP_TOKEN\"", |f| f.secret());
    let may = r
        .need("may", "may = [\"touchpoints\"]", |f| Some(f.texts()?.iter().filter_map(|f| f.choice(&Scope::ALL)).collect::<BTreeSet<_>>()));
    let domain = r.may("domain", |f| domain(&f));
    r.done();
    Some((secret?, Some(Grant { may: may?, domain })))
}

fn webhook(f: Field<'_>) -> Option<Webhook> {
    let r = f.table()?;
    let kind = r.need("kind", "kind = \"calls\"", |f| f.choice(&[("calls", WebhookKind::Calls), ("orders", WebhookKind::Orders)]));
    let secret = r.need("secret", "secret = \"env:CALLS_SECRET\"", |f| {
        let secret = f.secret()?;
        if secret.0.len() < 16 {
            let mend = "make one with `openssl rand -hex 32`";
            return f.refuse(mistake("P018", "this secret is too short to sign with", "shorter than 16 characters", mend));
        }
        Some(secret)
    });
    r.done();
    Some(Webhook { kind: kind?, secret: secret? })
}

/// `https://host` with a port if need be, and nothing after it.
fn origin(f: &Field<'_>) -> Option<String> {
    let text = f.text()?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let bare = rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b)));
    if !bare {
        let m = format!("`{}` needs protocol and machine and nothing else", f.key);
        return f.refuse(mistake("P017", m, "not such an address", "write it as \"https://www.example.fr\", without a path"));
    }
    let host = rest.unwrap_or("").rsplit_once(':').map_or(rest.unwrap_or(""), |(host, _)| host);
    if text.starts_with("http://") && !is_loopback(host) {
        let m = "only this machine may be reached without encryption";
        return f.refuse(mistake("P017", m, "http://", "write https://"));
    }
    Some(text.to_ascii_lowercase())
}

fn domain(f: &Field<'_>) -> Option<String> {
    let text = f.text()?.to_ascii_lowercase();
    let labels = || text.split('.');
    let good = labels().count() > 1
        && labels().all(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !l.starts_with('-'));
    if good {
        return Some(text);
    }
    f.refuse(mistake("P017", format!("`{}` is not a domain", f.key), "not a name with a dot", "write it as \"example.fr\""))
}

fn consent_cookie(f: Field<'_>) -> Option<(String, String)> {
    let text = f.text()?;
    let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_graphic() && !b";,\"=\\".contains(&b));
    match text.split_once('=').filter(|(name, value)| plain(name) && plain(value)) {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => {
            let mend = "write the cookie that your banner sets after a yes, such as \"consent=all\"";
            f.refuse(mistake("P009", "`consent_cookie` is not a cookie with its value", "not name=value", mend))
        }
    }
}
