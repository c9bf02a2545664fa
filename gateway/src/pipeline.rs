//! Every channel and task of a gateway on one screen.
//!
//! ```text
//! Listener (radio) --\
//! Server, Broker -----\
//!   (positions)      --> inputs --> Decider --> Outbox --> Writer        one SQLite file
//! a driver (demo) ---/                            ^  |
//!                                                 |  v
//!                                            hub acks, rows
//!                                                Uplink <----> MQTT broker
//!                                                  |
//!                                     site, commands: Follower --> Decider, positions, wake beacon, radio
//! ```
//!
//! A stop goes the way of the data: sources first, then the decider, then the outbox commits what it has, then the uplink says `offline`.

mod decider;
mod listener;
mod positioning;
mod sources;
mod waking;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use passage_config::{GatewayConfig, Radio};
use passage_protocol::{Millis, sign::Pinned};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub use decider::{Decider, Machines};
pub use listener::{Listener, Reopening, Restart};
use positioning::Positioning;
pub use sources::{Opened, Played, open as open_source};

use crate::{
    clock::{self, Keeper},
    enrol::{self, Renewal},
    health::Health,
    outbox::{self, Batch, Outbox, OutboxError},
    position::{self, AppEvent, Fix},
    radio::{Heard, RadioError, Source},
    site,
    uplink::{Downlink, Uplink, commands::Commands, downlink::Follower},
};

/// After a stop, the disk has so long to take what waits in memory.
const LAST_TRIES: Duration = Duration::from_secs(10);

