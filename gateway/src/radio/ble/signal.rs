//! What a signal of BlueZ tells of a sender, read in place: nothing is asked back, and what is of no use is skipped unread. Pure.

use dbus::{
    Message, Path,
    arg::{ArgType, Iter},
};
use uuid::Uuid;

use super::bytes;

/// The interface of a sender's object.
pub const DEVICE: &str = "org.bluez.Device1";

/// What one signal tells of one sender.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The sender's address.
    pub address: [u8; 6],
    /// BlueZ did not know the sender before: this is all that it has said so far.
    pub is_new: bool,
    /// Strength in dBm; `None` when it has not changed, or when the sender is only remembered.
    pub rssi: Option<i16>,
    /// Manufacturer and service data as AD structures.
    pub data: Vec<u8>,
    /// The 128-bit service UUIDs that BlueZ knows of the sender, old ones too. Short ones carry no beacon and are left out.
    pub services: Vec<Uuid>,
}

/// Reads a signal; `None` when it is not about a sender.
pub fn read(signal: &Message) -> Option<Report> {
    let mut body = signal.iter_init();
    match &*signal.member()? {
        "PropertiesChanged" => {
            if body.read::<&str>().ok()? != DEVICE {
                return None;
            }
            Some(report(bytes::address(&signal.path()?)?, false, &mut body))
        }
        "InterfacesAdded" => object(&mut body),
        _ => None,
    }
}

