//! The way to the broker for gateways and hubs alike: TCP or WebSockets, with TLS, through an HTTP proxy; and what certificates say.
//!
//! Everything is read anew for each connection, so renewed files count from the next one.

mod certificate;
mod connection;
mod tls;
mod trust;

pub use certificate::{Certificate, CertificateError, fingerprint};
pub use connection::{Identity, Unreachable, options};
pub use rustls::pki_types;
pub use tls::{TlsError, certificates, client, from_files, install_provider, private_key, provider};
pub use trust::{Pinned, Roots};
