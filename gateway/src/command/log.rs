//! Where the log goes, and what can never be in it.

use std::io::IsTerminal;

use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, fmt::MakeWriter, layer::SubscriberExt as _, registry::LookupSpan, util::SubscriberInitExt as _,
};

/// The libraries below the radio. They write the addresses of everybody in reach into their messages, some of them at `info`. What matters
/// of their faults comes to us as an error and is told without an address.
const SPEAKERS_OF_ADDRESSES: [&str; 4] = ["btleplug", "bluez_async", "bluez_generated", "dbus"];

/// Writes the log to stderr; `RUST_LOG` chooses how much, or else `level`.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    subscriber(filter, std::io::stderr, std::io::stderr().is_terminal()).init();
}

fn subscriber<W>(filter: EnvFilter, writer: W, ansi: bool) -> impl tracing::Subscriber + for<'a> LookupSpan<'a>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(ansi);
    tracing_subscriber::registry().with(filter_fn(may_be_logged)).with(filter).with(layer)
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    !SPEAKERS_OF_ADDRESSES.iter().any(|speaker| library.starts_with(speaker))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_level_brings_the_addresses_that_the_radio_libraries_write_into_the_log() {
        let paper = Paper::default();
        let writer = {
            let paper = paper.clone();
            move || paper.clone()
        };
        tracing::subscriber::with_default(subscriber(EnvFilter::new("trace,bluez_async::events=trace"), writer, false), || {
            tracing::info!(target: "bluez_async::events", "Unexpected message: dev_AA_BB_CC_DD_EE_FF");
            tracing::trace!(target: "btleplug::bluez::adapter", "dev_AA_BB_CC_DD_EE_FF");
            tracing::debug!(target: "dbus_tokio::connection", "dev_AA_BB_CC_DD_EE_FF");
            tracing::debug!(target: "passage_gateway::radio", "ours is there");
        });
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("ours is there"), "{text}");
        assert!(!text.contains("AA_BB"), "{text}");
    }
}