/// What the decider takes in. The senders that carry a reply learn that everything decided so far is committed to the outbox.
///
/// A driver that steps the clock sends its adverts here itself, as `Heard`, so that an `Advance` behind them comes after them.
#[derive(Debug)]
pub enum Input {
    /// An advert from the radio.
    Heard(Heard),
    /// Everything that the radio heard before this time has been handed over.
    Quiet(Millis),
    /// A position of an installation; answered after the commit.
    Fix(Fix, oneshot::Sender<()>),
    /// The app's own word; answered after the commit.
    App(AppEvent, oneshot::Sender<()>),
    /// Let time pass up to the clock's now; answered after the commit.
    Advance(oneshot::Sender<()>),
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// A capture whose position cannot be read.
    #[error(
        "the outbox in {0} cannot be read, so nobody knows how far the capture was played. Mend: free disk space, or check the card or disk"
    )]
    Replay(PathBuf),
    /// The radio or the capture.
    #[error(transparent)]
    Radio(#[from] RadioError),
    /// The position server.
    #[error(transparent)]
    Position(#[from] position::ListenError),
    /// The pinned keys.
    #[error("a key in `hub_keys` of gateway.toml is not a public key: {0}. Mend: copy the key that `passage-hub key` prints")]
    HubKeys(#[from] passage_protocol::sign::SignatureError),
}

/// A gateway.
#[derive(Debug)]
pub struct Gateway;

/// A running gateway. Cancelling the token that was given to [`Gateway::start`] stops it; [`GatewayHandle::join`] waits until it has.
#[derive(Debug)]
pub struct GatewayHandle {
    /// Where sources and drivers put what they have.
    pub inputs: mpsc::Sender<Input>,
    /// Where positions are taken, if they are.
    pub position_addr: Option<SocketAddr>,
    /// What became of the reports of apps.
    pub positions: Arc<position::Counters>,
    /// Counters and flags.
    pub health: Arc<Health>,
    outbox: Outbox,
    all: JoinHandle<()>,
}

impl Gateway {
    /// Opens the outbox, restores what the machines knew, and starts every task. `source` replaces the source that the config names.
    pub async fn start(
        config: GatewayConfig,
        source: Option<Box<dyn Source>>,
        stop: CancellationToken,
    ) -> Result<GatewayHandle, StartError> {
        let trusted = enrol::hub_keys(&config);
        let hub_keys = Pinned::from_base64(trusted.iter().map(String::as_str))?;
        if trusted.is_empty() {
            tracing::warn!(
                "no hub key is pinned: no ack can be believed and nothing is ever deleted from the outbox. Mend: `hub_keys` in gateway.toml"
            );
        }
        let health = Arc::new(Health::default());
        let keeper = Keeper::new(config.clock.clone());
        // Everybody below reads the time that is kept.
        let config = GatewayConfig { clock: keeper.clock(), ..config };
        let (outbox, writer) = Outbox::open(&config.data, &config.outbox, keeper.clone(), Arc::clone(&health)).await?;
        may_replay(&config, &outbox)?;

        let (inputs, inbox) = mpsc::channel(1_024);
        let saved = outbox.saved_states().await?;
        let (live, site) = watch::channel(Arc::new(site::last_good::restored(&config, &saved)));
        // From here on with the last good site in it.
        let config = site.borrow().config.clone();
        let (down, said) = Downlink::new();
        let opened = match source {
            Some(source) => Some(source.into()),
            None => sources::open(&config, &Played::of(&saved, outbox.replay_position())).await?,
        };
        let positions = Positioning::open(&config, site.clone(), &saved, &hub_keys, &inputs, &outbox, &health).await?;
        let commands = Commands::restored(&saved);
        let machines = Machines::restored(&config, saved);
        if let Some(begins) = opened.as_ref().and_then(|o| o.begins.clone()) {
            let first = Batch { saved: vec![begins], replay_position: Some(0), ..Batch::default() };
            outbox.submit(first, false, None).await?;
        }
        let position_addr = positions.address();
        let decider = Decider {
            machines,
            outbox: outbox.clone(),
            inputs: inbox,
            site: site.clone(),
            clock: config.clock.clone(),
            health: Arc::clone(&health),
        };
        let radio = sources::restart(&config);
        let follower = Follower {
            id: config.id.clone(),
            pinned: hub_keys.clone(),
            clock: config.clock.clone(),
            outbox: outbox.clone(),
            health: Arc::clone(&health),
            keeper: site::Keeper::new(
                hub_keys.clone(),
                outbox.clone(),
                Arc::clone(&health),
                live,
                Arc::clone(&down.state),
                Arc::clone(&down.again),
            ),
            commands,
            radio: radio.as_ref().map(|radio| Arc::clone(&radio.wish)),
            state: Arc::clone(&down.state),
            warned: None,
            answered: None,
        };
        let listener = opened.map(|o| Listener::new(o.source, inputs.clone(), config.clock.clone(), Arc::clone(&health)).restarting(radio));
        let uplink = Uplink {
            id: config.id.clone(),
            mqtt: config.mqtt.clone(),
            hub_keys: hub_keys.clone(),
            outbox: outbox.clone(),
            spread: config.outbox.backlog_spread,
            keeper: keeper.clone(),
            health: Arc::clone(&health),
            boot: hex::encode(rand::random::<[u8; 8]>()),
            started: Instant::now(),
            down,
            site_from_hub: config.site_from_hub,
        };

        tokio::spawn(clock::server::watch(keeper, stop.clone()));
        let waking = waking::start(&config, site, &health, &stop);

        let (after_decider, give_up) = (CancellationToken::new(), CancellationToken::new());
        let writer = tokio::spawn(writer.run(give_up.clone()));
        let uplink = tokio::spawn(uplink.run(after_decider.clone()));
        let decider = tokio::spawn(decider.run(stop.clone()));
        let follower = tokio::spawn(follower.run(said, stop.clone()));
        let mut sources = positions.start(&stop);
        sources.extend(Renewal::of(&config, &health, hub_keys).map(|r| tokio::spawn(r.run(stop.clone()))));
        sources.extend(listener.map(|l| tokio::spawn(l.run(stop.clone()))));
        tokio::spawn(late(stop.clone(), give_up.clone()));
        let all = tokio::spawn({
            let outbox = outbox.clone();
            async move {
                let _ = decider.await;
                let _ = follower.await;
                for source in sources {
                    let _ = source.await;
                }
                if let Some(waking) = waking {
                    let _ = waking.await;
                }
                after_decider.cancel();
                let _ = uplink.await;
                outbox.close().await;
                give_up.cancel();
                let _ = writer.await;
            }
        });
        Ok(GatewayHandle { inputs, position_addr, positions: Arc::clone(&health.positions), health, outbox, all })
    }
}

/// How far a capture was played stands in the outbox. Without that, everything in it would be told again under other names.
fn may_replay(config: &GatewayConfig, outbox: &Outbox) -> Result<(), StartError> {
    let is_new = !outbox::is_there(&config.data);
    let is_capture = matches!(config.radio, Radio::Replay(_));
    if is_capture && !outbox.is_open() && !is_new { Err(StartError::Replay(config.data.clone())) } else { Ok(()) }
}

/// A disk that refuses must not keep the gateway from stopping: some time after the stop, the outbox gives up what it cannot write.
async fn late(stop: CancellationToken, give_up: CancellationToken) {
    stop.cancelled().await;
    tokio::select! {
        () = tokio::time::sleep(LAST_TRIES) => give_up.cancel(),
        () = give_up.cancelled() => {}
    }
}

impl GatewayHandle {
    /// Lets the machines catch up with the clock and waits until everything decided is committed. False when the gateway has stopped.
    pub async fn advance(&self) -> bool {
        let (reply, done) = oneshot::channel();
        self.inputs.send(Input::Advance(reply)).await.is_ok() && done.await.is_ok()
    }

    /// True when the outbox is empty: every event so far is stored by a hub.
    #[expect(clippy::unused_async, reason = "callers wait for it together with the hub's own questions")]
    pub async fn settled(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Events that got a seq since the start.
    pub fn sent_total(&self) -> u64 {
        self.health.sent_total.load(Ordering::SeqCst)
    }

    /// The outbox, to look at.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Waits until everything has stopped.
    pub async fn join(self) {
        let _ = self.all.await;
    }
}
