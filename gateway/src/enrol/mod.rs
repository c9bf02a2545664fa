//! How a gateway gets its certificate and keeps it fresh. The key is made here and never leaves this machine.

mod files;
mod https;
mod hub_keys;
mod renewal;

use std::{path::Path, sync::Arc};

use passage_config::Proxy;
use passage_protocol::{
    Invitation,
    fleet::{ENROLMENT, Enrol, Enrolled, Machine},
};
use passage_transport::{Certificate, Pinned, pki_types};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

pub use files::{CA, CERT, KEY};
pub use https::CallError;
pub use hub_keys::hub_keys;
pub use renewal::Renewal;

/// Why a gateway has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] passage_transport::TlsError),
    /// A key could not be made.
    #[error("no key could be made: {0}")]
    Key(#[from] rcgen::Error),
    /// What the hub sent does not fit.
    #[error("the hub answered with {0}. Mend: ask whoever runs the hub; nothing was changed here")]
    Answer(&'static str),
    /// A file.
    #[error("{file}: {source}. Mend: let this user write there")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Uses an invitation up: makes a key, has it certified, and writes key, certificate and authority into `folder`.
pub async fn enrol(invitation: &Invitation, proxy: Option<&Proxy>, folder: &Path) -> Result<Enrolled, EnrolError> {
    files::writable(folder)?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let call = Enrol { secret: hex::encode(invitation.secret), csr: request(invitation.gateway.as_str(), &key)? };
    let tls = Arc::new(passage_transport::client(Arc::new(Pinned(invitation.fingerprint)), None)?);
    let enrolled: Enrolled = https::post(&invitation.url, ENROLMENT, proxy, tls, &call).await?;
    let authority = der(&enrolled.authority)?;
    if passage_transport::fingerprint(&authority) != invitation.fingerprint {
        return Err(EnrolError::Answer("the certificate of another authority"));
    }
    fits(&enrolled, invitation.gateway.as_str(), &authority)?;
    files::write(folder, CA, &enrolled.authority, 0o644)?;
    files::write(folder, KEY, &key.serialize_pem(), 0o600)?;
    files::write(folder, CERT, &enrolled.certificate, 0o644)?;
    Ok(enrolled)
}

/// A request for a certificate; the hub takes nothing but the key of it.
fn request(name: &str, key: &KeyPair) -> Result<String, EnrolError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params.serialize_request(key)?.pem()?)
}

/// The answer holds a certificate of ours from this authority.
fn fits(enrolled: &Enrolled, name: &str, authority: &pki_types::CertificateDer<'_>) -> Result<(), EnrolError> {
    let der = der(&enrolled.certificate)?;
    let certificate = Certificate::read(&der).map_err(|_| EnrolError::Answer("something that is no certificate"))?;
    let is_ours = Machine::named(&certificate.name).is_some_and(|machine| machine.gateway.as_str() == name);
    if !is_ours || enrolled.gateway.as_str() != name {
        return Err(EnrolError::Answer("the certificate of another gateway"));
    }
    if !Certificate::is_issued_by(&der, authority) {
        return Err(EnrolError::Answer("a certificate that its authority has not issued"));
    }
    Ok(())
}

fn der(pem: &str) -> Result<pki_types::CertificateDer<'static>, EnrolError> {
    use pki_types::pem::PemObject;
    pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| EnrolError::Answer("something that is no certificate"))
}
