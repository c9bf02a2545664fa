//! A connection of our own to the message bus, beside btleplug's: it sees what btleplug does not show, and asks systemd.

use std::{collections::HashMap, sync::Arc};

use dbus::{
    Message, Path,
    arg::{PropMap, RefArg as _, Variant},
    channel::MatchingReceiver as _,
    message::MatchRule,
    nonblock::{Proxy, SyncConnection},
};
use tokio::sync::mpsc;

use super::{ladder::Notice, session::ANSWER};

const BLUEZ: &str = "org.bluez";
const ADAPTER: &str = "org.bluez.Adapter1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Adapters whose coming and going is watched. The bus filters by path, so that the objects of all phones in reach do not come this way.
const ADAPTERS: u8 = 8;
/// The unit that runs bluetoothd.
const UNIT: &str = "bluetooth.service";

/// The connection. Dropping it ends it only together with the runtime that it lives on.
pub(super) struct Watch {
    connection: Arc<SyncConnection>,
}

/// Why systemd did not restart the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// This user may not, or there is no systemd.
    Denied(String),
    /// It was allowed and has failed.
    Failed(String),
}

impl Watch {
    /// Connects and listens. What is told goes to `notices`, with the path of the adapter that it is about.
    pub async fn open(notices: mpsc::UnboundedSender<(Notice, String)>) -> Result<Self, dbus::Error> {
        let (resource, connection) = dbus_tokio::connection::new_system_sync()?;
        let over = notices.clone();
        tokio::spawn(async move {
            let _ = resource.await;
            let _ = over.send((Notice::BusGone, String::new()));
        });
        for rule in rules() {
            connection.add_match_no_cb(&rule).await?;
        }
        let mut any = MatchRule::new();
        any.msg_type = Some(dbus::MessageType::Signal);
        connection.start_receive(
            any,
            Box::new(move |message, _| {
                if let Some(notice) = read(&message) {
                    let _ = notices.send(notice);
                }
                true
            }),
        );
        Ok(Self { connection })
    }

    /// Whether the adapter says that it scans; false when it does not answer.
    pub async fn discovering(&self, adapter: &str) -> bool {
        let proxy = Proxy::new(BLUEZ, format!("/org/bluez/{adapter}"), ANSWER, &*self.connection);
        let answer: Result<(Variant<bool>,), _> = proxy.method_call(PROPERTIES, "Get", (ADAPTER, "Discovering")).await;
        answer.is_ok_and(|(discovering,)| discovering.0)
    }

    /// Asks systemd to restart bluetoothd.
    pub async fn restart_daemon(&self) -> Result<(), Refused> {
        let proxy = Proxy::new("org.freedesktop.systemd1", "/org/freedesktop/systemd1", ANSWER, &*self.connection);
        let answer: Result<(Path<'static>,), dbus::Error> =
            proxy.method_call("org.freedesktop.systemd1.Manager", "RestartUnit", (UNIT, "replace")).await;
        answer.map(|_| ()).map_err(|e| {
            let name = e.name().unwrap_or_default();
            let missing = ["AccessDenied", "InteractiveAuthorizationRequired", "ServiceUnknown", "AuthFailed"];
            if missing.iter().any(|missing| name.ends_with(missing)) {
                Refused::Denied(e.to_string())
            } else {
                Refused::Failed(e.to_string())
            }
        })
    }
}

/// What the bus shall send us.
fn rules() -> Vec<String> {
    let mut rules = vec![
        format!("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{BLUEZ}'"),
        format!("type='signal',sender='{BLUEZ}',interface='{PROPERTIES}',member='PropertiesChanged',arg0='{ADAPTER}'"),
    ];
    for n in 0..ADAPTERS {
        for member in ["InterfacesAdded", "InterfacesRemoved"] {
            rules.push(format!("type='signal',sender='{BLUEZ}',member='{member}',arg0path='/org/bluez/hci{n}'"));
        }
    }
    rules
}

/// What a signal tells, and of which adapter (`hci0`).
fn read(message: &Message) -> Option<(Notice, String)> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    match message.member()?.to_string().as_str() {
        "NameOwnerChanged" => {
            let (name, _, owner) = message.read3::<&str, &str, &str>().ok()?;
            let notice = if owner.is_empty() { Notice::DaemonGone } else { Notice::DaemonBack };
            (name == BLUEZ).then(|| (notice, String::new()))
        }
        "PropertiesChanged" => {
            let (_, changed) = message.read2::<&str, PropMap>().ok()?;
            let powered = changed.get("Powered")?.0.as_u64()? != 0;
            let notice = if powered { Notice::PoweredOn } else { Notice::PoweredOff };
            Some((notice, name(&message.path()?)))
        }
        "InterfacesAdded" => {
            let (path, interfaces) = message.read2::<Path<'_>, HashMap<String, PropMap>>().ok()?;
            interfaces.contains_key(ADAPTER).then(|| (Notice::AdapterBack, name(&path)))
        }
        "InterfacesRemoved" => {
            let (path, interfaces) = message.read2::<Path<'_>, Vec<String>>().ok()?;
            interfaces.iter().any(|interface| interface == ADAPTER).then(|| (Notice::AdapterGone, name(&path)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(key: &str, on: bool) -> Message {
        let message = Message::new_signal("/org/bluez/hci1", PROPERTIES, "PropertiesChanged").unwrap();
        let map: PropMap = HashMap::from([(key.to_owned(), Variant(Box::new(on) as Box<dyn dbus::arg::RefArg>))]);
        message.append3(ADAPTER, map, Vec::<String>::new())
    }

    fn owner(name: &str, owner: &str) -> Message {
        Message::new_signal("/", "org.freedesktop.DBus", "NameOwnerChanged").unwrap().append3(name, "", owner)
    }

    #[test]
    fn signals_become_notices_with_the_name_of_the_adapter() {
        assert_eq!(read(&changed("Powered", false)), Some((Notice::PoweredOff, "hci1".to_owned())));
        assert_eq!(read(&changed("Powered", true)), Some((Notice::PoweredOn, "hci1".to_owned())));
        assert_eq!(read(&changed("Discovering", false)), None);
        assert_eq!(read(&owner(BLUEZ, "")).map(|n| n.0), Some(Notice::DaemonGone));
        assert_eq!(read(&owner(BLUEZ, ":1.7")).map(|n| n.0), Some(Notice::DaemonBack));
        assert_eq!(read(&owner("org.other", "")), None);
        let gone = Message::new_signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved").unwrap();
        assert_eq!(
            read(&gone.append2(Path::from("/org/bluez/hci0"), vec![PROPERTIES, ADAPTER])),
            Some((Notice::AdapterGone, "hci0".to_owned()))
        );
    }

    #[test]
    fn a_signal_with_other_contents_is_ignored() {
        for member in ["NameOwnerChanged", "PropertiesChanged", "InterfacesAdded", "InterfacesRemoved", "Other"] {
            assert_eq!(read(&Message::new_signal("/", "a.b", member).unwrap().append1(7u32)), None, "{member}");
        }
    }
}
