//! A small retailer with members to write to, and providers that do what a test says.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use passage_config::{
    hours::{DayWindow, Hours},
    model::{Audience, Brand, Caps, HubConfig, Imports, Mqtt, Namespace, Offer, Sender as BrandSender, Site, Sms, Store, Trigger},
};
use passage_hub::{
    args,
    identity::{Destination, IdentifierKind, Keyring, MemberId, Purpose},
    notice::Notices,
    sms::{
        MessageState, Msisdn, NewMessage, Outcome, Provider, Sender, Submit,
        provider::{Event, Incoming},
    },
    store::{Db, message},
};
use passage_protocol::{Clock, Millis, StoreId};
use tokio::sync::{Notify, mpsc, watch};
use uuid::Uuid;

/// Friday 2026-11-20, 15:00 in Paris.
pub const FRIDAY: Millis = Millis(1_795_183_200_000);
/// A STOP number of the brand `maison`.
pub const STOP_NUMBER: &str = "36111";

pub fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// Two brands; `maison` has an entity of its own and a franchisee.
pub fn config(sms: Sms) -> HubConfig {
    let brand = |id: &str, name: &str, stop: &str| {
        let entities = [id, "franchise"].map(|e| (e.to_owned(), e.to_owned())).into();
        let namespace = Namespace { service_uuid: [1; 16], ibeacon: [2; 11], uuid_prefix: None };
        let sender = BrandSender { name: name.to_owned(), stop_number: stop.to_owned() };
        (
            id.to_owned(),
            Brand { id: id.to_owned(), name: name.to_owned(), entities, namespace, sender, beacons: Vec::new(), wake_uuid: None },
        )
    };
    let lyon: StoreId = "lyon-bellecour".parse().unwrap();
    let store = Store {
        id: lyon.clone(),
        name: "Lyon Bellecour".to_owned(),
        brand: "maison".to_owned(),
        entity: "maison".to_owned(),
        region: "ara".to_owned(),
        tags: Vec::new(),
        at: geo::Point::new(4.832, 45.757),
        timezone: chrono_tz::Europe::Paris,
        hours: Arc::new(Hours::parse("Mo-Sa 10:00-19:30").unwrap()),
    };
    let window = DayWindow { days: 0b0011_1111, from: 9 * 60, to: 20 * 60 };
    let offer = Offer {
        id: "manteau".to_owned(),
        name: "Manteau".to_owned(),
        live: true,
        brand: "maison".to_owned(),
        stores: vec![lyon.clone()],
        on: Trigger::Enter,
        audience: Audience::default(),
        text: "Bonjour".to_owned(),
        transliterate: true,
        max_parts: 3,
        priority: 50,
        holdout: 0.0,
        window,
        deadline: minutes(10),
        validity: minutes(30),
        campaign: None,
    };
    let site = Site {
        revision: "test".to_owned(),
        brands: [brand("maison", "MAISON", STOP_NUMBER), brand("autre", "AUTRE", "36222")].into(),
        stores: [(lyon, store)].into(),
        offers: [("manteau".to_owned(), offer)].into(),
        ..Site::default()
    };
    HubConfig {
        id: "hub-1".parse().unwrap(),
        database: String::new(),
        key_file: "unused".into(),
        mqtt: Mqtt::plain("127.0.0.1", 0),
        fleet: None,
        api: ([127, 0, 0, 1], 0).into(),
        console: ([127, 0, 0, 1], 0).into(),
        metrics: None,
        clock: Clock::System,
        api_tokens: Default::default(),
        web: Default::default(),
        position_secret: None,
        app: Default::default(),
        page: Default::default(),
        sms,
        caps: Caps { per_day: 1, per_week: 2, per_month: 4 },
        hard_window: DayWindow { days: 0b0011_1111, from: 8 * 60, to: 20 * 60 },
        visit: Default::default(),
        windows: Default::default(),
        retention: Default::default(),
        k: 20,
        ack_every: Duration::from_millis(200),
        batch_within: Duration::from_millis(5),
        backlog_rate: 500,
        backlog_total: 5_000,
        phone_region: "FR".to_owned(),
        identity: Default::default(),
        imports: Imports::default(),
        site_dir: std::path::PathBuf::new(),
        applied: 0,
        site: Arc::new(site),
    }
}

