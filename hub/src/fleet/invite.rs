//! Who may join, and who has to leave.

use std::time::Duration;

use passage_protocol::{GatewayId, Invitation, StoreId, fleet::Machine};

use super::Authority;
use crate::{
    identity::Keyring,
    store::{
        Db, StoreError,
        fleet::{self, Enlisted},
    },
};

/// How long an invitation is good, in machine time.
pub const GOOD_FOR: Duration = Duration::from_secs(24 * 3600);

/// Whom a person wants in the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its id.
    pub gateway: GatewayId,
    /// Where it will hang.
    pub store: Option<StoreId>,
    /// It takes positions.
    pub position: bool,
    /// A new machine in the place of one that was enrolled: the certificates of that one are revoked.
    pub replace: bool,
}

/// Why there is no invitation.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is there already.
    #[error("gateway \"{0}\" is enrolled. Mend: `passage-hub gateway replace {0}` if another machine takes its place")]
    Enrolled(GatewayId),
    /// It was revoked.
    #[error("gateway \"{0}\" was revoked. Mend: `passage-hub gateway replace {0}` invites a machine of that name again")]
    Revoked(GatewayId),
    /// Nobody knows it.
    #[error("no gateway \"{0}\" was ever invited. Mend: `passage-hub gateway list` shows those that were")]
    Unknown(GatewayId),
}

/// Invites a gateway; an earlier invitation of it is void. `secret` comes from the caller's chance.
pub async fn invite(
    db: &Db,
    keyring: &Keyring,
    authority: &Authority,
    url: &str,
    wish: Wish,
    secret: [u8; 32],
    now_ms: i64,
) -> Result<Invitation, Refused> {
    let mut tx = db.begin().await?;
    let known = fleet::find(&mut tx, &wish.gateway).await?;
    let who = enlist(wish, known.as_ref())?;
    if known.is_some_and(|k| k.ends_at.is_some()) {
        fleet::revoke(&mut tx, &who.machine.gateway, now_ms).await?;
    }
    let until = now_ms.saturating_add(i64::try_from(GOOD_FOR.as_millis()).unwrap_or(i64::MAX));
    fleet::invite(&mut tx, &who, hashed(keyring, &secret), until, now_ms).await?;
    tx.commit().await?;
    Ok(Invitation { url: url.to_owned(), gateway: who.machine.gateway, fingerprint: authority.fingerprint(), secret })
}

/// What is noted of the wish, given what is known of that gateway.
fn enlist(wish: Wish, known: Option<&Enlisted>) -> Result<Enlisted, Refused> {
    match known {
        None if wish.replace => return Err(Refused::Unknown(wish.gateway)),
        Some(k) if !wish.replace && k.ends_at.is_some() => return Err(Refused::Enrolled(wish.gateway)),
        Some(k) if !wish.replace && k.barred && k.invited_until.is_none() => return Err(Refused::Revoked(wish.gateway)),
        _ => {}
    }
    let store = wish.store.or_else(|| known.and_then(|k| k.store.clone()));
    let position = wish.position || known.is_some_and(|k| wish.replace && k.position);
    // One that reports without a certificate so far goes on until it has enrolled.
    let barred = wish.replace || known.is_some_and(|k| k.barred);
    // Each machine in the place of another has a name of its own at the broker.
    let number = known.map_or(1, |k| k.machine.number) + u32::from(wish.replace);
    let machine = Machine { gateway: wish.gateway, number };
    Ok(Enlisted { machine, store, position, barred, invited_until: None, ends_at: None })
}

/// Puts a gateway out at once; tells which machine it was.
pub async fn revoke(db: &Db, gateway: &GatewayId, now_ms: i64) -> Result<Machine, Refused> {
    let mut tx = db.begin().await?;
    let Some(known) = fleet::find(&mut tx, gateway).await? else { return Err(Refused::Unknown(gateway.clone())) };
    fleet::revoke(&mut tx, gateway, now_ms).await?;
    tx.commit().await?;
    Ok(known.machine)
}

/// What is stored of an invitation's secret.
pub(super) fn hashed(keyring: &Keyring, secret: &[u8; 32]) -> [u8; 32] {
    keyring.hash("fleet invitation", &[secret])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(replace: bool) -> Wish {
        Wish { gateway: "gw-lyon".parse().unwrap(), store: None, position: false, replace }
    }

    fn known(barred: bool, invited: bool, enrolled: bool) -> Enlisted {
        Enlisted {
            machine: Machine::named("gw-lyon:2").unwrap(),
            store: Some("lyon".parse().unwrap()),
            position: true,
            barred,
            invited_until: invited.then_some(1),
            ends_at: enrolled.then_some(1),
        }
    }

    #[test]
    fn an_enrolled_or_revoked_gateway_is_only_replaced_on_purpose() {
        assert!(enlist(wish(false), None).is_ok());
        assert!(enlist(wish(false), Some(&known(true, true, false))).is_ok(), "an invitation that was lost is made anew");
        assert!(matches!(enlist(wish(false), Some(&known(false, false, true))), Err(Refused::Enrolled(_))));
        assert!(matches!(enlist(wish(false), Some(&known(true, false, false))), Err(Refused::Revoked(_))));
        assert!(matches!(enlist(wish(true), None), Err(Refused::Unknown(_))));
        let replaced = enlist(wish(true), Some(&known(true, false, false))).unwrap();
        assert_eq!(replaced.machine.to_string(), "gw-lyon:3", "its certificate is not taken for that of the machine before");
        assert!(replaced.barred && replaced.position && replaced.store == known(true, false, false).store);
    }
}
