//! What the two-binary tests share: real servers on free ports, the real binaries, and a witness of all MQTT traffic.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod binary;
pub mod broker;
pub mod crash;
pub mod database;
pub mod publisher;
pub mod scene;
pub mod smsc;
pub mod witness;

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks until the answer is there; panics with `what` after `limit`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
