//! btleplug's part of a connection: the adapter, and calls that cannot hang.

use std::time::Duration;

use btleplug::{
    api::{Central as _, Manager as _, ScanFilter},
    platform::{Adapter, Manager},
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    Out,
    ladder::{Notice, Outcome},
    listen::Listening,
};

/// BlueZ answers at once or not at all; a call over the bus would wait 30 s.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// Why a call has failed, for the ladder and for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub outcome: Outcome,
    /// What is wrong, without any address.
    pub what: String,
    /// How to mend it.
    pub mend: &'static str,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}. Mend: {}", self.what, self.mend)
    }
}

/// An adapter that is listened to.
pub(super) struct Session {
    pub adapter: Adapter,
    /// `hci0`.
    pub name: String,
    _listening: Listening,
}

impl Session {
    /// Connects, picks the adapter and listens to it. The scan is not started yet.
    pub async fn open(wanted: Option<String>, out: Out, told: mpsc::UnboundedSender<Notice>) -> Result<Self, Trouble> {
        let manager = within(Manager::new()).await.map_err(|e| {
            e.trouble(
                "the system message bus cannot be reached",
                "start it and BlueZ with `systemctl start dbus bluetooth`; in a container, mount /run/dbus",
            )
        })?;
        let adapters = within(manager.adapters())
            .await
            .map_err(|e| e.trouble("BlueZ does not answer", "install the package `bluez` and run `systemctl start bluetooth`"))?;
        let (adapter, name) = pick(adapters, wanted.as_deref()).await?;
        let listening = within(Listening::open(name.clone(), out, told)).await.map_err(|e| {
            e.trouble("BlueZ gives no signals", "allow this user to talk to org.bluez (group `bluetooth`), or restart BlueZ")
        })?;
        Ok(Self { adapter, name, _listening: listening })
    }
}

/// Starts the scan, and switches the adapter on.
pub(super) async fn start(adapter: Adapter) -> Result<(), Trouble> {
    let mend = "look at `rfkill list` and `bluetoothctl show`; if both look well, run `systemctl restart bluetooth`";
    within(adapter.start_scan(ScanFilter::default())).await.map_err(|e| e.trouble("the Bluetooth scan does not start", mend))
}

/// Stops the scan.
pub(super) async fn stop(adapter: Adapter) -> Result<(), Trouble> {
    within(adapter.stop_scan()).await.map_err(|e| e.trouble("the Bluetooth scan does not stop", "run `systemctl restart bluetooth`"))
}

/// The wanted adapter, by its address or name, or the first one; and its name.
async fn pick(adapters: Vec<Adapter>, wanted: Option<&str>) -> Result<(Adapter, String), Trouble> {
    let count = adapters.len();
    for adapter in adapters {
        let info =
            within(adapter.adapter_info()).await.map_err(|e| e.trouble("BlueZ does not answer", "run `systemctl restart bluetooth`"))?;
        let name = info.split(' ').next().and_then(|id| id.rsplit('/').next()).unwrap_or_default().to_owned();
        let Some(wanted) = wanted.filter(|wanted| *wanted != name) else { return Ok((adapter, name)) };
        let address = within(adapter.adapter_address()).await.ok().flatten().map(|address| address.to_string());
        if address.is_some_and(|address| address.eq_ignore_ascii_case(wanted)) {
            return Ok((adapter, name));
        }
    }
    let (what, mend) = match wanted {
        Some(wanted) if count > 0 => (
            format!("the Bluetooth adapter `{wanted}` is not among the {count} that were found"),
            "compare with `bluetoothctl list`, or leave the adapter out of gateway.toml",
        ),
        _ => (
            "no Bluetooth adapter was found".to_owned(),
            "plug one in and look at `bluetoothctl list`, or choose another `radio` in gateway.toml",
        ),
    };
    Err(Trouble { outcome: Outcome::NoAdapter, what, mend })
}

/// A call that was refused or not answered.
struct Refusal {
    outcome: Outcome,
    words: String,
}

impl Refusal {
    fn trouble(self, what: &str, mend: &'static str) -> Trouble {
        Trouble { outcome: self.outcome, what: format!("{what} ({})", self.words), mend }
    }
}

/// An answer in time, or why not.
async fn within<T, E: std::error::Error>(call: impl Future<Output = Result<T, E>>) -> Result<T, Refusal> {
    match timeout(ANSWER, call).await {
        Ok(answer) => answer.map_err(|e| Refusal { outcome: outcome_of(&format!("{e:?}")), words: e.to_string() }),
        Err(_) => Err(Refusal { outcome: Outcome::Failed, words: format!("no answer within {} s", ANSWER.as_secs()) }),
    }
}

/// btleplug hides the name of an error of D-Bus in its Debug form; there it stands in every error.
fn outcome_of(error: &str) -> Outcome {
    let has = |names: &[&str]| names.iter().any(|name| error.contains(name));
    if has(&["org.bluez.Error.InProgress"]) {
        Outcome::InProgress { discovering: false }
    } else if has(&["DBus.Error.UnknownObject", "DBus.Error.UnknownMethod", "DBus.Error.UnknownInterface"]) {
        Outcome::NoAdapter
    } else {
        Outcome::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_error_decides_what_it_means() {
        let shown = |name: &str| format!("{:?}", dbus::Error::new_custom(name, "words"));
        assert_eq!(outcome_of(&shown("org.bluez.Error.InProgress")), Outcome::InProgress { discovering: false });
        assert_eq!(outcome_of(&shown("org.freedesktop.DBus.Error.UnknownObject")), Outcome::NoAdapter);
        assert_eq!(outcome_of(&shown("org.freedesktop.DBus.Error.NoReply")), Outcome::Failed);
        assert_eq!(outcome_of(&shown("org.bluez.Error.Failed")), Outcome::Failed);
    }
}
