//! From what a gateway can name to a member, in memory.

use std::sync::Arc;

use passage_config::HubConfig;
use passage_protocol::{Millis, StoreId, Subject};
use tokio::sync::watch;

use crate::{
    identity::{Keyring, MemberId},
    store::{Db, StoreError},
};

/// Finds the member behind a subject. Clones share one state.
#[derive(Debug, Clone)]
pub struct Resolver(#[expect(dead_code, reason = "read once the tables are built")] Arc<Inner>);

#[derive(Debug)]
#[expect(dead_code, reason = "read once the tables are built")]
struct Inner {
    keyring: Keyring,
    config: watch::Receiver<Arc<HubConfig>>,
}

impl Resolver {
    /// A resolver that knows nobody until the first [`Resolver::refresh`].
    pub fn new(keyring: Keyring, config: watch::Receiver<Arc<HubConfig>>) -> Self {
        Self(Arc::new(Inner { keyring, config }))
    }

    /// The member behind `subject`, seen at `evidence` in `store`; only members who grant `presence` to the store's brand and entity.
    /// Quick, in memory, no I/O.
    pub fn resolve(&self, subject: &Subject, evidence: Millis, store: &StoreId) -> Option<MemberId> {
        let _ = (subject, evidence, store);
        None
    }

    /// Brings the tables up to date with the database and the time. True if a subject that was unresolved before may resolve now.
    pub async fn refresh(&self, db: &Db, now: Millis) -> Result<bool, StoreError> {
        let _ = (db, now);
        Ok(false)
    }
}