/// A hub's sending side on a stepped clock.
pub struct Shop {
    pub db: Db,
    pub keyring: Keyring,
    pub clock: Clock,
    pub config: watch::Sender<Arc<HubConfig>>,
    pub notices: Notices,
    pub wake: Arc<Notify>,
}

impl Shop {
    pub fn new(db: &Db) -> Self {
        Self::with(db, Sms::Sandbox)
    }

    pub fn with(db: &Db, sms: Sms) -> Self {
        Self {
            db: db.clone(),
            keyring: Keyring::from_secret(&[7; 32]),
            clock: Clock::stepped(FRIDAY),
            config: watch::Sender::new(Arc::new(config(sms))),
            notices: Notices::default(),
            wake: Arc::default(),
        }
    }

    pub fn sender(&self, provider: Arc<dyn Provider>) -> Sender {
        self.sender_of("hub-1", provider)
    }

    pub fn sender_of(&self, hub: &str, provider: Arc<dyn Provider>) -> Sender {
        Sender {
            db: self.db.clone(),
            keyring: self.keyring.clone(),
            config: self.config.subscribe(),
            clock: self.clock.clone(),
            notices: self.notices.clone(),
            provider,
            wake: self.wake.clone(),
            hub: hub.parse().unwrap(),
        }
    }

    pub fn change(&self, edit: impl FnOnce(&mut HubConfig)) {
        let mut config = HubConfig::clone(&self.config.borrow());
        edit(&mut config);
        self.config.send_replace(Arc::new(config));
    }

    pub fn change_offer(&self, edit: impl FnOnce(&mut Offer)) {
        self.change(|config| {
            let mut site = Site::clone(&config.site);
            edit(site.offers.get_mut("manteau").unwrap());
            config.site = Arc::new(site);
        });
    }

    /// The `n`-th member's number: `+336123400nn`.
    pub fn number(n: i64) -> Msisdn {
        Msisdn::parse(&format!("+336123{n:05}"), "FR").unwrap()
    }

    pub fn destination(&self, n: i64) -> Destination {
        let number = Self::number(n);
        let key = self.keyring.identifier(IdentifierKind::Phone, number.expose());
        Destination { key, sealed: self.keyring.seal("phone", number.expose().as_bytes()), owner: MemberId(n) }
    }

    /// Writes member `n` with all consents that a plain offer needs.
    pub async fn member(&self, n: i64) {
        let mut tx = self.db.begin().await.unwrap();
        tx.execute("INSERT INTO member (id, brand, created_at, version) VALUES ($1, 'maison', 0, 0)", args![n]).await.unwrap();
        let d = self.destination(n);
        let sql = "INSERT INTO destination (member, key, sealed, at) VALUES ($1, $2, $3, 0)";
        tx.execute(sql, args![n, &d.key.0, d.sealed]).await.unwrap();
        tx.commit().await.unwrap();
        for purpose in [Purpose::Sms, Purpose::Presence] {
            self.consent(n, purpose, true).await;
        }
    }

    pub async fn consent(&self, n: i64, purpose: Purpose, granted: bool) {
        let sql = "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source) VALUES ($1, 'maison', 'maison', $2, $3, 0, 'crm') \
                   ON CONFLICT (member, purpose, brand, entity) DO UPDATE SET granted = $3";
        self.db.execute(sql, args![n, purpose.word(), granted]).await.unwrap();
    }

    /// A message to member `n`, planned now.
    pub fn message(&self, n: i64) -> NewMessage {
        let id = Uuid::now_v7();
        let now = self.clock.now();
        NewMessage {
            id,
            send_key: self.keyring.hash("test", &[id.as_bytes()]),
            decision: Uuid::now_v7(),
            member: MemberId(n),
            brand: "maison".to_owned(),
            entity: "maison".to_owned(),
            offer: "manteau".to_owned(),
            campaign: None,
            visit: None,
            store: "lyon-bellecour".parse().unwrap(),
            destination: self.destination(n),
            text: "Votre manteau vous attend en taille 42. STOP au 36111".to_owned(),
            sender: "MAISON".to_owned(),
            trigger_at: now,
            planned_at: now,
            deadline: now + minutes(10),
            validity_ms: 30 * 60_000,
        }
    }

