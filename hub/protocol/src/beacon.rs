//! Registered cards and fobs: what they advertise does not change, so each one must be known beforehand.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A registered card or fob. Debug output hides it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum StaticBeacon {
    /// iBeacon: proximity UUID as 32 lower-case hex digits, major, minor.
    IBeacon {
        /// 32 lower-case hex digits.
        uuid: String,
        /// Group.
        major: u16,
        /// Member of the group.
        minor: u16,
    },
    /// AltBeacon of whatever company: its 20 bytes, taken apart as those of an iBeacon.
    AltBeacon {
        /// 32 lower-case hex digits.
        uuid: String,
        /// Group.
        major: u16,
        /// Member of the group.
        minor: u16,
    },
    /// Eddystone-UID.
    EddystoneUid {
        /// 20 lower-case hex digits.
        namespace: String,
        /// 12 lower-case hex digits.
        instance: String,
    },
}

impl fmt::Debug for StaticBeacon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticBeacon(..)")
    }
}

/// What stands before the numbers of an AltBeacon in a list of members.
const ALTBEACON: &str = "altbeacon:";
/// What stands before the ids of an Eddystone-UID beacon in a list of members.
const EDDYSTONE: &str = "eddystone:";

impl StaticBeacon {
    /// The one spelling of a beacon in lists of members: `uuid/major/minor` for an iBeacon, `altbeacon:uuid/major/minor`,
    /// `eddystone:namespace/instance`. The key of its owner is made from it, so it never changes.
    pub fn canonical(&self) -> String {
        match self {
            Self::IBeacon { uuid, major, minor } => format!("{uuid}/{major}/{minor}"),
            Self::AltBeacon { uuid, major, minor } => format!("{ALTBEACON}{uuid}/{major}/{minor}"),
            Self::EddystoneUid { namespace, instance } => format!("{EDDYSTONE}{namespace}/{instance}"),
        }
    }

    /// Reads what people write for [`StaticBeacon::canonical`]: capitals, dashes and blanks around the parts do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        if let Some(ids) = text.strip_prefix(EDDYSTONE) {
            let (namespace, instance) = ids.split_once('/')?;
            return Some(Self::EddystoneUid { namespace: digits(namespace, 20)?, instance: digits(instance, 12)? });
        }
        match text.strip_prefix(ALTBEACON) {
            Some(numbers) => proximity(numbers).map(|(uuid, major, minor)| Self::AltBeacon { uuid, major, minor }),
            None => proximity(&text).map(|(uuid, major, minor)| Self::IBeacon { uuid, major, minor }),
        }
    }

    /// True if every id has the digits that its kind has.
    pub fn is_well_formed(&self) -> bool {
        match self {
            Self::IBeacon { uuid, .. } | Self::AltBeacon { uuid, .. } => is_hex(uuid, 32),
            Self::EddystoneUid { namespace, instance } => is_hex(namespace, 20) && is_hex(instance, 12),
        }
    }
}

/// `uuid/major/minor`.
fn proximity(text: &str) -> Option<(String, u16, u16)> {
    let mut parts = text.split('/');
    let (uuid, major, minor) = (parts.next()?, parts.next()?, parts.next()?);
    let found = (digits(uuid, 32)?, major.trim().parse().ok()?, minor.trim().parse().ok()?);
    parts.next().is_none().then_some(found)
}

/// `count` hex digits, with dashes anywhere between them.
fn digits(text: &str, count: usize) -> Option<String> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    is_hex(&digits, count).then_some(digits)
}

fn is_hex(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_spelling_that_reads_back() {
        let uuid = "f7826da64fa24e988024bc5b71e0893e";
        for (written, canonical) in [
            ("F7826DA6-4FA2-4E98-8024-BC5B71E0893E/7/42", format!("{uuid}/7/42")),
            ("AltBeacon:F7826DA6-4FA2-4E98-8024-BC5B71E0893E/ 7 /42", format!("altbeacon:{uuid}/7/42")),
            ("eddystone:00112233445566778899/AABBCCDDEEFF", "eddystone:00112233445566778899/aabbccddeeff".to_owned()),
        ] {
            let beacon = StaticBeacon::parse(written).unwrap();
            assert_eq!(beacon.canonical(), canonical);
            assert!(beacon.is_well_formed() && StaticBeacon::parse(&canonical) == Some(beacon));
        }
    }

    #[test]
    fn what_is_no_beacon_is_refused() {
        for text in [
            "",
            "f7826da6/7/42",
            "f7826da64fa24e988024bc5b71e0893e/7",
            "f7826da64fa24e988024bc5b71e0893e/7/42/1",
            "f7826da64fa24e988024bc5b71e0893e/7/70000",
            "g7826da64fa24e988024bc5b71e0893e/7/42",
            "eddystone:00112233445566778899",
            "eddystone:00112233445566778899/aabbccddee",
            "eddystone:f7826da64fa24e988024bc5b71e0893e/7/42",
            "altbeacon:00112233445566778899/aabbccddeeff",
        ] {
            assert!(StaticBeacon::parse(text).is_none(), "{text}");
        }
    }
}
