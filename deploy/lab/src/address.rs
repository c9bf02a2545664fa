//! Bluetooth device addresses. All of them are made up: they come from a scenario, not from the air.

use std::{fmt, str::FromStr};

/// A device address, most significant byte first, as it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 6]);

impl Address {
    /// The address that is `n` further on; it wraps after ff:ff:ff:ff:ff:ff.
    #[must_use]
    pub fn plus(self, n: u32) -> Self {
        let [_, _, bytes @ ..] = (self.number() + u64::from(n)).to_be_bytes();
        Self(bytes)
    }

    /// Shaped as a resolvable private address, as phones use: the two top bits are 01.
    #[must_use]
    pub fn resolvable(mut self) -> Self {
        self.0[0] = (self.0[0] & 0x3f) | 0x40;
        self
    }

    /// The byte order of HCI: least significant byte first.
    pub fn to_le(self) -> [u8; 6] {
        let mut bytes = self.0;
        bytes.reverse();
        bytes
    }

    fn number(self) -> u64 {
        self.0.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
    }
}

impl fmt::Display for Address {
    /// `C0:00:00:00:00:01`, as BlueZ writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an address; write six bytes in hex, such as C0:00:00:00:00:01");
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_it_is_written() {
        let address: Address = "C0:00:5e:00:00:ff".parse().unwrap();
        assert_eq!(address.to_string(), "C0:00:5E:00:00:FF");
        assert_eq!(address.plus(1).to_string(), "C0:00:5E:00:01:00");
        for wrong in ["", "C0:00:5e:00:00", "C0:00:5e:00:00:ff:00", "C0:00:5e:00:00:+f", "C0-00-5e-00-00-ff"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
