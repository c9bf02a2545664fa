//! Renews the certificate after two thirds of its life. The key stays: a certificate that was written without its key would lock this gateway out.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use passage_config::{GatewayConfig, Mqtt, Tls, TlsFiles, TlsPair};
use passage_protocol::{
    GatewayId,
    fleet::{Enrolled, RENEWAL, Renew},
    sign::Pinned,
};
use passage_transport::Certificate;
use rcgen::KeyPair;
use tokio_util::sync::CancellationToken;

use super::{EnrolError, files, fits, https, hub_keys, request};
use crate::health::Health;

/// How often the certificate is looked at, in machine time; about so, that a chain does not come in step.
const EVERY: Duration = Duration::from_secs(3_600);
/// So long after it was due, something keeps it from being renewed, in seconds.
const OVERDUE: i64 = 7 * 86_400;

/// Renews one gateway's certificate.
#[derive(Debug)]
pub struct Renewal {
    id: GatewayId,
    hub: String,
    mqtt: Mqtt,
    files: TlsFiles,
    own: TlsPair,
    health: Arc<Health>,
    /// The hubs' keys; a renewal may bring new ones.
    pinned: Pinned,
}

impl Renewal {
    /// Of a gateway that has enrolled; `None` for one that got its certificate in another way.
    pub fn of(config: &GatewayConfig, health: &Arc<Health>, pinned: Pinned) -> Option<Self> {
        let Some(Tls::Files(files)) = config.mqtt.tls.clone() else { return None };
        let own = files.own.clone()?;
        let (id, mqtt, health) = (config.id.clone(), config.mqtt.clone(), Arc::clone(health));
        Some(Self { id, hub: config.hub.clone()?, mqtt, files, own, health, pinned })
    }

    /// Looks and renews until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = Duration::from_secs(60).mul_f64(rand::random());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = EVERY.mul_f64(0.5 + rand::random::<f64>());
            let now = now();
            let Some(due) = self.present().map(|c| c.renew_at()) else { continue };
            if now < due {
                self.health.flag("certificate-not-renewed", false);
                continue;
            }
            match self.renew().await {
                Ok(()) => tracing::info!("the certificate was renewed; it counts from the next connection"),
                Err(e) => tracing::warn!("the certificate could not be renewed: {e}; it is tried again within two hours"),
            }
            let is_overdue = self.present().is_some_and(|c| now > c.renew_at() + OVERDUE);
            self.health.flag("certificate-not-renewed", is_overdue);
        }
    }

    fn present(&self) -> Option<Certificate> {
        let chain = passage_transport::certificates(&self.own.cert).ok()?;
        Certificate::read(chain.first()?).ok()
    }

    /// Asks the hub for the next certificate, by the present one, and puts it in its place; keeps the hubs' keys that come with it.
    pub async fn renew(&self) -> Result<(), EnrolError> {
        let unreadable = |source| EnrolError::File { file: self.own.key.display().to_string(), source };
        let pem = tokio::fs::read_to_string(&self.own.key).await.map_err(unreadable)?;
        let key = KeyPair::from_pem(&pem)?;
        let tls = Arc::new(passage_transport::from_files(&self.files)?);
        let call = Renew { csr: request(self.id.as_str(), &key)? };
        let next: Enrolled = https::post(&self.hub, RENEWAL, self.mqtt.proxy.as_ref(), tls, &call).await?;
        let authorities = passage_transport::certificates(&self.files.ca)?;
        let issuer = authorities.first().ok_or(EnrolError::Answer("no authority"))?;
        fits(&next, self.id.as_str(), issuer)?;
        let new = hub_keys::keep(&self.own.cert, &next.hub_keys, &self.pinned)?;
        if new > 0 {
            tracing::info!("{new} new hub keys came with the certificate and count from now on");
        }
        files::replace(&self.own.cert, &next.certificate, 0o644)
    }
}

/// Machine time in seconds since 1970: certificates do not know of business time.
#[expect(clippy::disallowed_methods, reason = "certificates end by the machine's clock")]
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}
