//! The fleet's own certificate authority. Its key is made at the first start and kept sealed in the database.

use std::{fmt, net::IpAddr, sync::Arc};

use passage_protocol::{HubId, fleet::Machine};
use passage_transport::{Certificate, CertificateError, Identity, Roots, TlsError, fingerprint, pki_types};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose as Use, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType,
    SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::{
    identity::{Keyring, keyring::OpenError},
    store::{StoreError, Tx, fleet},
};

/// The place of the authority's key.
pub(crate) const CONTEXT: &str = "fleet authority key";
const NAME: &str = "Passage fleet";
/// Clocks of fresh machines may be behind by this.
const BACKDATED: Duration = Duration::hours(1);
/// Life of a gateway's and a broker's certificate.
const LIFE: Duration = Duration::days(90);
/// Life of what a hub makes for one connection.
const CONNECTION: Duration = Duration::days(7);
/// Life of the authority; what it issues ends long before.
const AUTHORITY: Duration = Duration::days(20 * 365);

/// Why a certificate cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sealed key.
    #[error(
        "the fleet authority's key in the database cannot be opened: {0}; start the hub with the key file that the database was made with"
    )]
    Sealed(#[from] OpenError),
    /// Key or certificate.
    #[error("certificates: {0}")]
    Certificates(#[from] rcgen::Error),
    /// A certificate that was just made cannot be read.
    #[error(transparent)]
    Read(#[from] CertificateError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A request with another kind of key, or whose signature does not fit.
    #[error("the request for a certificate is not one with a key of ECDSA P-256 that signed it")]
    Request,
}

/// A certificate in PEM.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub pem: String,
    /// What it says.
    pub certificate: Certificate,
}

/// Issues certificates.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: pki_types::CertificateDer<'static>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(..)")
    }
}

impl Authority {
    /// Opens the one in the database, or makes it. The caller holds a lock that all hubs take.
    pub async fn load_or_create(tx: &mut Tx, keyring: &Keyring, now_ms: i64) -> Result<Self, AuthorityError> {
        if let Some((pem, sealed)) = fleet::authority(tx).await? {
            let key = pki_types::PrivatePkcs8KeyDer::from(keyring.open(CONTEXT, &sealed)?);
            return Self::open(pem, KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ECDSA_P256_SHA256)?);
        }
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let sealed = keyring.seal(CONTEXT, key.serialized_der());
        let pem = own_certificate(at(now_ms)).self_signed(&key)?.pem();
        fleet::put_authority(tx, &pem, sealed, now_ms).await?;
        Self::open(pem, key)
    }

    fn open(pem: String, key: KeyPair) -> Result<Self, AuthorityError> {
        use pki_types::pem::PemObject;
        let der = pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        let issuer = Issuer::from_ca_cert_der(&der, key)?;
        Ok(Self(Arc::new(Inner { issuer, pem, der })))
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.0.pem
    }

    /// Its certificate in DER.
    pub fn der(&self) -> &pki_types::CertificateDer<'static> {
        &self.0.der
    }

    /// SHA-256 of its certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.0.der)
    }

    /// A gateway's certificate for the key of this request. Nothing of the request counts but the key: the name is the one that was invited.
    pub fn issue(&self, machine: &Machine, csr: &str, now_ms: i64) -> Result<Issued, AuthorityError> {
        let request = CertificateSigningRequestParams::from_pem(csr).map_err(|_| AuthorityError::Request)?;
        if *request.public_key.algorithm() != rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(AuthorityError::Request);
        }
        let mut params = params(&machine.to_string(), Use::ClientAuth, at(now_ms), LIFE);
        params.subject_alt_names = vec![SanType::URI(format!("urn:gateway:{}", machine.gateway).try_into()?)];
        self.sign(&params, &request.public_key)
    }

    /// The broker's or a listener's certificate for these names and addresses, with its key in PEM.
    pub fn issue_server(&self, names: &[String], now_ms: i64) -> Result<(Issued, String), AuthorityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let first = names.first().map_or(NAME, String::as_str);
        let mut params = params(first, Use::ServerAuth, at(now_ms), LIFE);
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName(name.clone().try_into()?),
            });
        }
        Ok((self.sign(&params, &key)?, key.serialize_pem()))
    }

    /// What a hub presents to the broker on its next connection. No gateway can have its name: none is called `hub`.
    pub fn identity(&self, hub: &HubId, now_ms: i64) -> Result<Identity, AuthorityError> {
        self.connection(&hub_user(hub), now_ms)
    }

    /// What a machine of the fleet would present: with it a hub asks the broker what that machine may do.
    pub(super) fn in_place_of(&self, machine: &Machine, now_ms: i64) -> Result<Identity, AuthorityError> {
        self.connection(&machine.to_string(), now_ms)
    }

    /// A certificate for one connection, whose key is nowhere but in memory.
    fn connection(&self, name: &str, now_ms: i64) -> Result<Identity, AuthorityError> {
        use pki_types::pem::PemObject;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let issued = self.sign(&params(name, Use::ClientAuth, at(now_ms), CONNECTION), &key)?;
        let key = key.serialize_pem();
        let chain = vec![pki_types::CertificateDer::from_pem_slice(issued.pem.as_bytes()).map_err(|_| AuthorityError::Request)?];
        let key = pki_types::PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| AuthorityError::Request)?;
        let roots = Roots::new(vec![self.0.der.clone()]).map_err(TlsError::from)?;
        Ok(Arc::new(passage_transport::client(Arc::new(roots), Some((chain, key)))?))
    }

    /// The list of revoked certificates in PEM. It has no early end: one that is not renewed in time would lock the whole fleet out.
    pub fn revocation_list(&self, revoked: &[fleet::Revoked], now_ms: i64) -> Result<String, AuthorityError> {
        let revoked_certs = revoked.iter().filter_map(|r| {
            let padded = if r.serial.len() % 2 == 1 { format!("0{}", r.serial) } else { r.serial.clone() };
            Some(RevokedCertParams {
                serial_number: SerialNumber::from(hex::decode(padded).ok()?),
                revocation_time: at(r.at),
                reason_code: None,
                invalidity_date: None,
            })
        });
        let params = CertificateRevocationListParams {
            this_update: at(now_ms) - BACKDATED,
            next_update: at(now_ms) + AUTHORITY,
            crl_number: SerialNumber::from(now_ms.unsigned_abs()),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.0.issuer)?.pem()?)
    }

    fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Result<Issued, AuthorityError> {
        let cert = params.signed_by(key, &self.0.issuer)?;
        Ok(Issued { pem: cert.pem(), certificate: Certificate::read(cert.der())? })
    }
}

/// What a hub is called at the broker.
pub fn hub_user(hub: &HubId) -> String {
    format!("hub:{hub}")
}

fn at(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn own_certificate(now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = now - BACKDATED;
    params.not_after = now + AUTHORITY;
    params.distinguished_name = named(NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(name: &str, purpose: Use, now: OffsetDateTime, life: Duration) -> CertificateParams {
    // 126 random bits, positive and never zero.
    let mut serial: [u8; 16] = rand::random();
    serial[0] = serial[0] & 0x3f | 0x40;
    let mut params = CertificateParams::default();
    params.not_before = now - BACKDATED;
    params.not_after = now + life;
    params.serial_number = Some(SerialNumber::from(serial.to_vec()));
    params.distinguished_name = named(name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}
