//! A sender as BlueZ remembers it: the fields of its adverts, each with its last value.

use std::{collections::BTreeMap, time::Duration};

use dbus::{
    Path,
    arg::{PropMap, RefArg, Variant},
};

use super::props::{Interfaces, put};
use crate::{
    Address,
    scenario::{AddressType, Advert, AdvertKind},
};

/// The interface of a sender's object.
pub const DEVICE: &str = "org.bluez.Device1";

/// What BlueZ publishes of advertising data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    manufacturer: BTreeMap<u16, Vec<u8>>,
    service: BTreeMap<String, Vec<u8>>,
    uuids: Vec<String>,
    name: Option<String>,
    tx_power: Option<i16>,
}

/// One sender.
#[derive(Debug)]
pub struct Device {
    address: Address,
    address_type: AddressType,
    connectable: bool,
    rssi: Option<i16>,
    fields: Fields,
    /// When it was heard last, in the time of the scenario.
    pub heard: Duration,
}

impl Device {
    /// A sender at its first advert.
    pub fn new(advert: &Advert, now: Duration) -> Self {
        Self {
            address: advert.address,
            address_type: advert.address_type,
            connectable: advert.kind == AdvertKind::Connectable,
            rssi: Some(advert.rssi.into()),
            fields: Fields::of(advert),
            heard: now,
        }
    }

    /// Takes a further advert in; gives the properties whose change is told. With `duplicates`, a value that has not changed is told too.
    pub fn hear(&mut self, advert: &Advert, duplicates: bool, now: Duration) -> PropMap {
        self.heard = now;
        let (rssi, fields) = (i16::from(advert.rssi), Fields::of(advert));
        let mut changed = PropMap::new();
        if duplicates || self.rssi.is_none_or(|before| (before - rssi).abs() >= 8) {
            self.rssi = Some(rssi);
            put(&mut changed, "RSSI", rssi);
        }
        if !fields.manufacturer.is_empty() && (duplicates || fields.manufacturer != self.fields.manufacturer) {
            put(&mut changed, "ManufacturerData", fields.manufacturer_data());
        }
        if !fields.service.is_empty() && (duplicates || fields.service != self.fields.service) {
            put(&mut changed, "ServiceData", fields.service_data());
        }
        if self.fields.take(fields) {
            put(&mut changed, "UUIDs", self.fields.uuids.clone());
        }
        changed
    }

    /// Whether BlueZ keeps it when the last client has stopped to scan.
    pub fn is_kept(&self) -> bool {
        self.connectable
    }

    /// It is remembered, but not in reach any more.
    pub fn forget_rssi(&mut self) {
        self.rssi = None;
    }

    /// All properties.
    pub fn props(&self, adapter: &str) -> PropMap {
        let mut map = PropMap::new();
        let address = self.address.to_string();
        put(&mut map, "Alias", self.fields.name.clone().unwrap_or_else(|| address.replace(':', "-")));
        put(&mut map, "Address", address);
        put(&mut map, "AddressType", if self.address_type == AddressType::Random { "random" } else { "public" }.to_owned());
        put(&mut map, "Adapter", Path::from(adapter.to_owned()));
        for flag in ["Paired", "Bonded", "Trusted", "Blocked", "LegacyPairing", "Connected", "ServicesResolved"] {
            put(&mut map, flag, false);
        }
        put(&mut map, "UUIDs", self.fields.uuids.clone());
        if let Some(name) = &self.fields.name {
            put(&mut map, "Name", name.clone());
        }
        if let Some(rssi) = self.rssi {
            put(&mut map, "RSSI", rssi);
        }
        if let Some(power) = self.fields.tx_power {
            put(&mut map, "TxPower", power);
        }
        if !self.fields.manufacturer.is_empty() {
            put(&mut map, "ManufacturerData", self.fields.manufacturer_data());
        }
        if !self.fields.service.is_empty() {
            put(&mut map, "ServiceData", self.fields.service_data());
        }
        map
    }

    /// The object as it is announced.
    pub fn interfaces(&self, adapter: &str) -> Interfaces {
        let empty =
            ["org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Properties"].map(|name| (name.to_owned(), PropMap::new()));
        empty.into_iter().chain([(DEVICE.to_owned(), self.props(adapter))]).collect()
    }
}

type Bytes = Variant<Box<dyn RefArg>>;

impl Fields {
    /// The fields of an advert and its scan response.
    pub fn of(advert: &Advert) -> Self {
        let mut fields = Self::default();
        fields.read(&advert.data);
        fields.read(advert.scan_response.as_deref().unwrap_or_default());
        fields
    }

