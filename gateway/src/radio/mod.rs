//! Where adverts come from: this machine's radio, a capture, virtual phones, or a channel.

use std::{fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use passage_protocol::Millis;

#[cfg(feature = "ble")]
pub mod ble;
pub mod channel;
mod open;
pub mod paced;
pub mod rate;
pub mod replay;
pub mod simulate;
pub mod vitals;

pub use channel::ChannelSource;
pub use open::open;
pub use paced::Paced;
pub use replay::{Capture, Replay};
pub use vitals::Vitals;

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

/// An advert and, when the source can be played again, how far it was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What was heard.
    pub advert: Advert,
    /// How many items (adverts and broken records) the source has handed out, this one included. A restart skips as many. `None` for a
    /// source that cannot be played again.
    pub position: Option<u64>,
}

/// What went wrong with a source. No text holds an address or a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RadioError {
    /// The file cannot be opened or read.
    #[error("cannot read the capture {}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The bytes are no capture that is read here.
    #[error("this is no capture that can be played: {why}")]
    Format {
        /// What was expected and what was found.
        why: String,
    },
    /// One record is broken; the source goes on with the next one.
    #[error("record {number} of the capture, at byte {offset}, is broken and was left out: {why}")]
    Record {
        /// Counted from 1; in JSON lines the line.
        number: u64,
        /// Where it starts in the file.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The capture ends in the middle of a record; everything before was played.
    #[error("the capture ends in the middle of record {number}, which starts at byte {offset}; everything before it was played")]
    Truncated {
        /// Counted from 1.
        number: u64,
        /// Where it starts in the file.
        offset: u64,
    },
    /// An advert has a time that cannot be true; the source goes on with the next one.
    #[error(
        "advert {number} of the capture was left out: its time stamp lies {seconds} s {} of those around it",
        if *seconds < 0 { "behind" } else { "ahead" }
    )]
    Time {
        /// Counted from 1, broken records too.
        number: u64,
        /// Distance to the advert that it is compared with, negative when it is the earlier one.
        seconds: i64,
    },
    /// The radio of this machine cannot be used; the text ends with what to do.
    #[error("{0}")]
    Adapter(String),
    /// The radio could not be brought back for so long that only a new process is left to try. The source ends after it.
    #[error("{0}")]
    GaveUp(String),
}

/// A stream of adverts in the order of their time.
///
/// `next` can be cancelled at any await without losing an advert. After an error the source goes on; `None` is the end for good.
#[async_trait]
pub trait Source: Send {
    /// The next advert, when its time has come.
    async fn next(&mut self) -> Option<Result<Heard, RadioError>>;

    /// Adverts that this source had to drop so far because nobody took them in time.
    fn dropped(&self) -> u64 {
        0
    }

    /// How the radio behind this source does; `None` when there is none.
    fn vitals(&self) -> Option<Arc<Vitals>> {
        None
    }
}
