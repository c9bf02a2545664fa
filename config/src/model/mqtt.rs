use std::path::PathBuf;

use super::Secret;

/// A broker and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mqtt {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Login, if the broker asks for one.
    pub user: Option<String>,
    /// Password, if the broker asks for one.
    pub password: Option<Secret>,
    /// How the connection is protected; `None`: not at all.
    pub tls: Option<Tls>,
    /// What MQTT travels in.
    pub transport: Transport,
    /// The HTTP proxy of the shop's network, if that is the only way out.
    pub proxy: Option<Proxy>,
}

impl Mqtt {
    /// A broker that takes everybody over plain TCP.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, user: None, password: None, tls: None, transport: Transport::Tcp, proxy: None }
    }
}

/// Where the certificates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Out of files.
    Files(TlsFiles),
    /// The hub makes its own with the authority in its database. Gateways have no such thing.
    Fleet,
}

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities that may have issued the broker's certificate.
    pub ca: PathBuf,
    /// Our own certificate and its key, for a broker that asks for them.
    pub own: Option<TlsPair>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPair {
    /// The certificate, and those between it and the authority.
    pub cert: PathBuf,
    /// The key, PKCS#8 or SEC1.
    pub key: PathBuf,
}

/// What MQTT travels in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// TCP, or TLS over TCP.
    Tcp,
    /// WebSockets, which pass where only the web is let out.
    WebSocket {
        /// Path of the URL, with its slash.
        path: String,
    },
}

/// An HTTP proxy that is asked to `CONNECT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User and password, if it asks for them.
    pub login: Option<(String, Secret)>,
}
