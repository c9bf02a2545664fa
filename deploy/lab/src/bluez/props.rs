//! Property maps of D-Bus: written for BlueZ's objects, and read into JSON for those who look.

use std::collections::HashMap;

use dbus::arg::{ArgType, PropMap, RefArg, Variant};
use serde_json::{Map, Value};

/// The interfaces of an object with their properties, as `ObjectManager` tells them.
pub type Interfaces = HashMap<String, PropMap>;

/// Adds a property.
pub fn put<T: RefArg + 'static>(map: &mut PropMap, key: &str, value: T) {
    map.insert(key.to_owned(), Variant(Box::new(value)));
}

/// All of a property map as JSON; bytes become hex.
pub fn to_json(map: &PropMap) -> Map<String, Value> {
    map.iter().map(|(key, value)| (key.clone(), json(&*value.0))).collect()
}

fn json(value: &dyn RefArg) -> Value {
    match value.arg_type() {
        ArgType::Variant => value.as_iter().and_then(|mut inner| inner.next()).map_or(Value::Null, json),
        ArgType::Boolean => Value::Bool(value.as_u64() == Some(1)),
        ArgType::String | ArgType::ObjectPath | ArgType::Signature => value.as_str().map_or(Value::Null, Value::from),
        ArgType::Array if value.signature().starts_with("a{") => dictionary(value),
        ArgType::Array => list(value),
        ArgType::Double => value.as_f64().map_or(Value::Null, Value::from),
        _ => value.as_i64().map_or(Value::Null, Value::from),
    }
}

fn list(value: &dyn RefArg) -> Value {
    let Some(items) = value.as_iter() else { return Value::Null };
    if &*value.signature() == "ay" {
        let bytes: Vec<u8> = items.filter_map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
        return Value::String(hex::encode(bytes));
    }
    items.map(json).collect()
}

fn dictionary(value: &dyn RefArg) -> Value {
    let mut object = Map::new();
    let Some(mut items) = value.as_iter() else { return Value::Null };
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        let key = match json(key) {
            Value::String(key) => key,
            other => other.to_string(),
        };
        object.insert(key, json(value));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use dbus::Message;

    use super::*;

    #[test]
    fn a_map_that_came_over_the_bus_reads_as_json_with_hex() {
        let data: HashMap<u16, Variant<Box<dyn RefArg>>> = HashMap::from([(0x004c, Variant(Box::new(vec![2u8, 0x15]) as Box<dyn RefArg>))]);
        let mut map = PropMap::new();
        put(&mut map, "Type", "broadcast".to_owned());
        put(&mut map, "ManufacturerData", data);
        put(&mut map, "ServiceUUIDs", vec!["abcd".to_owned()]);
        put(&mut map, "Discoverable", true);
        put(&mut map, "MinInterval", 100u32);
        // Through a message, as it comes over the bus.
        let message = Message::new_signal("/", "a.b", "C").unwrap().append1(map);
        let json = Value::Object(to_json(&message.read1::<PropMap>().unwrap()));
        let expected = serde_json::json!({
            "Type": "broadcast", "ManufacturerData": {"76": "0215"}, "ServiceUUIDs": ["abcd"], "Discoverable": true, "MinInterval": 100
        });
        assert_eq!(json, expected);
    }
}
