//! What the members' apps say: they enrol, fetch keys and tokens again, change keys, tell of consents, and end. [protocol/app](../../../protocol/app)
//! has the calls in full and client code. Without `presence` there is no key, no token, and no row.
//!
//! A caller is a source of the configuration (the brand's server), or the app itself: with the secret that it got when it enrolled, or with its
//! position token.

mod enrol;
mod renew;
mod said;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::HeaderMap,
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use passage_protocol::{
    ChainKey, InstallationId, Millis, PositionToken,
    rid::{day_of, window_at},
};
use serde::Serialize;

use crate::{
    api::{Api, Problem, auth::Caller, rate::Pace},
    identity::{
        MemberId, Purpose,
        consent::{Standing, Statement},
    },
    store::{
        StoreError, Tx,
        people::{self, installation::Installation},
    },
};

/// Largest body of these calls in bytes.
const MAX_BODY: usize = 16 * 1024;
/// How long a position token lives.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);
/// After so long the app fetches a new one: half of its life, so that a phone which is off the net for some hours has a good one.
const REFRESH_AFTER: Duration = Duration::from_secs(12 * 3600);
/// Enrolments of one source: a brand's launch day is no attack.
const ENROLMENTS: Pace = Pace { burst: 2000.0, per_second: 100.0 };
/// Calls of or about one installation.
const CALLS: Pace = Pace { burst: 20.0, per_second: 0.5 };
/// Longest wait of an answer for the resolver: what is committed stays so, and every hub looks again twice a second.
const RELOAD: Duration = Duration::from_secs(2);

/// The calls under `/v1/app`.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/app/installations", post(enrol::enrol))
        .route("/v1/app/installations/{id}", get(renew::show).delete(renew::end))
        .route("/v1/app/installations/{id}/refresh", post(renew::refresh))
        .route("/v1/app/installations/{id}/rotate", post(renew::rotate))
        .route("/v1/app/installations/{id}/purposes", post(renew::purposes))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// What an app needs to be detected, and what the clock of the hub shows.
#[derive(Serialize)]
struct Keys {
    installation: InstallationId,
    /// Base64 of the chain key of `key_day`.
    rid_key: String,
    /// UTC days since 1970.
    key_day: i64,
    position_token: String,
    token_expires: Millis,
    /// Time of the hub from which on the app should refresh.
    refresh_after: Millis,
    server_time: Millis,
    /// `server_time` less the `client_time` of the request, in milliseconds: what to add to the phone's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
}

/// Who calls, after the form of the bearer.
pub(in crate::api) enum Shown {
    Source,
    /// A position token that expires then.
    Token(Millis),
    /// What the secret of the installation is stored as.
    Secret([u8; 32]),
}

/// The secret that an app gets once: how it is written, and how it is stored.
struct AppSecret {
    text: String,
    stored: [u8; 32],
}

/// How the secret of an installation begins, so that leak scanners know it.
const SECRET: &str = "passage-app.";

