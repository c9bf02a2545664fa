//! How a gateway joins the fleet: the invitation that a person carries to it, and what it and a hub say to each other over HTTPS.
//!
//! An invitation is good for one enrolment. It names the hub and the fingerprint of the fleet's authority, so the first call already knows whom it
//! speaks to; the key of the certificate is made on the gateway and never leaves it.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{GatewayId, StoreId};

/// Path of the first call: [`Enrol`], answered by [`Enrolled`].
pub const ENROLMENT: &str = "/v1/fleet/enrolment";
/// Path of the calls after that, made with the present certificate: [`Renew`], answered by [`Enrolled`].
pub const RENEWAL: &str = "/v1/fleet/renewal";
/// Largest number of a machine.
const MACHINES: u32 = 1_000_000;
/// What every invitation begins with.
const MARK: &str = "passage1.";

/// What a person carries from the hub to a new gateway. It holds a secret and does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// Where the hub takes enrolments: `https://host:port`.
    #[serde(rename = "u")]
    pub url: String,
    /// The gateway that is invited.
    #[serde(rename = "g")]
    pub gateway: GatewayId,
    /// SHA-256 of the authority's certificate.
    #[serde(rename = "f", with = "bytes")]
    pub fingerprint: [u8; 32],
    /// Good for one enrolment.
    #[serde(rename = "s", with = "bytes")]
    pub secret: [u8; 32],
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("url", &self.url).field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

impl Invitation {
    /// As a person copies it.
    pub fn to_text(&self) -> String {
        // Plain strings have no way to fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

/// The text is not an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an invitation. Mend: copy the whole line that `passage-hub gateway invite` printed, from \"passage1.\" on")]
pub struct BadInvitation;

impl FromStr for Invitation {
    type Err = BadInvitation;

    fn from_str(text: &str) -> Result<Self, BadInvitation> {
        let body = text.trim().strip_prefix(MARK).ok_or(BadInvitation)?;
        let json = URL_SAFE_NO_PAD.decode(body).map_err(|_| BadInvitation)?;
        let invitation: Self = serde_json::from_slice(&json).map_err(|_| BadInvitation)?;
        let usable = GatewayId::checked(invitation.gateway.as_str()).is_ok() && host_and_port(&invitation.url).is_some();
        usable.then_some(invitation).ok_or(BadInvitation)
    }
}

/// Host and port of `https://host:port`; 443 if the URL names none.
pub fn host_and_port(url: &str) -> Option<(String, u16)> {
    let rest = url.strip_prefix("https://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|p| *p > 0)?),
        _ => (rest, 443),
    };
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let usable = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:_".contains(&b));
    usable.then(|| (host.to_owned(), port))
}

/// One of the machines that were a gateway one after another. Brokers know a machine by the name in its certificate, so each has a name of its own:
/// the right of a machine that was put out does not come back with its successor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Machine {
    /// The gateway.
    pub gateway: GatewayId,
    /// 1 for the first machine, one more for each that took its place.
    pub number: u32,
}

impl Machine {
    /// Reads the name in a certificate.
    pub fn named(name: &str) -> Option<Self> {
        let (id, number) = match name.split_once(':') {
            None => (name, 1),
            Some((id, digits)) => (id, digits.parse().ok().filter(|n| (2..=MACHINES).contains(n))?),
        };
        let machine = Self { gateway: GatewayId::checked(id).ok()?, number };
        // One way to write it: no sign and no leading zero.
        (machine.to_string() == name).then_some(machine)
    }

    /// The machines before this one.
    pub fn before(&self) -> impl DoubleEndedIterator<Item = Self> + '_ {
        (1..self.number).map(|number| Self { gateway: self.gateway.clone(), number })
    }
}

impl fmt::Display for Machine {
    /// The common name of its certificate: the gateway's id, and from the second machine on its number behind a colon, which no id can hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            1 => write!(f, "{}", self.gateway),
            n => write!(f, "{}:{n}", self.gateway),
        }
    }
}

/// The first call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The secret of the invitation, in hexadecimal.
    pub secret: String,
    /// Request for a certificate (PKCS#10) in PEM.
    pub csr: String,
}

/// A call with the present certificate for the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// Request for a certificate (PKCS#10) in PEM.
    pub csr: String,
}

/// What a gateway needs to take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Who it is.
    pub gateway: GatewayId,
    /// Where it hangs; a position gateway hangs nowhere.
    pub store: Option<StoreId>,
    /// Its certificate in PEM.
    pub certificate: String,
    /// The authority's certificate in PEM.
    pub authority: String,
    /// Public keys of the hubs, for `hub_keys`.
    pub hub_keys: Vec<String>,
    /// Where the broker is.
    pub broker: Broker,
}

/// Where the broker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path of the WebSocket; none: TLS over TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<String>,
}

mod bytes {
    use super::{Deserialize, Engine, URL_SAFE_NO_PAD};

    pub fn serialize<S: serde::Serializer>(bytes: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(d)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| serde::de::Error::custom("not base64"))?;
        bytes.try_into().map_err(|_| serde::de::Error::custom("not 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation(url: &str) -> Invitation {
        Invitation { url: url.into(), gateway: "gw-lyon".parse().unwrap(), fingerprint: [1; 32], secret: [2; 32] }
    }

    #[test]
    fn an_invitation_survives_being_copied_and_shows_no_secret() {
        let invitation = invitation("https://hub.example.net:8443");
        let text = invitation.to_text();
        assert_eq!(format!("  {text}\n").parse::<Invitation>().unwrap(), invitation);
        assert!(text.len() < 300, "{}", text.len());
        assert!(!format!("{invitation:?}").contains("secret"));
    }

    #[test]
    fn each_machine_of_a_gateway_has_one_name() {
        for (name, number) in [("gw-lyon", 1), ("gw-lyon:2", 2), ("gw-lyon:17", 17)] {
            let machine = Machine::named(name).unwrap();
            assert_eq!((machine.gateway.as_str(), machine.number, machine.to_string()), ("gw-lyon", number, name.to_owned()));
        }
        for name in
            ["", "hub", "hub:hub-1", "hub:2", "gw-lyon:", "gw-lyon:1", "gw-lyon:0", "gw-lyon:02", "gw-lyon:+2", "gw-lyon:2:3", "gw/x:2"]
        {
            assert_eq!(Machine::named(name), None, "{name}");
        }
        let third = Machine::named("gw-lyon:3").unwrap();
        assert_eq!(third.before().map(|m| m.to_string()).collect::<Vec<_>>(), ["gw-lyon", "gw-lyon:2"]);
    }

    #[test]
    fn what_is_no_invitation_is_refused() {
        let whole = invitation("https://hub:8443").to_text();
        for text in ["", "passage1.", "hello", &whole[..whole.len() - 3], &whole[1..], &invitation("http://hub:80").to_text()] {
            assert_eq!(text.parse::<Invitation>(), Err(BadInvitation), "{text}");
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(host_and_port("https://hub.example.net"), Some(("hub.example.net".into(), 443)));
        assert_eq!(host_and_port("https://[::1]:8443/"), Some(("::1".into(), 8443)));
        assert_eq!(host_and_port("https://10.0.0.1:8443"), Some(("10.0.0.1".into(), 8443)));
        for url in ["https://", "https://hub:0", "https://hub:x", "http://hub", "https://hub/path", "https://a@hub"] {
            assert_eq!(host_and_port(url), None, "{url}");
        }
    }
}
