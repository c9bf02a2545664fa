//! One call to the hub, straight or through the HTTP proxy of the shop.

use std::{io, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use passage_config::Proxy;
use passage_protocol::fleet::host_and_port;
use passage_transport::pki_types::ServerName;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// For the whole call.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Not reached.
    #[error(
        "{place} cannot be reached: {source}. Mend: look whether this network lets the port out (or give --proxy), and whether the hub runs"
    )]
    Network {
        /// Who.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// The one who answers is not the hub of the invitation, or takes us for somebody else.
    #[error(
        "{place} is not the hub that was meant: {source}. Mend: ask whether something in between opens TLS; then ask for a new invitation"
    )]
    Tls {
        /// Who.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// HTTP.
    #[error("the hub's answer cannot be read: {0}")]
    Http(String),
    /// The hub says no.
    #[error("the hub refuses: {0}")]
    Refused(String),
}

/// Posts `call` to `path` at the hub and reads its answer.
pub(super) async fn post<A: DeserializeOwned>(
    url: &str,
    path: &str,
    proxy: Option<&Proxy>,
    tls: Arc<rustls::ClientConfig>,
    call: &impl Serialize,
) -> Result<A, CallError> {
    let body = serde_json::to_vec(call).map_err(|e| CallError::Http(e.to_string()))?;
    let late = |_| CallError::Network { place: url.to_owned(), source: io::ErrorKind::TimedOut.into() };
    let (status, answer) = timeout(PATIENCE, exchange(url, path, proxy, tls, body)).await.map_err(late)??;
    if !status.is_success() {
        let problem: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
        return Err(CallError::Refused(problem["detail"].as_str().map_or_else(|| status.to_string(), str::to_owned)));
    }
    serde_json::from_slice(&answer).map_err(|e| CallError::Http(format!("line {}, column {}", e.line(), e.column())))
}

async fn exchange(
    url: &str,
    path: &str,
    proxy: Option<&Proxy>,
    tls: Arc<rustls::ClientConfig>,
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), CallError> {
    let (host, port) = host_and_port(url).ok_or_else(|| CallError::Http("not an https URL".into()))?;
    let place = authority(&host, port);
    let network = |source| CallError::Network { place: place.clone(), source };
    let tcp = match proxy {
        None => TcpStream::connect((host.as_str(), port)).await.map_err(network)?,
        Some(proxy) => through(proxy, &place).await.map_err(network)?,
    };
    let name = ServerName::try_from(host).map_err(|e| CallError::Http(e.to_string()))?;
    let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(|source| CallError::Tls { place: place.clone(), source })?;
    let http = |e: hyper::Error| CallError::Http(e.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    let connection = tokio::spawn(connection);
    let request = Request::post(path)
        .header(header::HOST, &place)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| CallError::Http(e.to_string()))?;
    let answer = sender.send_request(request).await.map_err(http)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|e| CallError::Http(e.to_string()))?;
    connection.abort();
    Ok((status, body.to_bytes()))
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A connection to `place` by `CONNECT` (RFC 9110, 9.3.6).
async fn through(proxy: &Proxy, place: &str) -> io::Result<TcpStream> {
    let mut tcp = TcpStream::connect((proxy.host.as_str(), proxy.port)).await?;
    let login = proxy.login.as_ref().map_or_else(String::new, |(user, password)| {
        format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{}", password.0)))
    });
    tcp.write_all(format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{login}\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Byte by byte, because what follows belongs to TLS.
        head.push(tcp.read_u8().await?);
        if head.len() > 8 * 1024 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the proxy's answer has no end"));
        }
    }
    let first = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    if first.split(' ').nth(1).is_some_and(|code| code.starts_with('2')) {
        return Ok(tcp);
    }
    Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("the proxy answers \"{first}\"")))
}
