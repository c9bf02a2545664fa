//! Apps on phones: holders of chain keys.

use passage_protocol::{ChainKey, Denied, InstallationId, Millis};

use crate::{
    args,
    identity::{Keyring, MemberId, keyring::OpenError},
    store::{Db, Row, StoreError, Tx},
};

/// An installation without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Its name.
    pub id: InstallationId,
    /// Whose phone.
    pub member: MemberId,
    /// Whose app.
    pub brand: String,
    /// Whose app, legally.
    pub entity: String,
    /// Set once the member, a withdrawal or a limit ended it.
    pub deleted_at: Option<Millis>,
    /// Tokens that expire before this were taken back.
    pub denied_until: Option<Millis>,
    /// Keyed hash of the secret that its app holds.
    pub secret: Option<[u8; 32]>,
}

/// Stores a new installation with its chain key sealed.
pub async fn insert(tx: &mut Tx, keyring: &Keyring, new: &Installation, chain: &ChainKey, at: Millis) -> Result<(), StoreError> {
    let sealed = keyring.seal(&context(new.id.as_str()), &chain.key);
    let sql = "INSERT INTO installation (id, member, brand, entity, chain_key, key_day, created_at, secret) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let secret = new.secret.map(|s| s.to_vec());
    tx.execute(sql, args![new.id.as_str(), new.member.0, new.brand.as_str(), new.entity.as_str(), sealed, chain.day, at, secret]).await?;
    Ok(())
}

/// Reads one.
pub async fn get(tx: &mut Tx, id: &InstallationId) -> Result<Option<Installation>, StoreError> {
    let sql = "SELECT member, brand, entity, deleted_at, denied_until, secret FROM installation WHERE id = $1";
    let Some(row) = tx.fetch_optional(sql, args![id.as_str()]).await? else { return Ok(None) };
    let (member, deleted_at, denied_until) = (MemberId(row.int(0)?), row.opt_int(3)?.map(Millis), row.opt_int(4)?.map(Millis));
    let secret = row.opt_blob(5)?.map(|s| s.try_into().map_err(|_| StoreError::Corrupt("app secret"))).transpose()?;
    Ok(Some(Installation { id: id.clone(), member, brand: row.text(1)?, entity: row.text(2)?, deleted_at, denied_until, secret }))
}

/// The oldest chain key that the hub still has of a live installation; `None` when it has none or it is damaged.
pub async fn chain(tx: &mut Tx, keyring: &Keyring, id: &InstallationId) -> Result<Option<ChainKey>, StoreError> {
    let sql = "SELECT id, member, chain_key, key_day FROM installation WHERE id = $1 AND deleted_at IS NULL AND chain_key IS NOT NULL";
    let Some(row) = tx.fetch_optional(sql, args![id.as_str()]).await? else { return Ok(None) };
    match open(keyring, &row) {
        Ok(keyed) => Ok(Some(keyed.chain)),
        Err(StoreError::Corrupt(what)) if what == DAMAGED => Ok(None),
        Err(e) => Err(e),
    }
}

/// Gives a live installation another chain key; nothing is left of the one before.
pub async fn replace_chain(tx: &mut Tx, keyring: &Keyring, id: &InstallationId, chain: &ChainKey) -> Result<(), StoreError> {
    let sealed = keyring.seal(&context(id.as_str()), &chain.key);
    let sql = "UPDATE installation SET chain_key = $2, key_day = $3 WHERE id = $1 AND deleted_at IS NULL";
    tx.execute(sql, args![id.as_str(), sealed, chain.day]).await?;
    Ok(())
}

/// Ends an installation and forgets its key; `false` if it had ended before.
pub async fn delete(tx: &mut Tx, id: &InstallationId, at: Millis) -> Result<bool, StoreError> {
    let sql = "UPDATE installation SET deleted_at = $2, chain_key = NULL WHERE id = $1 AND deleted_at IS NULL";
    Ok(tx.execute(sql, args![id.as_str(), at]).await? == 1)
}

/// Ends all installations that a member has with a brand and entity.
pub async fn delete_all(tx: &mut Tx, member: MemberId, brand: &str, entity: &str, at: Millis) -> Result<u64, StoreError> {
    let sql =
        "UPDATE installation SET deleted_at = $4, chain_key = NULL WHERE member = $1 AND brand = $2 AND entity = $3 AND deleted_at IS NULL";
    tx.execute(sql, args![member.0, brand, entity, at]).await
}

/// Ends the oldest installations of a member so that at most `keep` live ones remain.
pub async fn keep_newest(tx: &mut Tx, member: MemberId, keep: i64, at: Millis) -> Result<u64, StoreError> {
    let sql = "UPDATE installation SET deleted_at = $3, chain_key = NULL WHERE deleted_at IS NULL AND id IN \
               (SELECT id FROM installation WHERE member = $1 AND deleted_at IS NULL ORDER BY created_at DESC, id LIMIT 1000 OFFSET $2)";
    tx.execute(sql, args![member.0, keep, at]).await
}

/// Takes back all tokens of an installation that expire before `until`.
pub async fn deny(tx: &mut Tx, id: &InstallationId, until: Millis) -> Result<(), StoreError> {
    tx.execute("UPDATE installation SET denied_until = $2 WHERE id = $1", args![id.as_str(), until]).await?;
    Ok(())
}

