//! The calls of an app that has enrolled: what stands, new token, new key, other purposes, the end.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use passage_protocol::{ChainKey, InstallationId, Millis};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Keys, Shown, granted, known, member_notice, no_such, not_granted, said::Wording, still_good, today};
use crate::{
    api::{Api, Problem},
    identity::{Purpose, consent::APP},
    store::{
        Tx,
        people::{
            self,
            consent::{self, Parties},
            installation::{self, Installation},
        },
    },
};

/// The body of a refresh; it may be left out.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Renewal {
    /// Take back all tokens that were given before, because one may be in wrong hands.
    #[serde(default)]
    revoke: bool,
    /// What the phone's clock shows, in milliseconds since 1970.
    client_time: Option<i64>,
}

/// The body of a change of key; it may be left out.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Rotation {
    client_time: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    wording: Option<Wording>,
    #[serde(default)]
    grant: Vec<String>,
    #[serde(default)]
    withdraw: Vec<String>,
}

/// What stands between a member and a brand.
#[derive(Serialize)]
pub(super) struct Standings {
    installation: InstallationId,
    brand: String,
    entity: String,
    granted: Vec<&'static str>,
    /// `presence` is withdrawn: key and tokens of this installation are worth nothing any more.
    ended: bool,
    server_time: Millis,
}

/// `GET /v1/app/installations/{id}`
pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Json<Standings>, Problem> {
    let (id, shown) = api.may_act_for(&headers, &id)?;
    let mut tx = api.db.begin_read().await?;
    let known = known(&mut tx, &id, &shown).await?;
    let standing = consent::standing(&mut tx, known.member).await?;
    let granted = granted(&standing, &known.brand, &known.entity);
    Ok(Json(Standings { installation: id, brand: known.brand, entity: known.entity, granted, ended: false, server_time: api.clock.now() }))
}

/// `POST /v1/app/installations/{id}/refresh`
pub(super) async fn refresh(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Keys>, Problem> {
    let (id, shown) = api.may_act_for(&headers, &id)?;
    let renewal: Renewal = optional(&body?)?;
    let now = api.clock.now();
    let mut tx = if renewal.revoke { api.db.begin().await? } else { api.db.begin_read().await? };
    if renewal.revoke {
        people::changes(&mut tx).await?;
    }
    let known = detectable(&mut tx, &id, &shown).await?;
    let chain = installation::chain(&mut tx, &api.keyring, &known.id).await?;
    let chain = chain.and_then(|chain| chain.for_day(today(now))).ok_or_else(no_such)?;
    let keys = api.keys(&id, &chain, now, renewal.client_time);
    if renewal.revoke {
        installation::deny(&mut tx, &id, keys.token_expires).await?;
        tx.commit().await?;
    }
    Ok(Json(keys))
}

/// `POST /v1/app/installations/{id}/rotate`
pub(super) async fn rotate(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Keys>, Problem> {
    let (id, shown) = api.may_act_for(&headers, &id)?;
    let rotation: Rotation = optional(&body?)?;
    let now = api.clock.now();
    let mut tx = api.db.begin().await?;
    let version = people::changes(&mut tx).await?;
    let known = detectable(&mut tx, &id, &shown).await?;
    let chain = ChainKey { day: today(now), key: rand::random() };
    installation::replace_chain(&mut tx, &api.keyring, &id, &chain).await?;
    let keys = api.keys(&id, &chain, now, rotation.client_time);
    // Who holds the old key may hold an old token too.
    installation::deny(&mut tx, &id, keys.token_expires).await?;
    api.commit(tx, known.member, version, now).await?;
    Ok(Json(keys))
}

/// `POST /v1/app/installations/{id}/purposes`
pub(super) async fn purposes(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Standings>, Problem> {
    let (id, shown) = api.may_act_for(&headers, &id)?;
    let change: Change = Problem::json(&body?)?;
    let said = api.said(change.wording.as_ref(), &change.grant, &change.withdraw)?;
    if said.is_empty() {
        return Err(Problem::bad("purpose", "send at least one purpose in grant or withdraw"));
    }
    let now = api.clock.now();
    let mut tx = api.db.begin().await?;
    let version = people::changes(&mut tx).await?;
    let Installation { member, brand, entity, .. } = known(&mut tx, &id, &shown).await?;
    let mut standing = consent::standing(&mut tx, member).await?;
    let by = Parties { member, brand: &brand, entity: &entity, source: APP };
    for said in &said {
        consent::say(&mut tx, by, said, now, &mut standing).await?;
    }
    consent::let_go(&mut tx, by, &standing, now).await?;
    api.commit(tx, member, version, now).await?;
    api.notices.tell(member_notice(now, Some(member), "changed her purposes in the app"));
    let ended = !consent::allows(&standing, &brand, &entity, Purpose::Presence);
    Ok(Json(Standings { installation: id, granted: granted(&standing, &brand, &entity), brand, entity, ended, server_time: now }))
}

/// `DELETE /v1/app/installations/{id}`: the phone shall not be detected any more. Her consents stay; other phones of hers too.
pub(super) async fn end(State(api): State<Arc<Api>>, Path(id): Path<String>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    let (id, shown) = api.may_act_for(&headers, &id)?;
    let now = api.clock.now();
    let mut tx = api.db.begin().await?;
    let version = people::changes(&mut tx).await?;
    let found = installation::get(&mut tx, &id).await?.ok_or_else(no_such)?;
    still_good(&shown, &found)?;
    if installation::delete(&mut tx, &id, now).await? {
        api.commit(tx, found.member, version, now).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The live installation of a member who grants `presence`.
async fn detectable(tx: &mut Tx, id: &InstallationId, shown: &Shown) -> Result<Installation, Problem> {
    let known = known(tx, id, shown).await?;
    let standing = consent::standing(tx, known.member).await?;
    if consent::allows(&standing, &known.brand, &known.entity, Purpose::Presence) { Ok(known) } else { Err(not_granted()) }
}

/// A body that may be left out.
fn optional<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { Problem::json(body) }
}
