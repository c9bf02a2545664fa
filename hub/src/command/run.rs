//! `passage-hub run`.

use std::process::ExitCode;

use passage_config::HubConfig;
use passage_protocol::sign::Pinned;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{apply, open_with_keys};
use crate::{health::Health, identity::Keyring, pipeline::Hub, sms::provider};

/// Runs until SIGTERM or SIGINT (exit 0), or until a stage ends by itself (exit 1).
pub async fn run(own: HubConfig) -> anyhow::Result<ExitCode> {
    let (db, keys) = open_with_keys(&own).await?;
    let pinned = Pinned::from_base64(keys.public().iter().map(String::as_str))?;
    let (revision, config) = apply::with_last_good(&db, &pinned, &own).await?;
    let keyring = Keyring::load_or_create(&own.key_file)?;
    let provider = provider::from_config(&config.sms, &config.phone_region, &config.clock)?;
    let stop = CancellationToken::new();
    let mut hub = Hub::start(config, db.clone(), keyring, provider, stop.clone()).await?;
    let live = hub.config.borrow().clone();
    let health = match live.metrics {
        Some(address) => {
            let (health, listener) = Health::open(address, db.clone(), live.clock.clone()).await?;
            Some(tokio::spawn(health.run(listener, stop.clone())))
        }
        None => None,
    };
    let follow = apply::Follow { db, pinned, own, revision, live: hub.config.clone() };
    let follow = tokio::spawn(follow.run(stop.clone()));
    tracing::info!(api = %hub.api, console = %hub.console, "the hub runs");

    let mut terminate = signal(SignalKind::terminate())?;
    let asked = tokio::select! {
        _ = terminate.recv() => true,
        _ = tokio::signal::ctrl_c() => true,
        stage = hub.first_end() => {
            tracing::error!("{stage} ended by itself; the hub stops so that it is started anew");
            false
        }
    };
    stop.cancel();
    hub.join().await;
    follow.await?;
    if let Some(health) = health {
        health.await?;
    }
    Ok(if asked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
