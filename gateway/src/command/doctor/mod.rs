//! `passage-gateway doctor`: looks at everything that the gateway needs. It changes nothing and can run beside the gateway.
//!
//! Each check is a gatherer of facts and a pure judge of them.

mod bluetooth;
mod broker;
mod certificate;
mod clock;
mod disk;
mod finding;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use passage_config::{BleRadio, GatewayConfig, Radio};
use passage_protocol::Clock;

use self::finding::{Finding, State};
use crate::{enrol, outbox::look::look, radio::Capture, site::last_good};

/// Where the system tells of itself.
struct Places {
    rfkill: PathBuf,
    timesync: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { rfkill: "/sys/class/rfkill".into(), timesync: "/run/systemd/timesync/synchronized".into() }
    }
}

/// Prints every finding; the exit code is 1 if something is wrong. Warnings are no reason to fail.
pub(super) async fn doctor(file: &Path, json: bool) -> ExitCode {
    let findings = examine(file, Places::default()).await;
    for finding in &findings {
        if json {
            println!("{}", serde_json::to_string(finding).unwrap_or_default());
        } else {
            println!("{finding}");
        }
    }
    if findings.iter().any(|finding| finding.state == State::Wrong) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn examine(file: &Path, places: Places) -> Vec<Finding> {
    let config = match passage_config::load_gateway(file) {
        Ok(config) => config,
        Err(mistakes) => return vec![Finding::wrong("config", mistakes.to_string(), "correct the files; nothing else was looked at")],
    };
    let mut findings = vec![site(&config)];
    findings.extend(radio(&config, &places).await);
    let timesync = places.timesync;
    let system_clock = config.clock.clone();
    let on_clock = tokio::task::spawn_blocking(move || clock::judge(&clock::gather(&timesync, &system_clock))).await;
    findings.extend(on_clock);
    findings.extend(storage(&config).await);
    findings.extend(way_to_hub(&config).await);
    findings
}

/// What the files say, and the site that came from the hub.
fn site(config: &GatewayConfig) -> Finding {
    const CHECK: &str = "config";
    match last_good::looked_up(config.clone()) {
        Err(e) => Finding::wrong(CHECK, format!("the site on the disk cannot be read: {e}"), "see the line of outbox"),
        Ok(site) if config.site_from_hub && site.is_empty() => Finding::warning(
            CHECK,
            format!("gateway {}; no site has come from the hub yet, so nobody is recognised", config.id),
            "let the gateway run, list it under gateways/ of the hub's site, and `passage-hub apply`",
        ),
        Ok(site) => {
            let from = if config.site_from_hub { format!(", revision {} of the hub", site.revision) } else { String::new() };
            let (stores, geofences) = (site.config.site.stores.len(), site.config.site.geofences.len());
            Finding::ok(CHECK, format!("gateway {}, {stores} stores, {geofences} geofences{from}", config.id))
        }
    }
}

/// The radio that the configuration names.
async fn radio(config: &GatewayConfig, places: &Places) -> Vec<Finding> {
    const CHECK: &str = "radio";
    match &config.radio {
        Radio::None => vec![Finding::ok(CHECK, "none, as gateway.toml says")],
        Radio::Simulate { .. } => {
            vec![Finding::warning(CHECK, "virtual phones, no real radio", "write radio = \"ble\" into gateway.toml in a real shop")]
        }
        Radio::Replay(capture) => vec![match Capture::open(capture) {
            Ok(_) => {
                Finding::warning(CHECK, "a capture is played, no real radio", "write radio = \"ble\" into gateway.toml in a real shop")
            }
            Err(e) => Finding::wrong(CHECK, e.to_string(), "correct `radio` in gateway.toml"),
        }],
        Radio::Ble(ble) => bluetooth(ble, places).await,
    }
}

async fn bluetooth(ble: &BleRadio, places: &Places) -> Vec<Finding> {
    let rfkill = places.rfkill.clone();
    let gathered = tokio::task::spawn_blocking(move || (bluetooth::switches(&rfkill), bluetooth::bus(), bluetooth::version())).await;
    let Ok((switches, bus, version)) = gathered else { return Vec::new() };
    vec![
        bluetooth::judge_switches(&switches),
        bluetooth::judge_daemon(&bus, version.as_deref()),
        bluetooth::judge_adapter(&bus, ble.adapter.as_deref()),
    ]
}

/// The folder of the outbox and what waits in it.
async fn storage(config: &GatewayConfig) -> Vec<Finding> {
    let folder = config.data.clone();
    let facts = tokio::task::spawn_blocking(move || disk::gather(&folder)).await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    let look = look(&config.data).await;
    vec![disk::judge(&facts, &config.outbox), disk::judge_outbox(&look, &config.outbox, config.clock.now())]
}

/// Broker, rights, hub and its key.
async fn way_to_hub(config: &GatewayConfig) -> Vec<Finding> {
    let look = look(&config.data).await.ok().flatten();
    let facts = broker::gather(config, look.as_ref()).await;
    let now = Clock::System.now();
    let mut findings = vec![
        certificate::judge(&certificate::gather(&config.mqtt), config, now),
        broker::judge_broker(&facts, &config.mqtt),
        broker::judge_rights(&facts, &config.id),
        broker::judge_hub(&facts),
        broker::judge_hub_key(&facts, enrol::hub_keys(config).len()),
    ];
    findings.extend(broker::judge_hub_clock(&facts, now).filter(|_| config.clock.is_system()));
    findings
}
