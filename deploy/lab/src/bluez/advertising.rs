//! `LEAdvertisingManager1`: clients register an object, BlueZ reads its properties and puts them on the air.

use std::collections::{BTreeMap, HashMap};

use dbus::{Message, arg::PropMap};
use serde_json::{Map, Value, json};

use super::{
    model::PROPERTIES,
    props::{put, to_json},
};

/// The interface of a client's object.
const ADVERTISEMENT: &str = "org.bluez.LEAdvertisement1";
/// Advertisements that a usual chip can hold.
const INSTANCES: usize = 5;
/// Bytes of a legacy advert that are left beside the flags.
const ROOM: usize = 31 - 3;
/// Serials of our questions; libdbus counts its own from 1.
const SERIALS: u32 = 0x4000_0000;

/// A client and the path of its object.
type Key = (String, String);

/// What is advertised, and what has been asked for.
#[derive(Debug, Default)]
pub struct Advertising {
    active: BTreeMap<Key, Map<String, Value>>,
    pending: HashMap<u32, (Key, Message)>,
    asked: u32,
}

/// An error of BlueZ: its name and its words.
pub type Refusal = (&'static str, &'static str);

impl Advertising {
    /// Properties of the manager.
    pub fn props(&self) -> PropMap {
        let mut map = PropMap::new();
        let active = u8::try_from(self.active.len()).unwrap_or(u8::MAX);
        put(&mut map, "ActiveInstances", active);
        put(&mut map, "SupportedInstances", u8::try_from(INSTANCES - self.active.len().min(INSTANCES)).unwrap_or(0));
        put(&mut map, "SupportedIncludes", ["tx-power", "appearance", "local-name"].map(str::to_owned).to_vec());
        map
    }

    /// A client wants to advertise: gives the question for its object. The client's call is answered when that is.
    pub fn register(&mut self, client: &str, path: &str, call: Message) -> Result<Message, (Message, Refusal)> {
        let key = (client.to_owned(), path.to_owned());
        if self.active.contains_key(&key) {
            return Err((call, ("org.bluez.Error.AlreadyExists", "Already Exists")));
        }
        if self.active.len() >= INSTANCES {
            return Err((call, ("org.bluez.Error.NotPermitted", "Maximum advertisements reached")));
        }
        let Ok(question) = Message::new_method_call(client, path, PROPERTIES, "GetAll") else {
            return Err((call, ("org.bluez.Error.InvalidArguments", "Invalid Arguments")));
        };
        let mut question = question.append1(ADVERTISEMENT);
        self.asked += 1;
        let serial = SERIALS + self.asked;
        question.set_serial(serial);
        self.pending.insert(serial, (key, call));
        Ok(question)
    }

    /// The answer of a client's object, if it is one: gives the answer to its call.
    pub fn answered(&mut self, answer: &Message) -> Option<Message> {
        let (key, call) = self.pending.remove(&answer.get_reply_serial()?)?;
        let read = answer.read1::<PropMap>().ok().filter(|_| answer.msg_type() == dbus::MessageType::MethodReturn);
        let Some(read) = read else { return error(&call, ("org.bluez.Error.Failed", "Failed to read the advertisement")) };
        let mut props = to_json(&read);
        if !matches!(props.get("Type").and_then(Value::as_str), Some("broadcast" | "peripheral")) {
            return error(&call, ("org.bluez.Error.Failed", "Failed to parse advertisement."));
        }
        let data = data(&props);
        if data.len() > ROOM {
            return error(&call, ("org.bluez.Error.InvalidLength", "Advertising data too long."));
        }
        props.insert("data".to_owned(), Value::String(hex::encode(data)));
        self.active.insert(key, props);
        Some(call.method_return())
    }

    /// A client does not want to advertise any more.
    pub fn unregister(&mut self, client: &str, path: &str) -> Result<(), Refusal> {
        let known = self.active.remove(&(client.to_owned(), path.to_owned()));
        known.map(|_| ()).ok_or(("org.bluez.Error.DoesNotExist", "Does Not Exist"))
    }

    /// A client has left the bus.
    pub fn client_gone(&mut self, client: &str) {
        self.active.retain(|(owner, _), _| owner != client);
        self.pending.retain(|_, ((owner, _), _)| owner != client);
    }

    /// The adapter is gone: every client is told that its advertisement is over.
    pub fn release_all(&mut self) -> Vec<Message> {
        let released = std::mem::take(&mut self.active).into_keys();
        released
            .filter_map(|(client, path)| {
                let mut call = Message::new_method_call(client, path, ADVERTISEMENT, "Release").ok()?;
                call.set_no_reply(true);
                Some(call)
            })
            .collect()
    }

