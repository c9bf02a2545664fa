//! What the two-binary tests share: real servers on free ports, the real binaries, and a witness of all MQTT traffic.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod binary;
pub mod broker;
pub mod crash;
pub mod database;
pub mod disk;
pub mod fleet;
pub mod guarded;
pub mod proxy;
pub mod publisher;
pub mod scene;
pub mod smsc;
pub mod till;
pub mod witness;

use std::{
    future::Future,
    net::{TcpListener, UdpSocket},
    time::{Duration, Instant},
};

/// A port of 127.0.0.1 that is this process's own for as long as it lives: the UDP port of the same number stays bound, and a test takes only a port
/// whose twin is free. It lies below the range that the system takes for outgoing connections, so nobody is on it when a server comes back either.
pub fn free_port() -> u16 {
    loop {
        let port = rand::random_range(20_000..32_000);
        if let Ok(twin) = UdpSocket::bind(("127.0.0.1", port))
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            std::mem::forget(twin);
            return port;
        }
    }
}

/// Tells how long something took, each time.
pub fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (Some(most), Some(middle)) = (times.last(), times.get(times.len() / 2)) else { return };
    println!("{what}: median {:.1} s, most {:.1} s, of {}", middle.as_secs_f64(), most.as_secs_f64(), times.len());
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
