//! The connections to a PostgreSQL server, and giving them up when it does not answer any more.
//!
//! A connection whose other end has vanished says nothing for many minutes. So whoever finds that the server is silent gives all connections up at
//! once: whatever waits on them fails like any other lost connection and is tried again on new ones. The server for its part ends the transactions of
//! a hub that is silent ([`OPTIONS`]), so that another hub goes on with its work.

use std::{
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use sqlx::{
    Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio_util::sync::CancellationToken;

use super::StoreError;

/// What the server is told for each connection, in milliseconds: the locks of a hub that was killed, cut off or stopped are free after 4 s, so that
/// with 100 ms of polling another hub has taken its work over within 5 s.
const OPTIONS: [(&str, &str); 3] =
    [("idle_in_transaction_session_timeout", "4000"), ("lock_timeout", "5000"), ("tcp_user_timeout", "4000")];
const CONNECTIONS: u32 = 8;
/// Longest wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// A connection that was used so lately is not asked for a sign of life before it is used again; that would double the questions of a busy hub.
const FRESH: Duration = Duration::from_secs(1);

/// A server, by way of the connections of the moment. Clones share them.
#[derive(Debug, Clone)]
pub struct Server {
    options: PgConnectOptions,
    now: Arc<RwLock<Connections>>,
}

/// The connections of the moment.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pub pool: PgPool,
    pub given_up: CancellationToken,
}

impl Connections {
    /// What the server answers, unless these connections are given up first.
    pub async fn ask<T>(&self, question: impl Future<Output = sqlx::Result<T>>) -> Result<T, StoreError> {
        answer(&self.given_up, question).await
    }
}

/// The outcome of `question`, unless its connections are given up first.
pub(super) async fn answer<T>(given_up: &CancellationToken, question: impl Future<Output = sqlx::Result<T>>) -> Result<T, StoreError> {
    tokio::select! {
        biased;
        answer = question => Ok(answer?),
        () = given_up.cancelled() => Err(StoreError::Silent),
    }
}

impl Server {
    /// Connects to `postgres://...`.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.options(OPTIONS);
        let pool = pool().connect_with(options.clone()).await?;
        let now = Arc::new(RwLock::new(Connections { pool, given_up: CancellationToken::new() }));
        Ok(Self { options, now })
    }

    pub(super) fn connections(&self) -> Connections {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives all connections up; new ones are made when they are needed.
    pub(super) fn renew(&self) {
        let fresh = Connections { pool: pool().connect_lazy_with(self.options.clone()), given_up: CancellationToken::new() };
        let old = std::mem::replace(&mut *self.now.write().unwrap_or_else(PoisonError::into_inner), fresh);
        old.given_up.cancel();
    }
}

fn pool() -> PgPoolOptions {
    PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE).test_before_acquire(false).before_acquire(
        |connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        },
    )
}
