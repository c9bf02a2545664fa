//! The source of adverts that the config names, and where it goes on after a restart.

use std::sync::Arc;

use passage_config::{GatewayConfig, Radio};

use super::{Reopening, Restart};
use crate::{
    SavedState,
    radio::{self, Capture, RadioError, Source},
};

/// Where in [`SavedState`] the id of the capture is kept that the replay position belongs to.
const MACHINE: &str = "radio";
const KEY: &[u8] = b"capture";

/// What was played before a restart: the id of the capture, and how many of its items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Played {
    capture: Option<String>,
    position: u64,
}

impl Played {
    /// As the outbox tells it.
    pub fn of(saved: &[(String, Vec<u8>, Vec<u8>)], position: u64) -> Self {
        let entry = saved.iter().find(|(machine, key, _)| machine == MACHINE && key == KEY);
        Self { capture: entry.and_then(|(_, _, id)| String::from_utf8(id.clone()).ok()), position }
    }
}

/// A source that is ready.
pub struct Opened {
    /// The adverts.
    pub source: Box<dyn Source>,
    /// Set when another capture than last time begins: to be committed with position 0.
    pub begins: Option<SavedState>,
}

impl From<Box<dyn Source>> for Opened {
    fn from(source: Box<dyn Source>) -> Self {
        Self { source, begins: None }
    }
}

/// Opens the source; `None` for a gateway without a radio. A capture that was played in part goes on where it was left; another one begins at
/// its beginning.
pub async fn open(config: &GatewayConfig, played: &Played) -> Result<Option<Opened>, RadioError> {
    let id = match &config.radio {
        Radio::Replay(file) => Some(Capture::open(file)?.id().to_owned()),
        _ => None,
    };
    let same = id == played.capture;
    let Some(source) = radio::open(config, same.then_some(played.position)).await? else { return Ok(None) };
    let begins = id.filter(|_| !same).map(|id| SavedState { machine: MACHINE, key: KEY.to_vec(), value: Some(id.into_bytes()) });
    Ok(Some(Opened { source, begins }))
}

/// How this machine's own radio is opened anew; `None` for what is no radio, and would begin again.
pub fn restart(config: &GatewayConfig) -> Option<Restart> {
    matches!(config.radio, Radio::Ble(_)).then(|| {
        let config = config.clone();
        let open = move || -> Reopening {
            let config = config.clone();
            Box::pin(async move { radio::open(&config, None).await })
        };
        Restart { wish: Arc::default(), open: Box::new(open) }
    })
}
