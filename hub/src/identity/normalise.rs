//! Canonical forms of identifiers, so that the same person's key is the same key wherever it was typed.
//!
//! Order of steps: byte order mark, NFC, trim, already hashed?, block list, lower case, rule of the kind. E-mail addresses keep the dots of Gmail
//! and every `+suffix`.

use passage_protocol::StaticBeacon;
use unicode_normalization::UnicodeNormalization;

use crate::identity::{IdentifierKind, phone};

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
    if looks_like_card(&text) {
        return Err(Unusable::Card);
    }
    match kind {
        IdentifierKind::Email => email(&text),
        IdentifierKind::Cookie => cookie(&text),
        IdentifierKind::Beacon => beacon(&text),
        IdentifierKind::LoyaltyCard => clean(&text.replace(|c: char| c.is_whitespace() || c == '-', "").to_ascii_uppercase()),
        IdentifierKind::Installation => Ok(lower(&text)),
        IdentifierKind::CrmId | IdentifierKind::Phone => Ok(text),
    }
}

/// Byte order mark, NFC, trim; refuses what is nothing.
fn clean(raw: &str) -> Result<String, Unusable> {
    let text: String = raw.trim_start_matches('\u{feff}').nfc().collect();
    let text = text.trim();
    if text.is_empty() {
        return Err(Unusable::Empty);
    }
    if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        return Err(Unusable::Unreadable);
    }
    if is_placeholder(text) { Err(Unusable::Placeholder) } else { Ok(text.to_owned()) }
}

/// Lower case; composed again, because a lower-case letter may take an accent that its capital could not.
fn lower(text: &str) -> String {
    text.to_lowercase().nfc().collect()
}

/// True for what systems write when they know nothing, and for values that are zeros all over.
fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 14] =
        ["null", "nil", "none", "n/a", "na", "nan", "undefined", "unknown", "inconnu", "anonymous", "anonyme", "test", "-", "(null)"];
    let zeros = text.chars().any(|c| c == '0') && text.chars().all(|c| c == '0' || !c.is_alphanumeric());
    zeros || WORDS.contains(&text.to_lowercase().as_str())
}

fn is_hash(text: &str) -> bool {
    matches!(text.len(), 32 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn email(text: &str) -> Result<String, Unusable> {
    if is_hash(text) {
        return Err(Unusable::Hashed);
    }
    let lower = lower(text);
    let (local, domain) = lower.split_once('@').ok_or(Unusable::Email)?;
    let dotted = domain.split('.').count() > 1 && domain.split('.').all(|label| !label.is_empty());
    let odd = |c: char| c.is_whitespace() || matches!(c, '@' | ',' | ';' | '<' | '>' | '"');
    if local.is_empty() || !dotted || lower.chars().filter(|c| *c == '@').count() != 1 || local.chars().any(odd) || domain.chars().any(odd)
    {
        return Err(Unusable::Email);
    }
    if is_placeholder(local) && matches!(local, "null" | "none" | "undefined" | "anonymous" | "anonyme") {
        return Err(Unusable::Placeholder);
    }
    Ok(lower)
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

/// True for what may be the number of a payment card: 13 to 19 digits with spaces or dashes between, a first digit that issuers have, and a right
/// check digit. Of the 13-digit ones only those with a 4 were ever cards; the others are article numbers.
pub fn looks_like_card(text: &str) -> bool {
    if !text.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '\u{a0}' | '\u{202f}')) {
        return false;
    }
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let issued = match digits.len() {
        13 => digits[0] == 4,
        14..=19 => (2..=6).contains(&digits[0]),
        _ => false,
    };
    let weighed = |(i, d): (usize, &u32)| if i % 2 == 1 { d * 2 / 10 + d * 2 % 10 } else { *d };
    issued && digits.iter().rev().enumerate().map(weighed).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Vector {
        kind: String,
        input: String,
        #[serde(default)]
        region: String,
        canonical: Option<String>,
    }

    #[test]
    fn every_published_vector_gives_its_canonical_form() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../tests/fixtures/normalisation.json")).unwrap();
        assert!(vectors.len() > 30);
        for v in vectors {
            let kind = if v.kind == "device_id" { IdentifierKind::Installation } else { v.kind.parse().unwrap() };
            assert_eq!(canonical(kind, &v.input, &v.region).ok(), v.canonical, "{} {:?}", v.kind, v.input);
        }
    }

    #[test]
    fn decomposed_accents_give_the_same_key() {
        let forms = ["Rene\u{301}e@example.fr", "Ren\u{e9}e@example.fr", "\u{feff} RENÉE@example.fr\u{a0}"];
        assert!(forms.iter().all(|f| canonical(IdentifierKind::Email, f, "FR").as_deref() == Ok("renée@example.fr")));
    }

    #[test]
    fn hashed_addresses_are_never_hashed_again() {
        assert_eq!(canonical(IdentifierKind::Email, "0123456789abcdef0123456789ABCDEF", "FR"), Err(Unusable::Hashed));
    }

    #[test]
    fn cookies_keep_their_value_and_lose_the_case_of_their_domain() {
        assert_eq!(canonical(IdentifierKind::Cookie, ".Shop.Example.FR/GA1.2.Xy", "FR").as_deref(), Ok("shop.example.fr/GA1.2.Xy"));
        for bad in ["abc", "example/abc", "example.fr/", "example.fr/a b"] {
            assert_eq!(canonical(IdentifierKind::Cookie, bad, "FR"), Err(Unusable::Cookie), "{bad}");
        }
        assert_eq!(canonical(IdentifierKind::Cookie, "example.fr/undefined", "FR"), Err(Unusable::Placeholder));
    }

    #[test]
    fn beacons_have_one_spelling() {
        let text = "F7826DA6-4FA2-4E98-8024-BC5B71E0893E/7/42";
        assert_eq!(canonical(IdentifierKind::Beacon, text, "FR").as_deref(), Ok("f7826da64fa24e988024bc5b71e0893e/7/42"));
        let fob = "Eddystone:00112233445566778899/AABBCCDDEEFF";
        assert_eq!(canonical(IdentifierKind::Beacon, fob, "FR").as_deref(), Ok("eddystone:00112233445566778899/aabbccddeeff"));
        assert_eq!(canonical(IdentifierKind::Beacon, "f7826da6/7/42", "FR"), Err(Unusable::Beacon));
    }

    #[test]
    fn payment_cards_are_refused_and_article_numbers_are_not() {
        for card in ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "4222222222222"] {
            assert!(looks_like_card(card), "{card}");
            assert_eq!(canonical(IdentifierKind::LoyaltyCard, card, "FR"), Err(Unusable::Card));
        }
        for fine in ["4111111111111112", "3017620422003", "9250012345678901", "CRM-4111111111111111", "12345"] {
            assert!(!looks_like_card(fine), "{fine}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_and_a_canonical_form_is_its_own(text in "\\PC{0,40}") {
            for kind in IdentifierKind::ALL {
                if let Ok(form) = canonical(*kind, &text, "FR") {
                    proptest::prop_assert_eq!(canonical(*kind, &form, "FR"), Ok(form));
                }
            }
        }

        #[test]
        fn no_digits_panic_as_phone_numbers(text in "[+0-9 ().-]{0,20}") {
            if let Ok(form) = canonical(IdentifierKind::Phone, &text, "FR") {
                proptest::prop_assert_eq!(canonical(IdentifierKind::Phone, &form, "FR"), Ok(form));
            }
        }
    }
}
