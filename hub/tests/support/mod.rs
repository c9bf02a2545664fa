//! Help for the story tests: fresh databases of both engines, and a broker of one's own.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream, UdpSocket},
    panic::AssertUnwindSafe,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::FutureExt;
use passage_hub::store::Db;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

/// A database of its own, gone when the test is over.
pub struct Fresh {
    /// Open and migrated.
    pub db: Db,
    /// For a second hub on the same database.
    pub url: String,
    place: Place,
}

enum Place {
    Folder(tempfile::TempDir),
    Server(String),
}

impl Fresh {
    /// A SQLite file in a temporary folder.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("hub.db").display());
        let db = Db::open(&url).await.unwrap();
        Self { db, url, place: Place::Folder(folder) }
    }

    /// A new database on the server that `PASSAGE_TEST_POSTGRES` names.
    pub async fn postgres() -> Self {
        let name = format!("passage_test_{}", uuid::Uuid::now_v7().simple());
        let mut admin = admin().await;
        // template0, because two tests may copy it at the same time.
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"))).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        let url = server().database(&name).to_url_lossy().to_string();
        let db = Db::open(&url).await.unwrap();
        Self { db, url, place: Place::Server(name) }
    }

    /// True on PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self.place, Place::Server(_))
    }

    /// Closes and deletes it.
    pub async fn gone(self) {
        // A story that failed may still hold a connection.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.db.close()).await;
        if let Place::Server(name) = &self.place {
            let mut admin = admin().await;
            sqlx::query(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).execute(&mut admin).await.unwrap();
        }
    }

    /// Ends all connections of this PostgreSQL database, as a restart of the server does.
    pub async fn cut_connections(&self) {
        if let Place::Server(name) = &self.place {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
            sqlx::query(sql).bind(name).execute(&mut admin().await).await.unwrap();
        }
    }

    /// Lets nobody connect to this PostgreSQL database until it is called with `true`.
    pub async fn allow_connections(&self, allowed: bool) {
        if let Place::Server(name) = &self.place {
            let sql = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut admin().await).await.unwrap();
        }
    }
}

fn server() -> PgConnectOptions {
    let url = std::env::var("PASSAGE_TEST_POSTGRES").expect(
        "PASSAGE_TEST_POSTGRES is not set: it names a PostgreSQL server where databases may be created, \
         for example postgres://postgres@127.0.0.1:5432/postgres",
    );
    url.parse().expect("PASSAGE_TEST_POSTGRES is a postgres:// URL")
}

async fn admin() -> PgConnection {
    server().connect().await.expect("the server of PASSAGE_TEST_POSTGRES answers")
}

/// Runs one story on both engines, each on a database of its own that is deleted afterwards, also when the story fails.
pub async fn both(story: impl AsyncFn(Db)) {
    both_fresh(async |fresh| story(fresh.db.clone()).await).await;
}

/// Like [`both`], for stories that need more of the database than an open handle.
pub async fn both_fresh(story: impl AsyncFn(&Fresh)) {
    on(Fresh::sqlite().await, &story).await;
    on(Fresh::postgres().await, &story).await;
}

/// Runs a story that only a database server can tell, on a database of its own that is deleted afterwards, also when the story fails.
pub async fn postgres_only(story: impl AsyncFn(&Fresh)) {
    on(Fresh::postgres().await, &story).await;
}

async fn on(fresh: Fresh, story: &impl AsyncFn(&Fresh)) {
    let engine = if fresh.is_postgres() { "PostgreSQL" } else { "SQLite" };
    let outcome = AssertUnwindSafe(story(&fresh)).catch_unwind().await;
    fresh.gone().await;
    if let Err(panic) = outcome {
        eprintln!("the story failed on {engine}");
        std::panic::resume_unwind(panic);
    }
}

/// A mosquitto on a free port of loopback, killed when dropped.
pub struct Broker {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    child: Child,
    folder: tempfile::TempDir,
}

