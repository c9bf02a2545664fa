//! What a member does on her page.

use askama::Template;
use axum::{
    Form, Json,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Redirect, Response},
};
use passage_protocol::Millis;
use serde::Deserialize;
use serde_json::json;

use super::{Me, Note, Opened, Refused, html, words::Words};
use crate::{
    api::{Api, Problem, app},
    identity::{
        IdentifierKind, MemberId, Purpose,
        consent::{PAGE, Proof, Statement},
        normalise::canonical,
        page::{self, Bound},
    },
    privacy::{erase, export},
    store::{
        StoreError, Tx,
        people::{
            self,
            consent::{self, Parties},
            graph,
            page::{self as pages, MemberPage, Origin},
        },
    },
};

/// How long a link to the whole page lives.
const WHOLE: std::time::Duration = std::time::Duration::from_secs(15 * 60);
/// Wrong numbers after which a link opens nothing any more.
const TRIES: i64 = 5;

#[derive(Deserialize)]
pub(super) struct Withdrawal {
    brand: String,
    entity: String,
    purpose: String,
}

/// `POST /m/TOKEN/withdraw`
pub(super) async fn withdraw(
    State(me): State<Me>,
    Path(token): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Withdrawal>,
) -> Result<Response, Refused> {
    let opened = me.open(&headers, &token).await?;
    let purpose: Purpose = form.purpose.parse().map_err(|()| Refused::Form)?;
    let (member, now) = (opened.page.member, opened.now);
    let mut tx = me.api.db.begin().await?;
    let version = people::changes(&mut tx).await?;
    let mut standing = consent::standing(&mut tx, member).await?;
    let proof = Proof {
        wording_id: "page-withdraw".to_owned(),
        wording_version: "1".to_owned(),
        language: opened.words.language.to_owned(),
        method: "link".to_owned(),
        evidence: hex::encode(me.api.keyring.hash("consent on the page", &[opened.page.id.as_bytes()])),
        ..Proof::default()
    };
    let said = Statement { proof, ..Statement::new(purpose, false, opened.words.withdraw) };
    let by = Parties { member, brand: &form.brand, entity: &form.entity, source: PAGE };
    consent::say(&mut tx, by, &said, now, &mut standing).await?;
    me.api.commit(tx, member, version, now).await?;
    Ok(Redirect::to(&format!("/m/{token}")).into_response())
}

#[derive(Deserialize)]
pub(super) struct Number {
    number: String,
}

/// `POST /m/TOKEN/prove`
pub(super) async fn prove(
    State(me): State<Me>,
    Path(token): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Number>,
) -> Result<Response, Refused> {
    let opened = me.open(&headers, &token).await?;
    let mut tx = me.api.db.begin().await?;
    if !is_hers(&me.api, &mut tx, opened.page.member, &form.number).await? {
        pages::count_try(&mut tx, &opened.page.id, TRIES, opened.now).await?;
        tx.commit().await?;
        return Err(Refused::NotProved(opened.words, token));
    }
    let of = (opened.page.member, opened.page.brand.as_str(), opened.page.entity.as_str());
    let (token, _) = make(&me.api, &mut tx, of, Origin::Proved, opened.page.message.clone(), opened.now).await?;
    tx.commit().await?;
    Ok(Redirect::to(&format!("/m/{token}")).into_response())
}

