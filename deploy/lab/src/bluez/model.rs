//! BlueZ's memory: the adapter, the senders in reach, the clients that scan, and the signals that a change of these sends.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use dbus::{Message, Path, arg::PropMap};
use serde::Serialize;

use super::{
    advertising::Advertising,
    device::{DEVICE, Device},
    props::{Interfaces, put},
};
use crate::{Address, scenario::Advert};

/// The only adapter.
pub const HCI: &str = "/org/bluez/hci0";
pub const ADAPTER: &str = "org.bluez.Adapter1";
pub const ADVERTISING: &str = "org.bluez.LEAdvertisingManager1";
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
/// The kernel scans in rounds of so long.
const ROUND: Duration = Duration::from_millis(10_240);

/// What has happened since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Adverts on the air while a client scanned.
    pub heard: u64,
    /// Adverts on the air while none did, or the daemon was wedged.
    pub missed: u64,
    /// Senders that were announced.
    pub added: u64,
    /// Senders that were forgotten.
    pub removed: u64,
    /// Changes that were told.
    pub changed: u64,
    /// Questions for all properties of an object.
    pub get_all: u64,
    /// Calls to start a scan.
    pub starts: u64,
    /// Restarts that systemd was asked for.
    pub restarts: u64,
}

/// What a daemon knows. It dies with it.
#[derive(Debug)]
pub struct Model {
    pub address: Address,
    pub powered: bool,
    pub present: bool,
    pub wedged: bool,
    /// Clients that scan, and whether they want duplicates.
    pub clients: HashMap<String, bool>,
    /// Filters that clients have set before they scan.
    pub filters: HashMap<String, bool>,
    pub devices: BTreeMap<String, Device>,
    pub advertising: Advertising,
    pub counts: Counts,
    /// A round that a dead daemon has left behind in the kernel ends here.
    pub busy_until: Option<Instant>,
    began: Instant,
    out: Vec<Message>,
}

impl Model {
    /// A daemon that has just started, with its adapter switched on.
    pub fn new(address: Address, counts: Counts, busy_until: Option<Instant>) -> Self {
        let mut model = Self {
            address,
            powered: true,
            present: true,
            wedged: false,
            clients: HashMap::new(),
            filters: HashMap::new(),
            devices: BTreeMap::new(),
            advertising: Advertising::default(),
            counts,
            busy_until,
            began: Instant::now(),
            out: Vec::new(),
        };
        model.announce(HCI, model.adapter_interfaces());
        model
    }

