//! Names, dates of birth and gender.

use chrono::{Datelike, NaiveDate};
use unicode_normalization::char::is_combining_mark;

use super::{Form, Forms, PlatformKind, sha256};
use crate::identity::normalise::{Unusable, lower};

/// The courtesy titles and the suffixes that Google's helper drops. It knows no French ones, and takes real surnames such as Vi for suffixes.
const TITLES: [&str; 4] = ["mr.", "mrs.", "ms.", "dr."];
const SUFFIXES: [&str; 16] = ["jr.", "sr.", "2nd", "3rd", "ii", "iii", "iv", "v", "vi", "cpa", "dc", "dds", "vm", "jd", "md", "phd"];

/// True for words that say nothing as an address, but are names of people.
pub(super) fn may_be_a_name(kind: PlatformKind, text: &str) -> bool {
    let name = matches!(kind, PlatformKind::GivenName | PlatformKind::FamilyName | PlatformKind::City | PlatformKind::Country);
    name && matches!(lower(text).as_str(), "na" | "test" | "nan")
}

pub(super) fn given_name(text: &str) -> Result<Forms, Unusable> {
    let name = lower(text);
    let google: String = name.split_inclusive(char::is_whitespace).filter(|word| !TITLES.contains(&word.trim_end())).collect();
    both(google.trim(), &name)
}

pub(super) fn family_name(text: &str) -> Result<Forms, Unusable> {
    let name = lower(text);
    let mut google = name.as_str();
    while let Some(shorter) = without_suffix(google) {
        google = shorter;
    }
    both(google, &name)
}

/// The name before a suffix that stands after a blank or a comma.
fn without_suffix(name: &str) -> Option<&str> {
    SUFFIXES.iter().find_map(|suffix| {
        let head = name.strip_suffix(suffix)?;
        let rest = head.trim_end().trim_end_matches(',').trim_end();
        (rest.len() < head.len() && !rest.is_empty()).then_some(rest)
    })
}

fn both(google: &str, meta: &str) -> Result<Forms, Unusable> {
    if !meta.chars().any(char::is_alphanumeric) {
        return Err(Unusable::Kind);
    }
    let mut forms = Forms::new(Form::hashed(google), Form::hashed(without_punctuation(meta).trim()));
    let rest = without_punctuation(google);
    if rest != google && !rest.is_empty() {
        (forms.google_rest_sha256, forms.google_rest_form) = (Some(sha256(&rest)), Some(rest));
    }
    Ok(forms)
}

/// Letters, digits, accents and blanks.
pub(super) fn without_punctuation(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace() || is_combining_mark(*c)).collect()
}

/// Meta only, as `YYYYMMDD`. Day before month as in Europe, but for the United States; the other way round where that gives no date.
pub(super) fn birth_date(text: &str, region: &str) -> Result<Forms, Unusable> {
    let (usual, other) = if region == "US" { ("%m-%d-%Y", "%d-%m-%Y") } else { ("%d-%m-%Y", "%m-%d-%Y") };
    let orders = ["%Y-%m-%d", usual, "%Y%m%d", other];
    let dashed: String = text.chars().map(|c| if matches!(c, '/' | '.' | ' ') { '-' } else { c }).collect();
    let day = orders.iter().find_map(|order| NaiveDate::parse_from_str(&dashed, order).ok());
    let day = day.filter(|day| (1880..2100).contains(&day.year())).ok_or(Unusable::Kind)?;
    Ok(Forms::new(Form::refused(), Form::hashed(day.format("%Y%m%d").to_string())))
}

/// Meta only, one letter.
pub(super) fn gender(text: &str) -> Result<Forms, Unusable> {
    let letter = match lower(text).as_str() {
        "f" | "female" | "femme" => "f",
        "m" | "male" | "homme" => "m",
        _ => return Err(Unusable::Kind),
    };
    Ok(Forms::new(Form::refused(), Form::hashed(letter)))
}
