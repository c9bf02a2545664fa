//! Who looked at what is known of a member, and when. Rows are only ever added, until their retention ends; an erasure leaves them, as the hub has to be
//! able to say who looked.

use passage_protocol::Millis;
use uuid::Uuid;

use crate::{
    args,
    identity::MemberId,
    privacy::audit::Look,
    store::{Db, StoreError, Tx},
};

/// Adds looks at members.
///
/// # Errors
/// The database.
pub async fn add(tx: &mut Tx, looks: &[Look]) -> Result<(), StoreError> {
    let row = |look: &Look| {
        let id = Uuid::from_u128(rand::random()).simple().to_string();
        args![id, look.at, &look.actor, look.action, look.subject.0]
    };
    tx.insert_many("INSERT INTO audit (id, at, actor, action, subject)", looks.iter().map(row).collect(), "").await?;
    Ok(())
}

/// Looks in `from..to`, the oldest first: when, who, what, at whom.
///
/// # Errors
/// The database.
pub async fn list(db: &Db, from: Millis, to: Millis) -> Result<Vec<(Millis, String, String, MemberId)>, StoreError> {
    let sql = "SELECT at, actor, action, subject FROM audit WHERE at >= $1 AND at < $2 ORDER BY at, id";
    let rows = db.fetch(sql, args![from, to]).await?;
    rows.iter().map(|row| Ok((row.millis(0)?, row.text(1)?, row.text(2)?, MemberId(row.int(3)?)))).collect()
}

/// Deletes those of before `cut`.
pub(super) async fn purge(tx: &mut Tx, cut: Millis) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM audit WHERE at < $1", args![cut]).await
}
