//! What one line of a CRM file says. Pure: keys and statements come out, nothing is stored.

mod proof;

use chrono::{DateTime, NaiveDate};
use passage_config::{HubConfig, Identity, Secret};
use passage_protocol::Millis;

use crate::{
    identity::{
        Destination, IdentifierKind, Key, Keyring, MemberId, Purpose,
        consent::{CONSENT, EXISTING_CUSTOMER, Proof, Statement},
        normalise::{Unusable, canonical},
        phone,
    },
    privacy::payload::{Unfit, holds_card_number, unfit},
    touchpoint::table::Line,
};

/// The columns that a CRM file may have, besides one for each purpose.
pub const COLUMNS: [&str; 18] = [
    "crm_id",
    "context",
    "email",
    "phone",
    "loyalty_card",
    "email_sha256",
    "phone_sha256",
    "beacon",
    "segment",
    "brand",
    "entity",
    "wording_id",
    "wording_version",
    "language",
    "consent_source",
    "consent_method",
    "operator",
    "device",
];
/// Those that it must have.
pub const NEEDED: [&str; 2] = ["brand", "entity"];

/// Under which values for ad platforms are sealed.
pub const AD_CONTEXT: &str = "ad key";

/// An address or number that may be given to ad platforms while `ads` is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdKey {
    /// `email` or `phone`.
    pub kind: IdentifierKind,
    /// Its keyed hash.
    pub key: Key,
    /// The canonical value, sealed with [`AD_CONTEXT`].
    pub sealed: Vec<u8>,
}

/// A number that SMS may go to, before it is known whose it is.
#[derive(Debug)]
pub struct Number {
    /// Its keyed hash.
    pub key: Key,
    /// In E.164 form.
    pub e164: Secret,
}

impl Number {
    /// As it is stored for a member.
    pub fn of(&self, member: MemberId, keyring: &Keyring) -> Destination {
        Destination { key: self.key, sealed: keyring.seal_number(member, &self.e164.0), owner: member }
    }
}

/// A line that can be used.
#[derive(Debug)]
pub struct CrmRow {
    /// The key by which she is found, or made: her CRM number, or the first other one of the line.
    pub anchor: (IdentifierKind, Key),
    /// In which context the CRM number counts.
    pub context: String,
    /// To whom she spoke.
    pub brand: String,
    /// To which legal controller.
    pub entity: String,
    /// Keys that are always kept with a member.
    pub keys: Vec<(IdentifierKind, Key)>,
    /// Keys that are kept only with `match`.
    pub match_keys: Vec<(IdentifierKind, Key)>,
    /// Where SMS go: `Some(None)` says that the CRM has no number, `None` that the file does not tell or cannot be read.
    pub destination: Option<Option<Number>>,
    /// What she said; purposes with a blank cell are not in it.
    pub said: Vec<Statement>,
    /// Addresses and numbers for ad platforms, sealed; kept only with `ads`.
    pub ad_keys: Vec<AdKey>,
    /// Segments in the configuration's words, and how many labels nobody knows; `None` if the file does not tell.
    pub segments: Option<(Vec<String>, u64)>,
    /// Parts that could not be used; the rest stands.
    pub faults: Vec<String>,
}

/// Reads a line. `Err` says why nothing of it can be used.
pub fn read(line: &Line<'_>, config: &HubConfig, keyring: &Keyring, now: Millis) -> Result<CrmRow, String> {
    let (site, region, identity) = (&config.site, config.phone_region.as_str(), &config.identity);
    if let Some((column, why)) = ["brand", "entity", "crm_id", "context"].into_iter().find_map(|column| Some((column, look(line, column)?)))
    {
        return Err(format!("{column}: {why}"));
    }
    let (brand, entity) = (line.get("brand").unwrap_or_default(), line.get("entity").unwrap_or_default());
    if !site.brands.get(brand).is_some_and(|b| b.entities.contains_key(entity)) {
        return Err("brand and entity are not in the configuration".to_owned());
    }
    let crm_id = match line.get("crm_id") {
        Some(raw) => Some(canonical(IdentifierKind::CrmId, raw, region).map_err(|e| format!("crm_id: {e}"))?),
        None if line.has("crm_id") => return Err(format!("crm_id: {}", Unusable::Empty)),
        None => None,
    };
    let mut row = CrmRow {
        anchor: (IdentifierKind::CrmId, keyring.identifier(IdentifierKind::CrmId, crm_id.as_deref().unwrap_or_default())),
        context: context(line.get("context").unwrap_or_default())?,
        brand: brand.to_owned(),
        entity: entity.to_owned(),
        keys: Vec::new(),
        match_keys: Vec::new(),
        destination: None,
        said: Vec::new(),
        ad_keys: Vec::new(),
        segments: None,
        faults: Vec::new(),
    };
    row.read_segments(line, identity);
    row.read_keys(line, keyring, region);
    if crm_id.is_none() {
        let strong = |(kind, _): &&(IdentifierKind, Key)| *kind != IdentifierKind::Beacon;
        row.anchor = *row.keys.iter().chain(&row.match_keys).find(strong).ok_or("the line has no key by which she could be found")?;
    }
    row.read_consents(line, keyring, now);
    Ok(row)
}

