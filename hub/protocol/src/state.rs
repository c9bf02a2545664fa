//! Retained states and the hello of a gateway.

use serde::{Deserialize, Serialize};

use crate::{GatewayId, HubId, Millis, Seq, VERSION, WireError, check_name, check_version};

/// Most commands that a gateway's state names.
pub const MAX_COMMANDS: usize = 64;

/// The payload of `passage/v1/gateway/{id}/hello`, published on every connection; a hub answers it with an ack before anything is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Protocol version.
    pub v: u8,
    /// The sender.
    pub gateway: GatewayId,
    /// Id of its outbox file.
    pub epoch: String,
    /// Lowest seq that it still holds, or `next` when it holds none.
    pub first: Seq,
    /// The seq that its next event would get.
    pub next: Seq,
    /// Id of this run.
    pub boot: String,
}

/// The payload of `passage/v1/gateway/{id}/state`, retained. The last will is the same with `online: false` and the same `boot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayState {
    /// Protocol version.
    pub v: u8,
    /// The sender.
    pub gateway: GatewayId,
    /// Id of this run; a will of an older run is recognised by it.
    pub boot: String,
    /// False in the last will and after a clean stop.
    pub online: bool,
    /// When this state was written.
    pub at: Millis,
    /// Version of the program.
    pub version: String,
    /// Events in the outbox.
    pub backlog: u64,
    /// Age of the oldest event in the outbox, in milliseconds.
    pub oldest_ms: i64,
    /// Revision of the site configuration in force, 0 when it came from local files.
    pub site_revision: u64,
    /// Flags that a person should look at, such as `disk-full` or `radio-silent`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Commands that reached it and have not expired, at most [`MAX_COMMANDS`]; hubs repeat the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<uuid::Uuid>,
}

/// The payload of `passage/v1/hub/{hub}/state`, retained. Online means: able to commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubState {
    /// Protocol version.
    pub v: u8,
    /// The sender.
    pub hub: HubId,
    /// Id of this run.
    pub boot: String,
    /// True while this hub can commit.
    pub online: bool,
    /// When this state was written.
    pub at: Millis,
    /// Version of the program.
    pub version: String,
}

macro_rules! wire {
    ($($name:ident = $what:literal),*) => {$(
        impl $name {
            /// Reads the JSON form.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
                let message: Self = crate::read($what, bytes)?;
                check_version(message.v)?;
                message.check()?;
                Ok(message)
            }

            /// The JSON form.
            pub fn to_vec(&self) -> Vec<u8> {
                serde_json::to_vec(self).unwrap_or_default()
            }
        }
    )*};
}
wire!(Hello = "hello", GatewayState = "gateway state", HubState = "hub state");

impl GatewayState {
    fn check(&self) -> Result<(), WireError> {
        if self.commands.len() > MAX_COMMANDS {
            return Err(WireError::Contract("a gateway state names at most 64 commands"));
        }
        check_name(&self.boot)
    }
}

impl HubState {
    fn check(&self) -> Result<(), WireError> {
        check_name(&self.boot)
    }
}

impl Hello {
    /// A hello of the present version.
    pub fn new(gateway: GatewayId, epoch: String, first: Seq, next: Seq, boot: String) -> Self {
        Self { v: VERSION, gateway, epoch, first, next, boot }
    }

    fn check(&self) -> Result<(), WireError> {
        check_name(&self.epoch)?;
        check_name(&self.boot)?;
        if self.first == 0 || self.first > self.next || i64::try_from(self.next).is_err() {
            return Err(WireError::Contract("a hello has 1 <= first <= next, and next fits 63 bits"));
        }
        Ok(())
    }
}
