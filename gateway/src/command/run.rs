//! `passage-gateway run`.

use std::path::Path;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::pipeline::Gateway;

/// Runs until SIGTERM or SIGINT; then commits, says `offline`, and returns.
pub(super) async fn run(file: &Path) -> anyhow::Result<()> {
    let config = passage_config::load_gateway(file)?;
    let stop = CancellationToken::new();
    let mut term = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let id = config.id.clone();
    let gateway = Gateway::start(config, None, stop.clone()).await?;
    tracing::info!("gateway {id} runs");
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
        () = stop.cancelled() => {}
    }
    let asked = !stop.is_cancelled();
    stop.cancel();
    gateway.join().await;
    tracing::info!("gateway {id} has stopped");
    anyhow::ensure!(asked, "the gateway stopped by itself; the log says why");
    Ok(())
}