    /// What is to be sent.
    pub fn take_out(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.out)
    }

    /// Queues a message.
    pub fn send(&mut self, message: Message) {
        self.out.push(message);
    }

    /// Everything that `GetManagedObjects` tells.
    pub fn objects(&self) -> HashMap<Path<'static>, Interfaces> {
        let adapter = self.present.then(|| (Path::from(HCI), self.adapter_interfaces()));
        adapter.into_iter().chain(self.devices.iter().map(|(path, device)| (Path::from(path.clone()), device.interfaces(HCI)))).collect()
    }

    /// The adapter's properties.
    pub fn adapter_props(&self) -> PropMap {
        let mut map = PropMap::new();
        put(&mut map, "Address", self.address.to_string());
        put(&mut map, "AddressType", "public".to_owned());
        put(&mut map, "Name", "passage-lab".to_owned());
        put(&mut map, "Alias", "passage-lab".to_owned());
        put(&mut map, "Class", 0u32);
        put(&mut map, "Powered", self.powered);
        put(&mut map, "Discoverable", false);
        put(&mut map, "DiscoverableTimeout", 180u32);
        put(&mut map, "Pairable", false);
        put(&mut map, "PairableTimeout", 0u32);
        put(&mut map, "Discovering", !self.clients.is_empty());
        put(&mut map, "UUIDs", Vec::<String>::new());
        put(&mut map, "Modalias", "usb:v1D6Bp0246d0542".to_owned());
        map
    }

    fn adapter_interfaces(&self) -> Interfaces {
        let empty = ["org.freedesktop.DBus.Introspectable", PROPERTIES].map(|name| (name.to_owned(), PropMap::new()));
        let own = [(ADAPTER.to_owned(), self.adapter_props()), (ADVERTISING.to_owned(), self.advertising.props())];
        empty.into_iter().chain(own).collect()
    }

    /// An advert reaches the adapter.
    pub fn hear(&mut self, advert: &Advert, now: Duration) {
        if !self.present || !self.powered || self.clients.is_empty() || self.wedged {
            self.counts.missed += 1;
            return;
        }
        self.counts.heard += 1;
        let path = device_path(advert.address);
        let duplicates = self.clients.values().any(|duplicates| *duplicates);
        match self.devices.get_mut(&path) {
            Some(device) => {
                let changed = device.hear(advert, duplicates, now);
                if !changed.is_empty() {
                    self.changed(&path, DEVICE, changed, &[]);
                }
            }
            None => {
                let device = Device::new(advert, now);
                self.announce(&path, device.interfaces(HCI));
                self.devices.insert(path, device);
                self.counts.added += 1;
            }
        }
    }

    /// Forgets who has been silent for `timeout`.
    pub fn forget(&mut self, now: Duration, timeout: Duration) {
        let silent: Vec<String> =
            self.devices.iter().filter(|(_, device)| now.saturating_sub(device.heard) > timeout).map(|(path, _)| path.clone()).collect();
        silent.iter().for_each(|path| self.remove(path));
    }

    /// A client begins to scan.
    pub fn start_client(&mut self, client: &str) {
        let first = self.clients.is_empty();
        let duplicates = self.filters.get(client).copied().unwrap_or(false);
        self.clients.insert(client.to_owned(), duplicates);
        if first {
            self.began = Instant::now();
            self.adapter_changed("Discovering", true);
        }
    }

    /// A client has stopped or is gone. After the last one, BlueZ forgets whom it cannot connect to, and the strength of the others.
    pub fn stop_client(&mut self, client: &str) {
        if self.clients.remove(client).is_none() || !self.clients.is_empty() {
            return;
        }
        let all: Vec<(String, bool)> = self.devices.iter().map(|(path, device)| (path.clone(), device.is_kept())).collect();
        for (path, kept) in all {
            if !kept {
                self.remove(&path);
            } else if let Some(device) = self.devices.get_mut(&path) {
                device.forget_rssi();
                self.changed(&path, DEVICE, PropMap::new(), &["RSSI"]);
            }
        }
        self.adapter_changed("Discovering", false);
    }

    /// A client is gone from the bus.
    pub fn client_gone(&mut self, client: &str) {
        self.filters.remove(client);
        self.stop_client(client);
        self.advertising.client_gone(client);
    }

    /// Somebody switches the adapter on or off.
    pub fn power(&mut self, on: bool) {
        if self.powered == on {
            return;
        }
        self.powered = on;
        self.adapter_changed("Powered", on);
        if !on {
            let clients: Vec<String> = self.clients.keys().cloned().collect();
            clients.iter().for_each(|client| self.stop_client(client));
        }
    }

    /// The adapter is pulled out.
    pub fn unplug(&mut self) {
        self.powered = false;
        self.adapter_changed("Powered", false);
        let all: Vec<String> = self.devices.keys().cloned().collect();
        all.iter().for_each(|path| self.remove(path));
        let released = self.advertising.release_all();
        self.out.extend(released);
        self.clients.clear();
        self.present = false;
        self.gone(HCI, &[ADAPTER, ADVERTISING]);
    }

    /// It is plugged in again and switched on, as BlueZ does since 5.65.
    pub fn plug(&mut self) {
        if !self.present {
            self.present = true;
            self.announce(HCI, self.adapter_interfaces());
            self.power(true);
        }
    }

    /// When the kernel's present round would end if this daemon died now.
    pub fn round_end(&self) -> Option<Instant> {
        let scans = !self.clients.is_empty() && !self.wedged;
        let passed = Duration::from_micros(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(0) % 10_240_000);
        scans.then(|| Instant::now() + ROUND.saturating_sub(passed))
    }

    fn remove(&mut self, path: &str) {
        if self.devices.remove(path).is_some() {
            self.counts.removed += 1;
            self.gone(path, &[DEVICE]);
        }
    }

    fn announce(&mut self, path: &str, interfaces: Interfaces) {
        self.signal("/", OBJECTS, "InterfacesAdded", |signal| signal.append2(Path::from(path.to_owned()), interfaces));
    }

    fn gone(&mut self, path: &str, interfaces: &[&str]) {
        let all: Vec<&str> = [PROPERTIES, "org.freedesktop.DBus.Introspectable"].iter().chain(interfaces).copied().collect();
        self.signal("/", OBJECTS, "InterfacesRemoved", |signal| signal.append2(Path::from(path.to_owned()), all));
    }

    fn adapter_changed(&mut self, key: &str, on: bool) {
        let mut map = PropMap::new();
        put(&mut map, key, on);
        self.changed(HCI, ADAPTER, map, &[]);
    }

    fn changed(&mut self, path: &str, interface: &str, props: PropMap, invalidated: &[&str]) {
        self.counts.changed += 1;
        self.signal(path, PROPERTIES, "PropertiesChanged", |signal| signal.append3(interface, props, invalidated));
    }

    fn signal(&mut self, path: &str, interface: &str, member: &str, fill: impl FnOnce(Message) -> Message) {
        // All names are constants or made of an address: they are well-formed.
        if let Ok(signal) = Message::new_signal(path, interface, member) {
            self.out.push(fill(signal));
        }
    }
}

/// The path of a sender's object.
pub fn device_path(address: Address) -> String {
    format!("{HCI}/dev_{}", address.to_string().replace(':', "_"))
}
