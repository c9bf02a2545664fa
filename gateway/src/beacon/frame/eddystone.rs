//! Eddystone frames, as <https://github.com/google/eddystone> describes them: service data of 0xFEAA, whose first byte is the kind.

use std::fmt;

/// Eddystone's 16-bit service UUID, as on the air.
pub(in crate::beacon) const SERVICE: [u8; 2] = [0xaa, 0xfe];

/// How far 0 m is from 1 m in dB: Eddystone frames carry the strength at 0 m.
const FIRST_METRE_DB: i8 = 41;

/// One Eddystone frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eddystone<'a> {
    /// Who it is. The two reserved bytes behind the id may be missing: phones leave them out.
    Uid {
        /// dBm at 0 m.
        power_0m: i8,
        /// 10 bytes.
        namespace: &'a [u8; 10],
        /// 6 bytes.
        instance: &'a [u8; 6],
    },
    /// An address.
    Url {
        /// dBm at 0 m.
        power_0m: i8,
        /// The address; [`Url`] shows it.
        url: Url<'a>,
    },
    /// How it is.
    Tlm(Telemetry),
    /// How it is, for those who have its key.
    EncryptedTlm {
        /// 12 bytes.
        data: &'a [u8; 12],
        /// Big-endian on the air.
        salt: u16,
        /// Big-endian on the air.
        mic: u16,
    },
    /// An id that changes.
    Eid {
        /// dBm at 0 m.
        power_0m: i8,
        /// 8 bytes.
        eid: &'a [u8; 8],
    },
}

/// Plain telemetry, version 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telemetry {
    /// Millivolts; `None` when the beacon cannot tell (0 on the air).
    pub battery_mv: Option<u16>,
    /// 1/256 of a degree Celsius; `None` when the beacon cannot tell (-128 °C on the air).
    pub temperature_256: Option<i16>,
    /// Adverts since it was switched on.
    pub adverts: u32,
    /// Tenths of a second since it was switched on.
    pub uptime_ds: u32,
}

impl Telemetry {
    /// Degrees Celsius.
    pub fn temperature_c(&self) -> Option<f64> {
        self.temperature_256.map(|t| f64::from(t) / 256.0)
    }
}

/// An address in Eddystone's short form: a code for its scheme, and bytes of which some stand for an ending. `Display` writes it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    scheme: &'static str,
    encoded: &'a [u8],
}

/// By their codes.
const SCHEMES: [&str; 4] = ["http://www.", "https://www.", "http://", "https://"];
/// By their codes.
const ENDINGS: [&str; 14] =
    [".com/", ".org/", ".edu/", ".net/", ".info/", ".biz/", ".gov/", ".com", ".org", ".edu", ".net", ".info", ".biz", ".gov"];

impl<'a> Eddystone<'a> {
    /// Reads the service data of 0xFEAA. `None` for kinds and versions that do not exist and for frames that are cut.
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let (kind, rest) = data.split_first()?;
        match kind {
            0x00 => {
                let (power_0m, rest) = power(rest)?;
                let (namespace, rest) = rest.split_first_chunk()?;
                Some(Self::Uid { power_0m, namespace, instance: rest.first_chunk()? })
            }
            0x10 => {
                let (power_0m, rest) = power(rest)?;
                Some(Self::Url { power_0m, url: Url::read(rest)? })
            }
            0x20 => match rest.split_first()? {
                (0, rest) => rest.first_chunk().map(|fields| Self::Tlm(telemetry(fields))),
                (1, rest) => encrypted(rest),
                _ => None,
            },
            0x30 => {
                let (power_0m, rest) = power(rest)?;
                Some(Self::Eid { power_0m, eid: rest.first_chunk()? })
            }
            _ => None,
        }
    }
}

/// RSSI at 1 m of a beacon with this strength at 0 m.
pub fn power_at_1m(power_0m: i8) -> i8 {
    power_0m.saturating_sub(FIRST_METRE_DB)
}

/// Strength at 0 m of a beacon with this RSSI at 1 m.
pub fn power_at_0m(power_1m: i8) -> i8 {
    power_1m.saturating_add(FIRST_METRE_DB)
}

fn power(data: &[u8]) -> Option<(i8, &[u8])> {
    data.split_first().map(|(power, rest)| (i8::from_be_bytes([*power]), rest))
}

fn telemetry(&[b0, b1, t0, t1, a0, a1, a2, a3, u0, u1, u2, u3]: &[u8; 12]) -> Telemetry {
    Telemetry {
        battery_mv: Some(u16::from_be_bytes([b0, b1])).filter(|mv| *mv != 0),
        temperature_256: Some(i16::from_be_bytes([t0, t1])).filter(|t| *t != i16::MIN),
        adverts: u32::from_be_bytes([a0, a1, a2, a3]),
        uptime_ds: u32::from_be_bytes([u0, u1, u2, u3]),
    }
}

fn encrypted(rest: &[u8]) -> Option<Eddystone<'_>> {
    let (data, rest) = rest.split_first_chunk()?;
    let &[s0, s1, m0, m1] = rest.first_chunk()?;
    Some(Eddystone::EncryptedTlm { data, salt: u16::from_be_bytes([s0, s1]), mic: u16::from_be_bytes([m0, m1]) })
}

impl<'a> Url<'a> {
    /// `None` for an unknown scheme, for reserved bytes (blanks and control characters among them), and when nothing follows the scheme.
    fn read(data: &'a [u8]) -> Option<Self> {
        let (scheme, encoded) = data.split_first()?;
        let scheme = SCHEMES.get(usize::from(*scheme))?;
        let readable = |byte: &u8| usize::from(*byte) < ENDINGS.len() || byte.is_ascii_graphic();
        (!encoded.is_empty() && encoded.iter().all(readable)).then_some(Self { scheme, encoded })
    }
}

impl fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        f.write_str(self.scheme)?;
        self.encoded.iter().try_for_each(|byte| match ENDINGS.get(usize::from(*byte)) {
            Some(ending) => f.write_str(ending),
            None => f.write_char(char::from(*byte)),
        })
    }
}
