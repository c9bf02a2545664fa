//! The wake beacon of a shop: who advertises it, and who checks what apps heard of it.

use std::collections::BTreeMap;

use passage_protocol::{StoreId, WakeKey, WakeMaster};

/// `wake` in a gateway file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wake {
    /// What this gateway advertises in its shop.
    pub beacon: Option<WakeSecret>,
    /// How this gateway checks what apps report.
    pub check: Option<WakeCheck>,
}

/// What the file of a gateway in a shop says of its beacon; the brand's UUID is in the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeSecret {
    /// The shop's own secret.
    pub key: WakeKey,
    /// RSSI in dBm that a phone sees at 1 m.
    pub power: i8,
}

impl WakeSecret {
    /// The beacon of a shop whose brand has this UUID.
    pub fn beacon(&self, uuid: [u8; 16]) -> WakeBeacon {
        WakeBeacon { uuid, key: self.key.clone(), power: self.power }
    }
}

/// What a gateway in a shop needs to advertise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeBeacon {
    /// The brand's UUID, which never changes.
    pub uuid: [u8; 16],
    /// The shop's own secret.
    pub key: WakeKey,
    /// RSSI in dBm that a phone sees at 1 m; phones estimate distances with it.
    pub power: i8,
}

/// The secrets of the shops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WakeCheck {
    /// The secret that makes the key of every shop.
    Master(WakeMaster),
    /// The keys of some shops.
    Keys(BTreeMap<StoreId, WakeKey>),
}

impl WakeCheck {
    /// The key of a shop, if it is known here.
    pub fn key(&self, store: &StoreId) -> Option<WakeKey> {
        match self {
            Self::Master(master) => Some(master.store_key(store)),
            Self::Keys(keys) => keys.get(store).cloned(),
        }
    }
}
