//! Ids that appear in topics. All match `[a-z0-9-]{3,40}`, so none can break out of an MQTT topic pattern.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id has 3 to 40 characters out of a-z, 0-9 and '-'")]
pub struct BadId;

fn check(text: &str) -> Result<(), BadId> {
    let ok = (3..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if ok { Ok(()) } else { Err(BadId) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                check(&text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A gateway, as named by its certificate. `hub` is refused by [`GatewayId::checked`].
    GatewayId
);
id!(
    /// A hub process.
    HubId
);
id!(
    /// A store.
    StoreId
);
id!(
    /// A geofence. `front` is refused by [`crate::event::Zone`], which reserves it.
    FenceId
);
id!(
    /// One app on one phone of a member. It is an opaque random name that a hub gave at enrolment.
    InstallationId
);

impl GatewayId {
    /// An id that a gateway may carry: `hub` is reserved.
    pub fn checked(text: &str) -> Result<Self, BadId> {
        if text == "hub" { Err(BadId) } else { text.parse() }
    }
}
