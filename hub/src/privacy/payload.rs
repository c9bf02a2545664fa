//! What is refused at every door, whoever brings it: numbers of payment cards, and images, because an image may be a face. Pure.

use std::fmt;

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// The number of a payment card.
    Card,
    /// A picture, a film, or what can be one.
    Image,
}

impl Unfit {
    /// The word that is counted.
    pub fn code(self) -> &'static str {
        match self {
            Self::Card => "payment-card",
            Self::Image => "image",
        }
    }

    /// The one that a reason speaks of, for counts of files whose rows are refused in words.
    pub fn told_by(reason: &str) -> Option<Self> {
        let card = "number of a payment card";
        [(Self::Card, card), (Self::Image, "looks like an image")]
            .into_iter()
            .find(|(_, words)| reason.contains(words))
            .map(|(unfit, _)| unfit)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Card => "it looks like the number of a payment card",
            Self::Image => "it looks like an image; faces and other images are not taken",
        })
    }
}

/// Digits of the longest card number.
const LONGEST_CARD: usize = 19;
/// Shortest text that is looked at as an encoded image: below, four letters of a path would be one.
const SHORTEST_IMAGE: usize = 64;
/// How images begin in base64: JPEG, the same for addresses, PNG, GIF, WebP, HEIC and AVIF after their length.
const BASE64_HEADS: [&str; 6] = ["/9j/", "_9j_", "iVBORw0KGgo", "R0lGOD", "UklGR", "AAAA"];
/// `ftyp` in base64 at the place where it stands in HEIC and AVIF.
const FTYP: &str = "Z0eX";

/// Looks at a text as it came; `None` if nothing is wrong with it.
pub fn unfit(text: &str) -> Option<Unfit> {
    unfit_up_to(LONGEST_CARD, text)
}

/// Like [`unfit`], for ids that other systems drew: those of more than 16 digits are no cards, because one in ten would have a right check digit.
pub fn unfit_id(text: &str) -> Option<Unfit> {
    unfit_up_to(LONGEST_CARD - 3, text)
}

fn unfit_up_to(longest: usize, text: &str) -> Option<Unfit> {
    if holds_card(text, longest) {
        Some(Unfit::Card)
    } else if holds_image(text) {
        Some(Unfit::Image)
    } else {
        None
    }
}

/// True if the whole text is the number of a payment card, as somebody would type it who takes it for her customer number.
pub fn is_card_number(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    text.chars().all(|c| c.is_ascii_digit() || is_separator(c)) && is_card(&digits)
}

/// True if a key that somebody typed is the number of a payment card, or has one in it, also with a word right before it such as `CB` or `VISA`.
pub fn holds_card_number(text: &str) -> bool {
    is_card_number(text.trim_matches(|c: char| !c.is_ascii_digit())) || holds_card(text, LONGEST_CARD)
}

/// Looks at a body before it is read: by what it says it is, and by its first bytes.
pub fn unfit_body(content_type: &str, body: &[u8]) -> Option<Unfit> {
    let kind = content_type.trim().to_ascii_lowercase();
    let told = kind.starts_with("image/") || kind.starts_with("video/");
    (told || is_image(body)).then_some(Unfit::Image)
}

fn is_image(body: &[u8]) -> bool {
    let heads: [&[u8]; 5] = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*"];
    let webp = body.starts_with(b"RIFF") && body.get(8..12) == Some(b"WEBP");
    let brands: [&[u8]; 4] = [b"heic", b"heix", b"mif1", b"avif"];
    let heif = body.get(4..8) == Some(b"ftyp") && body.get(8..12).is_some_and(|brand| brands.contains(&brand));
    webp || heif || heads.iter().any(|head| body.starts_with(head))
}

fn holds_image(text: &str) -> bool {
    if text.len() < 11 {
        return false;
    }
    let start =
        |at: usize| text.get(at..at + 11).is_some_and(|s| s.eq_ignore_ascii_case("data:image/") || s.eq_ignore_ascii_case("data:video/"));
    if text.bytes().enumerate().any(|(at, b)| matches!(b, b'd' | b'D') && start(at)) {
        return true;
    }
    let inner = text.rfind("base64,").map_or(text, |at| &text[at + 7..]).trim();
    inner.len() >= SHORTEST_IMAGE && BASE64_HEADS.iter().any(|head| inner.starts_with(head)) && is_base64_image(inner)
}

fn is_base64_image(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=' | b'\r' | b'\n');
    let webp = !text.starts_with("UklGR") || text.get(11..14) == Some("XRU") || text.get(10..16) == Some("XRUJQV");
    let heif = !text.starts_with("AAAA") || text.get(6..10).is_some_and(|s| s.starts_with(FTYP) || s.contains("0eX"));
    text.bytes().all(plain) && webp && heif
}

/// True if a number of a payment card stands anywhere in the text: 13 to 19 digits, bare or in groups of 3 to 6, of an issuer's range, with the right
/// check digit. What else is long and made of digits passes: phone numbers (a `+` in front, or fewer digits), times in milliseconds (no issuer begins
/// with 1), article numbers of 13 digits (their own check digit is right), hashes and UUIDs (letters beside the digits, longer groups).
fn holds_card(text: &str, longest: usize) -> bool {
    if text.bytes().filter(u8::is_ascii_digit).count() < 13 {
        return false;
    }
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        if !chars[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = run(&chars, at);
        let before = at.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(end).copied();
        if !is_hexlike(before) && !is_hexlike(after) && before != Some('+') && is_card_run(&chars[at..end], longest) {
            return true;
        }
        at = end;
    }
    false
}

