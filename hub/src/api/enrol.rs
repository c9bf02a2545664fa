//! Enrolment of apps. Without `presence` there is no key, no token, and no row.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use passage_config::Scope;
use passage_protocol::{
    ChainKey, InstallationId, Millis, PositionToken,
    rid::{day_of, window_at},
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{Api, Problem, auth::Caller},
    identity::{
        IdentifierKind, Key, MemberId, Purpose,
        consent::{APP, Standing, Statement},
        normalise::canonical,
    },
    notice::{Notice, What},
    store::{
        Tx,
        people::{
            self,
            consent::{self, Parties},
            graph::{self, Claim},
            installation::{self, Installation},
        },
    },
};

/// How long a position token lives.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Most phones of one member; the oldest ones end.
const MOST_PHONES: i64 = 10;
/// Longest wording that is kept as proof, in characters.
const LONGEST_WORDING: usize = 4000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Enrolment {
    brand: String,
    entity: String,
    member: Named,
    #[serde(default)]
    wording: String,
    #[serde(default)]
    purposes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    kind: String,
    value: String,
}

#[derive(Serialize)]
pub(super) struct Enrolled {
    installation: InstallationId,
    /// Base64 of the chain key of `key_day`.
    rid_key: String,
    /// UTC days since 1970.
    key_day: i64,
    position_token: String,
    token_expires: Millis,
    /// What the OwnTracks app takes as its encryption key, when this hub has the position gateways' secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    owntracks_key: Option<String>,
    server_time: Millis,
}

/// The body of a call for a new token; it may be left out.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Renewal {
    /// Take back all tokens that were given before, because one may be in wrong hands.
    #[serde(default)]
    revoke: bool,
}

#[derive(Serialize)]
pub(super) struct Refreshed {
    position_token: String,
    token_expires: Millis,
    server_time: Millis,
}

/// An enrolment whose form is right.
struct Request {
    brand: String,
    entity: String,
    kind: IdentifierKind,
    key: Key,
    said: Vec<Statement>,
}

/// `POST /v1/app/installations`
pub(super) async fn enrol(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Enrolled>), Problem> {
    let source = api.source(&headers)?;
    api.may(&source, Scope::App)?;
    let request = api.read_enrolment(Problem::json(&body?)?)?;
    let now = api.clock.now();
    let mut tx = api.db.begin().await?;
    let version = people::changes(&mut tx).await?;
    // Dropping the transaction forgets a refused enrolment.
    let (member, mut standing) = match find(&mut tx, &request, version, now).await? {
        Ok(found) => found,
        Err(refused) => {
            drop(tx);
            api.notices.tell(Notice { at: now, store: None, member: None, what: What::Note("an enrolment was refused".to_owned()) });
            return Err(refused);
        }
    };
    let by = Parties { member, brand: &request.brand, entity: &request.entity, source: APP };
    for said in &request.said {
        consent::say(&mut tx, by, said, now, &mut standing).await?;
    }
    let (id, chain) = api.install(&mut tx, &request, member, now).await?;
    people::touch(&mut tx, member, version).await?;
    tx.commit().await?;
    api.reload(now).await;
    api.notices.tell(Notice { at: now, store: None, member: Some(member), what: What::Note("enrolled an app".to_owned()) });
    let Refreshed { position_token, token_expires, server_time } = api.token(&id, now);
    let rid_key = STANDARD.encode(chain.key);
    let owntracks_key = api.config.borrow().position_secret.as_ref().map(|secret| secret.owntracks_key(&id));
    let enrolled = Enrolled { installation: id, rid_key, key_day: chain.day, position_token, token_expires, owntracks_key, server_time };
    Ok((StatusCode::CREATED, Json(enrolled)))
}

/// The member who enrols. One who is not known yet is made when she grants `presence` under her CRM number. Refused without `presence`.
async fn find(
    tx: &mut Tx,
    request: &Request,
    version: people::Version,
    now: Millis,
) -> Result<Result<(MemberId, Vec<Standing>), Problem>, Problem> {
    let asks = request.said.iter().any(|s| s.purpose == Purpose::Presence);
    match graph::holder(tx, request.kind, &request.key).await? {
        Some(member) => {
            let standing = consent::standing(tx, member).await?;
            let granted = asks || consent::allows(&standing, &request.brand, &request.entity, Purpose::Presence);
            Ok(if granted { Ok((member, standing)) } else { Err(not_granted()) })
        }
        None if !asks => Ok(Err(not_granted())),
        None if request.kind != IdentifierKind::CrmId => {
            let detail = "no member has this identifier; enrol with member.kind 'crm_id'";
            Ok(Err(Problem::new(StatusCode::NOT_FOUND, "member-unknown", detail)))
        }
        None => {
            let member = people::create(tx, &request.brand, &request.key, now, version).await?;
            let claim = Claim { kind: request.kind, key: request.key, member, source: APP, reason: "enrolment", at: now };
            graph::claim(tx, &claim).await?;
            Ok(Ok((member, Vec::new())))
        }
    }
}

/// The same words whether she is known or not.
fn not_granted() -> Problem {
    let detail = "enrolment needs the purpose 'presence': ask for it in the app and send it in purposes; nothing was stored";
    Problem::new(StatusCode::FORBIDDEN, "presence-not-granted", detail)
}

