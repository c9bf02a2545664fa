//! Every topic is a value with a round trip; nobody writes one with `format!`.

use std::{fmt, str::FromStr};

use crate::{GatewayId, HubId};

/// A topic of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Envelopes, gateway to hub.
    Event(GatewayId),
    /// Retained state, gateway to everybody.
    State(GatewayId),
    /// First word on a connection, gateway to hub.
    Hello(GatewayId),
    /// What is stored, hub to gateway.
    Ack(GatewayId),
    /// Retained manifest of the site configuration, hub to gateway.
    SiteManifest(GatewayId),
    /// Retained part `n` of revision `r`, hub to gateway.
    SitePart(GatewayId, u64, u32),
    /// Retained part `n` of the deny list, hub to gateway.
    SiteDeny(GatewayId, u32),
    /// A signed command, hub to gateway.
    Command(GatewayId),
    /// Retained state of a hub, hub to everybody.
    HubState(HubId),
}

impl Topic {
    /// Filter for all gateways' events, shared among the hubs that know `group`. A broker that lets anybody subscribe gives a part of what is shared
    /// to everybody who names the group, and drops it when he may not read it; so the name is a secret of the hubs.
    pub fn events_shared(group: &str) -> String {
        format!("$share/{group}/passage/v1/gateway/+/event")
    }

    /// Filter for all gateways' hellos, shared in the same way. Its share has a name of its own, because rumqttd 0.20 keeps one place of reading for
    /// all filters of one name, and skips messages of either.
    pub fn hellos_shared(group: &str) -> String {
        format!("$share/{group}-hello/passage/v1/gateway/+/hello")
    }

    /// Filter for all gateways' retained states. Never read through `$share`.
    pub const ALL_STATES: &'static str = "passage/v1/gateway/+/state";
    /// Filter for all hubs' retained states.
    pub const ALL_HUB_STATES: &'static str = "passage/v1/hub/+/state";

    /// Filter for all parts of all revisions of the site of one gateway.
    pub fn all_site_parts(gateway: &GatewayId) -> String {
        format!("passage/v1/gateway/{gateway}/site/part/+/+")
    }

    /// Filter for all parts of the deny list of one gateway.
    pub fn all_denied(gateway: &GatewayId) -> String {
        format!("passage/v1/gateway/{gateway}/site/deny/+")
    }
}

/// The text is not a topic of the contract, or its id is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a topic of passage/v1")]
pub struct BadTopic;

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(id) => write!(f, "passage/v1/gateway/{id}/event"),
            Self::State(id) => write!(f, "passage/v1/gateway/{id}/state"),
            Self::Hello(id) => write!(f, "passage/v1/gateway/{id}/hello"),
            Self::Ack(id) => write!(f, "passage/v1/gateway/{id}/ack"),
            Self::SiteManifest(id) => write!(f, "passage/v1/gateway/{id}/site/manifest"),
            Self::SitePart(id, revision, part) => write!(f, "passage/v1/gateway/{id}/site/part/{revision}/{part}"),
            Self::SiteDeny(id, part) => write!(f, "passage/v1/gateway/{id}/site/deny/{part}"),
            Self::Command(id) => write!(f, "passage/v1/gateway/{id}/command"),
            Self::HubState(id) => write!(f, "passage/v1/hub/{id}/state"),
        }
    }
}

impl FromStr for Topic {
    type Err = BadTopic;

    fn from_str(text: &str) -> Result<Self, BadTopic> {
        let parts: Vec<&str> = text.split('/').collect();
        let gateway = |id: &str| GatewayId::checked(id).map_err(|_| BadTopic);
        match parts.as_slice() {
            ["passage", "v1", "hub", id, "state"] => id.parse().map(Self::HubState).map_err(|_| BadTopic),
            ["passage", "v1", "gateway", id, rest @ ..] => {
                let id = gateway(id)?;
                match rest {
                    ["event"] => Ok(Self::Event(id)),
                    ["state"] => Ok(Self::State(id)),
                    ["hello"] => Ok(Self::Hello(id)),
                    ["ack"] => Ok(Self::Ack(id)),
                    ["command"] => Ok(Self::Command(id)),
                    ["site", "manifest"] => Ok(Self::SiteManifest(id)),
                    ["site", "part", revision, part] => Ok(Self::SitePart(id, number(revision)?, number(part)?)),
                    ["site", "deny", part] => Ok(Self::SiteDeny(id, number(part)?)),
                    _ => Err(BadTopic),
                }
            }
            _ => Err(BadTopic),
        }
    }
}

/// A decimal number in its one canonical form, so that a topic has a single spelling.
fn number<T: FromStr + ToString>(text: &str) -> Result<T, BadTopic> {
    let n: T = text.parse().map_err(|_| BadTopic)?;
    if n.to_string() == text { Ok(n) } else { Err(BadTopic) }
}