/// What position gateways must refuse: installations that ended since `since`, and tokens that were taken back and have not expired by `now`.
pub async fn denied(tx: &mut Tx, since: Millis, now: Millis) -> Result<Vec<Denied>, StoreError> {
    let sql = "SELECT id, deleted_at, denied_until FROM installation WHERE deleted_at >= $1 OR (deleted_at IS NULL AND denied_until > $2) \
               UNION ALL SELECT id, at, NULL FROM ended_installation WHERE at >= $1 ORDER BY 1";
    let read = |row: &Row| {
        let installation = row.text(0)?.parse().map_err(|_| StoreError::Corrupt("installation id"))?;
        let ended = row.opt_int(1)?.is_some();
        Ok(Denied { installation, until: row.opt_int(2)?.filter(|_| !ended).map(Millis) })
    };
    tx.fetch(sql, args![since, now]).await?.iter().map(read).collect()
}

/// A live installation and its key, as the resolver holds it.
#[derive(Debug, Clone)]
pub struct Keyed {
    /// Its name.
    pub id: InstallationId,
    /// Whose phone.
    pub member: MemberId,
    /// The oldest key that the hub still has.
    pub chain: ChainKey,
}

/// Live installations of the members that changed after `version`. One that cannot be read is left out with a warning; a key file that is not the
/// database's is an error, because nobody at all would be found.
pub async fn changed(tx: &mut Tx, keyring: &Keyring, version: i64) -> Result<Vec<Keyed>, StoreError> {
    let sql = "SELECT i.id, i.member, i.chain_key, i.key_day FROM installation i JOIN member m ON m.id = i.member \
               WHERE m.version > $1 AND i.deleted_at IS NULL AND i.chain_key IS NOT NULL";
    readable(keyring, tx.fetch(sql, args![version]).await?)
}

/// Likewise those of the members behind `after` and up to `until`.
pub async fn page(tx: &mut Tx, keyring: &Keyring, after: MemberId, until: MemberId) -> Result<Vec<Keyed>, StoreError> {
    let sql = "SELECT id, member, chain_key, key_day FROM installation \
               WHERE member > $1 AND member <= $2 AND deleted_at IS NULL AND chain_key IS NOT NULL";
    readable(keyring, tx.fetch(sql, args![after.0, until.0]).await?)
}

/// How many live installations there are.
pub async fn count(tx: &mut Tx) -> Result<usize, StoreError> {
    let row = tx.fetch_optional("SELECT COUNT(*) FROM installation WHERE deleted_at IS NULL AND chain_key IS NOT NULL", args![]).await?;
    Ok(usize::try_from(row.map_or(Ok(0), |row| row.int(0))?).unwrap_or(0))
}

fn readable(keyring: &Keyring, rows: Vec<Row>) -> Result<Vec<Keyed>, StoreError> {
    let mut out = Vec::new();
    for row in rows {
        match open(keyring, &row) {
            Ok(keyed) => out.push(keyed),
            Err(StoreError::Corrupt(what)) if what == DAMAGED => {
                tracing::warn!("an installation is left out: its stored key is damaged; the app must enrol again");
            }
            Err(e) => return Err(e),
        }
    }
    Ok(out)
}

const DAMAGED: &str = "installation key";

fn open(keyring: &Keyring, row: &Row) -> Result<Keyed, StoreError> {
    let id = row.text(0)?;
    let key = keyring.open(&context(&id), &row.blob(2)?).map_err(|e| match e {
        OpenError::OtherKey => StoreError::Corrupt("installation key: the key file is not the one that this database was written with"),
        OpenError::Damaged => StoreError::Corrupt(DAMAGED),
    })?;
    let key = key.try_into().map_err(|_| StoreError::Corrupt(DAMAGED))?;
    let id = id.parse().map_err(|_| StoreError::Corrupt("installation id"))?;
    Ok(Keyed { id, member: MemberId(row.int(1)?), chain: ChainKey { day: row.int(3)?, key } })
}

/// Replaces stored keys of days before `day` by the key of `day`: nobody can go back from it. Returns how many were rolled.
pub async fn roll_forward(db: &Db, keyring: &Keyring, day: i64) -> Result<u64, StoreError> {
    let sql = "SELECT id, member, chain_key, key_day FROM installation WHERE key_day < $1 AND chain_key IS NOT NULL ORDER BY id LIMIT 1000";
    let mut rolled = 0;
    loop {
        let mut tx = db.begin().await?;
        let rows = tx.fetch(sql, args![day]).await?;
        let before = rolled;
        for row in &rows {
            let (id, old) = (row.text(0)?, row.int(3)?);
            // A key that cannot be read or is far too old serves nobody any more.
            let sealed = open(keyring, row).ok().and_then(|k| k.chain.for_day(day)).map(|chain| keyring.seal(&context(&id), &chain.key));
            let update = "UPDATE installation SET chain_key = $2, key_day = $3 WHERE id = $1 AND key_day = $4";
            rolled += tx.execute(update, args![id, sealed, day, old]).await?;
        }
        tx.commit().await?;
        if rows.len() < 1000 || rolled == before {
            break;
        }
    }
    if rolled > 0 {
        // SQLite's log would hold the older keys until it is written over.
        db.tidy().await?;
    }
    Ok(rolled)
}

/// The place of a chain key.
pub(crate) fn context(id: &str) -> String {
    format!("installation {id}")
}