impl Api {
    fn new_secret(&self, id: &InstallationId) -> AppSecret {
        let text = format!("{SECRET}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        AppSecret { stored: self.stored_secret(id, &text), text }
    }

    fn stored_secret(&self, id: &InstallationId, text: &str) -> [u8; 32] {
        self.keyring.hash("app secret", &[id.as_str().as_bytes(), text.as_bytes()])
    }

    /// The installation of the path, and what the caller showed to speak for it. Whether that is still good says [`still_good`].
    pub(in crate::api) fn may_act_for(&self, headers: &HeaderMap, id: &str) -> Result<(InstallationId, Shown), Problem> {
        let parsed: Option<InstallationId> = id.parse().ok();
        self.app_calls.take(id, CALLS).map_err(Problem::too_often)?;
        if let Some(secret) = super::auth::bearer(headers).ok().filter(|b| b.starts_with(SECRET)) {
            let id = parsed.ok_or_else(Problem::unauthorized)?;
            let stored = self.stored_secret(&id, secret);
            return Ok((id, Shown::Secret(stored)));
        }
        let caller = self.caller(headers)?;
        let id = parsed.ok_or_else(no_such)?;
        match caller {
            Caller::App(own, _) if own != id => Err(Problem::unauthorized()),
            Caller::App(_, expires) => Ok((id, Shown::Token(expires))),
            Caller::Source(_) => Ok((id, Shown::Source)),
        }
    }

    /// What she said, with the proof of it.
    fn said(&self, wording: Option<&said::Wording>, grant: &[String], withdraw: &[String]) -> Result<Vec<Statement>, Problem> {
        let mut said = said::statements(wording, grant, withdraw)?;
        let evidence = said.iter().map(|s| format!("{} {} {}", s.purpose.word(), s.granted, s.wording)).collect::<Vec<_>>();
        let evidence = hex::encode(self.keyring.hash("consent in the app", &evidence.iter().map(String::as_bytes).collect::<Vec<_>>()));
        said.iter_mut().for_each(|s| s.proof.evidence.clone_from(&evidence));
        Ok(said)
    }

    /// Commits what `tx` changed about a member as that version of the people, and waits a moment until this hub goes by it.
    pub(in crate::api) async fn commit(&self, mut tx: Tx, member: MemberId, version: i64, now: Millis) -> Result<(), StoreError> {
        people::touch(&mut tx, member, version).await?;
        tx.commit().await?;
        self.reload(now).await;
        Ok(())
    }

    /// What was committed stays so even if this hub finds it a moment later.
    pub(in crate::api) async fn reload(&self, now: Millis) {
        if let Ok(Err(error)) = tokio::time::timeout(RELOAD, self.resolver.catch_up(&self.db, now)).await {
            tracing::warn!(%error, "a change of people is stored, but this hub sees it only at its next refresh");
        }
    }

    fn keys(&self, id: &InstallationId, chain: &ChainKey, now: Millis, client_time: Option<i64>) -> Keys {
        let expires = now + TOKEN_LIFE;
        let token = PositionToken { installation: id.clone(), expires, purpose: Purpose::Presence.word().to_owned() };
        Keys {
            installation: id.clone(),
            rid_key: STANDARD.encode(chain.key),
            key_day: chain.day,
            position_token: token.to_text(&self.signing),
            token_expires: expires,
            refresh_after: now + REFRESH_AFTER,
            server_time: now,
            offset: client_time.map(|theirs| now.0.saturating_sub(theirs)),
        }
    }
}

/// The live installation, if what the caller showed is still good for it.
pub(in crate::api) async fn known(tx: &mut Tx, id: &InstallationId, shown: &Shown) -> Result<Installation, Problem> {
    let found = crate::store::people::installation::get(tx, id).await?;
    let Some(found) = found else {
        // Who shows a secret learns nothing about which installations there are.
        return Err(if matches!(shown, Shown::Secret(_)) { Problem::unauthorized() } else { no_such() });
    };
    still_good(shown, &found)?;
    if found.deleted_at.is_some() { Err(no_such()) } else { Ok(found) }
}

/// A token that was taken back, and another secret than the stored one, are worth nothing.
fn still_good(shown: &Shown, known: &Installation) -> Result<(), Problem> {
    let good = match shown {
        Shown::Source => true,
        Shown::Token(expires) => known.denied_until.is_none_or(|until| *expires >= until),
        Shown::Secret(stored) => known.secret.is_some_and(|kept| bool::from(subtle::ConstantTimeEq::ct_eq(&kept[..], &stored[..]))),
    };
    if good { Ok(()) } else { Err(Problem::unauthorized()) }
}

fn no_such() -> Problem {
    Problem::not_found("no such installation: it never was, or it has ended; the app must enrol again")
}

/// The same words whether she is known or not.
fn not_granted() -> Problem {
    let detail = "the app needs the purpose 'presence': ask for it and send it in purposes; nothing was stored";
    Problem::new(axum::http::StatusCode::FORBIDDEN, "presence-not-granted", detail)
}

/// The words of the purposes that she grants to a brand and entity, in a fixed order.
fn granted(standing: &[Standing], brand: &str, entity: &str) -> Vec<&'static str> {
    let is_granted = |p: &&Purpose| crate::store::people::consent::allows(standing, brand, entity, **p);
    Purpose::ALL.iter().filter(is_granted).map(|p| p.word()).collect()
}

fn today(now: Millis) -> i64 {
    day_of(window_at(now))
}

fn member_notice(now: Millis, member: Option<MemberId>, text: &str) -> crate::notice::Notice {
    crate::notice::Notice { at: now, store: None, member, what: crate::notice::What::Note(text.to_owned()) }
}
