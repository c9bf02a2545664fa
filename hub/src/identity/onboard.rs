//! Files of partners: which of their keys are known here, and hashed keys of members who allow that they are given away.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{BufRead, Write},
};

use passage_config::{HubConfig, Platform};
use passage_protocol::Millis;

use crate::{
    identity::{
        IdentifierKind, Keyring, MemberId,
        crm::AD_CONTEXT,
        normalise::canonical,
        platform::{email_forms, phone_forms},
    },
    store::{
        Db, StoreError, Tx,
        people::{
            self,
            given::{self, Given, To},
            graph, onboard,
        },
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

/// Of whom keys are exported, to whom, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// Name of the partner.
    pub partner: &'a str,
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

/// Writes `email_sha256,phone_sha256`, one line for each value of the members who grant `ads` at this moment, and notes what the partner has from now on.
/// Returns of how many members.
///
/// # Errors
/// The database, the file, or too few members.
pub async fn export(db: &Db, keyring: &Keyring, asked: Export<'_>, k: u32, now: Millis, out: impl Write) -> Result<usize, ExportError> {
    let mut tx = db.begin().await?;
    // Nobody withdraws between what is read here and what is noted.
    people::changes(&mut tx).await?;
    let rows = onboard::for_ads(&mut tx, asked.brand, asked.entity, asked.segment).await?;
    let members: BTreeSet<MemberId> = rows.iter().map(|row| row.member).collect();
    if members.len() < k as usize {
        return Err(ExportError::TooFew(k));
    }
    let (mut hashes, mut given) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in &rows {
        let plain = text(keyring.open(AD_CONTEXT, &row.sealed))?;
        let (kind, forms) = if row.kind == IdentifierKind::Email {
            (IdentifierKind::EmailSha256, email_forms(&plain))
        } else {
            (IdentifierKind::PhoneSha256, phone_forms(&plain))
        };
        let form = if asked.platform == Platform::Google { forms.google } else { forms.meta };
        let Some(hash) = form.sha256 else { continue };
        let (key, sealed) = (keyring.identifier(kind, &hash), keyring.seal(given::CONTEXT, hash.as_bytes()));
        given.push(Given { member: row.member, kind, key, sealed });
        hashes.push((kind, hash));
    }
    given::note(&mut tx, asked.to(), &given, now).await?;
    tx.commit().await?;
    write(&hashes, out)?;
    Ok(members.len())
}

/// Writes, in the same form, what the partner was given and has to take out because there is no consent for it any more since `since`: after a withdrawal,
/// a restriction, an erasure, or three years of silence. However few they are, because they are known to the partner already. Returns how many hashes.
///
/// # Errors
/// The database or the file.
pub async fn export_removed(db: &Db, keyring: &Keyring, to: To<'_>, since: Millis, out: impl Write) -> Result<usize, ExportError> {
    let rows = given::removed(&mut db.begin_read().await?, to, since).await?;
    let open = |(kind, sealed): (IdentifierKind, Vec<u8>)| Ok((kind, text(keyring.open(given::CONTEXT, &sealed))?));
    let hashes: Vec<(IdentifierKind, String)> = rows.into_iter().map(open).collect::<Result<_, StoreError>>()?;
    write(&hashes, out)?;
    Ok(hashes.len())
}

impl<'a> Export<'a> {
    fn to(&self) -> To<'a> {
        To { partner: self.partner, brand: self.brand, entity: self.entity }
    }
}

fn text<E>(opened: Result<Vec<u8>, E>) -> Result<String, StoreError> {
    let corrupt = StoreError::Corrupt("sealed address, number or hash");
    String::from_utf8(opened.map_err(|_| StoreError::Corrupt("sealed address, number or hash"))?).map_err(|_| corrupt)
}

fn write(hashes: &[(IdentifierKind, String)], mut out: impl Write) -> std::io::Result<()> {
    writeln!(out, "email_sha256,phone_sha256")?;
    for (kind, hash) in hashes {
        if *kind == IdentifierKind::EmailSha256 { writeln!(out, "{hash},")? } else { writeln!(out, ",{hash}")? }
    }
    out.flush()
}
