//! The wiring of the demo: one broker, one hub, and the gateways of `config/demo`, all in this process.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, anyhow, bail};
use futures::future::join_all;
use passage_config::{AppEvents, BleRadio, GatewayConfig, HubConfig, Imports, Mqtt, Radio, Site, WakeCheck, load_gateway, load_hub};
use passage_gateway::{
    pipeline::{Gateway, GatewayHandle, Input},
    radio::{self, Advert, Heard, Source},
};
use passage_hub::{
    command::import::import_all,
    identity::{IdentifierKind, Keyring, MemberId},
    notice::Notice,
    pipeline::Hub,
    sms::{Msisdn, Sandbox},
    store::Db,
};
use passage_protocol::{Clock, GatewayId, Millis, StoreId, rid::window_at};
use tempfile::TempDir;
use tokio::{sync::broadcast, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{Broker, Choice},
    phones::Wake,
};

/// The demo's secret is public, so that member codes and the hold-out are the same on every run. A real hub makes its own.
pub const SECRET: [u8; 32] = *b"the demo has no secret to keep:)";
/// How often the files of the configuration are looked at, in machine time.
const LOOK: Duration = Duration::from_secs(1);

/// Everything that runs.
#[derive(Debug)]
pub struct System {
    folder: TempDir,
    files: PathBuf,
    broker: Broker,
    hub: Hub,
    keyring: Keyring,
    sandbox: Sandbox,
    gateways: Vec<(GatewayId, GatewayHandle)>,
    by_store: BTreeMap<StoreId, usize>,
    positions: SocketAddr,
    radio: Option<Result<StoreId, String>>,
    stop: CancellationToken,
    looked: Instant,
    newest: SystemTime,
}

impl System {
    /// Starts broker, hub and gateways on the files in `files`, with their data in a temporary folder.
    pub async fn start(files: &Path, clock: Clock, broker: Choice, listen: Option<u16>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let broker = Broker::start(broker, folder.path()).await?;
        let stop = CancellationToken::new();
        let keyring = Keyring::from_secret(&SECRET);
        let sandbox = Sandbox::default();
        let config = hub_config(files, folder.path(), broker.port, &clock)?;
        let db = Db::open(&config.database).await?;
        let hub = Hub::start(config, db, keyring.clone(), Arc::new(sandbox.clone()), stop.clone()).await?;
        let mut system = Self {
            files: files.to_owned(),
            newest: newest_change(files),
            broker,
            hub,
            keyring,
            sandbox,
            gateways: Vec::new(),
            by_store: BTreeMap::new(),
            positions: SocketAddr::from(([127, 0, 0, 1], 0)),
            radio: None,
            stop,
            looked: Instant::now(),
            folder,
        };
        system.start_gateways(&clock, listen).await?;
        Ok(system)
    }

