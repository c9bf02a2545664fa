//! Who may speak: the installation that a token names, and nobody else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::Query,
    http::{HeaderMap, Uri, header::AUTHORIZATION},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use passage_protocol::{InstallationId, Millis, PositionToken, sign::Pinned};
use sha2::{Digest, Sha256};

use super::deny::DenyBook;

/// Tokens whose signature is remembered as good.
const MOST_TOKENS: usize = 50_000;

/// Checks credentials off-line. A good token is remembered by its SHA-256; its expiry is looked at every time.
pub(super) struct Door {
    pinned: Pinned,
    denied: Arc<DenyBook>,
    good: Mutex<HashMap<[u8; 32], (InstallationId, Millis)>>,
}

impl Door {
    pub(super) fn new(pinned: Pinned, denied: Arc<DenyBook>) -> Self {
        Self { pinned, denied, good: Mutex::default() }
    }

    /// The installation that this request proves to come from. It does not say what was wrong: not to the caller, not to a log.
    pub(super) fn admit(&self, headers: &HeaderMap, uri: &Uri, now: Millis) -> Option<InstallationId> {
        let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        let holder = if scheme.eq_ignore_ascii_case("bearer") {
            self.holder(rest.trim(), now)?
        } else if scheme.eq_ignore_ascii_case("basic") {
            let plain = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
            let (user, password) = plain.split_once(':')?;
            self.holder(password.trim(), now).filter(|holder| holder.as_str() == user)?
        } else {
            return None;
        };
        claims(headers, uri).iter().all(|claimed| holder.as_str().eq_ignore_ascii_case(claimed.trim())).then_some(holder)
    }

    fn holder(&self, token: &str, now: Millis) -> Option<InstallationId> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.good.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        let (who, expires) = match known {
            Some(known) => known,
            None => {
                let claims = PositionToken::from_text(token, &self.pinned, now).ok()?;
                self.remember(digest, &claims, now);
                (claims.installation, claims.expires)
            }
        };
        (expires > now && self.denied.admits(&who, expires)).then_some(who)
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

/// Whom the request claims to come from, beside its credentials: in the header that the apps send, or in the query. A device is not an identity.
fn claims(headers: &HeaderMap, uri: &Uri) -> Vec<String> {
    let header = headers.get("x-limit-u").map(|v| v.to_str().unwrap_or_default().to_owned());
    let query = Query::<HashMap<String, String>>::try_from_uri(uri).ok().and_then(|Query(mut all)| all.remove("u"));
    header.into_iter().chain(query).filter(|claimed| !claimed.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use passage_protocol::sign::Signing;

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    fn anywhere() -> Uri {
        Uri::from_static("/pub")
    }

    fn door_and_token(expires: i64) -> (Door, String) {
        let key = Signing::from_bytes(&[7; 32]);
        let token =
            PositionToken { installation: "phone-of-camille".parse().unwrap(), expires: Millis(expires), purpose: "presence".to_owned() };
        (Door::new(Pinned::from_base64([key.public().as_str()]).unwrap(), Arc::default()), token.to_text(&key))
    }

    #[test]
    fn a_remembered_token_still_expires() {
        let (door, token) = door_and_token(1000);
        let bearer = headers(&format!("Bearer {token}"));
        assert!(door.admit(&bearer, &anywhere(), Millis(1)).is_some());
        assert!(door.admit(&bearer, &anywhere(), Millis(999)).is_some());
        assert_eq!(door.good.lock().unwrap().len(), 1);
        assert!(door.admit(&bearer, &anywhere(), Millis(1000)).is_none());
    }

    #[test]
    fn a_token_opens_only_for_its_own_installation() {
        let (door, token) = door_and_token(1000);
        let basic = |user: &str, password: &str| headers(&format!("basic {}", STANDARD.encode(format!("{user}:{password}"))));
        assert!(door.admit(&basic("phone-of-camille", &token), &anywhere(), Millis(1)).is_some());
        assert!(door.admit(&basic("phone-of-bruno", &token), &anywhere(), Millis(1)).is_none());
        assert!(door.admit(&basic("", &token), &anywhere(), Millis(1)).is_none());
        assert!(door.admit(&basic("phone-of-camille", "secret"), &anywhere(), Millis(1)).is_none());
    }

    #[test]
    fn a_foreign_hub_opens_nothing_and_is_not_remembered() {
        let (_, token) = door_and_token(1000);
        let other = Door::new(Pinned::from_base64([Signing::from_bytes(&[8; 32]).public().as_str()]).unwrap(), Arc::default());
        assert!(other.admit(&headers(&format!("Bearer {token}")), &anywhere(), Millis(1)).is_none());
        assert!(other.good.lock().unwrap().is_empty());
    }

    #[test]
    fn nonsense_in_the_header_is_nobody() {
        let (door, _) = door_and_token(1000);
        for value in ["", "Basic", "Basic %%%", "Basic Og==", "Bearer ", "Digest abc", "Bearer a.b.c"] {
            assert!(door.admit(&headers(value), &anywhere(), Millis(1)).is_none(), "{value}");
        }
        assert!(door.admit(&HeaderMap::new(), &anywhere(), Millis(1)).is_none());
    }

    #[test]
    fn who_is_claimed_must_be_who_is_proved() {
        let (door, token) = door_and_token(1000);
        let mut all = headers(&format!("Bearer {token}"));
        let admits = |all: &HeaderMap, uri: &'static str| door.admit(all, &Uri::from_static(uri), Millis(1)).is_some();
        assert!(admits(&all, "/pub?u=phone-of-camille&d=s5"));
        assert!(!admits(&all, "/pub?u=phone-of-bruno&d=s5"));
        assert!(admits(&all, "/pub?d=phone-of-bruno"));
        all.insert("x-limit-u", "Phone-of-Camille".parse().unwrap());
        all.insert("x-limit-d", "22A67880-15C3-41A6-9157-25545C7993AC".parse().unwrap());
        assert!(admits(&all, "/pub"));
        all.insert("x-limit-u", "phone-of-bruno".parse().unwrap());
        assert!(!admits(&all, "/pub"));
    }
}