/// `POST /v1/app/installations/{id}/token`
pub(super) async fn refresh_token(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Refreshed>, Problem> {
    let (id, shown) = api.may_act_for(&headers, &id)?;
    let body = body?;
    let renewal: Renewal = if body.trim_ascii().is_empty() { Renewal::default() } else { Problem::json(&body)? };
    let now = api.clock.now();
    let mut tx = if renewal.revoke { api.db.begin().await? } else { api.db.begin_read().await? };
    if renewal.revoke {
        people::changes(&mut tx).await?;
    }
    let known = installation::get(&mut tx, &id).await?.filter(|i| i.deleted_at.is_none());
    let known = known.ok_or_else(|| Problem::not_found("no such installation; the app must enrol again"))?;
    still_good(shown, &known)?;
    let standing = consent::standing(&mut tx, known.member).await?;
    if !consent::allows(&standing, &known.brand, &known.entity, Purpose::Presence) {
        return Err(not_granted());
    }
    let renewed = api.token(&id, now);
    if renewal.revoke {
        installation::deny(&mut tx, &id, renewed.token_expires).await?;
        tx.commit().await?;
    }
    Ok(Json(renewed))
}

/// A token that was taken back renews nothing.
fn still_good(shown: Option<Millis>, known: &Installation) -> Result<(), Problem> {
    let taken_back = shown.zip(known.denied_until).is_some_and(|(expires, until)| expires < until);
    if taken_back { Err(Problem::unauthorized()) } else { Ok(()) }
}

/// `DELETE /v1/app/installations/{id}`
pub(super) async fn revoke(State(api): State<Arc<Api>>, Path(id): Path<String>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    let (id, shown) = api.may_act_for(&headers, &id)?;
    let now = api.clock.now();
    let mut tx = api.db.begin().await?;
    let version = people::changes(&mut tx).await?;
    let known = installation::get(&mut tx, &id).await?.ok_or_else(|| Problem::not_found("no such installation"))?;
    still_good(shown, &known)?;
    if installation::delete(&mut tx, &id, now).await? {
        people::touch(&mut tx, known.member, version).await?;
        tx.commit().await?;
        api.reload(now).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

impl Api {
    fn read_enrolment(&self, body: Enrolment) -> Result<Request, Problem> {
        let config = Arc::clone(&self.config.borrow());
        if !config.site.brands.get(&body.brand).is_some_and(|b| b.entities.contains_key(&body.entity)) {
            return Err(Problem::bad("unknown-brand", "brand and entity are not in the hub's configuration"));
        }
        let kind = match body.member.kind.parse() {
            Ok(kind @ (IdentifierKind::CrmId | IdentifierKind::LoyaltyCard)) => kind,
            _ => return Err(Problem::bad("member-kind", "member.kind is 'crm_id' or 'loyalty_card'")),
        };
        let form = canonical(kind, &body.member.value, &config.phone_region)
            .map_err(|e| Problem::bad("member-value", format!("member.value cannot be used: {e}")))?;
        let wording = body.wording.trim();
        if wording.chars().count() > LONGEST_WORDING || wording.contains('\0') || (wording.is_empty() && !body.purposes.is_empty()) {
            return Err(Problem::bad("wording", "wording holds the text that she read when she consented, at most 4000 characters"));
        }
        let purpose = |word: &String| {
            let purpose = word.parse().map_err(|()| Problem::bad("purpose", "purposes holds a word that is no purpose"))?;
            Ok(Statement { purpose, granted: true, said_at: None, wording: wording.to_owned() })
        };
        let said = body.purposes.iter().map(purpose).collect::<Result<_, Problem>>()?;
        Ok(Request { brand: body.brand, entity: body.entity, kind, key: self.keyring.identifier(kind, &form), said })
    }

    async fn install(&self, tx: &mut Tx, request: &Request, member: MemberId, now: Millis) -> Result<(InstallationId, ChainKey), Problem> {
        let chain = ChainKey { day: day_of(window_at(now)), key: rand::random() };
        let id: InstallationId = format!("i-{}", hex::encode(rand::random::<[u8; 16]>()))
            .parse()
            .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "no id could be made"))?;
        let (brand, entity) = (request.brand.clone(), request.entity.clone());
        let new = Installation { id: id.clone(), member, brand, entity, deleted_at: None, denied_until: None };
        installation::insert(tx, &self.keyring, &new, &chain, now).await?;
        installation::keep_newest(tx, member, MOST_PHONES, now).await?;
        let key = self.keyring.identifier(IdentifierKind::Installation, id.as_str());
        let claim = Claim { kind: IdentifierKind::Installation, key, member, source: APP, reason: "enrolment", at: now };
        graph::claim(tx, &claim).await?;
        Ok((id, chain))
    }

    /// The installation of the path, if the caller may speak for it: any API token, or its own position token, whose expiry is told then.
    fn may_act_for(&self, headers: &HeaderMap, id: &str) -> Result<(InstallationId, Option<Millis>), Problem> {
        let caller = self.caller(headers)?;
        let id: InstallationId = id.parse().map_err(|_| Problem::not_found("no such installation"))?;
        match caller {
            Caller::App(own, _) if own != id => Err(Problem::unauthorized()),
            Caller::App(_, expires) => Ok((id, Some(expires))),
            Caller::Source(_) => Ok((id, None)),
        }
    }

    /// What was committed stays so even if this hub finds it a moment later.
    async fn reload(&self, now: Millis) {
        if let Err(error) = self.resolver.refresh(&self.db, now).await {
            tracing::warn!(%error, "a change of people is stored, but this hub sees it only at its next refresh");
        }
    }

    fn token(&self, id: &InstallationId, now: Millis) -> Refreshed {
        let expires = now + TOKEN_LIFE;
        let token = PositionToken { installation: id.clone(), expires, purpose: Purpose::Presence.word().to_owned() };
        Refreshed { position_token: token.to_text(&self.signing), token_expires: expires, server_time: now }
    }
}
