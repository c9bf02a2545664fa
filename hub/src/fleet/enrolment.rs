//! Where gateways enrol and renew, over HTTPS with a certificate of the fleet's own authority.
//!
//! | call | by | says |
//! |---|---|---|
//! | `POST /v1/fleet/enrolment` | the secret of an invitation | a new machine asks for its first certificate |
//! | `POST /v1/fleet/renewal` | the present certificate | a machine asks for its next one |

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::StatusCode,
    routing::post,
};
use passage_config::{Fleet, Transport};
use passage_protocol::{
    StoreId,
    fleet::{Broker, ENROLMENT, Enrol, Enrolled, Machine, RENEWAL, Renew, host_and_port},
};
use passage_transport::{Certificate, TlsError, pki_types, provider};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Authority, AuthorityError, Standing, invite,
    listener::{Caller, Https},
    machine_ms, out_within,
};
use crate::{
    api::Problem,
    identity::Keyring,
    store::{Db, fleet},
};

/// Largest body in bytes; a request for a certificate has less than 1 KiB.
const MAX_BODY: usize = 16 * 1024;
/// The listener's own certificate is made anew after this, long before it ends.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// So long an enrolment waits for the broker to know that the machine before is out; the gateway's call lives 30 s.
const BROKER_KNOWS: Duration = Duration::from_secs(10);

/// Why gateways cannot enrol.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The port.
    #[error("the hub cannot listen for gateways on {addr}: {source}; set another address as `listen` in [fleet] of hub.toml")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// The service and what it needs.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// Where the fleet is kept.
    pub db: Db,
    /// For invitations.
    pub keyring: Keyring,
    /// Issues the certificates.
    pub authority: Authority,
    /// Where the broker is.
    pub fleet: Fleet,
    /// What gateways pin.
    pub hub_keys: Vec<String>,
}

impl Enrolment {
    /// Opens the port. From then on callers wait and are not refused.
    pub async fn bind(fleet: &Fleet) -> Result<TcpListener, FleetError> {
        TcpListener::bind(fleet.listen).await.map_err(|source| FleetError::Listen { addr: fleet.listen, source })
    }

    /// Serves until `stop`.
    pub async fn run(self, socket: TcpListener, stop: CancellationToken) {
        if let Err(error) = self.serve(socket, stop).await {
            tracing::error!(%error, "gateways cannot enrol any more");
        }
    }

    async fn serve(self, socket: TcpListener, stop: CancellationToken) -> Result<(), FleetError> {
        let addr = self.fleet.listen;
        let acceptor = Arc::new(RwLock::new(self.acceptor()?));
        let current = acceptor.clone();
        let https = Https::new(socket, move || current.read().unwrap_or_else(PoisonError::into_inner).clone())
            .map_err(|source| FleetError::Listen { addr, source })?;
        let routes = self.clone().router().into_make_service_with_connect_info::<Caller>();
        let served = axum::serve(https, routes);
        tokio::select! {
            () = stop.cancelled() => {}
            ended = async { served.await } => ended.map_err(|source| FleetError::Listen { addr, source })?,
            () = self.stay_fresh(&acceptor) => {}
        }
        Ok(())
    }

    async fn stay_fresh(&self, acceptor: &RwLock<TlsAcceptor>) {
        loop {
            tokio::time::sleep(FRESH).await;
            match self.acceptor() {
                Ok(fresh) => *acceptor.write().unwrap_or_else(PoisonError::into_inner) = fresh,
                Err(error) => tracing::warn!(%error, "the certificate for enrolment could not be renewed; it is tried again"),
            }
        }
    }

