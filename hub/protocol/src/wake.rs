//! The wake beacon: an iBeacon that a shop's gateway advertises, so that the brand's app wakes near it and reports. iPhones wake too.
//!
//! The UUID is the brand's and never changes, because iOS watches a region by its UUID. Major and minor are the first 4 bytes of
//! HMAC-SHA256(store key, "wake1" | u32be(window)), windows of 900 s, so a copy that is taken home is soon worth nothing. The store key is
//! HMAC-SHA256(master, "wake store" | store id): a gateway that is carried off holds the key of its own shop only.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{StoreId, rid::mac};

/// Company id of the manufacturer data that carries an iBeacon.
pub const APPLE: u16 = 0x004c;

/// The secret from which every shop's key is made. Debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct WakeMaster([u8; 32]);

/// The secret of one shop. Debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct WakeKey([u8; 32]);

/// What one shop advertises in one window: major and minor of its iBeacon, each big-endian. Debug output hides it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WakeId(pub [u8; 4]);

impl WakeMaster {
    /// The master with these secret bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the text form; `None` when it is not 32 bytes in base64.
    pub fn from_text(text: &str) -> Option<Self> {
        read(text).map(Self)
    }

    /// The text form, base64.
    pub fn to_text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The key of one shop.
    pub fn store_key(&self, store: &StoreId) -> WakeKey {
        WakeKey(mac(&self.0, &[b"wake store", store.as_str().as_bytes()]))
    }
}

impl WakeKey {
    /// Reads the text form; `None` when it is not 32 bytes in base64.
    pub fn from_text(text: &str) -> Option<Self> {
        read(text).map(Self)
    }

    /// The text form, base64.
    pub fn to_text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// What the shop advertises in `window` (see [`crate::rid::window_at`]).
    pub fn id(&self, window: i64) -> WakeId {
        let window = u32::try_from(window).unwrap_or(0).to_be_bytes();
        let full = mac(&self.0, &[b"wake1", &window]);
        WakeId([full[0], full[1], full[2], full[3]])
    }
}

impl WakeId {
    /// The id that an app heard as major and minor.
    pub fn new(major: u16, minor: u16) -> Self {
        let ([a, b], [c, d]) = (major.to_be_bytes(), minor.to_be_bytes());
        Self([a, b, c, d])
    }

    /// Upper half.
    pub fn major(self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// Lower half.
    pub fn minor(self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// The manufacturer data behind the company id [`APPLE`]: `02 15`, UUID, major, minor, RSSI in dBm at 1 m. Layout as Apple's proximity
    /// beacons have it.
    pub fn frame(self, uuid: &[u8; 16], power: i8) -> [u8; 23] {
        let mut frame = [0; 23];
        frame[..2].copy_from_slice(&[0x02, 0x15]);
        frame[2..18].copy_from_slice(uuid);
        frame[18..22].copy_from_slice(&self.0);
        frame[22] = power.to_be_bytes()[0];
        frame
    }
}

fn read(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

macro_rules! hidden {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
hidden!(WakeMaster, WakeKey, WakeId);
