//! Ids that appear in topics. All match `[a-z0-9-]{3,40}`, so none can break out of an MQTT topic pattern.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id has 3 to 40 characters out of a-z, 0-9 and '-'")]
pub struct BadId;

/// The most characters of an id.
const LONGEST: usize = 40;

/// The text of an id, without a heap of its own: ids are copied into every event, and the names of 100,000 phones are looked up all day.
#[derive(Clone, PartialEq, Eq)]
struct Text {
    length: u8,
    /// Zeros behind the text.
    bytes: [u8; LONGEST],
}

impl Text {
    fn new(text: &str) -> Result<Self, BadId> {
        let ok = text.len() >= 3 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let mut bytes = [0; LONGEST];
        let room = bytes.get_mut(..text.len()).filter(|_| ok).ok_or(BadId)?;
        room.copy_from_slice(text.as_bytes());
        Ok(Self { length: u8::try_from(text.len()).map_err(|_| BadId)?, bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Never empty: only ASCII is let in.
    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Text);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The bytes of the text, which are ASCII.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.as_str()).finish()
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.as_bytes().cmp(other.as_bytes())
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write(self.as_bytes());
                state.write_u8(0xff);
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Text::new(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
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