    async fn start_gateways(&mut self, clock: &Clock, listen: Option<u16>) -> Result<()> {
        let mut found: Vec<PathBuf> =
            std::fs::read_dir(&self.files)?.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| is_gateway_file(p)).collect();
        found.sort();
        for file in found {
            let mut config = load_gateway(&file).map_err(|e| anyhow!("{e}"))?;
            self.adapt(&mut config, clock, listen);
            let source = if listen.is_some() { self.own_radio(&mut config).await } else { None };
            let (id, store) = (config.id.clone(), config.store.clone());
            let handle =
                Gateway::start(config, source, self.stop.clone()).await.with_context(|| format!("{} does not start", file.display()))?;
            if let Some(address) = handle.position_addr {
                self.positions = address;
            }
            if let Some(store) = store {
                self.by_store.insert(store, self.gateways.len());
            }
            self.gateways.push((id, handle));
        }
        if self.positions.port() == 0 {
            bail!("no gateway file in {} has `position_listen`", self.files.display());
        }
        Ok(())
    }

    /// The demo's own broker, folder, key and clock instead of those in the file.
    fn adapt(&self, config: &mut GatewayConfig, clock: &Clock, listen: Option<u16>) {
        config.data = self.folder.path().join(config.id.as_str());
        config.mqtt = mqtt(self.broker.port);
        config.hub_keys.clone_from(&self.hub.public_keys);
        config.clock = clock.clone();
        // Each step ends with a commit of its own.
        config.outbox.commit_within = Duration::from_millis(100);
        config.radio = Radio::None;
        if config.position_listen.is_some() {
            config.wake.check = Some(WakeCheck::Master(self.keyring.wake().clone()));
            config.app_events = AppEvents::Verified;
        }
        if let (Some(port), Some(address)) = (listen, &mut config.position_listen) {
            let wanted = SocketAddr::from(([0, 0, 0, 0], port));
            *address = if is_free(wanted) { wanted } else { SocketAddr::from(([0, 0, 0, 0], 0)) };
        }
    }

    /// This machine's Bluetooth, for the first shop. A machine without it is no reason to stop.
    async fn own_radio(&mut self, config: &mut GatewayConfig) -> Option<Box<dyn Source>> {
        let store = config.store.clone().filter(|_| self.radio.is_none())?;
        config.radio = Radio::Ble(BleRadio::default());
        let opened = radio::open(config, None).await;
        config.radio = Radio::None;
        let (source, told) = match opened {
            Ok(source) => (source, Ok(store)),
            Err(e) => (None, Err(e.to_string())),
        };
        self.radio = Some(told);
        source
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// What the files say now.
    pub fn site(&self) -> Arc<Site> {
        self.hub.config.borrow().site.clone()
    }

    /// Where the API answers.
    pub fn api(&self) -> SocketAddr {
        self.hub.api
    }

    /// Where the console answers.
    pub fn console(&self) -> SocketAddr {
        self.hub.console
    }

    /// Where positions go.
    pub fn positions(&self) -> SocketAddr {
        self.positions
    }

    /// The shop that hears with this machine's radio, or why none does; `None` when it was not asked for.
    pub fn radio(&self) -> Option<&Result<StoreId, String>> {
        self.radio.as_ref()
    }

    /// Which broker it is.
    pub fn broker_name(&self) -> &'static str {
        self.broker.name
    }

    /// The token of the app and the site.
    pub fn app_token(&self) -> Result<String> {
        let config = self.hub.config.borrow();
        config.api_tokens.values().next().map(|t| t.0.clone()).context("hub.toml names no api_tokens; the demo's app needs one")
    }

    /// What the hub tells from now on.
    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.hub.notices.listen()
    }

    /// An advert reaches the shop's gateway.
    pub async fn hear(&self, store: &StoreId, advert: Advert) -> Result<()> {
        if let Some(gateway) = self.by_store.get(store).and_then(|i| self.gateways.get(*i)).map(|(_, g)| g) {
            gateway.inputs.send(Input::Heard(Heard { advert, position: None })).await.map_err(|_| anyhow!("a gateway stopped"))?;
        }
        Ok(())
    }

    /// What the shop's wake beacon says at `at`.
    pub fn wake(&self, store: &StoreId, at: Millis) -> Option<Wake> {
        let site = self.site();
        let uuid = site.brands.get(&site.stores.get(store)?.brand)?.wake_uuid?;
        Some(Wake { uuid, id: self.keyring.wake().store_key(store).id(window_at(at)) })
    }

    /// Waits until everything that was caused so far is done: decided, committed, published, stored, acked, worked on, sent.
    pub async fn settle(&self, patience: Duration) -> Result<()> {
        let advanced = join_all(self.gateways.iter().map(|(_, gateway)| gateway.advance())).await;
        if advanced.contains(&false) {
            bail!("a gateway stopped");
        }
        let rest = timeout(patience, self.come_to_rest()).await;
        rest.map_err(|_| anyhow!("the system did not come to rest within {patience:?}; the log says why (RUST_LOG=info)"))?
    }

    async fn come_to_rest(&self) -> Result<()> {
        for (_, gateway) in &self.gateways {
            // Each ack is applied after the hub has committed the events together with the work that they make.
            gateway.outbox().progress().wait_for(|p| p.held == 0).await?;
        }
        if self.hub.is_quiet().await? {
            return Ok(());
        }
        // Events have woken the worker; what is due by the time alone has not.
        self.hub.wake();
        while !self.hub.is_quiet().await? {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// How many events each gateway has made.
    pub fn events_sent(&self) -> Vec<(GatewayId, u64)> {
        self.gateways.iter().map(|(id, gateway)| (id.clone(), gateway.sent_total())).collect()
    }

    /// Somebody answers an SMS.
    pub async fn reply(&self, phone: &str, text: &str) -> Result<()> {
        let config = self.hub.config.borrow().clone();
        let from = Msisdn::parse(phone, &config.phone_region).context("members.csv has a number that is none")?;
        let to = config.site.brands.values().next().map(|b| b.sender.stop_number.clone()).unwrap_or_default();
        if self.sandbox.reply(from, &to, text).await { Ok(()) } else { bail!("the hub did not take a reply") }
    }

    /// The morning's imports: members with their consents, and touchpoints.
    pub async fn import_people(&self) -> Result<()> {
        let config = self.hub.config.borrow().clone();
        let imports = Imports { tills: None, ..config.imports.clone() };
        self.import(HubConfig { imports, ..(*config).clone() }).await
    }

    /// The evening's import: what the tills sold.
    pub async fn import_tills(&self) -> Result<()> {
        let config = self.hub.config.borrow().clone();
        let imports = Imports { tills: config.imports.tills.clone(), ..Imports::default() };
        self.import(HubConfig { imports, ..(*config).clone() }).await
    }

    async fn import(&self, config: HubConfig) -> Result<()> {
        let now = config.clock.now();
        for (what, report) in import_all(&self.hub.db, &self.keyring, &config, now).await? {
            println!("{}  imported {what}: {report}", crate::lines::wall(now));
        }
        Ok(())
    }

    /// The parts of the cast by member, for the lines.
    pub fn cast(&self) -> BTreeMap<MemberId, String> {
        let parts = crate::day::CAST.iter();
        parts.map(|(crm_id, part)| (self.member(crm_id), (*part).to_owned())).collect()
    }

    fn member(&self, crm_id: &str) -> MemberId {
        MemberId::of(&self.keyring.identifier(IdentifierKind::CrmId, crm_id))
    }

    /// Takes over changed files; a broken one is told and the last good configuration stays.
    pub fn reload_if_changed(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let newest = newest_change(&self.files);
        if newest == self.newest {
            return;
        }
        self.newest = newest;
        let clock = self.hub.config.borrow().clock.clone();
        match hub_config(&self.files, self.folder.path(), self.broker.port, &clock) {
            Ok(config) => {
                self.hub.config.send_replace(Arc::new(config));
                println!("          the changed files are in force");
            }
            Err(e) => println!("{e}\n          the last good configuration stays in force"),
        }
    }

    /// Stops everything. The folder with what was written is removed with the answer.
    pub async fn stop(self) -> TempDir {
        self.stop.cancel();
        for (_, gateway) in self.gateways {
            gateway.join().await;
        }
        self.hub.join().await;
        self.folder
    }
}

fn is_gateway_file(path: &Path) -> bool {
    path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("gateway") && n.ends_with(".toml"))
}

