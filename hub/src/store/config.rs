//! Applied configurations.

use passage_protocol::Millis;

use crate::{
    args,
    store::{Db, StoreError},
};

/// One applied configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedConfig {
    /// Ascending from 1.
    pub revision: i64,
    /// When it went live.
    pub applied_at: Millis,
    /// SHA-256 of `files` as hex.
    pub sha256: String,
    /// JSON object of relative path to text.
    pub files: String,
    /// Id of the signing key.
    pub key_id: String,
    /// Signature over revision and `sha256`.
    pub signature: String,
}

/// The newest one below `revision`, if there is one.
pub async fn newest_before(db: &Db, revision: i64) -> Result<Option<AppliedConfig>, StoreError> {
    let sql = "SELECT revision, applied_at, sha256, files, key_id, signature FROM config_revision WHERE revision < $1 \
               ORDER BY revision DESC LIMIT 1";
    let rows = db.fetch(sql, args![revision]).await?;
    let read = |r: &crate::store::Row| {
        Ok(AppliedConfig {
            revision: r.int(0)?,
            applied_at: r.millis(1)?,
            sha256: r.text(2)?,
            files: r.text(3)?,
            key_id: r.text(4)?,
            signature: r.text(5)?,
        })
    };
    rows.first().map(read).transpose()
}

/// The number of the newest one, 0 before the first.
pub async fn newest_revision(db: &Db) -> Result<i64, StoreError> {
    let rows = db.fetch("SELECT COALESCE(MAX(revision), 0) FROM config_revision", args![]).await?;
    rows.first().map_or(Ok(0), |r| r.int(0))
}

/// Stores a configuration; false when somebody else took the same revision first.
pub async fn insert(db: &Db, c: &AppliedConfig) -> Result<bool, StoreError> {
    let sql = "INSERT INTO config_revision (revision, applied_at, sha256, files, key_id, signature) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT DO NOTHING";
    let values = args![c.revision, c.applied_at, &c.sha256, &c.files, &c.key_id, &c.signature];
    Ok(db.execute(sql, values).await? == 1)
}
