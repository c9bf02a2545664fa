//! The authority, the gateways that were invited, and their certificates. Times here are machine time in milliseconds since 1970.

use std::collections::BTreeSet;

use passage_protocol::{GatewayId, StoreId, fleet::Machine};

use crate::{
    args,
    store::{Row, StoreError, Tx},
};

/// A gateway of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enlisted {
    /// Its id, and its present machine; one that was invited and has not enrolled yet counts as the present one.
    pub machine: Machine,
    /// Where it hangs.
    pub store: Option<StoreId>,
    /// It takes positions.
    pub position: bool,
    /// Nothing is taken from it and nothing sent to it.
    pub barred: bool,
    /// End of its invitation, while that was not used.
    pub invited_until: Option<i64>,
    /// End of its newest certificate that was not revoked.
    pub ends_at: Option<i64>,
}

/// A certificate that was revoked and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Serial number in hexadecimal.
    pub serial: String,
    /// When.
    pub at: i64,
}

/// Certificate in PEM and sealed key of the authority.
pub(crate) async fn authority(tx: &mut Tx) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    let row = tx.fetch_optional("SELECT certificate, sealed FROM fleet_authority WHERE id = 1", args![]).await?;
    row.map(|row| Ok((row.text(0)?, row.blob(1)?))).transpose()
}

pub(crate) async fn put_authority(tx: &mut Tx, certificate: &str, sealed: Vec<u8>, now: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO fleet_authority (id, certificate, sealed, made_at) VALUES (1, $1, $2, $3)";
    tx.execute(sql, args![certificate, sealed, now]).await.map(drop)
}

/// One gateway, if it was ever invited.
pub(crate) async fn find(tx: &mut Tx, gateway: &GatewayId) -> Result<Option<Enlisted>, StoreError> {
    Ok(list(tx).await?.into_iter().find(|g| g.machine.gateway == *gateway))
}

/// All of them.
pub(crate) async fn list(tx: &mut Tx) -> Result<Vec<Enlisted>, StoreError> {
    let sql = "SELECT g.gateway, g.store, g.position, g.barred, g.good_until,
                      (SELECT MAX(c.ends_at) FROM fleet_certificate c WHERE c.gateway = g.gateway AND c.revoked_at IS NULL), g.machine
               FROM fleet_gateway g ORDER BY g.gateway";
    tx.fetch(sql, args![]).await?.iter().map(enlisted).collect()
}

fn enlisted(row: &Row) -> Result<Enlisted, StoreError> {
    Ok(Enlisted {
        machine: machine(row, 0, 6)?,
        store: store(row.opt_text(1)?)?,
        position: row.flag(2)?,
        barred: row.flag(3)?,
        invited_until: row.opt_int(4)?,
        ends_at: row.opt_int(5)?,
    })
}

/// The machine whose gateway and number stand in these columns.
fn machine(row: &Row, gateway: usize, number: usize) -> Result<Machine, StoreError> {
    let gateway = GatewayId::checked(&row.text(gateway)?).map_err(|_| StoreError::Corrupt("gateway id"))?;
    let number = u32::try_from(row.int(number)?).ok().filter(|n| *n > 0).ok_or(StoreError::Corrupt("number of a machine"))?;
    Ok(Machine { gateway, number })
}

fn store(text: Option<String>) -> Result<Option<StoreId>, StoreError> {
    text.map(|s| s.parse().map_err(|_| StoreError::Corrupt("store id"))).transpose()
}

/// Notes an invitation; an earlier one is void. Who is barred stays out until it has enrolled.
pub(crate) async fn invite(tx: &mut Tx, who: &Enlisted, secret: [u8; 32], until: i64, now: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO fleet_gateway (gateway, store, position, barred, invitation, good_until, changed_at, machine)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (gateway) DO UPDATE SET store = excluded.store, position = excluded.position, barred = excluded.barred,
                   invitation = excluded.invitation, good_until = excluded.good_until, changed_at = excluded.changed_at,
                   machine = excluded.machine";
    let store = who.store.as_ref().map(|s| s.to_string());
    let machine = i64::from(who.machine.number);
    tx.execute(sql, args![who.machine.gateway.as_str(), store, who.position, who.barred, secret, until, now, machine]).await.map(drop)
}

