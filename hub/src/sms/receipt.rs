//! What a receipt changes.

use passage_protocol::Millis;

use crate::{
    identity::Keyring,
    notice::{Notice, Notices, What},
    sms::{
        MessageState,
        provider::{Fate, Receipt},
        state::Step,
    },
    store::{
        Db, StoreError, Tx,
        message::{self, Details, Touched},
    },
};

/// Receipts that match nothing are kept for so long: they may come before the answer to their submit.
pub const KEEP: std::time::Duration = std::time::Duration::from_secs(600);

/// Records a receipt. One that matches nothing yet waits for the answer to its submit, or settles the one unknown message that it can belong to.
pub async fn handle(db: &Db, keyring: &Keyring, receipt: &Receipt, now: Millis, notices: &Notices) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    let touched = match message::part_owner(&mut tx, receipt).await? {
        Some((id, number)) => settle_part(&mut tx, id, number, receipt.fate, receipt.reason.clone(), now).await?,
        None => settle_unknown(&mut tx, keyring, receipt, now).await?,
    };
    tx.commit().await?;
    tell(notices, now, touched);
    Ok(())
}

async fn settle_unknown(tx: &mut Tx, keyring: &Keyring, receipt: &Receipt, now: Millis) -> Result<Option<Touched>, StoreError> {
    let destination = receipt.from.as_ref().map(|from| from.key(keyring));
    if let Some(destination) = &destination
        && let Some(id) = message::unknown_of(tx, destination, now).await?
    {
        let details = Details { now, reason: receipt.reason.clone(), ..Details::default() };
        return message::transition(tx, id, Step::Receipt(receipt.fate), &details).await;
    }
    message::receipt_without_message(tx, receipt, destination, now).await?;
    Ok(None)
}

/// Applies the receipts that waited for `of`, or for any message when it is `None`.
pub(super) async fn apply_waiting(tx: &mut Tx, of: Option<uuid::Uuid>, now: Millis) -> Result<Vec<Touched>, StoreError> {
    let mut touched = Vec::new();
    while let Some((id, number, fate, reason)) = message::match_waiting(tx, of).await? {
        touched.extend(settle_part(tx, id, number, fate, reason, now).await?);
    }
    Ok(touched)
}

async fn settle_part(
    tx: &mut Tx,
    id: uuid::Uuid,
    number: i64,
    fate: Fate,
    reason: Option<String>,
    now: Millis,
) -> Result<Option<Touched>, StoreError> {
    message::set_part(tx, id, number, fate).await?;
    let Some(fate) = message::parts_fate(tx, id).await? else { return Ok(None) };
    message::transition(tx, id, Step::Receipt(fate), &Details { now, reason, ..Details::default() }).await
}

/// Tells who watches where messages are now.
pub(super) fn tell(notices: &Notices, now: Millis, touched: impl IntoIterator<Item = Touched>) {
    // Back to planned is a try that will be repeated: nothing to see yet.
    for t in touched.into_iter().filter(|t| t.state != MessageState::Planned) {
        notices.tell(Notice { at: now, store: Some(t.store), member: Some(t.member), what: What::Receipt(t.state.word()) });
    }
}
