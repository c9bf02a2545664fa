//! Which servers are believed.

use std::sync::Arc;

use rustls::{
    CertificateError as Bad, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{certificate::fingerprint, tls};

/// Believes servers whose certificate one of these authorities has issued.
///
/// A certificate that is not valid *yet* is taken: the clock of a box without a battery stands at its last shutdown, or in 1970, until the network
/// is there, and the network's hubs are behind this very connection. The authority does not issue for the future, so nothing is given away.
#[derive(Debug)]
pub struct Roots(Arc<WebPkiServerVerifier>);

impl Roots {
    /// These authorities.
    pub fn new(authorities: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        for authority in authorities {
            store.add(authority)?;
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), tls::provider())
            .build()
            .map(Self)
            .map_err(|e| Error::General(e.to_string()))
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(leaf, others, name, ocsp, now) {
            Err(Error::InvalidCertificate(Bad::NotValidYetContext { not_before, .. })) if not_before > now => {
                self.0.verify_server_cert(leaf, others, name, ocsp, not_before)
            }
            other => other,
        }
    }
}

macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, cert, dss, &tls::provider().signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &tls::provider().signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            tls::provider().signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Roots {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(leaf, others, name, ocsp, now)
    }

    signatures!();

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}

/// Believes servers whose chain holds the authority with this fingerprint, and whose certificate that authority has issued: for the first call of
/// a gateway that holds nothing but its invitation.
#[derive(Debug)]
pub struct Pinned(pub [u8; 32]);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = others.iter().find(|c| fingerprint(c) == self.0);
        let authority = authority.ok_or(Error::InvalidCertificate(Bad::UnknownIssuer))?.clone().into_owned();
        Roots::new(vec![authority])?.verify(leaf, others, name, ocsp, now)
    }

    signatures!();
}