    fn read(&mut self, mut data: &[u8]) {
        while let Some((&length, rest)) = data.split_first()
            && let Some((structure, after)) = rest.split_at_checked(length.into())
            && let Some((&kind, value)) = structure.split_first()
        {
            data = after;
            match (kind, value) {
                (0x02 | 0x03, uuids) => self.uuids.extend(uuids.chunks_exact(2).map(uuid)),
                (0x06 | 0x07, uuids) => self.uuids.extend(uuids.chunks_exact(16).map(uuid)),
                (0x08 | 0x09, name) => self.name = Some(String::from_utf8_lossy(name).into_owned()),
                (0x0a, &[power]) => self.tx_power = Some(i8::from_le_bytes([power]).into()),
                (0x16, value) => self.serve(value, 2),
                (0x21, value) => self.serve(value, 16),
                (0xff, &[low, high, ref value @ ..]) => {
                    self.manufacturer.insert(u16::from_le_bytes([low, high]), value.to_vec());
                }
                _ => {}
            }
        }
    }

    fn serve(&mut self, value: &[u8], length: usize) {
        if let Some((service, value)) = value.split_at_checked(length) {
            self.service.insert(uuid(service), value.to_vec());
        }
    }

    /// A field stays until an advert brings another value for it; UUIDs gather. True when one is new.
    fn take(&mut self, new: Self) -> bool {
        let known = self.uuids.len();
        for uuid in new.uuids {
            if !self.uuids.contains(&uuid) {
                self.uuids.push(uuid);
            }
        }
        if !new.manufacturer.is_empty() {
            self.manufacturer = new.manufacturer;
        }
        if !new.service.is_empty() {
            self.service = new.service;
        }
        self.name = new.name.or(self.name.take());
        self.tx_power = new.tx_power.or(self.tx_power);
        self.uuids.len() > known
    }

    fn manufacturer_data(&self) -> std::collections::HashMap<u16, Bytes> {
        self.manufacturer.iter().map(|(company, value)| (*company, Variant(Box::new(value.clone()) as Box<dyn RefArg>))).collect()
    }

    fn service_data(&self) -> PropMap {
        self.service.iter().map(|(service, value)| (service.clone(), Variant(Box::new(value.clone()) as Box<dyn RefArg>))).collect()
    }
}

/// The long form of a UUID that stands little-endian on the air.
fn uuid(bytes: &[u8]) -> String {
    let digits = hex::encode(bytes.iter().rev().copied().collect::<Vec<_>>());
    match digits.as_str() {
        short if short.len() == 4 => format!("0000{short}-0000-1000-8000-00805f9b34fb"),
        long => {
            let mut text = long.to_owned();
            for at in [20, 16, 12, 8] {
                text.insert(at.min(text.len()), '-');
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bluez::props::to_json;

    fn advert(data: &str, rssi: i8) -> Advert {
        Advert {
            phone: 0,
            instance: 0,
            address: Address([0xc0, 0, 0, 0, 0, 1]),
            address_type: AddressType::Random,
            kind: AdvertKind::NonConnectable,
            rssi,
            data: hex::decode(data).unwrap(),
            scan_response: None,
        }
    }

    #[test]
    fn the_fields_of_an_advert_are_those_of_bluez() {
        let device = Device::new(
            &advert("02010605ff4c00021505166ffd0908110710 0f0e0d0c0b0a090807060504030201".replace(' ', "").as_str(), -50),
            Duration::ZERO,
        );
        let props = serde_json::Value::Object(to_json(&device.props("/org/bluez/hci0")));
        assert_eq!(props["Address"], "C0:00:00:00:00:01");
        assert_eq!(props["RSSI"], -50);
        assert_eq!(props["ManufacturerData"], serde_json::json!({"76": "0215"}));
        assert_eq!(props["ServiceData"], serde_json::json!({"0000fd6f-0000-1000-8000-00805f9b34fb": "0908"}));
        assert_eq!(props["UUIDs"], serde_json::json!(["01020304-0506-0708-090a-0b0c0d0e0f10"]));
    }

    #[test]
    fn with_duplicates_every_advert_is_told_and_a_uuid_only_once() {
        let carrier = "1107100f0e0d0c0b0a090807060504030201";
        let mut device = Device::new(&advert("020106", -50), Duration::ZERO);
        let now = Duration::from_secs(1);
        assert_eq!(to_json(&device.hear(&advert(carrier, -50), true, now)).keys().count(), 2);
        let again = to_json(&device.hear(&advert(carrier, -50), true, now));
        assert_eq!(again.keys().map(String::as_str).collect::<Vec<_>>(), ["RSSI"]);
        assert!(device.hear(&advert("020106", -55), false, now).is_empty(), "less than 8 dB, and no client that wants duplicates");
    }
}