/// What may not stand in a cell at all.
fn look(line: &Line<'_>, column: &str) -> Option<Unfit> {
    unfit_cell(line.get(column)?)
}

/// Like [`unfit`], and with a word right before the number of a card.
fn unfit_cell(cell: &str) -> Option<Unfit> {
    unfit(cell).or_else(|| holds_card_number(cell).then_some(Unfit::Card))
}

/// Longest name of a context.
const LONGEST_CONTEXT: usize = 40;

/// The word for a CRM's own numbers. It is stored as it stands, so it may not be an address or a number of somebody.
fn context(raw: &str) -> Result<String, String> {
    let word = raw.to_lowercase();
    let is_word = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    let is_number = word.chars().filter(char::is_ascii_digit).count() >= 6;
    if word.len() > LONGEST_CONTEXT || !is_word || is_number {
        return Err(format!(
            "context: not the name of a system. Mend: at most {LONGEST_CONTEXT} letters, such as shop-fr, and fewer than six digits"
        ));
    }
    Ok(word)
}

impl CrmRow {
    fn read_keys(&mut self, line: &Line<'_>, keyring: &Keyring, region: &str) {
        use IdentifierKind::{Beacon, Email, EmailSha256, LoyaltyCard, Phone, PhoneSha256};
        for kind in [LoyaltyCard, Beacon, Email, Phone, EmailSha256, PhoneSha256] {
            let Some(raw) = line.get(kind.word()) else { continue };
            let form = canonical(kind, raw, region);
            // Thirteen digits of a phone number may look like a card.
            if let Some(why) = unfit_cell(raw).filter(|_| kind != Phone || form.is_err()) {
                self.faults.push(format!("{} left out: {why}", kind.word()));
                continue;
            }
            match form {
                Err(e) => self.faults.push(format!("{} left out: {e}", kind.word())),
                Ok(form) => {
                    let key = keyring.identifier(kind, &form);
                    match kind {
                        Email | Phone => {
                            self.match_keys.push((kind, key));
                            self.ad_keys.push(AdKey { kind, key, sealed: keyring.seal(AD_CONTEXT, form.as_bytes()) });
                            self.match_keys.extend(keyring.aliases(kind, &form));
                        }
                        EmailSha256 | PhoneSha256 => self.match_keys.push((kind, key)),
                        _ => self.keys.push((kind, key)),
                    }
                    if kind == Phone {
                        self.read_destination(&form, key);
                    }
                }
            }
        }
        if line.has("phone") && line.get("phone").is_none() {
            self.destination = Some(None);
        }
    }

    fn read_segments(&mut self, line: &Line<'_>, identity: &Identity) {
        match look(line, "segment") {
            Some(why) => self.faults.push(format!("segment left as it was: {why}")),
            None if line.has("segment") => self.segments = Some(segments(line.get("segment").unwrap_or_default(), identity)),
            None => {}
        }
    }

    fn read_destination(&mut self, e164: &str, key: Key) {
        if phone::may_receive_sms(e164) {
            self.destination = Some(Some(Number { key, e164: Secret(e164.to_owned()) }));
        } else {
            self.destination = Some(None);
        }
    }

    /// The evidence is a keyed digest of who the line is about and what it says: the file shows whether it said so.
    fn read_consents(&mut self, line: &Line<'_>, keyring: &Keyring, now: Millis) {
        let proof = proof::read(line);
        if let Err(reason) = &proof {
            self.faults.push(format!("no purpose is granted by this line: {reason}"));
        }
        for purpose in Purpose::ALL {
            let Some(cell) = line.get(purpose.word()) else { continue };
            let read = match unfit_cell(cell) {
                Some(why) => Err(why.to_string()),
                None => statement(*purpose, cell, now).map_err(str::to_owned),
            };
            match read {
                // A no counts whatever is said of how it came; a yes has to be shown as the file says.
                Ok(said) if said.granted && proof.is_err() => {}
                Ok(mut said) => {
                    let told = proof.as_ref().unwrap_or(&proof::NONE);
                    let head = [self.brand.as_bytes(), self.entity.as_bytes(), purpose.word().as_bytes(), cell.as_bytes()];
                    let parts: Vec<&[u8]> = [&self.anchor.1.0[..]].into_iter().chain(head).chain(told.cells()).collect();
                    said.proof.evidence = hex::encode(keyring.hash("consent in a CRM file", &parts));
                    told.prove(&mut said);
                    self.said.push(said);
                }
                Err(reason) => self.faults.push(format!("{} left as it was: {reason}", purpose.word())),
            }
        }
    }

