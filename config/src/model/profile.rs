//! How a file of another system is read.

use std::collections::BTreeMap;

use chrono_tz::Tz;

/// What the rows of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Contacts of persons.
    Touchpoints,
    /// Sums of a platform: how many saw or clicked on a day.
    Totals,
    /// Members of the CRM.
    Members,
    /// Lines of till tickets.
    Tills,
    /// Advertising in the street, by time and place.
    Street,
}

impl Rows {
    /// All, with the words in files.
    pub const ALL: [(&'static str, Self); 5] = [
        ("touchpoints", Self::Touchpoints),
        ("totals", Self::Totals),
        ("members", Self::Members),
        ("tills", Self::Tills),
        ("street", Self::Street),
    ];
}

/// `profiles/*.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What its rows are.
    pub rows: Rows,
    /// The system that the file is of; stands in front of each key.
    pub source: String,
    /// Lines before the header that begin with this are passed over.
    pub comment: Option<String>,
    /// Column of the file, by our field.
    pub columns: BTreeMap<String, String>,
    /// What a field is in every row, by our field.
    pub fixed: BTreeMap<String, String>,
    /// What stands in front of each value, by our field.
    pub prefix: BTreeMap<String, String>,
    /// Our words for the file's, by our field. A word that is not in here stays as it is.
    pub words: BTreeMap<String, BTreeMap<String, String>>,
    /// How the file writes times, in the letters of `strftime`, and where they are of; `None`: RFC 3339.
    pub time: Option<(String, Tz)>,
    /// Columns with counts, by the kind of touchpoint; for sums.
    pub counts: BTreeMap<String, String>,
}
