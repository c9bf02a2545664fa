//! TLS with rustls and ring, and certificates and keys out of files.

use std::{path::Path, sync::Arc};

use passage_config::model::TlsFiles;
use rustls::{
    ClientConfig,
    client::danger::ServerCertVerifier,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::trust::Roots;

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("{file} cannot be used: {why}. Mend: enrol this machine, or correct `tls` in [mqtt]")]
    File {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// Certificate and key do not fit, or the like.
    #[error("TLS: {0}. Mend: certificate and key must have been made for each other; enrol this machine anew")]
    Rustls(#[from] rustls::Error),
}

impl TlsError {
    fn file(file: &Path, why: impl ToString) -> Self {
        Self::File { file: file.display().to_string(), why: why.to_string() }
    }
}

/// Cryptography by ring.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes ring the cryptography of every library in this process. To be called first thing in `main`; libraries that find none chosen panic.
pub fn install_provider() {
    // Somebody else in this process, such as a test beside this one, may have been first; it is the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// All certificates of a file in PEM.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<_, _>>).map_err(|e| TlsError::file(file, e))?;
    if found.is_empty() { Err(TlsError::file(file, "it holds no certificate")) } else { Ok(found) }
}

/// The key of a file in PEM.
pub fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|e| TlsError::file(file, e))
}

/// What the files of a client stand for.
pub fn from_files(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let roots = Roots::new(certificates(&files.ca)?)?;
    let own = match &files.own {
        Some(pair) => Some((certificates(&pair.cert)?, private_key(&pair.key)?)),
        None => None,
    };
    client(Arc::new(roots), own)
}

/// A client that believes servers as `trust` says, and presents its own certificate if it has one.
pub fn client(
    trust: Arc<dyn ServerCertVerifier>,
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(trust);
    let mut config = match own {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    // A session that is resumed skips the look at certificates that may have been revoked since.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}
