//! Who is calling.

use axum::http::{HeaderMap, header};
use passage_config::Scope;
use passage_protocol::{InstallationId, Millis, PositionToken, sign::Pinned};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::api::{Api, Problem};

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// A source of the configuration, by its name.
    Source(String),
    /// An app with its own position token, and when that expires.
    App(InstallationId, Millis),
}

impl Api {
    /// The name of the API token that the request carries.
    pub(super) fn source(&self, headers: &HeaderMap) -> Result<String, Problem> {
        self.source_of(bearer(headers)?)
    }

    /// The name of the API token `token`.
    pub(super) fn source_of(&self, token: &str) -> Result<String, Problem> {
        let given = Sha256::digest(token.as_bytes());
        let config = self.config.borrow();
        let mut found = None;
        // All are compared, and by their digests, so that the time says nothing.
        for (name, token) in &config.api_tokens {
            if bool::from(Sha256::digest(token.0.as_bytes()).ct_eq(&given)) {
                found = Some(name.clone());
            }
        }
        found.ok_or_else(Problem::unauthorized)
    }

    /// Refuses a source whose token was made for other calls.
    pub(super) fn may(&self, source: &str, scope: Scope) -> Result<(), Problem> {
        match self.config.borrow().web.grants.get(source) {
            Some(grant) if !grant.may.contains(&scope) => Err(Problem::forbidden()),
            _ => Ok(()),
        }
    }

    /// A source of the configuration, or an app that shows its position token.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if let Ok(name) = self.source(headers) {
            self.may(&name, Scope::App)?;
            return Ok(Caller::Source(name));
        }
        let public = self.signing.public();
        let pinned = Pinned::from_base64([public.as_str()]).map_err(|_| Problem::unauthorized())?;
        let token = PositionToken::from_text(bearer(headers)?, &pinned, self.clock.now()).map_err(|_| Problem::unauthorized())?;
        Ok(Caller::App(token.installation, token.expires))
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).ok_or_else(Problem::unauthorized)?;
    let (scheme, token) = value.split_once(' ').ok_or_else(Problem::unauthorized)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Problem::unauthorized()) }
}
