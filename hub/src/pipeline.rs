//! Every channel and task of a hub on one screen.
//!
//! ```text
//! broker -> ingest -> event + todo rows -> worker -> visits, decisions, messages -> sender -> SMSC
//!              ^ parked (late links)            console and API beside it; retention forgets
//! ```

use std::{net::SocketAddr, sync::Arc};

use passage_config::HubConfig;
use passage_protocol::Clock;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Api, ApiError},
    console::{Console, ConsoleError},
    fleet::{Enrolment, FleetError, Watch},
    identity::{Keyring, Resolver, key_watch},
    ingest::{HubKeys, Ingest, Parked, keys::KeysError},
    notice::Notices,
    offer::Worker,
    retention::Retention,
    sms::{
        Sender,
        provider::{NotLocal, Provider},
    },
    store::{self, Db, StoreError},
};

/// Why a hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing key.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The console's socket.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// The API's socket.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Enrolment of gateways.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The SMS provider.
    #[error(transparent)]
    Provider(#[from] NotLocal),
}

/// A running hub.
#[derive(Debug)]
pub struct Hub {
    /// Its database.
    pub db: Db,
    /// What its gateways pin.
    pub public_keys: Vec<String>,
    /// Where all stages read the configuration; replace it to change it.
    pub config: watch::Sender<Arc<HubConfig>>,
    /// What just happened.
    pub notices: Notices,
    /// Where the API answers.
    pub api: SocketAddr,
    /// Where the console answers.
    pub console: SocketAddr,
    clock: Clock,
    wake: Arc<Notify>,
    tasks: JoinSet<&'static str>,
}

impl Hub {
    /// Starts all stages on an open database. They run until `stop`.
    pub async fn start(
        config: HubConfig,
        db: Db,
        keyring: Keyring,
        provider: Arc<dyn Provider>,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        let clock = config.clock.clone();
        let keys = HubKeys::load_or_create(&db, &keyring, clock.now()).await?;
        store::people::ledger::adopt(&db, clock.now()).await?;
        let console_socket = Console::bind(config.console).await?;
        let api_socket = Api::bind(config.api).await?;
        let (console, api) = (local(&console_socket), local(&api_socket));
        let hub_id = config.id.clone();
        let fleet = match config.fleet.clone() {
            Some(fleet) => Some((Enrolment::bind(&fleet).await?, fleet)),
            None => None,
        };
        let (live, config) = watch::channel(Arc::new(config));
        let notices = Notices::default();
        let wake = Arc::new(Notify::new());
        let planned = Arc::new(Notify::new());
        let resolver = Arc::new(Resolver::new(keyring.clone(), config.clone()));
        resolver.refresh(&db, clock.now()).await?;

        let ingest = Ingest {
            db: db.clone(),
            keys: keys.clone(),
            config: config.clone(),
            clock: clock.clone(),
            resolver: resolver.clone(),
            wake: wake.clone(),
        };
        let parked = Parked { db: db.clone(), resolver: resolver.clone(), clock: clock.clone(), wake: wake.clone() };
        let worker = Worker {
            db: db.clone(),
            keyring: keyring.clone(),
            config: config.clone(),
            clock: clock.clone(),
            notices: notices.clone(),
            wake: wake.clone(),
            planned: planned.clone(),
        };
        let sender = Sender {
            db: db.clone(),
            keyring: keyring.clone(),
            config: config.clone(),
            clock: clock.clone(),
            notices: notices.clone(),
            provider,
            wake: planned,
            hub: hub_id,
        };
        let retention = Retention { db: db.clone(), config: config.clone(), clock: clock.clone() };
        let pages = Console { db: db.clone(), config: config.clone(), clock: clock.clone() };
        let services = Api {
            db: db.clone(),
            keyring,
            config,
            clock: clock.clone(),
            signing: keys.signing().clone(),
            resolver,
            notices: notices.clone(),
            enrolments: Arc::default(),
            app_calls: Arc::default(),
        };

        let mut tasks = JoinSet::new();
        if let Some((socket, fleet)) = fleet {
            let authority = keys.authority().clone();
            let watch = Watch { db: db.clone(), authority: authority.clone(), fleet: fleet.clone() };
            let hub_keys = keys.public().to_vec();
            let enrolment = Enrolment { db: db.clone(), keyring: services.keyring.clone(), authority, fleet, hub_keys };
            spawn(&mut tasks, "enrolment", enrolment.run(socket, stop.clone()));
            spawn(&mut tasks, "broker files", watch.run(stop.clone()));
        }
        spawn(&mut tasks, "ingest", ingest.run(stop.clone()));
        spawn(&mut tasks, "parked", parked.run(stop.clone()));
        spawn(&mut tasks, "worker", worker.run(stop.clone()));
        spawn(&mut tasks, "sender", sender.run(stop.clone()));
        spawn(&mut tasks, "keys", key_watch::run(services.keyring.clone(), stop.clone()));
        spawn(&mut tasks, "retention", retention.run(stop.clone()));
        spawn(&mut tasks, "console", pages.run(console_socket, stop.clone()));
        spawn(&mut tasks, "api", services.run(api_socket, stop));
        Ok(Self { db, public_keys: keys.public().to_vec(), config: live, notices, api, console, clock, wake, tasks })
    }

    /// True when nothing is due, nothing waits to be sent, and every message has its receipt.
    pub async fn is_quiet(&self) -> Result<bool, StoreError> {
        Ok(store::work::due_count(&self.db, self.clock.now()).await? == 0 && store::message::unsettled(&self.db).await? == 0)
    }

    /// Makes the worker look at what is due now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits for the first task to end, and says which one; all of them end after `stop`.
    pub async fn first_end(&mut self) -> &'static str {
        match self.tasks.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(e)) => {
                tracing::error!("a task of the hub failed: {e}");
                "a failed task"
            }
            None => "nothing",
        }
    }

    /// Waits until all tasks have ended, and closes the database.
    pub async fn join(mut self) {
        while self.tasks.join_next().await.is_some() {}
        self.db.close().await;
    }
}

fn spawn<T: Send + 'static>(tasks: &mut JoinSet<&'static str>, name: &'static str, task: impl Future<Output = T> + Send + 'static) {
    tasks.spawn(async move {
        task.await;
        name
    });
}

/// The address of an open socket; only a socket that is not open has none.
fn local(socket: &TcpListener) -> SocketAddr {
    socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)))
}
