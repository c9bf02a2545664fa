//! Reads the key file again when somebody changed it, so that a running hub seals with the key that `keys rotate` made active.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::identity::Keyring;

/// Machine time between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Looks until `stop`.
pub async fn run(keyring: Keyring, stop: CancellationToken) {
    let mut told = false;
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        match keyring.reload() {
            Ok(true) => tracing::info!("the keys that values are sealed with have changed"),
            Ok(false) => {}
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "the key file could not be read again; this hub goes on with the keys that it has");
            }
            Err(_) => {}
        }
    }
}
