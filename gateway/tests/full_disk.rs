//! A disk that refuses, and a technician who stops the gateway.

use std::{net::TcpListener, path::Path, time::Duration};

use passage_config::{GatewayConfig, Mqtt, load_gateway};
use passage_gateway::{
    beacon::encode,
    pipeline::{Gateway, GatewayHandle, Input},
    radio::{Advert, Heard},
};
use passage_protocol::{Clock, Millis, Rid, rid::RidPayload};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const START: Millis = Millis(1_795_165_200_000);

/// A gateway without a broker whose disk takes no rows any more.
async fn full(dir: &TempDir, stop: &CancellationToken) -> (GatewayHandle, GatewayConfig) {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo/gateway-lyon.toml");
    let config = GatewayConfig {
        data: dir.path().to_owned(),
        mqtt: Mqtt::plain("127.0.0.1", nobody),
        clock: Clock::stepped(START),
        ..load_gateway(&file).unwrap()
    };
    let gateway = Gateway::start(config.clone(), None, stop.clone()).await.unwrap();
    let mut file = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(dir.path().join("outbox.db"))).await.unwrap();
    sqlx::raw_sql("CREATE TRIGGER full BEFORE INSERT ON row BEGIN SELECT RAISE(ABORT, 'disk full'); END").execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    (gateway, config)
}

/// The three adverts with which one member enters.
async fn enter(gateway: &GatewayHandle, config: &GatewayConfig, member: u64) {
    let namespace = config.site.brands.values().next().unwrap().namespace;
    let data = encode::service_data(&namespace, RidPayload::new(0, Rid(member.to_be_bytes()), -59));
    for second in 0..3 {
        let advert = Advert { at: Millis(START.0 + second), address: [0; 6], rssi: -60, data: data.clone() };
        gateway.inputs.send(Input::Heard(Heard { advert, position: None })).await.unwrap();
    }
}

#[tokio::test]
async fn a_gateway_that_cannot_write_still_stops() {
    let (dir, stop) = (TempDir::new().unwrap(), CancellationToken::new());
    let (gateway, config) = full(&dir, &stop).await;
    enter(&gateway, &config, 1).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(gateway.health.flags(), ["outbox-not-writable"]);
    stop.cancel();
    timeout(Duration::from_secs(8), gateway.join()).await.expect("it stops at once when memory has room for the rest");
}

#[tokio::test]
async fn a_gateway_whose_memory_is_full_too_goes_on_says_so_and_stops() {
    let (dir, stop) = (TempDir::new().unwrap(), CancellationToken::new());
    let (gateway, config) = full(&dir, &stop).await;
    for member in 0..5_000 {
        timeout(Duration::from_secs(60), enter(&gateway, &config, member)).await.expect("the sources never wait for the disk");
    }
    let held = || gateway.outbox().ledger().held().count();
    timeout(Duration::from_secs(60), async {
        while gateway.health.flags() != ["outbox-not-writable", "outbox-overflowed"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the flags are raised");
    assert!(held() <= 4_096, "memory is bounded, but {} events wait", held());
    assert!(gateway.outbox().ledger().gone().count() > 0, "what went is accounted for");
    stop.cancel();
    timeout(Duration::from_secs(20), gateway.join()).await.expect("it stops although the disk takes nothing");
}
