//! What a withdrawal ends, in the transaction that records it. So it is in force with its commit; what hangs on hubs and gateways follows within
//! seconds of machine time: resolvers reload changed members every 2 s, deny lists go out every 2 s, senders check again before each message.

use passage_protocol::Millis;

use super::{
    consent::{Parties, any},
    given, graph, installation, onboard, set_destination,
};
use crate::{
    identity::{IdentifierKind, Purpose, consent::Standing},
    store::{StoreError, Tx, message},
};

/// Keys that are kept for `match` alone. The others stand for the contract with her (customer number, card) or for `presence` (phone, fob).
fn is_for_match(kind: IdentifierKind) -> bool {
    !matches!(kind, IdentifierKind::CrmId | IdentifierKind::LoyaltyCard | IdentifierKind::Installation | IdentifierKind::Beacon)
}

/// Ends what `purpose` permitted to the brand and entity. `standing` already holds the withdrawal.
///
/// `personalise`, `advice` and `trackers` leave nothing behind to end: each use asks for the purpose at that moment.
pub async fn carry_out(tx: &mut Tx, by: Parties<'_>, purpose: Purpose, now: Millis, standing: &[Standing]) -> Result<(), StoreError> {
    match purpose {
        Purpose::Presence => {
            // Their keys go, so no event resolves, and their tokens enter the gateways' deny lists.
            installation::delete_all(tx, by.member, by.brand, by.entity, now).await?;
            message::withdraw(tx, by.member, by.brand, by.entity, "no-presence", now).await?;
        }
        Purpose::Match if !any(standing, Purpose::Match) => {
            for kind in IdentifierKind::ALL.iter().filter(|kind| is_for_match(**kind)) {
                graph::release(tx, by.member, *kind, now).await?;
            }
        }
        Purpose::Sms => {
            message::withdraw(tx, by.member, by.brand, by.entity, "no-sms", now).await?;
            if !any(standing, Purpose::Sms) {
                set_destination(tx, by.member, None, now).await?;
            }
        }
        Purpose::Ads => {
            // Partners that have her hashes are told with the next list of removals.
            given::end(tx, by.member, Some((by.brand, by.entity)), now).await?;
            if !any(standing, Purpose::Ads) {
                onboard::forget_ad_keys(tx, by.member).await?;
            }
        }
        Purpose::Match | Purpose::Personalise | Purpose::Advice | Purpose::Trackers => {}
    }
    Ok(())
}
