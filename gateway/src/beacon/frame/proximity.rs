//! What iBeacon and AltBeacon have in common: 20 bytes that name the beacon, and its strength at 1 m.

/// A beacon that says who it is and how strong it is at 1 m.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proximity<'a> {
    /// All 20 bytes, as on the air: UUID, major, minor.
    pub id: &'a [u8; 20],
    /// RSSI in dBm that a receiver sees at 1 m. Some fobs write something else here; a power of 0 or more says nothing about distance.
    pub power_1m: i8,
}

impl<'a> Proximity<'a> {
    /// Reads the 21 bytes, and gives what follows them.
    pub(super) fn read(value: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (id, rest) = value.split_first_chunk()?;
        let (power, rest) = rest.split_first()?;
        Some((Self { id, power_1m: i8::from_be_bytes([*power]) }, rest))
    }

    /// The proximity UUID, in the order in which it is written as text.
    pub fn uuid(&self) -> [u8; 16] {
        let [uuid @ .., _, _, _, _] = *self.id;
        uuid
    }

    /// The group.
    pub fn major(&self) -> u16 {
        u16::from_be_bytes([self.id[16], self.id[17]])
    }

    /// The member of the group.
    pub fn minor(&self) -> u16 {
        u16::from_be_bytes([self.id[18], self.id[19]])
    }
}
