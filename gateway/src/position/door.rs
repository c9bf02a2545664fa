//! Who may speak: the installation that a token names, and nobody else.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine, engine::general_purpose::STANDARD};
use passage_protocol::{InstallationId, Millis, PositionToken, sign::Pinned};
use sha2::{Digest, Sha256};

/// Tokens whose signature is remembered as good.
const MOST_TOKENS: usize = 50_000;

/// Checks credentials off-line. A good token is remembered by its SHA-256; its expiry is looked at every time.
pub(super) struct Door {
    pinned: Pinned,
    good: Mutex<HashMap<[u8; 32], (InstallationId, Millis)>>,
}

impl Door {
    pub(super) fn new(pinned: Pinned) -> Self {
        Self { pinned, good: Mutex::default() }
    }

    /// The installation that these headers prove to be. It does not say what was wrong: not to the caller, not to a log.
    pub(super) fn admit(&self, headers: &HeaderMap, now: Millis) -> Option<InstallationId> {
        let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.holder(rest.trim(), now);
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let plain = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        let (user, password) = plain.split_once(':')?;
        self.holder(password.trim(), now).filter(|holder| holder.as_str() == user)
    }

    fn holder(&self, token: &str, now: Millis) -> Option<InstallationId> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some((who, expires)) = self.good.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return (*expires > now).then(|| who.clone());
        }
        let claims = PositionToken::from_text(token, &self.pinned, now).ok()?;
        self.remember(digest, &claims, now);
        Some(claims.installation)
    }

    fn remember(&self, digest: [u8; 32], claims: &PositionToken, now: Millis) {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() >= MOST_TOKENS {
            good.retain(|_, (_, expires)| *expires > now);
        }
        // Still full: verified again next time, which is slower and as right.
        if good.len() < MOST_TOKENS {
            good.insert(digest, (claims.installation.clone(), claims.expires));
        }
    }
}

#[cfg(test)]
mod tests {
    use passage_protocol::sign::Signing;

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    fn door_and_token(expires: i64) -> (Door, String) {
        let key = Signing::from_bytes(&[7; 32]);
        let token =
            PositionToken { installation: "phone-of-camille".parse().unwrap(), expires: Millis(expires), purpose: "presence".to_owned() };
        (Door::new(Pinned::from_base64([key.public().as_str()]).unwrap()), token.to_text(&key))
    }

    #[test]
    fn a_remembered_token_still_expires() {
        let (door, token) = door_and_token(1000);
        let bearer = headers(&format!("Bearer {token}"));
        assert!(door.admit(&bearer, Millis(1)).is_some());
        assert!(door.admit(&bearer, Millis(999)).is_some());
        assert_eq!(door.good.lock().unwrap().len(), 1);
        assert!(door.admit(&bearer, Millis(1000)).is_none());
    }

    #[test]
    fn a_token_opens_only_for_its_own_installation() {
        let (door, token) = door_and_token(1000);
        let basic = |user: &str, password: &str| headers(&format!("basic {}", STANDARD.encode(format!("{user}:{password}"))));
        assert!(door.admit(&basic("phone-of-camille", &token), Millis(1)).is_some());
        assert!(door.admit(&basic("phone-of-bruno", &token), Millis(1)).is_none());
        assert!(door.admit(&basic("", &token), Millis(1)).is_none());
        assert!(door.admit(&basic("phone-of-camille", "secret"), Millis(1)).is_none());
    }

    #[test]
    fn a_foreign_hub_opens_nothing_and_is_not_remembered() {
        let (_, token) = door_and_token(1000);
        let other = Door::new(Pinned::from_base64([Signing::from_bytes(&[8; 32]).public().as_str()]).unwrap());
        assert!(other.admit(&headers(&format!("Bearer {token}")), Millis(1)).is_none());
        assert!(other.good.lock().unwrap().is_empty());
    }

    #[test]
    fn nonsense_in_the_header_is_nobody() {
        let (door, _) = door_and_token(1000);
        for value in ["", "Basic", "Basic %%%", "Basic Og==", "Bearer ", "Digest abc", "Bearer a.b.c"] {
            assert!(door.admit(&headers(value), Millis(1)).is_none(), "{value}");
        }
        assert!(door.admit(&HeaderMap::new(), Millis(1)).is_none());
    }
}