    /// All that is on the air, for those who look: the properties, bytes in hex, the AD structures under `data`, and the object's path.
    pub fn to_json(&self) -> Value {
        let one = |((client, path), props): (&Key, &Map<String, Value>)| {
            let mut object = props.clone();
            object.extend([("client".to_owned(), json!(client)), ("path".to_owned(), json!(path))]);
            Value::Object(object)
        };
        self.active.iter().map(one).collect()
    }
}

/// An error as an answer to a call.
pub fn error(call: &Message, (name, words): Refusal) -> Option<Message> {
    let words = std::ffi::CString::new(words).ok()?;
    Some(call.error(&name.into(), &words))
}

/// The AD structures that BlueZ would send, without the flags.
fn data(props: &Map<String, Value>) -> Vec<u8> {
    let mut data = Vec::new();
    for uuid in props.get("ServiceUUIDs").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let (bytes, is_short) = uuid_bytes(uuid);
        structure(&mut data, if is_short { 0x03 } else { 0x07 }, &[&bytes]);
    }
    for (company, value) in object(props, "ManufacturerData") {
        let company = company.parse::<u16>().unwrap_or_default().to_le_bytes();
        structure(&mut data, 0xff, &[&company, &value]);
    }
    for (uuid, value) in object(props, "ServiceData") {
        let (bytes, is_short) = uuid_bytes(&uuid);
        structure(&mut data, if is_short { 0x16 } else { 0x21 }, &[&bytes, &value]);
    }
    data
}

fn object(props: &Map<String, Value>, key: &str) -> Vec<(String, Vec<u8>)> {
    let entries = props.get(key).and_then(Value::as_object).into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), hex::decode(value.as_str().unwrap_or_default()).unwrap_or_default())).collect()
}

/// Little-endian bytes, and whether it is the 16-bit form.
fn uuid_bytes(uuid: &str) -> (Vec<u8>, bool) {
    let digits = uuid.replace('-', "");
    let short = digits.strip_suffix("00001000800000805f9b34fb").and_then(|head| head.strip_prefix("0000")).map(str::to_owned);
    let is_short = short.is_some() || digits.len() == 4;
    let mut bytes = hex::decode(short.unwrap_or(digits)).unwrap_or_default();
    bytes.reverse();
    (bytes, is_short)
}

fn structure(data: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    data.push(u8::try_from(length).unwrap_or(u8::MAX));
    data.push(kind);
    data.extend(parts.iter().copied().flatten());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Message {
        let mut call =
            Message::new_method_call("org.bluez", "/org/bluez/hci0", super::super::model::ADVERTISING, "RegisterAdvertisement").unwrap();
        call.set_serial(7);
        call
    }

    fn answer(question: &Message, props: PropMap) -> Message {
        let mut answer = question.method_return().append1(props);
        answer.set_serial(9);
        answer
    }

    fn beacon(kind: &str, bytes: usize) -> PropMap {
        let mut map = PropMap::new();
        put(&mut map, "Type", kind.to_owned());
        let data: HashMap<u16, dbus::arg::Variant<Box<dyn dbus::arg::RefArg>>> =
            HashMap::from([(0x004c, dbus::arg::Variant(Box::new(vec![1u8; bytes]) as Box<dyn dbus::arg::RefArg>))]);
        put(&mut map, "ManufacturerData", data);
        map
    }

    #[test]
    fn an_advertisement_is_on_the_air_once_its_properties_are_read() {
        let mut manager = Advertising::default();
        let question = manager.register(":1.5", "/shop/0", call()).unwrap();
        assert_eq!(manager.to_json(), json!([]));
        let reply = manager.answered(&answer(&question, beacon("broadcast", 2))).unwrap();
        assert_eq!(reply.msg_type(), dbus::MessageType::MethodReturn);
        assert_eq!(manager.to_json()[0]["data"], "05ff4c000101");
        assert_eq!(manager.to_json()[0]["path"], "/shop/0");
        assert!(manager.register(":1.5", "/shop/0", call()).is_err(), "already there");
        manager.unregister(":1.5", "/shop/0").unwrap();
        assert!(manager.unregister(":1.5", "/shop/0").is_err());
    }

    #[test]
    fn what_is_too_long_or_of_no_type_is_refused_and_a_client_that_leaves_takes_its_own_along() {
        let mut manager = Advertising::default();
        for (props, ok) in [(beacon("broadcast", 24), true), (beacon("broadcast", 25), false), (beacon("nothing", 2), false)] {
            let question = manager.register(":1.5", "/shop/0", call()).unwrap();
            let reply = manager.answered(&answer(&question, props)).unwrap();
            assert_eq!(reply.msg_type() == dbus::MessageType::MethodReturn, ok);
            manager.client_gone(":1.5");
        }
        assert_eq!(manager.to_json(), json!([]));
    }
}
