//! What is written down of all this: nothing about a person.

use std::io::Write;

use super::*;

/// Collects everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_log_nor_debug_output_shows_a_coordinate_a_token_or_a_name() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let mut bench = Bench::start().await;
    let got = bench.decide();
    bench.post("/pub", location(0).to_string()).await;
    bench.post("/pub", "{\"_type\":\"location\",\"lat\":48.856613,").await;
    bench.post("/v1/app/events", json!({"store": "paris-rivoli", "phase": "enter"}).to_string()).await;
    let _ = bench.http.post(format!("{}/pub", bench.base)).basic_auth(WHO, Some("wrong-secret")).body("x").send().await;
    drop(guard);
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("positions are taken here"), "the log is empty: {logged}");
    let all = format!("{logged}{:?}{:?}", got.lock().unwrap(), bench.counters);
    assert!(all.contains("paris-rivoli"), "{all}");
    for secret in ["48.85", "2.352", "wrong-secret", &bench.token[..20], WHO] {
        assert!(!all.contains(secret), "{secret} is in: {all}");
    }
}
