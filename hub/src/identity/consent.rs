//! What a new statement of consent does to the one that stands. Pure.

use passage_protocol::Millis;
use serde::{Deserialize, Serialize};

use crate::identity::Purpose;

/// The source of statements that come from CRM files.
pub const CRM: &str = "crm";
/// The source of statements that she made in the app.
pub const APP: &str = "app";
/// The source of withdrawals that came as an SMS.
pub const STOP: &str = "stop";
/// The source of withdrawals on the member's own page.
pub const PAGE: &str = "page";

/// Something that a member said, or that the CRM says she said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// About what.
    pub purpose: Purpose,
    /// Granted or withdrawn.
    pub granted: bool,
    /// When she said it; `None` when the source does not tell.
    pub said_at: Option<Millis>,
    /// What she read, or the id of that text.
    pub wording: String,
    /// How it can be shown.
    pub proof: Proof,
}

impl Statement {
    /// A grant or a withdrawal with nothing known but the text; add to `proof` what the source tells.
    pub fn new(purpose: Purpose, granted: bool, wording: impl Into<String>) -> Self {
        Self { purpose, granted, said_at: None, wording: wording.into(), proof: Proof::default() }
    }
}

/// What shows later that a statement was made, and how. Nothing of it names her: no number, address or e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Name of the text, such as `app-welcome`; empty if the source gave the text alone.
    pub wording_id: String,
    /// Its version.
    pub wording_version: String,
    /// Its language, such as `fr`.
    pub language: String,
    /// What she did: `box`, `signature`, `reply`, `link`, `file`.
    pub method: String,
    /// Where she said it, if somebody else tells us of it: `till`, `web-form`.
    pub collected: String,
    /// Who took the statement, when a person did.
    pub operator: String,
    /// The device that took it: a till, an installation.
    pub device: String,
    /// Hex digest of the form, reply or file line that holds the statement.
    pub evidence: String,
    /// `consent`, or `existing-customer` for SMS.
    pub basis: String,
    /// The zone of her clock when she said it.
    pub zone: chrono_tz::Tz,
}

/// True for what may name a text, an edition of it, a place or a till in a proof: 1 to 60 letters, digits, dots and dashes. An address is none.
pub fn is_name(text: &str) -> bool {
    (1..=60).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// True for a language by BCP 47, such as `fr` or `fr-CA`.
pub fn is_language(text: &str) -> bool {
    (2..=35).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

impl Default for Proof {
    fn default() -> Self {
        let none = String::new;
        let basis = CONSENT.to_owned();
        let (wording_id, wording_version, language, method) = (none(), none(), none(), none());
        Self {
            wording_id,
            wording_version,
            language,
            method,
            collected: none(),
            operator: none(),
            device: none(),
            evidence: none(),
            basis,
            zone: chrono_tz::UTC,
        }
    }
}

/// She agreed.
pub const CONSENT: &str = "consent";
/// She bought, was told, and did not object.
pub const EXISTING_CUSTOMER: &str = "existing-customer";

/// The latest statement that is on record for one brand, entity and purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// To whom.
    pub brand: String,
    /// To which legal controller.
    pub entity: String,
    /// For what.
    pub purpose: Purpose,
    /// Granted or withdrawn.
    pub granted: bool,
    /// Since when.
    pub at: Millis,
    /// Who told us.
    pub source: String,
}

/// Since when a consent stands against a STOP that came before it: what she said herself in the app or on her page, or what a file says with its date.
/// `standing` is what is on record now, `said` what the file says. A yes without a date proves nothing against a STOP.
pub fn proven_at(standing: Option<&Standing>, said: Option<&Statement>) -> Option<Millis> {
    let standing = standing.filter(|s| s.granted)?;
    let own = matches!(standing.source.as_str(), APP | PAGE).then_some(standing.at);
    own.max(said.filter(|said| said.granted).and_then(|said| said.said_at))
}

/// The statements that stand for two members who are one person: those of both, and where they differ the withdrawal.
pub fn either(mut one: Vec<Standing>, other: Vec<Standing>) -> Vec<Standing> {
    for said in other {
        match one.iter_mut().find(|s| (&s.brand, &s.entity, s.purpose) == (&said.brand, &said.entity, said.purpose)) {
            None => one.push(said),
            Some(own) if own.granted && !said.granted => *own = said,
            // Of two grants the older one proves more; of two withdrawals the newer one.
            Some(own) if own.granted == said.granted && (said.at < own.at) == said.granted && said.at != own.at => *own = said,
            Some(_) => {}
        }
    }
    one
}

/// What to do with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It changes nothing.
    Nothing,
    /// Put it on record under this time.
    Record(Millis),
    /// It would grant again what she withdrew elsewhere, and does not say that she changed her mind later.
    Overruled,
}

