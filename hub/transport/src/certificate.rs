//! What a certificate says of itself.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

/// The bytes are no certificate, or lack what every certificate of the fleet has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate that can be read: {0}")]
pub struct CertificateError(String);

/// A certificate, as far as the fleet looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Common name.
    pub name: String,
    /// Alternative names that are URIs.
    pub uris: Vec<String>,
    /// Serial number in hexadecimal, without leading zeros.
    pub serial: String,
    /// Start of its life, in seconds since 1970.
    pub not_before: i64,
    /// End of its life, in seconds since 1970.
    pub not_after: i64,
    /// It may speak for a client.
    pub is_client: bool,
    /// It may issue others.
    pub is_authority: bool,
}

impl Certificate {
    /// Reads a certificate in DER.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, cert) = X509Certificate::from_der(der).map_err(|e| CertificateError(e.to_string()))?;
        let name = cert.subject().iter_common_name().next().and_then(|n| n.as_str().ok());
        let name = name.ok_or_else(|| CertificateError("it names nobody".into()))?.to_owned();
        let mut uris = Vec::new();
        let mut is_client = false;
        for extension in cert.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(san) => uris.extend(san.general_names.iter().filter_map(|n| match n {
                    GeneralName::URI(uri) => Some((*uri).to_owned()),
                    _ => None,
                })),
                ParsedExtension::ExtendedKeyUsage(usage) => is_client |= usage.client_auth,
                _ => {}
            }
        }
        Ok(Self {
            name,
            uris,
            serial: serial(cert.raw_serial()),
            not_before: cert.validity().not_before.timestamp(),
            not_after: cert.validity().not_after.timestamp(),
            is_client,
            is_authority: cert.is_ca(),
        })
    }

    /// True if `issuer` (in DER) has signed `der`.
    pub fn is_issued_by(der: &[u8], issuer: &[u8]) -> bool {
        let parsed = (X509Certificate::from_der(der), X509Certificate::from_der(issuer));
        let (Ok((_, cert)), Ok((_, issuer))) = parsed else { return false };
        cert.issuer() == issuer.subject() && cert.verify_signature(Some(issuer.public_key())).is_ok()
    }

    /// When it should be replaced, in seconds since 1970: after two thirds of its life.
    pub fn renew_at(&self) -> i64 {
        self.not_before + (self.not_after - self.not_before) / 3 * 2
    }
}

/// A serial number as the fleet writes it.
fn serial(bytes: &[u8]) -> String {
    let text = hex::encode(bytes);
    match text.trim_start_matches('0') {
        "" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// SHA-256 of a certificate in DER.
pub fn fingerprint(der: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(der.as_ref()).into()
}
