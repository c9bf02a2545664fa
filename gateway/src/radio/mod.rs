//! Where adverts come from: this machine's radio, a capture, or virtual phones.

use std::fmt;

use passage_protocol::Millis;

/// One radio advertisement. It lives and dies in memory; Debug output hides everything that could name a stranger.
#[derive(Clone, PartialEq, Eq)]
pub struct Advert {
    /// Business time of arrival.
    pub at: Millis,
    /// The sender's (random) address, only for merging what belongs together. Never stored, sent or logged.
    pub address: [u8; 6],
    /// dBm.
    pub rssi: i8,
    /// The AD structures, as on the air: length, type, value.
    pub data: Vec<u8>,
}

impl fmt::Debug for Advert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Advert {{ at: {}, .. }}", self.at)
    }
}

/// An advert as a source hands it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What was heard.
    pub advert: Advert,
    /// Records of the source consumed so far, this one included, so that a restart can skip them; `None` for a live radio.
    pub position: Option<u64>,
}
