//! The token with which an app speaks to a position gateway. A gateway checks it off-line against the pinned hub keys.
//!
//! Text form: `base64url(json) . key id . base64 signature`. Tokens live at most 24 h and carry their purpose.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    InstallationId, Millis,
    sign::{Pinned, SignatureError, Signing},
};

const DOMAIN: &str = "passage/v1/position-token";

/// The claims of a position token: this installation may report positions for the purpose `presence` until `expires`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionToken {
    /// Whose token.
    pub installation: InstallationId,
    /// Business time after which it is worth nothing.
    pub expires: Millis,
    /// Always `presence` so far; a token for another purpose is refused.
    pub purpose: String,
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token at all.
    #[error("not a position token")]
    Malformed,
    /// Not signed by a hub that is trusted here.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// Too old: the app must fetch a new one.
    #[error("the token has expired; the app must refresh it")]
    Expired,
    /// Given for something else.
    #[error("the token is not for the purpose 'presence'")]
    Purpose,
}

impl PositionToken {
    /// Signs the claims.
    pub fn to_text(&self, key: &Signing) -> String {
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default());
        let sig = key.sign(DOMAIN, body.as_bytes());
        format!("{body}.{}.{sig}", key.key_id())
    }

    /// Checks a token's text at business time `now`.
    pub fn from_text(text: &str, pinned: &Pinned, now: Millis) -> Result<Self, TokenError> {
        let mut parts = text.splitn(3, '.');
        let (Some(body), Some(key), Some(sig)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TokenError::Malformed);
        };
        pinned.verify(DOMAIN, body.as_bytes(), key, sig)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Malformed)?;
        let token: Self = serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)?;
        if token.purpose != "presence" {
            return Err(TokenError::Purpose);
        }
        if token.expires <= now {
            return Err(TokenError::Expired);
        }
        Ok(token)
    }
}