/// The end of the digits that begin at `at`, with one separator between groups.
fn run(chars: &[char], at: usize) -> usize {
    let mut end = at;
    while end < chars.len() {
        let more = chars[end].is_ascii_digit() || (is_separator(chars[end]) && chars.get(end + 1).is_some_and(char::is_ascii_digit));
        if !more {
            break;
        }
        end += 1;
    }
    end
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '\u{a0}' | '\u{202f}')
}

fn is_hexlike(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_hexdigit())
}

/// The whole run, or, where groups of other things stand beside the number, any groups of it that follow each other.
fn is_card_run(run: &[char], longest: usize) -> bool {
    let groups: Vec<Vec<u32>> = run.split(|c| is_separator(*c)).map(|g| g.iter().filter_map(|c| c.to_digit(10)).collect()).collect();
    (0..groups.len()).any(|first| {
        let mut digits: Vec<u32> = Vec::new();
        groups[first..].iter().enumerate().any(|(n, group)| {
            digits.extend(group);
            let grouped = n == 0 || groups[first..=first + n].iter().all(|g| (3..=6).contains(&g.len()));
            grouped && (n == 0 || n >= 2) && digits.len() <= longest && is_card(&digits)
        })
    })
}

fn is_card(digits: &[u32]) -> bool {
    issued(digits) && luhn(digits) && !(digits.len() == 13 && is_article(digits))
}

/// The ranges that issuers have, by length.
fn issued(digits: &[u32]) -> bool {
    let length = digits.len();
    if !(13..=19).contains(&length) {
        return false;
    }
    let head = |n: usize| digits[..n].iter().fold(0, |all, d| all * 10 + d);
    match (head(1), head(2), head(4)) {
        (4, ..) => matches!(length, 13 | 16 | 19),
        (_, 34 | 37, _) => length == 15,
        (_, 51..=55, _) | (_, _, 2221..=2720) => length == 16,
        (_, 36 | 38 | 39, _) | (_, _, 3000..=3059) => (14..=19).contains(&length),
        (_, _, 3528..=3589) | (_, _, 6011) | (_, 60 | 62 | 64 | 65, _) => (16..=19).contains(&length),
        (_, 50 | 56..=58 | 61 | 63 | 66..=69, _) => (16..=19).contains(&length),
        _ => false,
    }
}

fn luhn(digits: &[u32]) -> bool {
    let weighed = |(i, d): (usize, &u32)| if i % 2 == 1 { d * 2 / 10 + d * 2 % 10 } else { *d };
    digits.iter().rev().enumerate().map(weighed).sum::<u32>() % 10 == 0
}

/// True for an article number (EAN-13) with the right check digit.
fn is_article(digits: &[u32]) -> bool {
    digits.iter().rev().enumerate().map(|(i, d)| if i % 2 == 1 { 3 * d } else { *d }).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    #[test]
    fn card_numbers_are_found_bare_grouped_and_inside_of_texts() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "5500-0000-0000-0004",
            "3782 822463 10005",
            "378282246310005",
            "6011.1111.1111.1117",
            "2223003122003222",
            "30569309025904",
            "4222222222222",
            "4111\u{a0}1111\u{a0}1111\u{a0}1111",
            "paid with 4111 1111 1111 1111, thanks",
            "card=4111111111111111;",
            "PAN4111111111111111",
            "6304 0000 0000 0000 00 12 4111111111111111",
        ] {
            assert_eq!(unfit(text), Some(Unfit::Card), "{text}");
        }
    }

    #[test]
    fn what_is_long_and_made_of_digits_but_no_card_passes() {
        for text in [
            "",
            "4111111111111112",
            "+41111111111111111",
            "+33 6 39 98 00 01",
            "0033639980001",
            "1795176000000",
            "4006381333931",
            "ORDER-20261120-00017",
            "2026-11-20 15:30:00",
            "123456789012",
            "550e8400-e29b-41d4-a716-446655440000",
            "a4111111111111111",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "12345678901234567890123",
            "411111111111111",
        ] {
            assert_eq!(unfit(text), None, "{text}");
        }
    }

    #[test]
    fn images_are_found_as_bytes_as_text_and_by_what_they_say_they_are() {
        let rest = [0_u8; 64];
        let files: [(&[u8], &str); 5] = [
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpeg"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "png"),
            (b"GIF89a", "gif"),
            (b"RIFF\x10\x20\0\0WEBPVP8 ", "webp"),
            (b"\0\0\0\x18ftypheic", "heic"),
        ];
        for (head, name) in files {
            let file = [head, &rest].concat();
            assert_eq!(unfit_body("application/json", &file), Some(Unfit::Image), "{name}");
            assert_eq!(unfit(&STANDARD.encode(&file)), Some(Unfit::Image), "{name} in base64");
            assert_eq!(unfit(&format!("DATA:image/{name};base64,AA==")), Some(Unfit::Image));
        }
        assert_eq!(unfit_body("Image/PNG", b"[]"), Some(Unfit::Image));
        assert_eq!(unfit_body("application/json; charset=utf-8", b"[{\"kind\":\"click\"}]"), None);
        for text in ["/9j/shop", "https://shop.example.fr/R0lGOD/produits?x=1", "UklGR", "image of a coat", "AAAA"] {
            assert_eq!(unfit(text), None, "{text}");
        }
    }
}