/// The senders that BlueZ remembers at an adapter (`hci0`), from its answer to `GetManagedObjects`. That proves nothing about the air: they come
/// without a strength.
pub fn remembered<'a>(answer: &'a Message, adapter: &'a str) -> impl Iterator<Item = Report> + 'a {
    let start = format!("/org/bluez/{adapter}/");
    entries(&mut answer.iter_init())
        .filter(move |entry| entry.clone().get::<Path<'_>>().is_some_and(|path| path.starts_with(&start)))
        .filter_map(|mut entry| Some(Report { rssi: None, ..object(&mut entry)? }))
}

/// A path, and its interfaces with their properties.
fn object(body: &mut Iter<'_>) -> Option<Report> {
    let address = bytes::address(&body.read::<Path<'_>>().ok()?)?;
    let mut device = entries(body).find(|interface| interface.clone().get::<&str>() == Some(DEVICE))?;
    device.next();
    Some(report(address, true, &mut device))
}

fn report(address: [u8; 6], is_new: bool, properties: &mut Iter<'_>) -> Report {
    let mut report = Report { address, is_new, ..Report::default() };
    for mut property in entries(properties) {
        let (Ok(key), Some(mut value)) = (property.read::<&str>(), property.recurse(ArgType::Variant)) else { continue };
        match key {
            "RSSI" => report.rssi = value.get(),
            "ManufacturerData" => each_data(&mut value, |company: u16, data| bytes::manufacturer_data(&mut report.data, company, data)),
            "ServiceData" => each_data(&mut value, |service: &str, data| {
                if let Ok(service) = Uuid::parse_str(service) {
                    bytes::service_data(&mut report.data, service, data);
                }
            }),
            "UUIDs" => report.services = services(&mut value),
            _ => {}
        }
    }
    report
}

/// The entries of a dictionary. Each stands on its key.
fn entries<'a>(dictionary: &mut Iter<'a>) -> impl Iterator<Item = Iter<'a>> + use<'a> {
    let mut entries = dictionary.recurse(ArgType::Array);
    std::iter::from_fn(move || {
        let entries = entries.as_mut()?;
        let entry = entries.recurse(ArgType::DictEntry)?;
        entries.next();
        Some(entry)
    })
}

/// A dictionary of bytes.
fn each_data<'a, K: dbus::arg::Arg + dbus::arg::Get<'a>>(dictionary: &mut Iter<'a>, mut take: impl FnMut(K, &[u8])) {
    for mut entry in entries(dictionary) {
        if let Ok(key) = entry.read()
            && let Some(data) = entry.recurse(ArgType::Variant).and_then(|mut value| value.get())
        {
            take(key, data);
        }
    }
}

fn services(list: &mut Iter<'_>) -> Vec<Uuid> {
    let mut services = Vec::new();
    let Some(mut list) = list.recurse(ArgType::Array) else { return services };
    while let Some(text) = list.get::<&str>() {
        services.extend(Uuid::parse_str(text).ok().filter(|service| bytes::short(*service).is_none()));
        list.next();
    }
    services
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use dbus::arg::{PropMap, RefArg, Variant};

    use super::*;

    const PATH: &str = "/org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF";
    const ADDRESS: [u8; 6] = [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    const OURS: &str = "01020304-0506-0708-090a-0b0c0d0e0f10";
    const BATTERY: &str = "0000180f-0000-1000-8000-00805f9b34fb";

    type Value = Variant<Box<dyn RefArg>>;

    fn value(value: impl RefArg + 'static) -> Value {
        Variant(Box::new(value))
    }

    fn properties() -> PropMap {
        HashMap::from([
            ("Address".to_owned(), value("AA:BB:CC:DD:EE:FF".to_owned())),
            ("Paired".to_owned(), value(false)),
            ("RSSI".to_owned(), value(-61i16)),
            ("ManufacturerData".to_owned(), value(HashMap::from([(0x004cu16, value(vec![2u8, 0x15]))]))),
            ("ServiceData".to_owned(), value(HashMap::from([(BATTERY.to_owned(), value(vec![99u8]))]))),
            ("UUIDs".to_owned(), value(vec![BATTERY.to_owned(), OURS.to_owned(), "no uuid".to_owned()])),
        ])
    }

    fn changed(interface: &str, properties: PropMap) -> Message {
        let signal = Message::new_signal(PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged").unwrap();
        signal.append3(interface, properties, Vec::<String>::new())
    }

    fn interfaces() -> HashMap<String, PropMap> {
        HashMap::from([("org.freedesktop.DBus.Properties".to_owned(), PropMap::new()), (DEVICE.to_owned(), properties())])
    }

    fn added(path: &str, interfaces: HashMap<String, PropMap>) -> Message {
        let signal = Message::new_signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded").unwrap();
        signal.append2(Path::from(path.to_owned()), interfaces)
    }

    fn all(report: &Report) -> (Option<i16>, Vec<[u8; 5]>, Vec<Uuid>) {
        // A dictionary has no order.
        let mut structures: Vec<[u8; 5]> = Vec::new();
        for (kind, data) in crate::beacon::ad::structures(&report.data) {
            let mut head = [kind, 0, 0, 0, 0];
            head[1..=data.len()].copy_from_slice(data);
            structures.push(head);
        }
        structures.sort_unstable();
        (report.rssi, structures, report.services.clone())
    }

    #[test]
    fn a_change_and_a_first_advert_tell_strength_payload_and_services() {
        let expected = (Some(-61), vec![[0x16, 0x0f, 0x18, 99, 0], [0xff, 0x4c, 0, 2, 0x15]], vec![Uuid::parse_str(OURS).unwrap()]);
        let change = read(&changed(DEVICE, properties())).unwrap();
        assert_eq!((change.address, change.is_new, all(&change)), (ADDRESS, false, expected.clone()));
        let first = read(&added(PATH, interfaces())).unwrap();
        assert_eq!((first.address, first.is_new, all(&first)), (ADDRESS, true, expected));
    }

    #[test]
    fn what_bluez_remembers_of_our_adapter_comes_without_a_strength() {
        let objects = HashMap::from([
            (Path::from("/org/bluez"), HashMap::new()),
            (Path::from("/org/bluez/hci0"), HashMap::from([("org.bluez.Adapter1".to_owned(), PropMap::new())])),
            (Path::from(PATH), interfaces()),
            (Path::from("/org/bluez/hci1/dev_AA_BB_CC_DD_EE_00"), interfaces()),
        ]);
        let answer = Message::new_signal("/", "a.b", "Answer").unwrap().append1(objects);
        let known: Vec<Report> = remembered(&answer, "hci0").collect();
        assert_eq!(known.len(), 1, "{known:?}");
        assert_eq!((known[0].address, known[0].rssi, known[0].services.len()), (ADDRESS, None, 1));
    }

    #[test]
    fn a_signal_about_anything_else_or_with_other_contents_tells_nothing() {
        assert_eq!(read(&changed("org.bluez.Battery1", properties())), None);
        assert_eq!(read(&added("/org/bluez/hci0", interfaces())), None);
        assert_eq!(read(&added(PATH, HashMap::from([("org.bluez.Battery1".to_owned(), PropMap::new())]))), None);
        for member in ["PropertiesChanged", "InterfacesAdded", "InterfacesRemoved", "Other"] {
            for signal in [
                Message::new_signal(PATH, "a.b", member).unwrap(),
                Message::new_signal(PATH, "a.b", member).unwrap().append1(7u32),
                Message::new_signal(PATH, "a.b", member).unwrap().append2(Path::from(PATH), vec![1u8, 2]),
            ] {
                assert_eq!(read(&signal), None, "{signal:?}");
            }
        }
        let odd = HashMap::from([
            ("RSSI".to_owned(), value("strong".to_owned())),
            ("ManufacturerData".to_owned(), value(HashMap::from([("no company".to_owned(), value(7u8))]))),
            ("ServiceData".to_owned(), value(vec![7u8])),
            ("UUIDs".to_owned(), value(7u8)),
        ]);
        assert_eq!(read(&changed(DEVICE, odd)), Some(Report { address: ADDRESS, ..Report::default() }));
    }
}
