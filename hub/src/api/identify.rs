//! A web site says whose cookie it is. The past of the cookie becomes hers, because the person is looked up when touchpoints are read.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use passage_config::{Company, HubConfig, Scope};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{Api, Problem},
    identity::{
        IdentifierKind, Key, MemberId, Purpose,
        graph::{Refusal, Rules},
        normalise::canonical,
    },
    store::people::{
        self, consent,
        graph::{self, Attach, Claim},
    },
    touchpoint::row::text,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identify {
    /// `domain/value`.
    #[serde(default)]
    cookie: Option<String>,
    /// Any other key instead of a cookie: `device`, `email`, `phone`, `loyalty_card`, `order`, `call`, ...
    #[serde(default)]
    identifier_kind: Option<String>,
    #[serde(default)]
    identifier: Option<String>,
    crm_id: String,
    /// Whose site it is, with `entity`; without both, `match` to any company counts.
    #[serde(default)]
    brand: Option<String>,
    #[serde(default)]
    entity: Option<String>,
    /// The moment: `login`, `order`, `newsletter`, ...
    #[serde(default)]
    reason: String,
    /// Which variant of a test she was shown at that moment.
    #[serde(default)]
    variant: Option<String>,
}

/// `POST /v1/identify`
pub(super) async fn identify(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let source = api.source(&headers)?;
    api.may(&source, Scope::Identify)?;
    if api.config.borrow().identity.partners.get(&source).is_some_and(|partner| !partner.may_match) {
        return Err(Problem::forbidden());
    }
    let body = body?;
    let body: Identify = Problem::json(&body)?;
    let reason = if body.reason.is_empty() { "login" } else { body.reason.as_str() };
    let variant = text("variant", body.variant.as_deref()).map_err(|why| Problem::bad("variant", why))?;
    let (kind, value) = body.key()?;
    let company = body.company(&api.config.borrow())?;
    let company = company.as_ref();
    link(&api, &Link { kind, value, crm_id: &body.crm_id, company, reason, variant: variant.as_deref(), source: &source }).await
}

impl Identify {
    /// What is hers: the cookie, or the key of another kind.
    fn key(&self) -> Result<(IdentifierKind, &str), Problem> {
        match (self.cookie.as_deref(), self.identifier_kind.as_deref(), self.identifier.as_deref()) {
            (Some(cookie), None, None) => Ok((IdentifierKind::Cookie, cookie)),
            (None, Some(kind), Some(value)) => match kind.parse() {
                // The number of a customer is who she is, and an app enrols for itself.
                Ok(kind) if !matches!(kind, IdentifierKind::CrmId | IdentifierKind::Installation | IdentifierKind::Operator) => {
                    Ok((kind, value))
                }
                _ => Err(Problem::bad("identifier-kind", "identifier_kind is no kind of key that can be tied to a customer here")),
            },
            _ => Err(Problem::bad("identifier", "send either cookie, or identifier_kind with identifier")),
        }
    }

    /// The company whose site it is, if the call says so.
    fn company(&self, config: &HubConfig) -> Result<Option<Company>, Problem> {
        let (brand, entity) = match (self.brand.as_deref(), self.entity.as_deref()) {
            (None, None) => return Ok(None),
            (brand, entity) => (brand.unwrap_or_default(), entity.unwrap_or_default()),
        };
        if !config.site.brands.get(brand).is_some_and(|known| known.entities.contains_key(entity)) {
            return Err(Problem::bad("entity", "brand and entity are not in the configuration; send both or none"));
        }
        Ok(Some(Company { brand: brand.to_owned(), entity: entity.to_owned() }))
    }
}

/// Who holds which key, as a source says.
pub(super) struct Link<'a> {
    pub kind: IdentifierKind,
    pub value: &'a str,
    pub crm_id: &'a str,
    /// For whom, if the source says so.
    pub company: Option<&'a Company>,
    /// The moment.
    pub reason: &'a str,
    /// Which variant of a test was shown.
    pub variant: Option<&'a str>,
    pub source: &'a str,
}

