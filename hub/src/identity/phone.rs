//! Phone numbers to E.164, with the ways in which French numbers are written down.

mod overseas;
mod plan;

use std::str::FromStr;

use phonenumber::{Mode, country};

use crate::identity::normalise::{Unusable, is_invisible};
use overseas::{overseas, own_block, own_code};
use plan::{Number, Use, read};

/// Country codes of the French numbering plan, in which a national number has nine digits and the trunk prefix is 0.
const FRENCH: [&str; 5] = ["33", "262", "590", "594", "596"];

/// The number as `+` and digits. `text` is trimmed already.
pub(super) fn e164(text: &str, region: &str) -> Result<String, Unusable> {
    let dialled = dialled(text)?;
    let number = match plan::abroad(&dialled, region) {
        Some(international) => international.to_owned(),
        // St. Pierre and Miquelon has numbers of six digits of its own.
        None if is_french(region) && !(region == "PM" && dialled.len() < 9) => return french_national(&dialled, region),
        None => return foreign(&dialled, region),
    };
    // With the country code of the mainland, a number of a series that is also an island's is the mainland's.
    match FRENCH.iter().find_map(|code| Some((*code, number.strip_prefix(code)?))) {
        Some((code, national)) => french_number(code, national),
        None => foreign(&format!("+{number}"), region),
    }
}

/// A line of the house as `+` and digits, however it was dialled; it may be one of a service, which no person has.
pub fn line(text: &str, region: &str) -> Option<String> {
    let number = phonenumber::parse(country::Id::from_str(region).ok(), text).ok()?;
    Some(number.format().mode(Mode::E164).to_string())
}

/// True if an SMS can reach the number: every foreign one, and the French ones that are mobile.
pub fn may_receive_sms(e164: &str) -> bool {
    let Some(digits) = e164.strip_prefix('+') else { return false };
    match FRENCH.iter().find_map(|code| digits.strip_prefix(code)) {
        Some(national) => national.starts_with(['6', '7']),
        None => true,
    }
}

fn is_french(region: &str) -> bool {
    matches!(region, "FR" | "RE" | "YT" | "GP" | "MQ" | "GF" | "BL" | "MF" | "PM")
}

/// Digits with an optional leading `+`: digits of other scripts made plain, separators and the written trunk zero `(0)` dropped.
fn dialled(text: &str) -> Result<String, Unusable> {
    let separator = |c: char| {
        c.is_whitespace()
            || is_invisible(c)
            || matches!(
                c,
                '.' | '-' | '/' | '\'' | '"' | '_' | '\u{b7}' | '\u{2022}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' | '\u{ff0e}'
            )
    };
    // Spreadsheets write `="0639981234"` to keep the zero.
    let text = text.strip_prefix('=').unwrap_or(text);
    let text = text.strip_suffix(".0").filter(|whole| whole.bytes().all(|b| b.is_ascii_digit())).unwrap_or(text);
    let mut plain: String = text.chars().map(narrow).filter(|c| !separator(*c)).collect();
    let scheme = plain.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("tel:"));
    if scheme {
        plain.drain(..4);
    }
    if plain.starts_with('+') || plain.starts_with("00") || plain.starts_with("(+") {
        // In Italy, San Marino and the Vatican the zero is part of the number.
        let code = plain.trim_start_matches(['(', '+', '0']);
        let kept = if ["39", "378", "379"].iter().any(|italian| code.starts_with(italian)) { "0" } else { "" };
        plain = plain.replacen("(0)", kept, 1);
    }
    let plain: String = plain.chars().filter(|c| !matches!(c, '(' | ')' | '[' | ']')).collect();
    let digits = plain.strip_prefix('+').unwrap_or(&plain);
    if digits.is_empty() || digits.len() > 17 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Unusable::Phone);
    }
    Ok(plain)
}

