//! A phone number that hides itself.

use std::fmt;

use crate::identity::{IdentifierKind, Key, Keyring, normalise::canonical};

/// A phone number in E.164 form. `Debug` and `Display` show `+33 6 ** ** ** 21`; only [`Msisdn::expose`] gives the whole number.
#[derive(Clone, PartialEq, Eq)]
pub struct Msisdn {
    e164: String,
    country: u16,
}

impl Msisdn {
    /// Reads a number as people or networks write it. `region` (for example `FR`) is used for numbers without a country code; a number of digits only
    /// that is no number of that region is read as international without its `+`, as SMPP peers write it. `None` when it is no possible number.
    pub fn parse(text: &str, region: &str) -> Option<Self> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let national = canonical(IdentifierKind::Phone, text, region).ok();
        let e164 = national.or_else(|| digits.then(|| canonical(IdentifierKind::Phone, &format!("+{text}"), region).ok()).flatten())?;
        let country = phonenumber::parse(None, &e164).ok()?.country().code();
        Some(Self { e164, country })
    }

    /// Reads the numbering plans of all countries now, which takes up to half a second, so that the first message does not wait for them.
    pub fn prepare() {
        // Any number does.
        let _ = Self::parse("+33639980000", "FR");
    }

    /// The whole number. Never for a log.
    pub fn expose(&self) -> &str {
        &self.e164
    }

    /// The key under which the number is stored.
    pub fn key(&self, keyring: &Keyring) -> Key {
        keyring.identifier(IdentifierKind::Phone, &self.e164)
    }
}

impl fmt::Display for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let country = self.country.to_string();
        let national = self.e164.get(1 + country.len()..).unwrap_or_default();
        let first = national.get(..1).unwrap_or_default();
        let last = national.get(national.len().saturating_sub(2)..).unwrap_or_default();
        write!(f, "+{country} {first}")?;
        let hidden = national.len().saturating_sub(3);
        for _ in 0..hidden / 2 {
            f.write_str(" **")?;
        }
        if hidden % 2 == 1 {
            f.write_str(" *")?;
        }
        write!(f, " {last}")
    }
}

impl fmt::Debug for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_written_in_five_ways_is_one_number() {
        for text in ["+33612345621", "33612345621", "0612345621", "06 12 34 56 21", "0033612345621"] {
            assert_eq!(Msisdn::parse(text, "FR").map(|m| m.expose().to_owned()).as_deref(), Some("+33612345621"), "{text}");
        }
        assert_eq!(Msisdn::parse("4915123456789", "FR").map(|m| m.expose().to_owned()).as_deref(), Some("+4915123456789"));
        for text in ["", "36111", "MAISON", "+", "12"] {
            assert_eq!(Msisdn::parse(text, "FR"), None, "{text}");
        }
    }

    #[test]
    fn a_number_never_shows_itself() {
        let number = Msisdn::parse("+33612345621", "FR").unwrap();
        assert_eq!(format!("{number}"), "+33 6 ** ** ** 21");
        assert_eq!(format!("{number:?}"), "+33 6 ** ** ** 21");
    }
}
