//! Phone numbers to E.164, with the ways in which French numbers are written down.

use std::str::FromStr;

use phonenumber::{Mode, country};

use crate::identity::normalise::Unusable;

/// Country codes of the French numbering plan, in which a national number has nine digits and the trunk prefix is 0.
const FRENCH: [&str; 5] = ["33", "262", "590", "594", "596"];

/// The number as `+` and digits. `text` is trimmed already.
pub(super) fn e164(text: &str, region: &str) -> Result<String, Unusable> {
    let dialled = dialled(text)?;
    let french = is_french(region);
    let number = match dialled.strip_prefix('+').or_else(|| dialled.strip_prefix("00")) {
        Some(international) => international.to_owned(),
        None if french => french_national(&dialled)?,
        None => return foreign(&dialled, region),
    };
    let plan = FRENCH.iter().find_map(|code| Some((*code, number.strip_prefix(code)?)));
    match plan {
        Some((code, national)) => french_number(code, national, region),
        None => foreign(&format!("+{number}"), region),
    }
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
    matches!(region, "FR" | "RE" | "YT" | "GP" | "MQ" | "GF" | "BL" | "MF")
}

/// Digits with an optional leading `+`: full-width forms narrowed, separators and the written trunk zero `(0)` dropped.
fn dialled(text: &str) -> Result<String, Unusable> {
    let narrow = |c: char| match c {
        '\u{ff0b}' => '+',
        '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10).unwrap_or(c),
        '\u{ff08}' => '(',
        '\u{ff09}' => ')',
        c => c,
    };
    let separator = |c: char| {
        c.is_whitespace() || matches!(c, '.' | '-' | '/' | '\u{2010}'..='\u{2015}' | '\u{200e}' | '\u{200f}' | '\u{202a}' | '\u{202c}')
    };
    let mut plain: String = text.chars().map(narrow).filter(|c| !separator(*c)).collect();
    if let Some(number) = plain.strip_prefix("tel:").or_else(|| plain.strip_prefix("Tel:")) {
        plain = number.to_owned();
    }
    let international = plain.starts_with('+') || plain.starts_with("00") || plain.starts_with("(+");
    if international {
        plain = plain.replacen("(0)", "", 1);
    }
    let plain: String = plain.chars().filter(|c| !matches!(c, '(' | ')')).collect();
    let digits = plain.strip_prefix('+').unwrap_or(&plain);
    if digits.is_empty() || digits.len() > 17 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Unusable::Phone);
    }
    Ok(plain)
}

/// Country code and number of what was dialled inside France: ten digits with the trunk zero, nine mobile ones that lost it in a spreadsheet, or
/// eleven that lost their plus.
fn french_national(dialled: &str) -> Result<String, Unusable> {
    match (dialled.len(), dialled.as_bytes()) {
        (10, [b'0', ..]) => Ok(format!("33{}", &dialled[1..])),
        (9, [b'6' | b'7', ..]) => Ok(format!("33{dialled}")),
        (11, [b'3', b'3', b'1'..=b'9', ..]) => Ok(dialled.to_owned()),
        (12, _) if ["262", "590", "594", "596"].iter().any(|c| dialled.starts_with(c)) => Ok(dialled.to_owned()),
        _ => Err(Unusable::Phone),
    }
}

/// A number of the French plan: nine digits, not of a service, under the country code of its own territory.
fn french_number(code: &str, national: &str, region: &str) -> Result<String, Unusable> {
    let national = if national.len() == 10 { national.strip_prefix('0').unwrap_or(national) } else { national };
    let placeholder =
        ["612345678", "123456789"].contains(&national) || national.bytes().skip(1).all(|b| Some(&b) == national.as_bytes().get(1));
    if national.len() != 9 || placeholder || national.starts_with(['0', '8']) {
        return Err(Unusable::Phone);
    }
    Ok(format!("+{}{national}", territory(national).unwrap_or(if region == "YT" && national.starts_with("639") { "262" } else { code })))
}

/// The country code that a French national number belongs to when it is not the mainland's. `+33` before it reaches nobody.
fn territory(national: &str) -> Option<&'static str> {
    Some(match national.get(..3)? {
        "692" | "693" | "262" | "269" => "262",
        "690" | "691" | "590" => "590",
        "694" | "594" => "594",
        "696" | "697" | "596" => "596",
        _ => return None,
    })
}

/// Any other country: as its numbering plan says.
fn foreign(text: &str, region: &str) -> Result<String, Unusable> {
    let region = country::Id::from_str(region).ok();
    let number = phonenumber::parse(region, text).map_err(|_| Unusable::Phone)?;
    if number.is_valid() { Ok(number.format().mode(Mode::E164).to_string()) } else { Err(Unusable::Phone) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_trunk_zero_is_never_dialled() {
        for text in [
            "+33 (0)6 39 98 12 34",
            "+330639981234",
            "0033 (0) 639981234",
            "\u{ff0b}33 6 39 98 12 34",
            "(+33) 6 39 98 12 34",
            "tel:+33639981234",
        ] {
            assert_eq!(e164(text, "FR"), Ok("+33639981234".to_owned()), "{text}");
        }
    }

    #[test]
    fn overseas_mobiles_get_the_code_of_their_island() {
        for (text, expected) in
            [("0690 12 34 56", "+590690123456"), ("+33 6 94 12 34 56", "+594694123456"), ("0697123456", "+596697123456")]
        {
            assert_eq!(e164(text, "FR"), Ok(expected.to_owned()));
        }
        assert_eq!(e164("0639 12 34 56", "YT"), Ok("+262639123456".to_owned()));
        assert_eq!(e164("0639 12 34 56", "FR"), Ok("+33639123456".to_owned()));
    }

    #[test]
    fn services_and_placeholders_are_no_persons() {
        for text in [
            "0800 123 456",
            "36111",
            "0612345678",
            "06 66 66 66 66",
            "+33 8 99 12 34 56",
            "call me",
            "0123",
            "+999 123456789",
            "++33639981234",
        ] {
            assert_eq!(e164(text, "FR"), Err(Unusable::Phone), "{text}");
        }
    }

    #[test]
    fn only_mobiles_receive_sms() {
        assert!(may_receive_sms("+33639981234") && may_receive_sms("+262692123456") && may_receive_sms("+32470123456"));
        assert!(!may_receive_sms("+33140000000"));
    }
}
