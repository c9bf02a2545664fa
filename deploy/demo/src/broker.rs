//! The demo's MQTT broker: mosquitto when it is installed, else the embedded rumqttd. Both listen on a free port of 127.0.0.1 only.

#[cfg(feature = "embedded-broker")]
mod relay;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;

/// Which broker to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// mosquitto when it is found, else the embedded one.
    Auto,
    /// mosquitto.
    Mosquitto,
    /// The one in this process.
    Embedded,
}

/// A running broker. Dropping it ends a mosquitto that was started here.
#[derive(Debug)]
pub struct Broker {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// `mosquitto` or `rumqttd (embedded)`.
    pub name: &'static str,
    child: Option<Child>,
}

impl Broker {
    /// Starts a broker whose files, if it has any, lie in `folder`.
    pub async fn start(choice: Choice, folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let broker = match (choice, find_mosquitto()) {
            (Choice::Auto | Choice::Mosquitto, Some(program)) => mosquitto(&program, folder, port)?,
            (Choice::Mosquitto, None) => bail!("mosquitto was not found; install it with: apt install mosquitto"),
            (Choice::Auto | Choice::Embedded, _) => embedded(port).await?,
        };
        wait_for(port).await.with_context(|| format!("{} did not open 127.0.0.1:{port}", broker.name))?;
        Ok(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Debian keeps mosquitto out of a user's PATH, so the sbin folders are looked at too.
fn find_mosquitto() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|f| f.join("mosquitto")).find(|p| p.is_file())
}

fn mosquitto(program: &Path, folder: &Path, port: u16) -> Result<Broker> {
    let config = folder.join("mosquitto.conf");
    // Started as root, mosquitto drops to a user that could not read the folder; it keeps nothing there anyway.
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nmax_inflight_messages 200\nuser root\n"
    );
    fs::write(&config, text)?;
    let child = Command::new(program)
        .arg("-c")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} could not be started", program.display()))?;
    Ok(Broker { port, name: "mosquitto", child: Some(child) })
}

/// rumqttd, behind a relay that takes its delays away.
#[cfg(feature = "embedded-broker")]
async fn embedded(port: u16) -> Result<Broker> {
    use std::{collections::HashMap, net::SocketAddr};

    let inner = free_port()?;

    use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};

    let connections = ConnectionSettings {
        connection_timeout_ms: 5000,
        max_payload_size: 256 * 1024,
        max_inflight_count: 200,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "demo".to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], inner)),
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let router = RouterConfig {
        max_connections: 64,
        max_outgoing_packet_count: 1000,
        max_segment_size: 16 * 1024 * 1024,
        max_segment_count: 16,
        ..RouterConfig::default()
    };
    let config = Config { router, v5: Some(HashMap::from([("demo".to_owned(), server)])), ..Config::default() };
    // rumqttd has no way to stop; its thread ends with the process.
    std::thread::Builder::new().name("broker".to_owned()).spawn(move || {
        if let Err(e) = rumqttd::Broker::new(config).start() {
            tracing::error!("the embedded broker stopped: {e}");
        }
    })?;
    wait_for(inner).await.context("the embedded broker did not start")?;
    relay::start(port, inner).await?;
    Ok(Broker { port, name: "rumqttd (embedded)", child: None })
}

#[cfg(not(feature = "embedded-broker"))]
async fn embedded(_port: u16) -> Result<Broker> {
    bail!("mosquitto was not found and this build has no embedded broker; install it with: apt install mosquitto")
}

async fn wait_for(port: u16) -> Result<()> {
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("nothing answered within 5 s")
}
