//! Canonical forms of identifiers, so that the same person's key is the same key wherever it was typed.
//!
//! Order of steps: byte order mark, NFC, trim, already hashed?, block list, lower case, rule of the kind. E-mail addresses keep the dots of Gmail
//! and every `+suffix`.

use base64::{Engine, engine::general_purpose::STANDARD};
use passage_protocol::StaticBeacon;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::{
    identity::{IdentifierKind, phone},
    privacy::payload::{holds_card_number, is_card_number},
};

/// Why a value is no key. The texts never repeat the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// `null`, `n/a`, zeros and the like.
    #[error("it is a placeholder")]
    Placeholder,
    /// 64 or 32 hex digits: somebody hashed it already, which cannot be undone.
    #[error("it is already hashed; send the plain value")]
    Hashed,
    /// Longer than any real one, or with control characters.
    #[error("it is too long or holds control characters")]
    Unreadable,
    /// Not an address.
    #[error("it is not an e-mail address")]
    Email,
    /// Not a number of a person, or of no known country.
    #[error("it is not a phone number that a person can have")]
    Phone,
    /// Not a cookie with its domain.
    #[error("it is not a cookie written as domain/value")]
    Cookie,
    /// Not a registered beacon.
    #[error("it is not a beacon written as uuid/major/minor, altbeacon:uuid/major/minor or eddystone:namespace/instance")]
    Beacon,
    /// Not the SHA-256 of anything, or that of nothing.
    #[error("it is not a SHA-256 in hex or base64")]
    Hash,
    /// Not a name, a place, a country or a date.
    #[error("it is not a value of its kind")]
    Kind,
    /// On the block list: a switchboard, a shop's own address, an id that every phone without advertising shows.
    #[error("it is on the block list")]
    Blocked,
    /// Looks like a payment card, which has no place here.
    #[error("it looks like the number of a payment card")]
    Card,
}

/// Longest value of any kind, in characters.
const LONGEST: usize = 254;

/// The canonical form of `raw` as a key of `kind`. `region` is the ISO code for phone numbers without a country code, such as `FR`.
pub fn canonical(kind: IdentifierKind, raw: &str, region: &str) -> Result<String, Unusable> {
    let text = clean(raw)?;
    if matches!(kind, IdentifierKind::Phone) {
        return phone::e164(&text, region);
    }
    let typed = matches!(kind, IdentifierKind::CrmId | IdentifierKind::LoyaltyCard | IdentifierKind::Operator | IdentifierKind::Email);
    if is_card_number(&text) || (typed && holds_card_number(&text)) {
        return Err(Unusable::Card);
    }
    match kind {
        IdentifierKind::Email => email(&text),
        IdentifierKind::Cookie => cookie(&text),
        IdentifierKind::Beacon => beacon(&text),
        IdentifierKind::EmailSha256 | IdentifierKind::PhoneSha256 => hash(&text),
        IdentifierKind::Device => device(&text),
        IdentifierKind::LoyaltyCard => clean(&text.replace(|c: char| c.is_whitespace() || c == '-', "").to_ascii_uppercase()),
        IdentifierKind::Installation => Ok(lower(&text)),
        IdentifierKind::CrmId | IdentifierKind::Order | IdentifierKind::Call | IdentifierKind::Operator | IdentifierKind::Phone => Ok(text),
    }
}

/// Byte order mark, NFC, trim; refuses what is nothing.
fn clean(raw: &str) -> Result<String, Unusable> {
    let text = readable(raw)?;
    if is_placeholder(&text) { Err(Unusable::Placeholder) } else { Ok(text) }
}

/// Byte order mark, NFC, trim: the first three steps, which are the same for all kinds.
pub(super) fn readable(raw: &str) -> Result<String, Unusable> {
    // Reading stops early: whatever is this long is nothing of a person.
    if raw.len() > 16 * LONGEST {
        return Err(Unusable::Unreadable);
    }
    let blank = |c: char| c.is_whitespace() || is_invisible(c) || ('\u{1c}'..='\u{1f}').contains(&c);
    // Tabs and line ends are blanks to whoever copied them.
    let plain = |c: char| if c.is_control() && c.is_whitespace() { ' ' } else { c };
    let text: String = raw.trim_matches(blank).nfc().map(plain).collect();
    if text.is_empty() {
        return Err(Unusable::Empty);
    }
    let unreadable = text.chars().count() > LONGEST || text.chars().any(char::is_control);
    if unreadable { Err(Unusable::Unreadable) } else { Ok(text) }
}

