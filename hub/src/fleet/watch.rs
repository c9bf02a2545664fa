//! Keeps the files of the broker as the database says: who was revoked, and a broker's certificate that has not ended.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use passage_config::{Fleet, Transport};
use passage_transport::{Certificate, certificates};
use tokio_util::sync::CancellationToken;

use super::{
    Authority, AuthorityError,
    broker::{self, Doors, Member, Rights},
    machine_ms,
};
use crate::store::{Db, StoreError, fleet};

/// How often the database is looked at, in machine time.
const EVERY: Duration = Duration::from_secs(2);

/// Why the files are not written.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A file.
    #[error("{file}: {source}. Mend: let the hub write the folder `broker_files` of [fleet], or take that key out")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
}

/// Writes the files into a folder when they change.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Where the fleet is kept.
    pub db: Db,
    /// Issues the broker's certificate and the list.
    pub authority: Authority,
    /// Names and ports.
    pub fleet: Fleet,
}

impl Watch {
    /// Writes what changed, again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Some(folder) = self.fleet.broker_files.clone() else { return stop.cancelled().await };
        let mut told = false;
        loop {
            match self.write(&folder).await {
                Ok(()) => told = false,
                Err(error) if told => tracing::debug!(%error, "the files of the broker could not be written"),
                Err(error) => {
                    told = true;
                    tracing::warn!(%error, "the files of the broker could not be written; it is tried again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Makes the files in `folder` what they should be; those that are stay untouched.
    pub async fn write(&self, folder: &Path) -> Result<(), WatchError> {
        let now = machine_ms();
        let mut tx = self.db.begin_read().await?;
        let listed = fleet::list(&mut tx).await?;
        let revoked = fleet::revoked(&mut tx, now).await?;
        drop(tx);
        let rights = Rights { hubs: self.fleet.hubs.clone(), members: listed.into_iter().map(member).collect() };
        tokio::fs::create_dir_all(folder).await.map_err(|e| at(folder, e))?;
        put(folder, broker::CA, self.authority.pem(), 0o644)?;
        put(folder, broker::ACL, &broker::acl(&rights), 0o640)?;
        self.certificate(folder, now)?;
        self.list(folder, &revoked, now)?;
        put(folder, broker::CONF, &broker::conf(&self.doors(folder)), 0o644)
    }

    fn doors(&self, folder: &Path) -> Doors {
        let all = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let folder = folder.display().to_string();
        let (tls, websocket) = match self.fleet.transport {
            Transport::Tcp => (self.fleet.port, None),
            Transport::WebSocket { .. } => (8883, Some(SocketAddr::new(all, self.fleet.port))),
        };
        Doors { folder, tls: SocketAddr::new(all, tls), websocket }
    }

    /// The broker's certificate: made when there is none, when it is due, or when the broker has another name.
    fn certificate(&self, folder: &Path, now: i64) -> Result<(), WatchError> {
        let (cert, key) = (folder.join(broker::CERT), folder.join(broker::KEY));
        let present = certificates(&cert).ok().and_then(|chain| Some((Certificate::read(chain.first()?).ok()?, chain)));
        let is_good = present.is_some_and(|(c, chain)| {
            let ours = chain.first().is_some_and(|der| Certificate::is_issued_by(der, self.authority.der()));
            ours && c.name == self.fleet.broker && c.renew_at() * 1_000 > now
        });
        if is_good && key.is_file() {
            return Ok(());
        }
        let (issued, secret) = self.authority.issue_server(&[self.fleet.broker.clone(), "localhost".into(), "127.0.0.1".into()], now)?;
        put(folder, broker::KEY, &secret, 0o640)?;
        put(folder, broker::CERT, &issued.pem, 0o644)
    }

    /// The list is signed with its time, so it is made anew only when other certificates stand on it, which a file beside it tells.
    fn list(&self, folder: &Path, revoked: &[fleet::Revoked], now: i64) -> Result<(), WatchError> {
        let serials: String = revoked.iter().map(|r| format!("{}\n", r.serial)).collect();
        let told = folder.join("revoked");
        if std::fs::read_to_string(&told).ok().as_ref() == Some(&serials) && folder.join(broker::CRL).is_file() {
            return Ok(());
        }
        put(folder, broker::CRL, &self.authority.revocation_list(revoked, now)?, 0o644)?;
        put(folder, "revoked", &serials, 0o644)
    }
}

/// Who was invited and has not enrolled has rights already, so that the broker need not be told again; nobody holds a certificate of that name yet.
fn member(gateway: fleet::Enlisted) -> Member {
    let is_out = gateway.barred && gateway.invited_until.is_none();
    Member { machine: gateway.machine, is_out, takes_positions: gateway.position }
}

fn at(file: &Path, source: io::Error) -> WatchError {
    WatchError::File { file: file.display().to_string(), source }
}

/// Writes a file whole or not at all; one that holds the same stays as it is.
fn put(folder: &Path, name: &str, text: &str, mode: u32) -> Result<(), WatchError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let (file, draft) = (folder.join(name), folder.join(format!(".{name}.new")));
    if std::fs::read_to_string(&file).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let write = || {
        let _ = std::fs::remove_file(&draft);
        let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        out.write_all(text.as_bytes()).and_then(|()| out.sync_all())?;
        std::fs::rename(&draft, &file)
    };
    write().map_err(|e| at(&file, e))
}