    pub async fn plan(&self, message: &NewMessage) -> bool {
        let mut tx = self.db.begin().await.unwrap();
        let planned = message::plan(&mut tx, message).await.unwrap();
        tx.commit().await.unwrap();
        planned
    }

    /// A member with a planned message.
    pub async fn planned(&self, n: i64) -> Uuid {
        self.member(n).await;
        let message = self.message(n);
        assert!(self.plan(&message).await);
        message.id
    }

    /// State and reason.
    pub async fn fate(&self, id: Uuid) -> (MessageState, Option<String>) {
        let rows = self.db.fetch("SELECT state, reason FROM message WHERE id = $1", args![id.to_string()]).await.unwrap();
        (rows[0].text(0).unwrap().parse().unwrap(), rows[0].opt_text(1).unwrap())
    }

    pub async fn state(&self, id: Uuid) -> MessageState {
        self.fate(id).await.0
    }

    pub async fn is_suppressed(&self, n: i64, brand: &str, entity: &str) -> bool {
        let sql = "SELECT reason FROM suppression WHERE destination = $1 AND brand = $2 AND entity = $3";
        let key = self.keyring.identifier(IdentifierKind::Phone, Self::number(n).expose());
        !self.db.fetch(sql, args![&key.0, brand, entity]).await.unwrap().is_empty()
    }
}

/// What a scripted provider does with a submit.
pub enum Script {
    Answer(Outcome),
    /// Takes it and never answers.
    Hang,
}

/// A provider that plays a script; when the script is over it accepts.
#[derive(Debug)]
pub struct Scripted {
    script: Mutex<VecDeque<Script>>,
    pub submits: AtomicUsize,
    pub seen: Mutex<Vec<Uuid>>,
    pub local: bool,
    put: mpsc::UnboundedSender<Incoming>,
    take: tokio::sync::Mutex<mpsc::UnboundedReceiver<Incoming>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Scripted {
    pub fn new(script: impl IntoIterator<Item = Script>) -> Arc<Self> {
        Arc::new(Self::plain(script))
    }

    /// One that reaches real phones.
    pub fn far() -> Arc<Self> {
        Arc::new(Self { local: false, ..Self::plain([]) })
    }

    fn plain(script: impl IntoIterator<Item = Script>) -> Self {
        let (put, take) = mpsc::unbounded_channel();
        Self {
            script: Mutex::new(script.into_iter().collect()),
            submits: AtomicUsize::new(0),
            seen: Mutex::default(),
            local: true,
            put,
            take: tokio::sync::Mutex::new(take),
        }
    }

    pub fn count(&self) -> usize {
        self.submits.load(Ordering::SeqCst)
    }

    pub fn bring(&self, event: Event) -> tokio::sync::oneshot::Receiver<bool> {
        let (done, taken) = tokio::sync::oneshot::channel();
        self.put.send(Incoming { event, done }).unwrap();
        taken
    }
}

#[async_trait]
impl Provider for Scripted {
    fn is_local(&self) -> bool {
        self.local
    }

    fn window(&self) -> usize {
        4
    }

    fn is_up(&self) -> bool {
        true
    }

    async fn ready(&self) {}

    async fn submit(&self, submit: &Submit) -> Outcome {
        self.submits.fetch_add(1, Ordering::SeqCst);
        self.seen.lock().unwrap().push(submit.id);
        let next = self.script.lock().unwrap().pop_front();
        match next {
            Some(Script::Answer(outcome)) => outcome,
            Some(Script::Hang) => std::future::pending().await,
            None => Outcome::Accepted { ids: vec![format!("id-{}", submit.id)] },
        }
    }

    async fn next(&self) -> Option<Incoming> {
        self.take.lock().await.recv().await
    }

    async fn try_next(&self) -> Option<Incoming> {
        self.take.lock().await.try_recv().ok()
    }
}