/// The zeros of the scripts in which numbers are written: full-width, Arabic, Persian, N'Ko, Devanagari to Malayalam, Thai, Lao, Tibetan, Burmese, Khmer,
/// and the five of mathematics.
const ZEROS: [u32; 23] = [
    0xff10, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20, 0x1040, 0x17e0,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6,
];

/// Digits of any script and full-width signs, as they are typed on a plain keyboard.
fn narrow(c: char) -> char {
    match c {
        '\u{ff0b}' => '+',
        '\u{ff08}' => '(',
        '\u{ff09}' => ')',
        c if c.is_ascii() => c,
        c => ZEROS.iter().find_map(|zero| char::from_digit(u32::from(c).checked_sub(*zero)?, 10)).unwrap_or(c),
    }
}

/// What was dialled inside France: ten digits with the trunk zero, nine that lost it in a spreadsheet (mobile ones, and those of the region itself),
/// or eleven that lost their plus.
fn french_national(dialled: &str, region: &str) -> Result<String, Unusable> {
    let home = own_code(region).unwrap_or("33");
    let national = match (dialled.len(), dialled.as_bytes()) {
        (10, [b'0', ..]) => &dialled[1..],
        (9, [b'6' | b'7', ..]) => dialled,
        (9, [b'1'..=b'9', ..]) if own_block(region, dialled) || overseas(dialled).is_some_and(|n| n.starts_with(&format!("+{home}"))) => {
            dialled
        }
        (11, [b'3', b'3', b'1'..=b'9', ..]) => return french_number("33", &dialled[2..]),
        (12, [b'3', b'3', b'0', b'1'..=b'9', ..]) => return french_number("33", &dialled[3..]),
        (12, _) => {
            let code = FRENCH.iter().find(|code| code.len() == 3 && dialled.starts_with(**code)).ok_or(Unusable::Phone)?;
            return french_number(code, &dialled[3..]);
        }
        _ => return Err(Unusable::Phone),
    };
    french_number(if own_block(region, national) { home } else { "33" }, national)
}

/// A number of the French plan: nine digits, not of a service, under the country code of its own territory.
fn french_number(code: &str, national: &str) -> Result<String, Unusable> {
    let national = if national.len() == 10 { national.strip_prefix('0').unwrap_or(national) } else { national };
    let placeholder =
        ["612345678", "123456789"].contains(&national) || national.bytes().skip(1).all(|b| Some(&b) == national.as_bytes().get(1));
    if national.len() != 9 || placeholder || national.starts_with(['0', '8']) {
        return Err(Unusable::Phone);
    }
    match overseas(national) {
        Some(number) => Ok(number),
        // A number of the mainland behind the code of an island reaches nobody.
        None if code == "33" || overseas::REGIONS.iter().any(|region| own_code(region) == Some(code) && own_block(region, national)) => {
            Ok(format!("+{code}{national}"))
        }
        None => Err(Unusable::Phone),
    }
}

/// Any other country: of a length that its numbering plan has, and not of a service. Its metadata lags behind the series that operators open, so a
/// number that no series fits yet is taken too.
fn foreign(text: &str, region: &str) -> Result<String, Unusable> {
    let mut number = read(text, region).ok_or(Unusable::Phone)?;
    // How it is dialled inside France from elsewhere: 0508 and the six digits.
    if let Some(six) = number.national.strip_prefix("508").filter(|six| number.code == 508 && six.len() == 6) {
        number = Number { code: 508, national: six.to_owned() };
    }
    let e164 = number.e164();
    let first = number.national.bytes().next();
    if number.national.len() < 4 || e164.len() > 16 || number.national.bytes().skip(1).all(|b| Some(b) == first) {
        return Err(Unusable::Phone);
    }
    match number.used_for() {
        Use::Person => Ok(e164),
        Use::Unknown if number.has_possible_length() => Ok(e164),
        Use::Unknown | Use::Service => Err(Unusable::Phone),
    }
}

#[cfg(test)]
mod tests;