/// Ties a key to a member who grants `match` to the company, or to any where none is named ([`consent::granted`] says why).
pub(super) async fn link(api: &Api, said: &Link<'_>) -> Result<Json<Value>, Problem> {
    let key = api.key(said.kind, said.value)?;
    let crm_id = api.key(IdentifierKind::CrmId, said.crm_id)?;
    let (source, reason, variant) = (said.source, said.reason, said.variant);
    if reason.len() > 40 || !reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        return Err(Problem::bad("reason", "reason is a word such as 'login', of at most 40 small letters and dashes"));
    }
    let member = graph::holder(&mut api.db.begin_read().await?, IdentifierKind::CrmId, &crm_id).await?.ok_or_else(not_granted)?;
    tie(api, key, &ToMember { kind: said.kind, value: said.value, member, company: said.company, reason, variant, source }).await
}

/// A key of a member who is known already.
pub(super) struct ToMember<'a> {
    pub kind: IdentifierKind,
    pub value: &'a str,
    pub member: MemberId,
    /// For whom, if it is known.
    pub company: Option<&'a Company>,
    /// The moment.
    pub reason: &'a str,
    /// Which variant of a test was shown.
    pub variant: Option<&'a str>,
    pub source: &'a str,
}

/// Ties a key to this member if she grants `match`.
pub(super) async fn link_to(api: &Api, said: &ToMember<'_>) -> Result<(), Problem> {
    tie(api, api.key(said.kind, said.value)?, said).await.map(|_| ())
}

async fn tie(api: &Api, key: Key, said: &ToMember<'_>) -> Result<Json<Value>, Problem> {
    let rules = api.rules();
    let mut tx = api.db.begin().await?;
    let version = people::changes(&mut tx).await?;
    // A signed link may name a record that has gone into another one since.
    let member = graph::standing_for(&mut tx, said.member).await?;
    if !consent::granted(&consent::standing(&mut tx, member).await?, said.company, Purpose::Match) {
        return Err(not_granted());
    }
    let ToMember { kind, reason, variant, source, .. } = *said;
    let claim = Claim { kind, key, member, source, reason, context: "", variant, at: api.clock.now() };
    let verdict = graph::claim(&mut tx, &rules, &claim).await?;
    for (kind, key) in api.aliases(kind, said.value) {
        graph::claim(&mut tx, &rules, &Claim { kind, key, ..claim }).await?;
    }
    if kind == IdentifierKind::Beacon {
        people::touch(&mut tx, member, version).await?;
    }
    tx.commit().await?;
    match verdict {
        Attach::New => Ok(Json(json!({ "linked": true, "new": true }))),
        Attach::Already => Ok(Json(json!({ "linked": true, "new": false }))),
        Attach::Merged(_) => Ok(Json(json!({ "linked": true, "new": true, "merged": true }))),
        Attach::Refused(Refusal::NoConsent) => Err(not_granted()),
        Attach::Refused(refusal) => {
            let detail = format!("nothing is linked: {}; the conflict is on record", refusal.sentence());
            Err(Problem::new(StatusCode::CONFLICT, refusal.word(), detail))
        }
    }
}

/// The same words whether she is known or not.
fn not_granted() -> Problem {
    let detail = "linking needs a member who grants the purpose 'match'; nothing was stored";
    Problem::new(StatusCode::FORBIDDEN, "match-not-granted", detail)
}

impl Api {
    /// The rules of identity of the configuration in force.
    pub(super) fn rules(&self) -> Rules {
        Rules::of(&self.config.borrow(), &self.keyring)
    }

    fn key(&self, kind: IdentifierKind, value: &str) -> Result<Key, Problem> {
        let config = self.config.borrow().clone();
        let form = canonical(kind, value, &config.phone_region)
            .map_err(|e| Problem::bad("identifier", format!("{} cannot be used: {e}", kind.word())))?;
        let domain = form.split_once('/').map_or("", |(domain, _)| domain);
        if kind == IdentifierKind::Cookie && !config.identity.takes_cookies_of(&config.web, domain) {
            let detail = "the cookie is of another site than the brands' own (sites of [identity] or [web]); third_party_cookies is off";
            return Err(Problem::bad("third-party-cookie", detail));
        }
        Ok(self.keyring.identifier(kind, &form))
    }

    fn aliases(&self, kind: IdentifierKind, value: &str) -> Vec<(IdentifierKind, Key)> {
        let region = self.config.borrow().phone_region.clone();
        canonical(kind, value, &region).map(|form| self.keyring.aliases(kind, &form)).unwrap_or_default()
    }
}