    /// Callers may show a certificate of the fleet; those who enrol have none yet. Whether it was revoked is asked of the database.
    fn acceptor(&self) -> Result<TlsAcceptor, FleetError> {
        use pki_types::pem::PemObject;
        let name = host_and_port(&self.fleet.url).map_or_else(|| "localhost".to_owned(), |(host, _)| host);
        let (issued, key) = self.authority.issue_server(&[name], machine_ms())?;
        let unreadable = |_| AuthorityError::Request;
        let leaf = pki_types::CertificateDer::from_pem_slice(issued.pem.as_bytes()).map_err(unreadable)?;
        let key = pki_types::PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable)?;
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).map_err(TlsError::from)?;
        let callers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|e| TlsError::from(rustls::Error::General(e.to_string())))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::from)?
            .with_client_cert_verifier(callers)
            // With the authority behind it, which a caller that holds only its fingerprint must see.
            .with_single_cert(vec![leaf, self.authority.der().clone()], key)
            .map_err(TlsError::from)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn router(self) -> Router {
        Router::new()
            .route(ENROLMENT, post(enrol))
            .route(RENEWAL, post(renew))
            .fallback(|| async { Problem::not_found("there is nothing under this path") })
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::new(self))
    }

    /// Lets a machine in the place of another join only when the broker denies everything to that one: with the enrolment the hubs take events under the
    /// gateway's name again, and they cannot see whose connection brings them.
    async fn is_alone(&self, secret: [u8; 32], now: i64) -> Result<(), Problem> {
        let mut tx = self.db.begin_read().await?;
        let machine = fleet::invited(&mut tx, secret, now).await?.ok_or_else(not_invited)?;
        drop(tx);
        let Some(before) = machine.before().next_back() else { return Ok(()) };
        match out_within(BROKER_KNOWS, &self.fleet, &self.authority, &before).await {
            Standing::Out => Ok(()),
            Standing::In => Err(not_alone("it still takes what the machine before writes")),
            Standing::Unknown(why) => Err(not_alone(&format!("it cannot be asked: {why}"))),
        }
    }

    fn welcome(&self, machine: Machine, store: Option<StoreId>, certificate: String) -> Json<Enrolled> {
        let websocket = match &self.fleet.transport {
            Transport::Tcp => None,
            Transport::WebSocket { path } => Some(path.clone()),
        };
        Json(Enrolled {
            gateway: machine.gateway,
            store,
            certificate,
            authority: self.authority.pem().to_owned(),
            hub_keys: self.hub_keys.clone(),
            broker: Broker { host: self.fleet.broker.clone(), port: self.fleet.port, websocket },
        })
    }
}

async fn enrol(State(service): State<Arc<Enrolment>>, body: Bytes) -> Result<Json<Enrolled>, Problem> {
    let call: Enrol = Problem::json(&body)?;
    let secret = hex::decode(&call.secret).ok().and_then(|s| <[u8; 32]>::try_from(s).ok());
    let secret = secret.ok_or_else(not_invited)?;
    let secret = invite::hashed(&service.keyring, &secret);
    let now = machine_ms();
    service.is_alone(secret, now).await?;
    let mut tx = service.db.begin().await?;
    let (machine, store) = fleet::redeem(&mut tx, secret, now).await?.ok_or_else(not_invited)?;
    // A request that is refused rolls back, and the invitation stays good.
    let issued = service.authority.issue(&machine, &call.csr, now).map_err(|e| refused(&e))?;
    fleet::issued(&mut tx, &issued.certificate.serial, &machine.gateway, issued.certificate.not_after * 1_000, now).await?;
    tx.commit().await?;
    tracing::info!(gateway = %machine.gateway, machine = machine.number, "a gateway has enrolled");
    Ok(service.welcome(machine, store, issued.pem))
}

async fn renew(
    State(service): State<Arc<Enrolment>>,
    ConnectInfo(Caller(caller)): ConnectInfo<Caller>,
    body: Bytes,
) -> Result<Json<Enrolled>, Problem> {
    let present = caller.and_then(|der| Certificate::read(&der).ok()).ok_or_else(not_known)?;
    let call: Renew = Problem::json(&body)?;
    let now = machine_ms();
    let mut tx = service.db.begin().await?;
    let (machine, store) = fleet::owner(&mut tx, &present.serial, now).await?.ok_or_else(not_known)?;
    let issued = service.authority.issue(&machine, &call.csr, now).map_err(|e| refused(&e))?;
    fleet::issued(&mut tx, &issued.certificate.serial, &machine.gateway, issued.certificate.not_after * 1_000, now).await?;
    tx.commit().await?;
    tracing::info!(gateway = %machine.gateway, "a gateway has renewed its certificate");
    Ok(service.welcome(machine, store, issued.pem))
}

fn not_invited() -> Problem {
    let detail = "this invitation is not known, was used, or is older than 24 hours; ask for a new one (`passage-hub gateway invite`)";
    Problem::new(StatusCode::FORBIDDEN, "not-invited", detail)
}

fn not_alone(why: &str) -> Problem {
    let detail = format!(
        "the broker does not know yet that the machine before is out: {why}. Mend: let the broker take its files in (`systemctl reload mosquitto`), \
         then enrol again with this invitation"
    );
    Problem::new(StatusCode::CONFLICT, "not-alone", detail)
}

fn not_known() -> Problem {
    let detail = "no certificate of this fleet, or one that was revoked; enrol with a new invitation (`passage-hub gateway replace`)";
    Problem::new(StatusCode::FORBIDDEN, "not-known", detail)
}

fn refused(error: &AuthorityError) -> Problem {
    match error {
        AuthorityError::Request => Problem::bad("bad-request-for-certificate", error.to_string()),
        other => {
            tracing::error!(error = %other, "a certificate could not be issued");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "not-issued", "the hub could not issue the certificate; its log says why")
        }
    }
}
