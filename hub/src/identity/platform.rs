//! The forms in which ad platforms want the keys of people, and their SHA-256: Google's Data Manager page with its helper library, and Meta's page of
//! customer information parameters. They are made when something is exported, and as aliases of what members are known by; names, places and dates
//! are never stored.

mod person;
mod place;

use std::str::FromStr;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::identity::{
    IdentifierKind,
    member::words,
    normalise::{self, Unusable, canonical},
};

words! {
    /// What a value is, as the platforms divide it.
    PlatformKind {
        /// E-mail address.
        Email = "email",
        /// Phone number.
        Phone = "phone",
        /// First name.
        GivenName = "given_name",
        /// Surname.
        FamilyName = "family_name",
        /// Postcode.
        PostalCode = "postal_code",
        /// Town.
        City = "city",
        /// State, province or department.
        State = "state",
        /// Country.
        Country = "country",
        /// Day of birth.
        BirthDate = "birth_date",
        /// Gender.
        Gender = "gender",
        /// Advertising id of a phone.
        DeviceId = "device_id",
    }
}

/// What one platform takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Form {
    /// Its canonical form; none if the platform does not take the value.
    pub normalised: Option<String>,
    /// Lower-case hex of the SHA-256 of the form; none if the platform takes it in clear.
    pub sha256: Option<String>,
    /// True if the platform does not take it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reject: bool,
}

impl Form {
    fn hashed(normalised: impl Into<String>) -> Self {
        let normalised = normalised.into();
        if normalised.is_empty() {
            return Self::refused();
        }
        Self { sha256: Some(sha256(&normalised)), normalised: Some(normalised), reject: false }
    }

    fn clear(normalised: impl Into<String>) -> Self {
        Self { normalised: Some(normalised.into()), sha256: None, reject: false }
    }

    fn refused() -> Self {
        Self { reject: true, ..Self::default() }
    }
}

/// What both platforms take of one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forms {
    /// Google.
    pub google: Form,
    /// Meta.
    pub meta: Form,
    /// True if neither takes it; then it is no key here either.
    pub reject: bool,
    /// True if one hash serves both.
    pub same_hash: bool,
    /// True if somebody hashed it already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub already_hashed: bool,
    /// The hash that came, to be filed as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// Google's form without punctuation, as its REST page asks for, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub google_rest_form: Option<String>,
    /// Its SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub google_rest_sha256: Option<String>,
    /// The canonical form of a key that is of this product and no platform's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical: Option<String>,
    /// Why it was refused, without the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Forms {
    fn new(google: Form, meta: Form) -> Self {
        let same_hash = google.sha256.is_some() && google.sha256 == meta.sha256;
        let reject = google.reject && meta.reject;
        Self {
            google,
            meta,
            reject,
            same_hash,
            already_hashed: false,
            keep: None,
            google_rest_form: None,
            google_rest_sha256: None,
            canonical: None,
            reason: None,
        }
    }

    /// A value that nobody takes.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::new(Form::refused(), Form::refused()) }
    }

    /// A key that no platform takes, in its canonical form.
    pub fn own(canonical: String) -> Self {
        Self { canonical: Some(canonical), reject: false, ..Self::new(Form::refused(), Form::refused()) }
    }

    /// The hashes under which a partner may name the same person; one if both platforms agree.
    pub fn hashes(&self) -> Vec<&str> {
        let mut all: Vec<&str> = [&self.google, &self.meta].into_iter().filter_map(|form| form.sha256.as_deref()).collect();
        all.dedup();
        all
    }
}

/// SHA-256 of the UTF-8 bytes, as lower-case hex.
pub fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The forms of `raw` as a value of `kind`. `region` is the country for phone numbers without a code and for dates.
pub fn forms(kind: PlatformKind, raw: &str, region: &str) -> Forms {
    let text = match normalise::readable(raw) {
        Ok(text) => text,
        Err(e) => return Forms::refused(e.to_string()),
    };
    // Some export UUIDs without their dashes: 32 digits of a device are no hash.
    let is_digest = normalise::is_hash(&text) || normalise::is_base64_digest(&text);
    if is_digest && !(kind == PlatformKind::DeviceId && text.len() == 32) {
        let keep = match normalise::hash(&text) {
            Err(e @ Unusable::Placeholder) => return Forms::refused(e.to_string()),
            // One of 32 digits is an MD5, which nobody takes.
            other => other.ok(),
        };
        return Forms { already_hashed: true, keep, ..Forms::refused(Unusable::Hashed.to_string()) };
    }
    if normalise::is_placeholder(&text) && !person::may_be_a_name(kind, &text) {
        return Forms::refused(Unusable::Placeholder.to_string());
    }
    let made = match kind {
        PlatformKind::Email => canonical(IdentifierKind::Email, &text, region).map(|email| email_forms(&email)),
        PlatformKind::Phone => canonical(IdentifierKind::Phone, &text, region).map(|e164| phone_forms(&e164)),
        PlatformKind::GivenName => person::given_name(&text),
        PlatformKind::FamilyName => person::family_name(&text),
        PlatformKind::BirthDate => person::birth_date(&text, region),
        PlatformKind::Gender => person::gender(&text),
        PlatformKind::PostalCode => place::postal_code(&text, region),
        PlatformKind::City | PlatformKind::State => place::city(&text),
        PlatformKind::Country => place::country(&text),
        PlatformKind::DeviceId => normalise::device(&text).map(|id| Forms::new(Form::clear(id.clone()), Form::clear(id))),
    };
    made.unwrap_or_else(|e| Forms::refused(e.to_string()))
}

/// Both forms of an address in canonical form: Google drops the dots of its own mailboxes, and every `+suffix` stays; what is nothing but a suffix is
/// none of its mailboxes.
pub fn email_forms(email: &str) -> Forms {
    let google = match email.rsplit_once('@') {
        Some((local, domain @ ("gmail.com" | "googlemail.com"))) => match local.replace('.', "") {
            local if local.is_empty() || local.starts_with('+') => Form::refused(),
            local => Form::hashed(format!("{local}@{domain}")),
        },
        _ => Form::hashed(email),
    };
    Forms::new(google, Form::hashed(email))
}

/// Both forms of an E.164 number: Google with the plus, Meta without.
pub fn phone_forms(e164: &str) -> Forms {
    Forms::new(Form::hashed(e164), Form::hashed(e164.trim_start_matches('+')))
}

/// The kind behind a word: ours, the names of Google's address block, or the parameters of Meta's customer information. `phone_trap` of the published
/// list is a phone number like any other.
pub fn kind_of(word: &str) -> Option<PlatformKind> {
    let word = match word.strip_suffix("_trap").unwrap_or(word) {
        "em" | "email_address" => "email",
        "ph" | "phone_number" => "phone",
        "fn" | "first_name" => "given_name",
        "ln" | "last_name" | "surname" => "family_name",
        "zp" | "zip" | "zip_code" | "postcode" => "postal_code",
        "ct" => "city",
        "st" => "state",
        "country_code" | "region_code" => "country",
        "db" | "date_of_birth" => "birth_date",
        "ge" => "gender",
        "madid" | "mobile_id" => "device_id",
        own => own,
    };
    PlatformKind::from_str(word).ok()
}

#[cfg(test)]
mod tests;
