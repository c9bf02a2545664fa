//! An OwnTracks object, as far as it is read.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::de::Read;

use super::value::Loose;
use crate::position::Fate;

/// The few keys that are read. All others, pictures too, are skipped without being kept.
#[derive(Default)]
pub(super) struct Payload<'a> {
    pub(super) kind: Loose<'a>,
    pub(super) id: Loose<'a>,
    pub(super) lat: Loose<'a>,
    pub(super) lon: Loose<'a>,
    pub(super) tst: Loose<'a>,
    pub(super) acc: Loose<'a>,
    pub(super) vel: Loose<'a>,
    pub(super) t: Loose<'a>,
    pub(super) event: Loose<'a>,
    pub(super) desc: Loose<'a>,
    pub(super) rid: Loose<'a>,
    pub(super) wtst: Loose<'a>,
    pub(super) uuid: Loose<'a>,
    pub(super) major: Loose<'a>,
    pub(super) minor: Loose<'a>,
    pub(super) rssi: Loose<'a>,
    pub(super) data: Loose<'a>,
}

impl<'a> Payload<'a> {
    /// Reads an object into an empty payload. Looks once whether all is UTF-8 rather than at each text; texts that nobody reads may be anything.
    pub(super) fn fill(&mut self, bytes: &'a [u8]) -> Result<(), Fate> {
        let read = match std::str::from_utf8(bytes) {
            Ok(text) => self.fill_from(serde_json::Deserializer::from_str(text)),
            Err(_) => self.fill_from(serde_json::Deserializer::from_slice(bytes)),
        };
        read.map_err(|_| Fate::Poison)
    }

    fn fill_from<R: Read<'a>>(&mut self, mut json: serde_json::Deserializer<R>) -> serde_json::Result<()> {
        json.deserialize_map(Fill(self))?;
        json.end()
    }

    /// Where the value of a key belongs.
    fn of(&mut self, key: &str) -> Option<&mut Loose<'a>> {
        Some(match key {
            "_type" => &mut self.kind,
            "_id" => &mut self.id,
            "lat" => &mut self.lat,
            "lon" => &mut self.lon,
            "tst" => &mut self.tst,
            "acc" => &mut self.acc,
            "vel" => &mut self.vel,
            "t" => &mut self.t,
            "event" => &mut self.event,
            "desc" => &mut self.desc,
            "rid" => &mut self.rid,
            "wtst" => &mut self.wtst,
            "uuid" => &mut self.uuid,
            "major" => &mut self.major,
            "minor" => &mut self.minor,
            "rssi" => &mut self.rssi,
            "data" => &mut self.data,
            _ => return None,
        })
    }
}

/// Fills a payload where it stands: it is large, and would be moved from hand to hand.
struct Fill<'p, 'a>(&'p mut Payload<'a>);

impl<'de> Visitor<'de> for Fill<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(Key(self.0))? {
            match place {
                Some(value) if value.is_absent() => *value = map.next_value()?,
                Some(_) => return Err(A::Error::custom("a key stands there twice")),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// One key, to the place of its value.
struct Key<'p, 'a>(&'p mut Payload<'a>);

impl<'de, 'p, 'a> DeserializeSeed<'de> for Key<'p, 'a> {
    type Value = Option<&'p mut Loose<'a>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p, 'a> Visitor<'_> for Key<'p, 'a> {
    type Value = Option<&'p mut Loose<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.of(key))
    }
}
