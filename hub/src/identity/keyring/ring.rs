//! The keys that values are sealed with, and the file that holds them. Pure: text in, text out.
//!
//! The file begins as 32 random bytes, from which everything is derived. Once a second key is made it becomes a text, because what is derived from
//! the first secret could never be destroyed:
//!
//! ```text
//! passage keys 2
//! index 64 hex digits            for keyed hashes; never changes
//! wake 64 hex digits             for the shops' wake beacons; never changes
//! seal 64 hex digits             opens what was sealed with it
//! seal 64 hex digits active 1795167000000     seals what is written now, since then (machine time)
//! ```

use super::mac;

/// The first line of the file.
const HEAD: &str = "passage keys 2";

/// A key that values are sealed with. Debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SealKey {
    pub(super) id: [u8; 4],
    pub(super) key: [u8; 32],
    /// Machine time in milliseconds since which it seals what is written, if it is the active one.
    pub(super) active: Option<i64>,
}

/// All that the key file holds.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Ring {
    pub(super) index: [u8; 32],
    pub(super) wake: [u8; 32],
    /// In the order in which they were made; one of them is active.
    pub(super) seals: Vec<SealKey>,
}

impl Ring {
    /// What is derived from a first secret.
    pub(super) fn from_secret(secret: &[u8; 32]) -> Self {
        let id = mac(secret, &[b"passage key id"]);
        let first = SealKey { id: [id[0], id[1], id[2], id[3]], key: mac(secret, &[b"passage seal"]), active: Some(0) };
        Self { index: mac(secret, &[b"passage index"]), wake: mac(secret, &[b"passage wake"]), seals: vec![first] }
    }

    /// Reads a key file; the error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        if let Ok(secret) = <[u8; 32]>::try_from(bytes) {
            return Ok(Self::from_secret(&secret));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "does not hold 32 bytes")?;
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err("does not hold 32 bytes, nor a list of keys");
        }
        let (mut index, mut wake, mut seals) = (None, None, Vec::new());
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["index", key] => index = Some(bytes32(key)?),
                ["wake", key] => wake = Some(bytes32(key)?),
                ["seal", id, key] => seals.push(seal(id, key, None)?),
                ["seal", id, key, "active", since] => {
                    seals.push(seal(id, key, Some(since.parse().map_err(|_| "has a time that is no number")?))?);
                }
                _ => return Err("has a line that is not understood"),
            }
        }
        if seals.iter().filter(|s| s.active.is_some()).count() != 1 {
            return Err("does not say which one key is active");
        }
        let missing = "lacks the line 'index' or 'wake'";
        Ok(Self { index: index.ok_or(missing)?, wake: wake.ok_or(missing)?, seals })
    }

    /// The file as text.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\nindex {}\nwake {}\n", hex::encode(self.index), hex::encode(self.wake));
        for s in &self.seals {
            let active = s.active.map(|since| format!(" active {since}")).unwrap_or_default();
            text.push_str(&format!("seal {} {}{active}\n", hex::encode(s.id), hex::encode(s.key)));
        }
        text
    }

    /// The key that seals what is written now.
    pub(super) fn active(&self) -> &SealKey {
        // One is active by construction and by `parse`; the newest stands in for a file that somebody else breaks in memory.
        self.seals.iter().find(|s| s.active.is_some()).unwrap_or(&self.seals[self.seals.len() - 1])
    }

    /// The key with this id.
    pub(super) fn find(&self, id: &[u8]) -> Option<&SealKey> {
        self.seals.iter().find(|s| s.id == id)
    }

    /// Adds a key that opens, but does not seal yet.
    pub(super) fn add(&mut self, key: [u8; 32]) -> [u8; 4] {
        let id = mac(&key, &[b"passage key id"]);
        let id = [id[0], id[1], id[2], id[3]];
        self.seals.push(SealKey { id, key, active: None });
        id
    }

    /// Makes the newest key the active one.
    pub(super) fn activate_newest(&mut self, now: i64) {
        let newest = self.seals.len().saturating_sub(1);
        for (i, key) in self.seals.iter_mut().enumerate() {
            key.active = (i == newest).then_some(now);
        }
    }
}

fn seal(id: &str, key: &str, active: Option<i64>) -> Result<SealKey, &'static str> {
    let mut four = [0; 4];
    hex::decode_to_slice(id, &mut four).map_err(|_| "has a key id that is not 8 hex digits")?;
    Ok(SealKey { id: four, key: bytes32(key)?, active })
}

fn bytes32(hex: &str) -> Result<[u8; 32], &'static str> {
    let mut out = [0; 32];
    hex::decode_to_slice(hex, &mut out).map_err(|_| "has a key that is not 64 hex digits")?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_survives_its_file_and_keeps_what_was_derived_from_the_first_secret() {
        let mut ring = Ring::from_secret(&[7; 32]);
        let first = ring.active().clone();
        ring.add([8; 32]);
        assert_eq!(ring.active().id, first.id, "a new key seals nothing yet");
        ring.activate_newest(5);
        let read = Ring::parse(ring.to_text().as_bytes()).ok().unwrap();
        assert!(read == ring && read.active().active == Some(5));
        assert_eq!(read.find(&first.id).map(|k| k.key), Some(first.key));
        assert_eq!((read.index, read.wake), (Ring::from_secret(&[7; 32]).index, Ring::from_secret(&[7; 32]).wake));
    }

    #[test]
    fn a_file_that_is_no_key_file_says_why() {
        let good = Ring::from_secret(&[7; 32]).to_text();
        for (text, why) in [
            (String::new(), "32 bytes"),
            (good.replace("active 0", ""), "active"),
            (good.replace("index", "idx"), "not understood"),
            (good.lines().filter(|l| !l.starts_with("wake")).collect::<Vec<_>>().join("\n"), "lacks"),
        ] {
            let error = Ring::parse(text.as_bytes()).err().unwrap();
            assert!(error.contains(why), "{error}");
        }
    }
}
