//! What somebody said in the app: the wording that she read, her purposes, her age band. Pure.

use serde::Deserialize;

use crate::{
    api::Problem,
    identity::{
        AgeBand, Purpose,
        consent::{Proof, Statement, is_language, is_name},
    },
};

/// Longest text that is kept as proof, in characters.
const LONGEST_TEXT: usize = 4000;

/// The text that she saw when she answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wording {
    /// Name of the text, such as `app-presence`.
    pub(super) id: String,
    /// Which edition of it.
    pub(super) version: String,
    /// BCP 47, such as `fr` or `fr-CA`.
    pub(super) language: String,
    /// The text itself, when the brand keeps no register of its wordings.
    #[serde(default)]
    pub(super) text: String,
}

impl Wording {
    fn check(&self) -> Result<(), Problem> {
        if !is_name(&self.id) || !is_name(&self.version) {
            return Err(bad("wording.id and wording.version name the text that she read: 1 to 60 letters, digits, dots and dashes"));
        }
        if !is_language(&self.language) {
            return Err(bad("wording.language is the language of the text that she read, such as 'fr'"));
        }
        if self.text.chars().count() > LONGEST_TEXT || self.text.contains('\0') {
            return Err(bad("wording.text has at most 4000 characters and no zero; it may be left out"));
        }
        Ok(())
    }

    /// Where the text is found again.
    fn proof(&self) -> Proof {
        let (wording_id, wording_version, language) = (self.id.clone(), self.version.clone(), self.language.clone());
        Proof { wording_id, wording_version, language, ..Proof::default() }
    }

    /// The one line that stands on record, and under it the text if it was sent.
    fn record(&self) -> String {
        let name = format!("{} {} {}", self.id, self.version, self.language);
        if self.text.trim().is_empty() { name } else { format!("{name}\n{}", self.text.trim()) }
    }
}

fn bad(detail: &str) -> Problem {
    Problem::bad("wording", detail)
}

/// The statements of one answer of hers. What is granted needs the wording that she read; a withdrawal needs nothing.
pub(super) fn statements(wording: Option<&Wording>, grant: &[String], withdraw: &[String]) -> Result<Vec<Statement>, Problem> {
    match wording {
        Some(wording) => wording.check()?,
        None if grant.is_empty() => {}
        None => return Err(bad("send wording with id, version and language of the text that she read when she agreed")),
    }
    let record = wording.map(Wording::record).unwrap_or_default();
    let proof = Proof { method: "app".to_owned(), ..wording.map(Wording::proof).unwrap_or_default() };
    let mut said: Vec<Statement> = Vec::new();
    for (words, granted) in [(grant, true), (withdraw, false)] {
        for word in words {
            let purpose = purpose(word)?;
            if said.iter().any(|s| s.purpose == purpose) {
                return Err(Problem::bad("purpose", "a purpose is named twice; send each once, granted or withdrawn"));
            }
            said.push(Statement { proof: proof.clone(), ..Statement::new(purpose, granted, record.clone()) });
        }
    }
    Ok(said)
}

fn purpose(word: &str) -> Result<Purpose, Problem> {
    let all: Vec<&str> = Purpose::ALL.iter().map(|p| p.word()).collect();
    word.parse().map_err(|()| Problem::bad("purpose", format!("a purpose is one of: {}", all.join(", "))))
}

/// Reads the age band that she chose.
pub(super) fn age(word: &str) -> Result<AgeBand, Problem> {
    let all: Vec<&str> = AgeBand::ALL.iter().map(|a| a.word()).collect();
    let detail = format!("age is the band that she chose in the app, never a date: one of {}", all.join(", "));
    word.parse().map_err(|()| Problem::bad("age", detail))
}

/// Whether somebody of this age may enrol and be detected; `presence_from` is the configured age, 15 or 18.
pub(super) fn old_enough(age: AgeBand, presence_from: u8) -> Result<(), Problem> {
    let refuse = |code, detail| Err(Problem::new(axum::http::StatusCode::FORBIDDEN, code, detail));
    match age {
        AgeBand::Under15 => refuse("too-young", "who is under 15 cannot enrol, and nothing was stored; the app must not ask again"),
        AgeBand::From15 if presence_from > 15 => refuse(
            "minor",
            "under 18 the app may not ask for the purpose 'presence', and nothing was stored; \
             a brand whose lawyers see it otherwise sets presence_from = 15 under [app] of hub.toml",
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wording() -> Wording {
        let text = |s: &str| s.to_owned();
        Wording { id: text("app-presence"), version: text("3"), language: text("fr"), text: String::new() }
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn each_purpose_is_one_statement_under_the_wording_that_she_read() {
        let said = statements(Some(&wording()), &words(&["presence", "sms"]), &words(&["match"])).unwrap();
        let told: Vec<_> = said.iter().map(|s| (s.purpose, s.granted, s.wording.as_str())).collect();
        let text = "app-presence 3 fr";
        assert_eq!(told, [(Purpose::Presence, true, text), (Purpose::Sms, true, text), (Purpose::Match, false, text)]);
    }

    #[test]
    fn a_grant_needs_its_wording_and_a_withdrawal_needs_none() {
        assert_eq!(statements(None, &words(&["presence"]), &[]).unwrap_err().code, "wording");
        assert_eq!(statements(None, &[], &words(&["presence"])).unwrap().len(), 1);
        let broken: [fn(&mut Wording); 4] = [
            |w| w.id.clear(),
            |w| w.version = "v 3".to_owned(),
            |w| w.language = "french, mostly".to_owned(),
            |w| w.text = "\0".to_owned(),
        ];
        for spoil in broken {
            let mut wording = wording();
            spoil(&mut wording);
            assert_eq!(statements(Some(&wording), &words(&["presence"]), &[]).unwrap_err().code, "wording", "{wording:?}");
        }
    }

    #[test]
    fn a_purpose_that_is_none_or_stands_twice_is_refused() {
        assert_eq!(statements(Some(&wording()), &words(&["everything"]), &[]).unwrap_err().code, "purpose");
        assert_eq!(statements(Some(&wording()), &words(&["sms"]), &words(&["sms"])).unwrap_err().code, "purpose");
    }

    #[test]
    fn under_15_nobody_enrols_and_under_18_only_where_the_configuration_allows_it() {
        let code = |age, from| old_enough(age, from).err().map(|p| p.code);
        assert_eq!([code(AgeBand::Under15, 18), code(AgeBand::Under15, 15)], [Some("too-young"); 2]);
        assert_eq!([code(AgeBand::From15, 18), code(AgeBand::From15, 15)], [Some("minor"), None]);
        for age in AgeBand::ALL.iter().filter(|a| !matches!(a, AgeBand::Under15 | AgeBand::From15)) {
            assert_eq!(code(*age, 18), None);
        }
        assert_eq!(age("1999-04-01").unwrap_err().code, "age");
    }
}