/// Who was invited with this secret; `None` if there is no such invitation, or not any more.
pub(crate) async fn invited(tx: &mut Tx, secret: [u8; 32], now: i64) -> Result<Option<Machine>, StoreError> {
    let sql = "SELECT gateway, machine FROM fleet_gateway WHERE invitation = $1 AND good_until > $2";
    tx.fetch_optional(sql, args![secret, now]).await?.map(|row| machine(&row, 0, 1)).transpose()
}

/// Uses an invitation up; `None` if there is none, or not any more.
pub(crate) async fn redeem(tx: &mut Tx, secret: [u8; 32], now: i64) -> Result<Option<(Machine, Option<StoreId>)>, StoreError> {
    let sql = "UPDATE fleet_gateway SET invitation = NULL, good_until = NULL, barred = 0, changed_at = $2
               WHERE invitation = $1 AND good_until > $2 RETURNING gateway, store, machine";
    let row = tx.fetch_optional(sql, args![secret, now]).await?;
    row.map(|row| Ok((machine(&row, 0, 2)?, store(row.opt_text(1)?)?))).transpose()
}

/// Notes a certificate that was issued, and forgets those that have ended.
pub(crate) async fn issued(tx: &mut Tx, serial: &str, gateway: &GatewayId, ends_at: i64, now: i64) -> Result<(), StoreError> {
    tx.execute("DELETE FROM fleet_certificate WHERE ends_at < $1", args![now]).await?;
    let sql = "INSERT INTO fleet_certificate (serial, gateway, ends_at) VALUES ($1, $2, $3)";
    tx.execute(sql, args![serial, gateway.as_str(), ends_at]).await.map(drop)
}

/// The machine to which a certificate belongs that is good and not revoked.
pub(crate) async fn owner(tx: &mut Tx, serial: &str, now: i64) -> Result<Option<(Machine, Option<StoreId>)>, StoreError> {
    let sql = "SELECT g.gateway, g.store, g.machine FROM fleet_certificate c JOIN fleet_gateway g ON g.gateway = c.gateway
               WHERE c.serial = $1 AND c.revoked_at IS NULL AND c.ends_at > $2 AND g.barred = 0";
    let row = tx.fetch_optional(sql, args![serial, now]).await?;
    row.map(|row| Ok((machine(&row, 0, 2)?, store(row.opt_text(1)?)?))).transpose()
}

/// Bars a gateway, voids its invitation and revokes its certificates.
pub(crate) async fn revoke(tx: &mut Tx, gateway: &GatewayId, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE fleet_gateway SET barred = 1, invitation = NULL, good_until = NULL, changed_at = $2 WHERE gateway = $1";
    tx.execute(sql, args![gateway.as_str(), now]).await?;
    let sql = "UPDATE fleet_certificate SET revoked_at = $2 WHERE gateway = $1 AND revoked_at IS NULL";
    tx.execute(sql, args![gateway.as_str(), now]).await.map(drop)
}

/// All certificates that were revoked and have not ended.
pub(crate) async fn revoked(tx: &mut Tx, now: i64) -> Result<Vec<Revoked>, StoreError> {
    let sql = "SELECT serial, revoked_at FROM fleet_certificate WHERE revoked_at IS NOT NULL AND ends_at > $1 ORDER BY serial";
    tx.fetch(sql, args![now]).await?.iter().map(|row| Ok(Revoked { serial: row.text(0)?, at: row.int(1)? })).collect()
}

/// The gateways from which nothing is taken.
pub(crate) async fn barred(tx: &mut Tx) -> Result<BTreeSet<GatewayId>, StoreError> {
    let rows = tx.fetch("SELECT gateway FROM fleet_gateway WHERE barred = 1", args![]).await?;
    rows.iter().map(|row| GatewayId::checked(&row.text(0)?).map_err(|_| StoreError::Corrupt("gateway id"))).collect()
}