    /// True if the line grants something for which members are kept, and she said so after `at`.
    pub fn grants_after(&self, at: Millis) -> bool {
        let later = |s: &&Statement| s.said_at.is_some_and(|said| said > at);
        self.said.iter().filter(later).any(|s| s.granted && matches!(s.purpose, Purpose::Presence | Purpose::Match))
    }

    /// True if the line grants something for which members are kept at all.
    pub fn grants_a_reason_to_keep(&self) -> bool {
        self.said.iter().any(|s| s.granted && matches!(s.purpose, Purpose::Presence | Purpose::Match))
    }
}

/// The labels of a cell, divided by `|`, in the configuration's words; and how many of them it does not know.
fn segments(cell: &str, identity: &Identity) -> (Vec<String>, u64) {
    let (mut known, mut unknown) = (Vec::new(), 0);
    for label in cell.split('|').map(str::trim).filter(|label| !label.is_empty()) {
        match identity.segment(label) {
            Some(name) => known.push(name.to_owned()),
            None => unknown += 1,
        }
    }
    (known, unknown)
}

/// `yes`, `no`, the date of the grant, or for SMS `existing-customer`.
fn statement(purpose: Purpose, cell: &str, now: Millis) -> Result<Statement, &'static str> {
    let lower = cell.to_lowercase();
    let said = |granted, said_at, wording: &str| {
        let basis = if wording == EXISTING_CUSTOMER { EXISTING_CUSTOMER } else { CONSENT };
        let proof = Proof { method: "file".to_owned(), basis: basis.to_owned(), ..Proof::default() };
        Ok(Statement { purpose, granted, said_at, wording: wording.to_owned(), proof })
    };
    match lower.as_str() {
        "yes" | "oui" | "y" | "o" | "1" | "true" | "vrai" => said(true, None, CRM_WORDING),
        "no" | "non" | "n" | "0" | "false" | "faux" => said(false, None, CRM_WORDING),
        EXISTING_CUSTOMER if purpose == Purpose::Sms => said(true, None, EXISTING_CUSTOMER),
        _ => match date(cell) {
            Some(at) if at <= now => said(true, Some(at), CRM_WORDING),
            Some(_) => Err("the date lies in the future"),
            None => Err("write yes, no, or the date of the consent such as 2026-05-31"),
        },
    }
}

/// What stands on record when only the CRM knows the text.
const CRM_WORDING: &str = "as recorded in the CRM";

/// `2026-05-31`, `31/05/2026`, or a time with its offset. A day alone means its first instant in UTC.
fn date(text: &str) -> Option<Millis> {
    let midnight = |d: NaiveDate| Some(Millis(d.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis()));
    ["%Y-%m-%d", "%d/%m/%Y"]
        .iter()
        .find_map(|form| NaiveDate::parse_from_str(text, form).ok())
        .filter(|d| *d > NaiveDate::from_ymd_opt(1990, 1, 1).unwrap_or_default())
        .and_then(midnight)
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|d| Millis(d.timestamp_millis())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_176_000_000);

    #[test]
    fn consents_are_read_in_every_way_that_crm_systems_write_them() {
        let read = |cell| statement(Purpose::Sms, cell, NOW).map(|s| (s.granted, s.said_at));
        assert_eq!(read("Oui"), Ok((true, None)));
        assert_eq!(read("NO"), Ok((false, None)));
        assert_eq!(read("2026-05-31"), Ok((true, Some(Millis(1_780_185_600_000)))));
        assert_eq!(read("31/05/2026"), read("2026-05-31"));
        assert_eq!(read("2026-05-31T02:00:00+02:00"), read("2026-05-31"));
        assert_eq!(read("existing-customer"), Ok((true, None)));
        assert!(statement(Purpose::Match, "existing-customer", NOW).is_err());
        assert_eq!(read("2027-01-01"), Err("the date lies in the future"));
        assert!(read("maybe").is_err() && read("31/02/2026").is_err() && read("0001-01-01").is_err());
    }
}