/// True for characters that nobody sees and copied text often carries: byte order marks, zero-width blanks and joiners, marks of direction.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{ad}')
}

/// Lower case; composed again, because a lower-case letter may take an accent that its capital could not.
pub(super) fn lower(text: &str) -> String {
    text.to_lowercase().nfc().collect()
}

/// True for what systems write when they know nothing, and for values that are zeros all over.
pub(super) fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 14] =
        ["null", "nil", "none", "n/a", "na", "nan", "undefined", "unknown", "inconnu", "anonymous", "anonyme", "test", "-", "(null)"];
    let zeros = text.chars().any(|c| c == '0') && text.chars().all(|c| c == '0' || !c.is_alphanumeric());
    zeros || WORDS.contains(&text.to_lowercase().as_str())
}

pub(super) fn is_hash(text: &str) -> bool {
    matches!(text.len(), 32 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// True for 32 bytes in base64, as Google takes digests.
pub(super) fn is_base64_digest(text: &str) -> bool {
    text.len() == 44 && STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// SHA-256 of the empty text, which careless exports are full of.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A SHA-256 that a partner sent, as lower-case hex.
pub(super) fn hash(text: &str) -> Result<String, Unusable> {
    let hex = if text.len() == 64 && is_hash(text) {
        text.to_ascii_lowercase()
    } else {
        let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == 32).ok_or(Unusable::Hash)?;
        hex::encode(bytes)
    };
    if hex == NOTHING || hex.bytes().all(|b| b == hex.as_bytes()[0]) { Err(Unusable::Placeholder) } else { Ok(hex) }
}

/// The id of a device, in lower case. The one of zeros is shown by every phone whose owner does not want to be known.
pub(super) fn device(text: &str) -> Result<String, Unusable> {
    let id = lower(text);
    let mut signs = id.chars().filter(|c| c.is_alphanumeric());
    let first = signs.next();
    if first.is_none() || signs.all(|c| Some(c) == first) {
        return Err(Unusable::Placeholder);
    }
    if id.chars().any(char::is_whitespace) { Err(Unusable::Unreadable) } else { Ok(id) }
}

pub(super) fn email(text: &str) -> Result<String, Unusable> {
    if is_hash(text) {
        return Err(Unusable::Hashed);
    }
    let seen: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let lower = lower(&seen);
    let (local, domain) = lower.split_once('@').ok_or(Unusable::Email)?;
    let odd = |c: char| c.is_whitespace() || matches!(c, '@' | ',' | ';' | ':' | '<' | '>' | '(' | ')' | '[' | ']' | '\\' | '"');
    // A text of dots is no mailbox, and would be empty at Gmail. The lengths are those of RFC 5321, 4.5.3.1.
    if local.chars().all(|c| c == '.') || local.len() > 64 || local.chars().any(odd) || !is_domain(domain) {
        return Err(Unusable::Email);
    }
    if is_placeholder(local) && matches!(local, "null" | "none" | "undefined" | "anonymous" | "anonyme") {
        return Err(Unusable::Placeholder);
    }
    Ok(lower)
}

/// A name of at least two labels as RFC 1035, 2.3.1 has them, in letters of any script; the last one is never a number.
fn is_domain(domain: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    let label = |label: &str| {
        let inside = label.chars().all(|c| letter(c) || c == '-') && !label.starts_with('-') && !label.ends_with('-');
        inside && (1..=63).contains(&label.chars().count())
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    domain.contains('.') && domain.split('.').all(label) && !last.chars().all(char::is_numeric)
}

/// The domain in lower case, the value as it is.
fn cookie(text: &str) -> Result<String, Unusable> {
    let (domain, value) = text.split_once('/').ok_or(Unusable::Cookie)?;
    let domain = domain.trim_start_matches('.');
    let domain = lower(domain);
    let good =
        domain.split('.').count() > 1 && domain.split('.').all(|l| !l.is_empty() && l.chars().all(|c| c.is_alphanumeric() || c == '-'));
    if !good || value.is_empty() || value.chars().any(char::is_whitespace) {
        return Err(Unusable::Cookie);
    }
    if is_placeholder(value) { Err(Unusable::Placeholder) } else { Ok(format!("{domain}/{value}")) }
}

/// The spelling that the gateways' beacons have too.
fn beacon(text: &str) -> Result<String, Unusable> {
    StaticBeacon::parse(text).map(|beacon| beacon.canonical()).ok_or(Unusable::Beacon)
}

#[cfg(test)]
mod tests;