/// Decides on a statement from `source` that is heard at `now`.
///
/// A withdrawal always counts. A grant with a date counts when it is later than the withdrawal. A grant without a date renews only what the same source
/// had withdrawn: last night's CRM file does not know that she withdrew in the app this morning.
pub fn decide(standing: Option<&Standing>, said: &Statement, source: &str, now: Millis) -> Verdict {
    let Some(standing) = standing else {
        return if said.granted { Verdict::Record(said.said_at.unwrap_or(now)) } else { Verdict::Nothing };
    };
    if standing.granted == said.granted {
        return Verdict::Nothing;
    }
    let after = Millis(standing.at.0.saturating_add(1));
    match (said.granted, said.said_at) {
        (false, at) => Verdict::Record(at.unwrap_or(now).max(after)),
        (true, Some(at)) if at > standing.at => Verdict::Record(at),
        (true, Some(_)) => Verdict::Nothing,
        (true, None) if source != CRM || standing.source == CRM => Verdict::Record(now.max(after)),
        (true, None) => Verdict::Overruled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(granted: bool, at: Option<i64>) -> Statement {
        Statement { said_at: at.map(Millis), ..Statement::new(Purpose::Sms, granted, "") }
    }

    fn standing(granted: bool, source: &str) -> Standing {
        let (brand, entity) = ("maison".to_owned(), "maison-sa".to_owned());
        Standing { brand, entity, purpose: Purpose::Sms, granted, at: Millis(100), source: source.to_owned() }
    }

    #[test]
    fn a_withdrawal_always_counts_and_comes_after_what_it_withdraws() {
        assert_eq!(decide(Some(&standing(true, APP)), &said(false, None), CRM, Millis(50)), Verdict::Record(Millis(101)));
        assert_eq!(decide(Some(&standing(true, APP)), &said(false, Some(500)), CRM, Millis(900)), Verdict::Record(Millis(500)));
    }

    #[test]
    fn a_stale_file_does_not_grant_again_what_was_withdrawn_in_the_app() {
        let withdrawn = standing(false, APP);
        assert_eq!(decide(Some(&withdrawn), &said(true, None), CRM, Millis(900)), Verdict::Overruled);
        assert_eq!(decide(Some(&withdrawn), &said(true, Some(99)), CRM, Millis(900)), Verdict::Nothing);
        assert_eq!(decide(Some(&withdrawn), &said(true, Some(101)), CRM, Millis(900)), Verdict::Record(Millis(101)));
        assert_eq!(decide(Some(&withdrawn), &said(true, None), APP, Millis(900)), Verdict::Record(Millis(900)));
        assert_eq!(decide(Some(&standing(false, CRM)), &said(true, None), CRM, Millis(900)), Verdict::Record(Millis(900)));
    }

    #[test]
    fn only_a_consent_that_can_be_shown_stands_against_a_stop() {
        let (app, crm) = (standing(true, APP), standing(true, CRM));
        assert_eq!(proven_at(Some(&app), None), Some(Millis(100)));
        assert_eq!(proven_at(Some(&crm), Some(&said(true, Some(70)))), Some(Millis(70)));
        assert_eq!(proven_at(Some(&app), Some(&said(true, Some(170)))), Some(Millis(170)));
        assert_eq!(proven_at(Some(&crm), Some(&said(true, None))), None, "a yes without a date");
        assert_eq!(proven_at(Some(&standing(false, APP)), Some(&said(true, Some(70)))), None, "she withdrew since");
        assert_eq!(proven_at(None, Some(&said(true, Some(70)))), None);
    }

    #[test]
    fn of_two_members_who_are_one_person_the_withdrawal_counts() {
        for (one, other) in [(true, false), (false, true)] {
            let both = either(vec![standing(one, APP)], vec![standing(other, CRM)]);
            assert_eq!((both.len(), both[0].granted), (1, false));
        }
        let elsewhere = Standing { purpose: Purpose::Match, ..standing(true, APP) };
        assert_eq!(either(vec![standing(false, APP)], vec![elsewhere]).len(), 2);
    }

    #[test]
    fn repetition_and_a_no_to_what_was_never_granted_leave_no_record() {
        assert_eq!(decide(Some(&standing(true, CRM)), &said(true, Some(500)), CRM, Millis(900)), Verdict::Nothing);
        assert_eq!(decide(None, &said(false, None), CRM, Millis(900)), Verdict::Nothing);
    }
}
