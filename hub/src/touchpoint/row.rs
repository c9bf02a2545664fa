//! What one touchpoint says, whether it came by file or by the API. Pure.

use chrono::DateTime;
use passage_protocol::Millis;

use crate::{
    identity::{IdentifierKind, Keyring, normalise::canonical},
    privacy::payload::{Unfit, unfit, unfit_id},
};

/// A touchpoint as a source wrote it. `None` is a blank.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawTouch<'a> {
    /// The source's own key, so that a repetition is recognised. Without one the contents are the key.
    pub key: Option<&'a str>,
    /// Time with its offset, RFC 3339.
    pub at: Option<&'a str>,
    /// A word of [`TouchKind`](crate::touchpoint::TouchKind).
    pub kind: Option<&'a str>,
    /// Campaign.
    pub campaign: Option<&'a str>,
    /// Channel; without one the channel rules say it.
    pub channel: Option<&'a str>,
    /// The utm_source.
    pub source: Option<&'a str>,
    /// The utm_medium.
    pub medium: Option<&'a str>,
    /// Address of the page that she came from; only its host is kept.
    pub referrer: Option<&'a str>,
    /// Click id of an ad platform with its name: `gclid=..`.
    pub click_id: Option<&'a str>,
    /// Product.
    pub sku: Option<&'a str>,
    /// Size of the product.
    pub size: Option<&'a str>,
    /// Category of the product.
    pub category: Option<&'a str>,
    /// Id of the store where it happened.
    pub store: Option<&'a str>,
    /// Side of a test.
    pub variant: Option<&'a str>,
    /// How it ended.
    pub outcome: Option<&'a str>,
    /// Number of the order. It is keyed and not kept in clear.
    pub order: Option<&'a str>,
    /// Amount in cents.
    pub cents: Option<&'a str>,
    /// A word of [`IdentifierKind`].
    pub identifier_kind: Option<&'a str>,
    /// The identifier in clear. It is keyed and goes no further.
    pub identifier: Option<&'a str>,
}

/// Longest text of any field, in characters.
const LONGEST: usize = 100;
/// Longest click id.
const LONGEST_CLICK_ID: usize = 400;
/// The dearest order.
const MOST_CENTS: u64 = 1_000_000_000;

impl<'a> RawTouch<'a> {
    /// What may be planned, by its name in files.
    fn fields(&self) -> [(&'static str, Option<&'a str>); 14] {
        [
            ("campaign", self.campaign),
            ("channel", self.channel),
            ("source", self.source),
            ("medium", self.medium),
            ("referrer", self.referrer),
            ("click_id", self.click_id),
            ("sku", self.sku),
            ("size", self.size),
            ("category", self.category),
            ("store", self.store),
            ("variant", self.variant),
            ("outcome", self.outcome),
            ("order", self.order),
            ("cents", self.cents),
        ]
    }

    /// Names of the fields that are told.
    pub(super) fn told(&self) -> impl Iterator<Item = &'static str> {
        self.fields().into_iter().filter(|(_, value)| value.is_some_and(|v| !v.trim().is_empty())).map(|(name, _)| name)
    }

    /// What may not be stored at all, and the field that has it. The identifier is left to its own rules.
    pub(super) fn unfit(&self) -> Option<(&'static str, Unfit)> {
        let mut all = self.fields().into_iter().chain([("key", self.key)]);
        all.find_map(|(name, value)| Some((name, look(name, value?)?)))
    }

    /// A key made of all fields, for sources that have none.
    pub(super) fn contents(&self, keyring: &Keyring) -> String {
        let mut fields = vec![self.at, self.kind, self.campaign, self.channel, self.sku, self.size, self.identifier_kind, self.identifier];
        // What came later is told by its name, so that the keys of before stay what they were.
        let early = ["campaign", "channel", "sku", "size"];
        for (name, value) in self.fields().into_iter().filter(|(name, value)| value.is_some() && !early.contains(name)) {
            fields.extend([Some(name), value]);
        }
        let parts: Vec<&[u8]> = fields.iter().map(|f| f.unwrap_or_default().as_bytes()).collect();
        hex::encode(&keyring.hash("touchpoint contents", &parts)[..16])
    }
}

/// A click id is an id that another system drew.
fn look(name: &str, value: &str) -> Option<Unfit> {
    if name == "click_id" { unfit_id(value) } else { unfit(value) }
}

/// The identifier in keyed form; `Ok(None)` when there is none.
pub(super) fn keyed(
    kind: Option<&str>,
    value: Option<&str>,
    keyring: &Keyring,
    region: &str,
) -> Result<Option<(IdentifierKind, crate::identity::Key)>, String> {
    let (kind, value) = match (kind, value) {
        (None, None) => return Ok(None),
        (Some(kind), Some(value)) => (kind, value),
        (None, Some(_)) => return Err("identifier_kind is missing".to_owned()),
        (Some(_), None) => return Ok(None),
    };
    let kind: IdentifierKind = kind.parse().map_err(|()| "identifier_kind is not known".to_owned())?;
    let form = canonical(kind, value, region).map_err(|e| format!("identifier: {e}"))?;
    Ok(Some((kind, keyring.identifier(kind, &form))))
}

/// A text that may be stored in clear: short, without control characters, and neither a payment card nor an e-mail address.
pub(crate) fn text(name: &'static str, value: Option<&str>) -> Result<Option<String>, String> {
    text_up_to(LONGEST, name, value)
}

fn text_up_to(longest: usize, name: &'static str, value: Option<&str>) -> Result<Option<String>, String> {
    let Some(value) = value.map(str::trim).filter(|v| !v.is_empty()) else { return Ok(None) };
    if (value.len() > longest && value.chars().count() > longest) || value.chars().any(char::is_control) {
        return Err(format!("{name}: longer than {longest} characters, or with control characters"));
    }
    if let Some(unfit) = look(name, value) {
        return Err(format!("{name}: {unfit}"));
    }
    if value.contains('@') && value.contains('.') {
        return Err(format!("{name}: it looks like an e-mail address"));
    }
    Ok(Some(value.to_owned()))
}

/// A click id with the name that tells whose it is.
pub(super) fn click_id(value: Option<&str>) -> Result<Option<String>, String> {
    let Some(text) = text_up_to(LONGEST_CLICK_ID, "click_id", value)? else { return Ok(None) };
    let named = text.split_once('=').is_some_and(|(name, id)| {
        !id.is_empty() && !name.is_empty() && name.len() <= 20 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    });
    if named { Ok(Some(text)) } else { Err("click_id: write its name in front, such as gclid=..".to_owned()) }
}

/// An amount in whole cents.
pub(super) fn cents(value: Option<&str>) -> Result<Option<i64>, String> {
    let Some(text) = value.map(str::trim).filter(|v| !v.is_empty()) else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(n) if n.unsigned_abs() <= MOST_CENTS => Ok(Some(n)),
        _ => Err("cents: write an amount in whole cents, such as 28900".to_owned()),
    }
}

/// The host of an address, without `www.`; nothing of the path, which may tell more than where she came from.
pub(crate) fn host(address: &str) -> Option<String> {
    let rest = address.trim().split_once("://").map_or(address.trim(), |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next()?.to_ascii_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    let good = host.contains('.') && host.len() <= LONGEST && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    good.then(|| host.to_owned())
}

/// A time with its offset.
pub(super) fn instant(text: &str) -> Option<Millis> {
    let at = DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis();
    // Nothing that could be of any use lies outside of these years.
    (946_684_800_000..4_102_444_800_000).contains(&at).then_some(Millis(at))
}
