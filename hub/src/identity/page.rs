//! The link to a member's own page. Pure.
//!
//! A link ends with 16 characters: 8 that name it and 8 that sign it. The name is in the database with member, brand and expiry; the signature is
//! not, so a stolen database opens no page, and a link can still be revoked. Both are base62: 47 bits each, no character that an SMS pays double for
//! or that a phone takes for the end of a link.

use subtle::ConstantTimeEq as _;

use crate::identity::{Keyring, MemberId};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of the name, and of the signature.
const HALF: usize = 8;
/// What stands in a stored text where the signature will be.
const UNSIGNED: &str = "********";
/// The path in front of the 16 characters.
const PATH: &str = "/m/";

/// Whose page a link opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound<'a> {
    /// The member.
    pub member: MemberId,
    /// In whose name she got it.
    pub brand: &'a str,
    /// In whose legal name.
    pub entity: &'a str,
}

/// A new name from 64 random bits.
pub fn name(random: u64) -> String {
    base62(random)
}

/// The signature of a link.
fn signature(keyring: &Keyring, name: &str, bound: &Bound<'_>) -> String {
    let parts = [name.as_bytes(), &bound.member.0.to_be_bytes(), bound.brand.as_bytes(), bound.entity.as_bytes()];
    let hash = keyring.hash("member page", &parts);
    let mut eight = [0; 8];
    eight.copy_from_slice(&hash[..8]);
    base62(u64::from_be_bytes(eight))
}

fn base62(mut n: u64) -> String {
    let digit = |_| {
        let digit = ALPHABET[usize::try_from(n % 62).unwrap_or(0)];
        n /= 62;
        char::from(digit)
    };
    (0..HALF).map(digit).collect()
}

/// The 16 characters of a link.
pub fn token(keyring: &Keyring, name: &str, bound: &Bound<'_>) -> String {
    format!("{name}{}", signature(keyring, name, bound))
}

/// The name in a token, if it has the form of one. It says nothing about its signature.
pub fn name_in(token: &str) -> Option<&str> {
    let right = token.len() == 2 * HALF && token.bytes().all(|b| b.is_ascii_alphanumeric());
    right.then(|| &token[..HALF])
}

/// True if the hub signed this token for this member.
pub fn is_signed(keyring: &Keyring, given: &str, bound: &Bound<'_>) -> bool {
    let Some(name) = name_in(given) else { return false };
    token(keyring, name, bound).as_bytes().ct_eq(given.as_bytes()).into()
}

/// The link as it stands in a stored text: with a name, without its signature.
pub fn unsigned(url: &str, name: &str) -> String {
    format!("{}{PATH}{name}{UNSIGNED}", url.trim_end_matches('/'))
}

/// The whole link.
pub fn link(url: &str, token: &str) -> String {
    format!("{}{PATH}{token}", url.trim_end_matches('/'))
}

/// The link before it has a name, as long as it will be. Two of them in one text become one page.
pub fn nameless(url: &str) -> String {
    unsigned(url, UNSIGNED)
}

/// Gives the nameless links of a text their name; `None` if it has none.
pub fn named(text: &str, name: &str) -> Option<String> {
    let mark = format!("{PATH}{UNSIGNED}{UNSIGNED}");
    text.contains(&mark).then(|| text.replace(&mark, &format!("{PATH}{name}{UNSIGNED}")))
}

/// Signs the links of a stored text, just before its bytes leave.
pub fn signed(keyring: &Keyring, text: &str, bound: &Bound<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(PATH) {
        let (before, after) = rest.split_at(at + PATH.len());
        out.push_str(before);
        rest = after;
        let name = after.get(..HALF).filter(|n| n.bytes().all(|b| b.is_ascii_alphanumeric()));
        if let Some(name) = name.filter(|_| after.get(HALF..2 * HALF) == Some(UNSIGNED)) {
            out.push_str(&token(keyring, name, bound));
            rest = &after[2 * HALF..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: Bound<'_> = Bound { member: MemberId(7), brand: "maison", entity: "maison-sas" };

    fn keyring() -> Keyring {
        Keyring::from_secret(&[7; 32])
    }

    #[test]
    fn a_link_opens_the_page_that_it_was_signed_for_and_no_other() {
        let token = token(&keyring(), &name(12_345_678_901_234), &ANA);
        assert_eq!((token.len(), name_in(&token).unwrap()), (16, name(12_345_678_901_234).as_str()));
        assert!(is_signed(&keyring(), &token, &ANA));
        for other in [Bound { member: MemberId(8), ..ANA }, Bound { brand: "other", ..ANA }, Bound { entity: "other", ..ANA }] {
            assert!(!is_signed(&keyring(), &token, &other));
        }
        assert!(!is_signed(&Keyring::from_secret(&[8; 32]), &token, &ANA));
        for wrong in ["", "short", &token[1..], "../../../etc/pass", "ééééééééé"] {
            assert!(!is_signed(&keyring(), wrong, &ANA), "{wrong}");
        }
    }

    #[test]
    fn a_text_gets_its_name_when_it_is_planned_and_its_signature_when_it_leaves() {
        let planned = format!("Bonjour. Vos donnees : {} STOP au 36111", nameless("https://hub.example.fr/"));
        let stored = named(&planned, "AbCdEf12").unwrap();
        assert!(stored.contains("https://hub.example.fr/m/AbCdEf12********") && stored.len() == planned.len());
        let left = signed(&keyring(), &stored, &ANA);
        assert_eq!(left.len(), stored.len(), "the parts that were counted are the parts that leave");
        assert!(left.contains(&token(&keyring(), "AbCdEf12", &ANA)) && !left.contains('*'));
        assert_eq!(named("no link", "AbCdEf12"), None);
        assert_eq!(signed(&keyring(), "https://x/m/ and /m/é*******", &ANA), "https://x/m/ and /m/é*******");
    }
}