/// True if the number is the member's customer or card number.
async fn is_hers(api: &Api, tx: &mut Tx, member: MemberId, number: &str) -> Result<bool, StoreError> {
    let region = api.config.borrow().phone_region.clone();
    for kind in [IdentifierKind::CrmId, IdentifierKind::LoyaltyCard] {
        let Ok(form) = canonical(kind, number, &region) else { continue };
        if graph::holder(tx, kind, &api.keyring.identifier(kind, &form)).await? == Some(member) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes a new link to the whole page down; returns its 16 characters and when they expire.
async fn make(
    api: &Api,
    tx: &mut Tx,
    (member, brand, entity): (MemberId, &str, &str),
    origin: Origin,
    message: Option<String>,
    now: Millis,
) -> Result<(String, Millis), StoreError> {
    let (id, expires_at) = (page::name(rand::random()), now + WHOLE);
    let token = page::token(&api.keyring, &id, &Bound { member, brand, entity });
    let made = MemberPage { id, member, brand: brand.to_owned(), entity: entity.to_owned(), origin, message, expires_at };
    pages::insert(tx, &made, now).await?;
    Ok((token, expires_at))
}

/// `POST /m/TOKEN/export`
pub(super) async fn export(State(me): State<Me>, Path(token): Path<String>, headers: HeaderMap) -> Result<Response, Refused> {
    let opened = whole(&me, &headers, &token).await?;
    me.note("page export", &opened).await?;
    let region = me.api.config.borrow().phone_region.clone();
    let found = export::access(&me.api.db, &me.api.keyring, opened.page.member, &region, opened.now).await?;
    let found = found.ok_or(Refused::NoPage(opened.words))?;
    let name = format!("attachment; filename=\"{}.json\"", opened.page.member);
    Ok(([(header::CONTENT_DISPOSITION, name)], Json(found.json())).into_response())
}

#[derive(Template)]
#[template(path = "me_erase.html")]
struct Ask {
    words: &'static Words,
    token: String,
}

/// `GET /m/TOKEN/erase`
pub(super) async fn ask(State(me): State<Me>, Path(token): Path<String>, headers: HeaderMap) -> Result<Response, Refused> {
    let opened = whole(&me, &headers, &token).await?;
    Ok(html(&Ask { words: opened.words, token }))
}

#[derive(Deserialize)]
pub(super) struct Confirmation {
    #[serde(default)]
    sure: String,
}

/// `POST /m/TOKEN/erase`
pub(super) async fn erase(
    State(me): State<Me>,
    Path(token): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Confirmation>,
) -> Result<Response, Refused> {
    let opened = whole(&me, &headers, &token).await?;
    if form.sure != "yes" {
        return Ok(html(&Ask { words: opened.words, token }));
    }
    me.note("page erase", &opened).await?;
    let signed = erase::erase(&me.api.db, &me.api.signing, opened.page.member, opened.now).await?;
    me.api.reload(opened.now).await;
    let signed = signed.ok_or(Refused::NoPage(opened.words))?;
    let text = format!("{}\n\n{}\n{} {}", opened.words.erased, signed.receipt, signed.key_id, signed.signature);
    Ok(html(&Note { words: opened.words, title: opened.words.title, text: &text, back: None }))
}

async fn whole(me: &Me, headers: &HeaderMap, token: &str) -> Result<Opened, Refused> {
    let opened = me.open(headers, token).await?;
    if opened.is_whole() { Ok(opened) } else { Err(Refused::NotProved(opened.words, token.to_owned())) }
}

/// `POST /v1/app/installations/{id}/page`
pub(super) async fn for_app(State(me): State<Me>, Path(id): Path<String>, headers: HeaderMap) -> Result<Json<serde_json::Value>, Problem> {
    let api = &me.api;
    let (id, shown) = api.may_act_for(&headers, &id)?;
    let url = api.config.borrow().page.url.clone();
    let url = url.ok_or_else(|| Problem::not_found("this hub has no address for members; its hub.toml lacks [page] url"))?;
    let now = api.clock.now();
    let mut tx = api.db.begin().await?;
    let known = app::known(&mut tx, &id, &shown).await?;
    let of = (known.member, known.brand.as_str(), known.entity.as_str());
    let (token, expires) = make(api, &mut tx, of, Origin::App, None, now).await?;
    tx.commit().await?;
    Ok(Json(json!({ "url": page::link(&url, &token), "expires": expires })))
}
