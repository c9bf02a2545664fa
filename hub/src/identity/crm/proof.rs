//! What a line of a CRM file says about how its consents came: which words she read, where, what she did, who or what took it. Pure.

use super::unfit_cell;
use crate::{
    identity::consent::{EXISTING_CUSTOMER, Statement, is_language, is_name},
    touchpoint::table::Line,
};

/// Most digits of a name: what has more may be a telephone number.
const MOST_DIGITS: usize = 8;

/// The cells of one line; those that the file does not have are blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told<'a> {
    wording: Option<[&'a str; 3]>,
    collected: &'a str,
    method: &'a str,
    operator: &'a str,
    device: &'a str,
}

/// A line that says nothing of it.
pub(super) const NONE: Told<'static> = Told { wording: None, collected: "", method: "", operator: "", device: "" };

/// Reads the columns `wording_id`, `wording_version` and `language`, which stand together, and `consent_source`, `consent_method`, `operator`, `device`.
pub(super) fn read<'a>(line: &'a Line<'_>) -> Result<Told<'a>, String> {
    of(|column| line.get(column))
}

/// The columns that this reads.
const COLUMNS: [&str; 7] = ["wording_id", "wording_version", "language", "consent_source", "consent_method", "operator", "device"];

fn of<'a>(cell: impl Fn(&'static str) -> Option<&'a str>) -> Result<Told<'a>, String> {
    if let Some((column, why)) = COLUMNS.into_iter().find_map(|column| Some((column, unfit_cell(cell(column)?)?))) {
        return Err(format!("{column}: {why}"));
    }
    let name = |column| match cell(column) {
        None => Ok(""),
        Some(text) if is_plain_name(text) => Ok(text),
        Some(_) => Err(format!(
            "{column} is no name. Mend: 1 to 60 letters, digits, dots and dashes, at most {MOST_DIGITS} digits, nobody's address"
        )),
    };
    let words = [name("wording_id")?, name("wording_version")?, cell("language").unwrap_or_default()];
    let wording = match words.iter().filter(|word| word.is_empty()).count() {
        3 => None,
        0 if is_language(words[2]) => Some(words),
        0 => return Err("language is not the language of the text that she read, such as 'fr'".to_owned()),
        _ => return Err("wording_id, wording_version and language name the text that she read together; one is missing".to_owned()),
    };
    let [collected, method, operator, device] = ["consent_source", "consent_method", "operator", "device"].map(name);
    Ok(Told { wording, collected: collected?, method: method?, operator: operator?, device: device? })
}

fn is_plain_name(text: &str) -> bool {
    is_name(text) && text.bytes().filter(u8::is_ascii_digit).count() <= MOST_DIGITS
}

impl<'a> Told<'a> {
    /// The cells that are part of the evidence; none if the file has none, so that files of before these columns prove what they did.
    pub(super) fn cells(&self) -> Vec<&'a [u8]> {
        if *self == NONE {
            return Vec::new();
        }
        let words = self.wording.unwrap_or_default();
        [words[0], words[1], words[2], self.collected, self.method, self.operator, self.device].map(str::as_bytes).to_vec()
    }

    /// Puts it into the proof of a statement.
    pub(super) fn prove(&self, said: &mut Statement) {
        if let Some([id, version, language]) = self.wording
            && said.proof.basis != EXISTING_CUSTOMER
        {
            said.wording = format!("{id} {version} {language}");
            let proof = &mut said.proof;
            (proof.wording_id, proof.wording_version, proof.language) = (id.to_owned(), version.to_owned(), language.to_owned());
        }
        let proof = &mut said.proof;
        if !self.method.is_empty() {
            self.method.clone_into(&mut proof.method);
        }
        self.collected.clone_into(&mut proof.collected);
        self.operator.clone_into(&mut proof.operator);
        self.device.clone_into(&mut proof.device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Purpose;

    fn told(cells: &[(&'static str, &'static str)]) -> Result<Told<'static>, String> {
        let cells = cells.to_vec();
        of(move |column| cells.iter().find(|(name, _)| *name == column).map(|(_, cell)| *cell))
    }

    #[test]
    fn what_a_file_tells_of_a_consent_stands_in_its_proof() {
        let all = [
            ("wording_id", "newsletter"),
            ("wording_version", "2026-05"),
            ("language", "fr-FR"),
            ("consent_source", "till"),
            ("consent_method", "signature"),
            ("operator", "seller-12"),
            ("device", "till-3"),
        ];
        let mut said = Statement::new(Purpose::Sms, true, "as recorded in the CRM");
        told(&all).unwrap().prove(&mut said);
        assert_eq!(said.wording, "newsletter 2026-05 fr-FR");
        let proof = &said.proof;
        let found =
            [&proof.wording_id, &proof.wording_version, &proof.language, &proof.collected, &proof.method, &proof.operator, &proof.device];
        assert_eq!(found.map(String::as_str), all.map(|(_, cell)| cell));
    }

    #[test]
    fn a_file_without_these_columns_proves_what_it_did_before() {
        assert_eq!(told(&[]).unwrap(), NONE);
        assert!(NONE.cells().is_empty());
        let before = Statement::new(Purpose::Sms, true, "as recorded in the CRM");
        let mut said = before.clone();
        NONE.prove(&mut said);
        assert_eq!(said, before);
    }

    #[test]
    fn addresses_numbers_and_halves_prove_nothing() {
        for (column, cell) in [
            ("operator", "anne@example.fr"),
            ("operator", "0639980001"),
            ("device", "Till 3"),
            ("wording_id", "4111111111111111"),
            ("consent_source", "web form"),
        ] {
            assert!(told(&[(column, cell)]).unwrap_err().contains(column), "{column} {cell}");
        }
        assert!(told(&[("wording_id", "newsletter")]).unwrap_err().contains("together"));
        let broken = [("wording_id", "n"), ("wording_version", "1"), ("language", "french, mostly")];
        assert!(told(&broken).unwrap_err().contains("language"));
    }
}