fn is_free(address: SocketAddr) -> bool {
    std::net::TcpListener::bind(address).is_ok()
}

fn mqtt(port: u16) -> Mqtt {
    Mqtt::plain("127.0.0.1", port)
}

/// `hub.toml` with the demo's own broker, folder, ports and clock.
fn hub_config(files: &Path, folder: &Path, port: u16, clock: &Clock) -> Result<HubConfig> {
    let config = load_hub(&files.join("hub.toml")).map_err(|e| anyhow!("{e}"))?;
    let console = if is_free(config.console) { config.console } else { SocketAddr::from(([127, 0, 0, 1], 0)) };
    Ok(HubConfig {
        database: format!("sqlite:{}", folder.join("hub.db").display()),
        key_file: folder.join("hub.key"),
        mqtt: mqtt(port),
        api: SocketAddr::from(([127, 0, 0, 1], 0)),
        console,
        clock: clock.clone(),
        sms: passage_config::Sms::Sandbox,
        // Played time waits for every step, so no step should wait for company.
        ack_every: Duration::ZERO,
        batch_within: Duration::ZERO,
        ..config
    })
}

/// The newest change of any file in the folder and the folders in it.
fn newest_change(folder: &Path) -> SystemTime {
    let changed = |p: &Path| p.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut newest = changed(folder);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        newest = newest.max(if path.is_dir() { newest_change(&path) } else { changed(&path) });
    }
    newest
}
