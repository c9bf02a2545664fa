//! Files of partners: which of their keys are known here, and hashed keys of members who allow that they are given away.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{BufRead, Write},
};

use passage_config::{HubConfig, Platform};

use crate::{
    identity::{
        IdentifierKind, Keyring, MemberId,
        crm::AD_CONTEXT,
        normalise::canonical,
        platform::{email_forms, phone_forms},
    },
    store::{
        Db, StoreError, Tx,
        people::{graph, onboard},
    },
    touchpoint::table::{ImportError, Line, Table},
};

/// The columns that a partner's file may have.
const KEYS: [IdentifierKind; 7] = [
    IdentifierKind::CrmId,
    IdentifierKind::LoyaltyCard,
    IdentifierKind::Email,
    IdentifierKind::Phone,
    IdentifierKind::EmailSha256,
    IdentifierKind::PhoneSha256,
    IdentifierKind::Device,
];

/// What became of a partner's file. Nothing of it is stored.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MatchReport {
    /// Lines after the header.
    pub rows: u64,
    /// Lines that name a member who grants `match`.
    pub matched: u64,
    /// By which kind of key, the strongest of the line, and how many members.
    pub by_key: BTreeMap<&'static str, (u64, BTreeSet<MemberId>)>,
    /// Values that are no keys, and lines that cannot be read, by reason.
    pub refused: BTreeMap<String, u64>,
    /// The least number of members of whom a number is told.
    pub k: u32,
}

impl fmt::Display for MatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |members: usize, n: u64| if members >= self.k as usize { n.to_string() } else { "withheld".to_owned() };
        let all: BTreeSet<_> = self.by_key.values().flat_map(|(_, members)| members).collect();
        let small = self.by_key.values().any(|(_, members)| members.len() < self.k as usize);
        // With every kind but one told, the sum would tell that one.
        let sum = if small && !all.is_empty() { told(0, 0) } else { told(all.len(), self.matched) };
        let sum = if all.is_empty() { "none".to_owned() } else { sum };
        writeln!(f, "{} rows, tied to a member: {sum}", self.rows)?;
        for (kind, (n, members)) in &self.by_key {
            writeln!(f, "  by {kind}: {}", told(members.len(), *n))?;
        }
        self.refused.iter().try_for_each(|(reason, n)| writeln!(f, "  refused {n}: {reason}"))
    }
}

/// Looks the keys of a file up, plain ones or hashes in either platform's form. Members who do not grant `match` are not found.
pub async fn match_file(db: &Db, keyring: &Keyring, config: &HubConfig, source: impl BufRead + Send) -> Result<MatchReport, ImportError> {
    let known: Vec<&str> = KEYS.iter().map(|kind| kind.word()).collect();
    let mut table = Table::open(source, &[], &known)?;
    let mut report = MatchReport { k: config.k, ..MatchReport::default() };
    let mut order = KEYS;
    order.sort_by_key(|kind| config.identity.priority(kind.word()));
    let mut tx = db.begin_read().await?;
    while let Some(line) = table.next_line()? {
        report.rows += 1;
        match line {
            Err(fault) => *report.refused.entry(fault.reason).or_default() += 1,
            Ok(line) => {
                if let Some((kind, member)) = find(&mut tx, keyring, config, &line, &order, &mut report).await? {
                    report.matched += 1;
                    let (n, members) = report.by_key.entry(kind.word()).or_default();
                    *n += 1;
                    members.insert(member);
                }
            }
        }
    }
    Ok(report)
}

async fn find(
    tx: &mut Tx,
    keyring: &Keyring,
    config: &HubConfig,
    line: &Line<'_>,
    order: &[IdentifierKind],
    report: &mut MatchReport,
) -> Result<Option<(IdentifierKind, MemberId)>, StoreError> {
    for kind in order {
        let Some(raw) = line.get(kind.word()) else { continue };
        match canonical(*kind, raw, &config.phone_region) {
            Err(e) => *report.refused.entry(format!("{}: {e}", kind.word())).or_default() += 1,
            Ok(form) => {
                if let Some(member) = graph::holder(tx, *kind, &keyring.identifier(*kind, &form)).await?
                    && onboard::may_be_matched(tx, member).await?
                {
                    return Ok(Some((*kind, member)));
                }
            }
        }
    }
    Ok(None)
}

/// Of whom keys are exported, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// Whose member she is.
    pub brand: &'a str,
    /// To which legal controller she granted `ads`.
    pub entity: &'a str,
    /// Only this segment.
    pub segment: Option<&'a str>,
    /// Whose form.
    pub platform: Platform,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The file.
    #[error("the file cannot be written: {0}")]
    Write(#[from] std::io::Error),
    /// So few that the list would name them.
    #[error("fewer than {0} members grant `ads`, and a list of so few is not given away")]
    TooFew(u32),
}

/// Writes `email_sha256,phone_sha256`, one line for each value of the members who grant `ads` at this moment. Returns of how many members.
pub async fn export(db: &Db, keyring: &Keyring, asked: Export<'_>, k: u32, mut out: impl Write) -> Result<usize, ExportError> {
    let rows = onboard::for_ads(db, asked.brand, asked.entity, asked.segment).await?;
    let members: BTreeSet<MemberId> = rows.iter().map(|row| row.member).collect();
    if members.len() < k as usize {
        return Err(ExportError::TooFew(k));
    }
    writeln!(out, "email_sha256,phone_sha256")?;
    for row in &rows {
        let plain = keyring.open(AD_CONTEXT, &row.sealed).map_err(|_| StoreError::Corrupt("sealed address or number"))?;
        let plain = String::from_utf8(plain).map_err(|_| StoreError::Corrupt("sealed address or number"))?;
        let forms = if row.kind == IdentifierKind::Email { email_forms(&plain) } else { phone_forms(&plain) };
        let form = if asked.platform == Platform::Google { forms.google } else { forms.meta };
        let hash = form.sha256.unwrap_or_default();
        if row.kind == IdentifierKind::Email { writeln!(out, "{hash},")? } else { writeln!(out, ",{hash}")? }
    }
    out.flush()?;
    Ok(members.len())
}
