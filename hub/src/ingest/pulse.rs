//! Feels whether the database answers, also while nothing is to be stored: a hub that is cut off must leave the broker before messages come to it.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::store::Db;

/// Machine time between two signs of life.
const EVERY: Duration = Duration::from_secs(1);
/// A server that is silent for so long is given up. With [`EVERY`], a hub that is cut off knows it within 4 s.
const SILENT: Duration = Duration::from_secs(3);

/// Whether this hub can commit. Only then it takes its share of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Able {
    /// The database gives signs of life.
    pub(crate) answers: bool,
    /// The last batch could be committed.
    pub(crate) commits: bool,
}

impl Able {
    pub(crate) const YES: Self = Self { answers: true, commits: true };

    pub(crate) fn is_able(self) -> bool {
        self.answers && self.commits
    }

    /// Changes what is known, and wakes those who watch if that makes a difference.
    pub(crate) fn note(able: &watch::Sender<Self>, change: impl FnOnce(&mut Self)) {
        able.send_if_modified(|known| {
            let before = *known;
            change(known);
            *known != before
        });
    }
}

/// Asks the database for a sign of life again and again.
pub(crate) struct Pulse {
    pub(crate) db: Db,
    pub(crate) able: watch::Sender<Able>,
}

impl Pulse {
    pub(crate) async fn run(self, stop: CancellationToken) {
        // SQLite is a file of this machine: what ails it shows when something is committed.
        if self.db.is_sqlite() {
            return stop.cancelled().await;
        }
        let beats = async {
            loop {
                self.beat().await;
                sleep(EVERY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = beats => {}
        }
    }

    async fn beat(&self) {
        let answers = match timeout(SILENT, self.db.pulse()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                warn!(%error, "no sign of life from the database");
                false
            }
            Err(_) => {
                warn!("the database has said nothing for {} s; its connections are given up and made anew", SILENT.as_secs());
                self.db.renew();
                false
            }
        };
        Able::note(&self.able, |able| able.answers = answers);
    }
}
