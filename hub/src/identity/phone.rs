//! Phone numbers to E.164, with the ways in which French numbers are written down.

use std::str::FromStr;

use phonenumber::{Metadata, Mode, PhoneNumber, Type, country, metadata::DATABASE};

use crate::identity::normalise::{Unusable, is_invisible};

/// Country codes of the French numbering plan, in which a national number has nine digits and the trunk prefix is 0.
const FRENCH: [&str; 5] = ["33", "262", "590", "594", "596"];

/// The number as `+` and digits. `text` is trimmed already.
pub(super) fn e164(text: &str, region: &str) -> Result<String, Unusable> {
    let dialled = dialled(text)?;
    let french = is_french(region);
    let abroad = dialled.starts_with('+') || dialled.starts_with("00");
    let number = match dialled.strip_prefix('+').or_else(|| dialled.strip_prefix("00")) {
        Some(international) => international.to_owned(),
        None if french => french_national(&dialled, region)?,
        None => return foreign(&dialled, region),
    };
    let plan = FRENCH.iter().find_map(|code| Some((*code, number.strip_prefix(code)?)));
    match plan {
        // Some series of Mayotte are the mainland's too: with its country code, a number is the mainland's.
        Some((code, national)) => french_number(code, national, if abroad { "" } else { region }),
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
    matches!(region, "FR" | "RE" | "YT" | "GP" | "MQ" | "GF" | "BL" | "MF")
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

/// Country code and number of what was dialled inside France: ten digits with the trunk zero, nine mobile ones that lost it in a spreadsheet, or
/// eleven that lost their plus.
fn french_national(dialled: &str, region: &str) -> Result<String, Unusable> {
    match (dialled.len(), dialled.as_bytes()) {
        // A local number of the territory itself that lost its zero.
        (9, [b'2' | b'5', ..]) if territory(dialled).is_some_and(|code| own_code(region) == Some(code)) => Ok(format!("33{dialled}")),
        (10, [b'0', ..]) => Ok(format!("33{}", &dialled[1..])),
        (9, [b'6' | b'7', ..]) => Ok(format!("33{dialled}")),
        (11, [b'3', b'3', b'1'..=b'9', ..]) | (12, [b'3', b'3', b'0', b'1'..=b'9', ..]) => Ok(dialled.to_owned()),
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

/// The country code of a territory overseas.
fn own_code(region: &str) -> Option<&'static str> {
    Some(match region {
        "RE" | "YT" => "262",
        "GP" | "BL" | "MF" => "590",
        "GF" => "594",
        "MQ" => "596",
        _ => return None,
    })
}

/// The country code that a French national number belongs to when it is not the mainland's. `+33` before it reaches nobody. (The series of ARCEP's
/// plan, as libphonenumber has them.)
fn territory(national: &str) -> Option<&'static str> {
    Some(match national.get(..3)? {
        "709" => match national.get(3..5)? {
            "35" | "36" | "37" => "262",
            series => match series.as_bytes()[0] {
                b'0' => "590",
                b'1' => "596",
                b'2' => "262",
                b'3' => "594",
                _ => return None,
            },
        },
        "692" | "693" | "262" | "263" | "269" => "262",
        "690" | "691" | "590" => "590",
        "694" | "594" => "594",
        "696" | "697" | "596" => "596",
        _ => return None,
    })
}

/// Any other country: of a length that its numbering plan has, and not of a service. Its metadata lags behind the series that operators open, so a
/// number that no series fits yet is taken too.
fn foreign(text: &str, region: &str) -> Result<String, Unusable> {
    // A number with its country code follows the rules of that country and of no other.
    let region = country::Id::from_str(region).ok().filter(|_| !text.starts_with('+'));
    let mut number = phonenumber::parse(region, text).map_err(|_| Unusable::Phone)?;
    let mut kind = number.number_type(&DATABASE);
    if kind == Type::Unknown
        && let Some(stripped) = without_trunk_prefix(&number)
    {
        number = phonenumber::parse(None, &stripped).map_err(|_| Unusable::Phone)?;
        kind = number.number_type(&DATABASE);
    }
    let e164 = number.format().mode(Mode::E164).to_string();
    let code = number.country().code();
    let national = e164.strip_prefix(&format!("+{code}")).ok_or(Unusable::Phone)?;
    let first = national.bytes().next();
    if national.len() < 4 || e164.len() > 16 || national.bytes().skip(1).all(|b| Some(b) == first) {
        return Err(Unusable::Phone);
    }
    match kind {
        Type::Unknown if has_possible_length(code, national) => Ok(e164),
        Type::FixedLine | Type::Mobile | Type::FixedLineOrMobile | Type::PersonalNumber | Type::Voip => Ok(e164),
        _ => Err(Unusable::Phone),
    }
}

/// What to dial from abroad when the number still has the prefix that is dialled inside its country.
fn without_trunk_prefix(number: &PhoneNumber) -> Option<String> {
    let code = number.country().code();
    let regions = DATABASE.by_code(&code)?;
    let main = regions.iter().find(|region| region.is_main_country_for_code()).or(regions.first())?;
    let e164 = number.format().mode(Mode::E164).to_string();
    let national = e164.strip_prefix(&format!("+{code}"))?;
    national.strip_prefix(main.national_prefix()?).map(|stripped| format!("+{code}{stripped}"))
}

/// True if a region of the country code has numbers of persons with this length.
fn has_possible_length(code: u16, national: &str) -> bool {
    let Ok(length) = u16::try_from(national.len()) else { return false };
    let regions = DATABASE.by_code(&code).unwrap_or_default();
    let has = |region: &&Metadata| {
        let d = region.descriptors();
        [d.fixed_line(), d.mobile()].into_iter().flatten().any(|series| series.possible_length().contains(&length))
    };
    // Where nothing is dialled before a national number, as in Italy, a zero is part of it.
    let zero = national.starts_with('0') && regions.iter().any(|region| region.national_prefix() == Some("0"));
    !zero && regions.iter().any(has)
}

#[cfg(test)]
mod tests;
