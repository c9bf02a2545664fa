//! One connection to BlueZ: the adapter, its events, and calls that cannot hang.

use std::{pin::Pin, time::Duration};

use btleplug::{
    api::{Central as _, CentralEvent, Manager as _, ScanFilter},
    platform::{Adapter, Manager},
};
use futures::{Stream, StreamExt as _};
use tokio::time::timeout;

use super::RadioError;

/// BlueZ answers at once or not at all; a call over the bus would wait 30 s.
const ANSWER: Duration = Duration::from_secs(5);

/// An adapter that scans.
pub(super) struct Session {
    pub adapter: Adapter,
    events: Pin<Box<dyn Stream<Item = CentralEvent> + Send>>,
}

impl Session {
    /// Connects, picks the adapter and starts the scan.
    pub async fn open(wanted: Option<&str>) -> Result<Self, RadioError> {
        let manager = within(Manager::new()).await.map_err(|e| {
            fault(
                format!("the system message bus cannot be reached ({e})"),
                "start it and BlueZ with `systemctl start dbus bluetooth`; in a container, mount /run/dbus",
            )
        })?;
        let adapters = within(manager.adapters()).await.map_err(|e| {
            fault(format!("BlueZ does not answer ({e})"), "install the package `bluez` and run `systemctl start bluetooth`")
        })?;
        let adapter = pick(adapters, wanted).await?;
        let events = within(adapter.events()).await.map_err(|e| {
            fault(format!("BlueZ gives no events ({e})"), "allow this user to talk to org.bluez (group `bluetooth`), or restart BlueZ")
        })?;
        let mut session = Self { adapter, events };
        session.start().await?;
        Ok(session)
    }

    /// The next event; `None` when the connection is over.
    pub async fn event(&mut self) -> Option<CentralEvent> {
        self.events.next().await
    }

    /// Starts the scan, or starts it again. BlueZ may first have to be told to stop the scan that it believes in.
    pub async fn start(&mut self) -> Result<(), RadioError> {
        if within(self.adapter.start_scan(ScanFilter::default())).await.is_ok() {
            return Ok(());
        }
        // It says `InProgress` to the stop as well when it has lost track of its own scan.
        let stopped = within(self.adapter.stop_scan()).await;
        within(self.adapter.start_scan(ScanFilter::default())).await.map_err(|e| {
            let stop = stopped.err().map(|stop| format!("; on stopping: {stop}")).unwrap_or_default();
            fault(
                format!("the Bluetooth scan does not start ({e}{stop})"),
                "look at `rfkill list` and `bluetoothctl show`; if both look well, run `systemctl restart bluetooth`",
            )
        })
    }

    /// Ends the scan; whatever BlueZ says to it.
    pub async fn stop(&mut self) {
        let _ = within(self.adapter.stop_scan()).await;
    }
}

/// The wanted adapter, by its address or name, or the first one.
async fn pick(adapters: Vec<Adapter>, wanted: Option<&str>) -> Result<Adapter, RadioError> {
    let count = adapters.len();
    for adapter in adapters {
        let Some(wanted) = wanted else { return Ok(adapter) };
        let name = within(adapter.adapter_info()).await.unwrap_or_default();
        let address = within(adapter.adapter_address()).await.ok().flatten().map(|address| address.to_string());
        let is_named = name.split(' ').next().is_some_and(|name| name == wanted || name.ends_with(&format!("/{wanted}")));
        if is_named || address.is_some_and(|address| address.eq_ignore_ascii_case(wanted)) {
            return Ok(adapter);
        }
    }
    Err(match wanted {
        Some(wanted) if count > 0 => fault(
            format!("the Bluetooth adapter `{wanted}` is not among the {count} that were found"),
            "compare with `bluetoothctl list`, or leave the adapter out of gateway.toml",
        ),
        _ => fault(
            "no Bluetooth adapter was found".to_owned(),
            "plug one in and look at `bluetoothctl list`, or choose another `radio` in gateway.toml",
        ),
    })
}

/// An answer in time, or why not, in words without any address.
async fn within<T>(call: impl Future<Output = btleplug::Result<T>>) -> Result<T, String> {
    match timeout(ANSWER, call).await {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
    }
}

/// What is wrong and how to mend it.
pub(super) fn fault(what: String, mend: &str) -> RadioError {
    RadioError::Adapter(format!("{what}. Mend: {mend}"))
}
