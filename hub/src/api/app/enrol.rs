//! `POST /v1/app/installations`

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use passage_config::Scope;
use passage_protocol::{ChainKey, InstallationId, Millis};
use serde::{Deserialize, Serialize};

use super::{ENROLMENTS, Keys, granted, member_notice, not_granted, said, said::Wording, today};
use crate::{
    api::{Api, Problem},
    identity::{
        AgeBand, IdentifierKind, Key, MemberId, Purpose,
        consent::{APP, Standing, Statement},
        graph::Rules,
        normalise::canonical,
    },
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

/// Most phones of one member; the oldest ones end.
const MOST_PHONES: i64 = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrolment {
    brand: String,
    entity: String,
    member: Named,
    /// The age band that she chose.
    age: Option<String>,
    wording: Option<Wording>,
    #[serde(default)]
    purposes: Vec<String>,
    /// What the phone's clock shows, in milliseconds since 1970.
    client_time: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    kind: String,
    value: String,
}

#[derive(Serialize)]
pub(super) struct Enrolled {
    #[serde(flatten)]
    keys: Keys,
    /// With it the app speaks for itself from now on. The hub cannot tell it again.
    app_secret: String,
    granted: Vec<&'static str>,
    /// What the OwnTracks app takes as its encryption key, when this hub has the position gateways' secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    owntracks_key: Option<String>,
}

/// An enrolment whose form is right.
struct Request {
    brand: String,
    entity: String,
    kind: IdentifierKind,
    key: Key,
    age: AgeBand,
    said: Vec<Statement>,
    client_time: Option<i64>,
}

/// `POST /v1/app/installations`
pub(super) async fn enrol(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Enrolled>), Problem> {
    let source = api.source(&headers)?;
    api.may(&source, Scope::App)?;
    api.enrolments.take(source, ENROLMENTS).map_err(Problem::too_often)?;
    let request = api.read_enrolment(Problem::json(&body?)?)?;
    let now = api.clock.now();
    let mut tx = api.db.begin().await?;
    let version = people::changes(&mut tx).await?;
    // Dropping the transaction forgets a refused enrolment.
    let (member, mut standing) = match find(&mut tx, &api.rules(), &request, version, now).await? {
        Ok(found) => found,
        Err(refused) => {
            drop(tx);
            api.notices.tell(member_notice(now, None, "an enrolment was refused"));
            return Err(refused);
        }
    };
    let by = Parties { member, brand: &request.brand, entity: &request.entity, source: APP };
    for said in &request.said {
        consent::say(&mut tx, by, said, now, &mut standing).await?;
    }
    people::set_age(&mut tx, member, request.age, now).await?;
    let (id, chain, app_secret) = api.install(&mut tx, &request, member, now).await?;
    api.commit(tx, member, version, now).await?;
    api.notices.tell(member_notice(now, Some(member), "enrolled an app"));
    let owntracks_key = api.config.borrow().position_secret.as_ref().map(|secret| secret.owntracks_key(&id));
    let keys = api.keys(&id, &chain, now, request.client_time);
    let granted = granted(&standing, &request.brand, &request.entity);
    Ok((StatusCode::CREATED, Json(Enrolled { keys, app_secret, granted, owntracks_key })))
}

/// The member who enrols. One who is not known yet is made when she grants `presence` under her CRM number. Refused without `presence`.
async fn find(
    tx: &mut Tx,
    rules: &Rules,
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
            let claim = Claim {
                kind: request.kind,
                key: request.key,
                member,
                source: APP,
                reason: "enrolment",
                context: "",
                variant: None,
                at: now,
            };
            graph::claim(tx, rules, &claim).await?;
            Ok(Ok((member, Vec::new())))
        }
    }
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
        let said = self.said(body.wording.as_ref(), &body.purposes, &[])?;
        let age = said::age(body.age.as_deref().unwrap_or_default())?;
        said::old_enough(age, config.app.presence_from)?;
        let key = self.keyring.identifier(kind, &form);
        Ok(Request { brand: body.brand, entity: body.entity, kind, key, age, said, client_time: body.client_time })
    }

    async fn install(
        &self,
        tx: &mut Tx,
        request: &Request,
        member: MemberId,
        now: Millis,
    ) -> Result<(InstallationId, ChainKey, String), Problem> {
        let chain = ChainKey { day: today(now), key: rand::random() };
        let id: InstallationId = format!("i-{}", hex::encode(rand::random::<[u8; 16]>()))
            .parse()
            .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "no id could be made"))?;
        let secret = self.new_secret(&id);
        let (brand, entity) = (request.brand.clone(), request.entity.clone());
        let new = Installation { id: id.clone(), member, brand, entity, deleted_at: None, denied_until: None, secret: Some(secret.stored) };
        installation::insert(tx, &self.keyring, &new, &chain, now).await?;
        installation::keep_newest(tx, member, MOST_PHONES, now).await?;
        let key = self.keyring.identifier(IdentifierKind::Installation, id.as_str());
        let claim = Claim {
            kind: IdentifierKind::Installation,
            key,
            member,
            source: APP,
            reason: "enrolment",
            context: "",
            variant: None,
            at: now,
        };
        graph::claim(tx, &self.rules(), &claim).await?;
        Ok((id, chain, secret.text))
    }
}
