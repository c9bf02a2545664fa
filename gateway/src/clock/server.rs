//! Whether a time server has set the machine's clock.

use std::{path::Path, process::Command, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Keeper, Trust};

/// Where systemd-timesyncd leaves its mark.
pub const MARK: &str = "/run/systemd/timesync/synchronized";
/// It is asked for again after this, until it is so.
const AGAIN: Duration = Duration::from_secs(30);

/// Looks for the mark of systemd-timesyncd at `mark`, and else asks `timedatectl`, which knows of every time service. `None` when nobody tells.
pub fn has_set_the_clock(mark: &Path) -> Option<bool> {
    if mark.exists() { Some(true) } else { timedatectl() }
}

fn timedatectl() -> Option<bool> {
    let said = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output().ok()?;
    match String::from_utf8_lossy(&said.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Asks until a time server has set the clock, or `stop`.
pub(crate) async fn watch(keeper: Keeper, stop: CancellationToken) {
    while keeper.trust() != Trust::Server {
        let set = tokio::task::spawn_blocking(|| has_set_the_clock(Path::new(MARK))).await.ok().flatten();
        if set == Some(true) {
            keeper.server_says();
            tracing::debug!("a time server has set the clock");
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => return,
        }
    }
}