impl Broker {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        // Between finding a free port and binding it somebody else may take it.
        (0..5).find_map(|_| Self::try_start(free_port())).expect("mosquitto starts on a free port")
    }

    fn try_start(port: u16) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("mosquitto.conf");
        let mut file = std::fs::File::create(&config).unwrap();
        write!(
            file,
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_inflight_messages 1000\n\
             max_queued_messages 0\nset_tcp_nodelay true\n"
        )
        .unwrap();
        let child = Command::new(mosquitto())
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto can be started");
        let mut broker = Self { port, child, folder };
        broker.answers().then_some(broker)
    }

    fn answers(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Kills it as `kill -9` does and starts a new one, with empty memory, on the same port.
    pub fn kill_and_restart(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let config = self.folder.path().join("mosquitto.conf");
        self.child = Command::new(mosquitto()).arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert!(self.answers(), "mosquitto comes back on port {}", self.port);
    }

    /// As `hub.toml` would say it.
    pub fn config(&self) -> passage_config::model::Mqtt {
        passage_config::model::Mqtt::plain("127.0.0.1", self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mosquitto() -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.iter().map(|folder| folder.join("mosquitto")).find(|file| file.is_file());
    found.expect("mosquitto is not installed: it is looked for on PATH, in /usr/sbin and in /usr/local/sbin")
}

/// A port of 127.0.0.1 that is this process's own: the UDP port of the same number stays bound, and a test takes only a port whose twin is free.
/// It lies below the range that the system takes for outgoing connections.
pub fn free_port() -> u16 {
    loop {
        let port = rand::random_range(20_000..32_000);
        if let Ok(twin) = UdpSocket::bind(("127.0.0.1", port))
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            std::mem::forget(twin);
            return port;
        }
    }
}

/// Waits until `check` holds, or fails the test with `what` after a minute.
pub async fn until(what: &str, check: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !check().await {
        assert!(Instant::now() < end, "did not happen within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A site with these stores and nothing else.
pub fn site(stores: &[&str]) -> passage_config::model::Site {
    let hours = std::sync::Arc::new(passage_config::hours::Hours::parse("Mo-Su 00:00-24:00").unwrap());
    let store = |id: &&str| {
        let store = passage_config::model::Store {
            id: id.parse().unwrap(),
            name: (*id).to_owned(),
            brand: "brand".to_owned(),
            entity: "brand".to_owned(),
            region: "region".to_owned(),
            tags: vec![],
            at: geo::Point::new(4.83, 45.76),
            timezone: chrono_tz::Europe::Paris,
            hours: hours.clone(),
        };
        (store.id.clone(), store)
    };
    passage_config::model::Site { stores: stores.iter().map(store).collect(), ..Default::default() }
}

/// A hub on this broker with quick acks and small batches.
pub fn hub_config(id: &str, mqtt: passage_config::model::Mqtt, site: passage_config::model::Site) -> passage_config::HubConfig {
    use passage_config::{hours::DayWindow, model::Sms};
    let loopback = "127.0.0.1:0".parse().unwrap();
    passage_config::HubConfig {
        id: id.parse().unwrap(),
        database: String::new(),
        key_file: "unused".into(),
        mqtt,
        fleet: None,
        api: loopback,
        console: loopback,
        metrics: None,
        clock: passage_protocol::Clock::System,
        api_tokens: Default::default(),
        web: Default::default(),
        position_secret: None,
        app: Default::default(),
        page: Default::default(),
        sms: Sms::Sandbox,
        caps: Default::default(),
        hard_window: DayWindow::HARD,
        visit: Default::default(),
        windows: Default::default(),
        retention: passage_config::model::Retention::default(),
        k: 20,
        ack_every: Duration::from_millis(50),
        batch_within: Duration::from_millis(10),
        backlog_rate: 50,
        backlog_total: 5_000,
        phone_region: "FR".to_owned(),
        identity: Default::default(),
        imports: Default::default(),
        site_dir: Default::default(),
        applied: 0,
        site: std::sync::Arc::new(site),
    }
}
