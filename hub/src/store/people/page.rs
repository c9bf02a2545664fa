//! Links to members' own pages.

use passage_protocol::Millis;

use crate::{
    args,
    identity::MemberId,
    store::{StoreError, Tx},
};

/// Where a link came from, which says how much it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was in an SMS: whoever got that text forwarded has it too.
    Sms,
    /// The app asked for it with its own token a moment ago.
    App,
    /// The holder of another link gave a customer or card number a moment ago.
    Proved,
}

impl Origin {
    fn word(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::App => "app",
            Self::Proved => "proved",
        }
    }

    fn of(word: &str) -> Result<Self, StoreError> {
        [Self::Sms, Self::App, Self::Proved].into_iter().find(|o| o.word() == word).ok_or(StoreError::Corrupt("origin of a page"))
    }
}

/// A link that opens a page.
#[derive(Debug, Clone)]
pub struct MemberPage {
    /// Its name.
    pub id: String,
    /// Whose page.
    pub member: MemberId,
    /// In whose name it was made.
    pub brand: String,
    /// In whose legal name.
    pub entity: String,
    /// How she got it.
    pub origin: Origin,
    /// The message that it came with.
    pub message: Option<String>,
    /// From when it opens nothing any more.
    pub expires_at: Millis,
}

/// Writes a link down.
pub async fn insert(tx: &mut Tx, page: &MemberPage, now: Millis) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO member_page (id, member, brand, entity, origin, message, made_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let message = page.message.clone();
    tx.execute(sql, args![&page.id, page.member.0, &page.brand, &page.entity, page.origin.word(), message, now, page.expires_at]).await?;
    Ok(())
}

/// The link with this name, if it opens a page at `now`.
pub async fn open(tx: &mut Tx, id: &str, now: Millis) -> Result<Option<MemberPage>, StoreError> {
    let sql = "SELECT member, brand, entity, origin, message, expires_at FROM member_page \
               WHERE id = $1 AND expires_at > $2 AND revoked_at IS NULL";
    let Some(row) = tx.fetch_optional(sql, args![id, now]).await? else { return Ok(None) };
    Ok(Some(MemberPage {
        id: id.to_owned(),
        member: MemberId(row.int(0)?),
        brand: row.text(1)?,
        entity: row.text(2)?,
        origin: Origin::of(&row.text(3)?)?,
        message: row.opt_text(4)?,
        expires_at: row.millis(5)?,
    }))
}

/// Counts a try to prove who she is; from the `most`-th on the link opens nothing any more. Returns how many tries there were.
pub async fn count_try(tx: &mut Tx, id: &str, most: i64, now: Millis) -> Result<i64, StoreError> {
    let sql = "UPDATE member_page SET tries = tries + 1, revoked_at = CASE WHEN tries + 1 >= $2 THEN $3 ELSE revoked_at END \
               WHERE id = $1 RETURNING tries";
    tx.fetch_optional(sql, args![id, most, now]).await?.map_or(Ok(most), |row| row.int(0))
}

/// Ends all links of a member; returns how many still opened something.
pub async fn revoke_all(tx: &mut Tx, member: MemberId, now: Millis) -> Result<u64, StoreError> {
    tx.execute("UPDATE member_page SET revoked_at = $2 WHERE member = $1 AND revoked_at IS NULL AND expires_at > $2", args![member.0, now])
        .await
}
