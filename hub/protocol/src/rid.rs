//! RID v1: the rotating id that a member's app advertises, and the 10 bytes that carry it.
//!
//! Per installation and UTC day there is a chain key, k(d+1) = HMAC-SHA256(k(d), "passage day"); the id of a window is the first 8 bytes of
//! HMAC-SHA256(k(d), "rid1" | u32be(window)), windows of 900 s. Who holds only today's key resolves nothing of yesterday.
//!
//! The payload has three carriers, because no phone can send all of them:
//!
//! | carrier | who | where the 10 bytes stand |
//! |---|---|---|
//! | service data (AD type 0x21) | Android | behind the brand's 128-bit UUID |
//! | iBeacon | an iPhone whose app is open | behind 11 brand bytes: 9 bytes end its UUID, major and minor, the last one is its power byte |
//! | service UUID (AD types 0x06, 0x07) | an iPhone whose app is open | the last 10 bytes of the UUID as it is written, see [`RidPayload::to_uuid`] |

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Sha256, block_api::compress256};

use crate::Millis;

/// Length of a window in seconds.
pub const WINDOW_SECS: i64 = 900;
/// Windows in one UTC day.
pub const WINDOWS_PER_DAY: i64 = 96;
/// The only payload version so far.
pub const RID_VERSION: u8 = 1;

/// A rotating id. Debug output hides it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rid(pub [u8; 8]);

impl fmt::Debug for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rid(..)")
    }
}

impl From<Rid> for String {
    fn from(rid: Rid) -> String {
        hex::encode(rid.0)
    }
}

impl TryFrom<String> for Rid {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut out = [0; 8];
        hex::decode_to_slice(&text, &mut out).map_err(|_| "a rid is 16 hex digits")?;
        Ok(Self(out))
    }
}

/// The window (count of 900 s since 1970) that a time falls in.
pub fn window_at(at: Millis) -> i64 {
    at.secs().div_euclid(WINDOW_SECS)
}

/// The UTC day (count since 1970) of a window.
pub fn day_of(window: i64) -> i64 {
    window.div_euclid(WINDOWS_PER_DAY)
}

/// The window nearest to `around` whose low 4 bits equal `hint`.
pub fn window_for_hint(around: i64, hint: u8) -> i64 {
    let diff = (i64::from(hint & 0x0f) - around).rem_euclid(16);
    if diff > 8 { around + diff - 16 } else { around + diff }
}

/// The secret of one installation for one UTC day. Debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ChainKey {
    /// The UTC day that the key is for, counted since 1970.
    pub day: i64,
    /// 32 secret bytes.
    pub key: [u8; 32],
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainKey {{ day: {}, key: .. }}", self.day)
    }
}

impl ChainKey {
    /// The key of the next day; nobody can go back.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { day: self.day + 1, key: next_key(&self.key) }
    }

    /// The key of a later day, at most `4096` days ahead; `None` for an earlier day.
    pub fn for_day(&self, day: i64) -> Option<Self> {
        if !(self.day..=self.day.saturating_add(4096)).contains(&day) {
            return None;
        }
        let mut key = self.clone();
        while key.day < day {
            key = key.next();
        }
        Some(key)
    }

    /// The id that the installation advertises in `window`, which must lie in this key's day.
    pub fn rid(&self, window: i64) -> Rid {
        rid_of(&self.key, window)
    }

    /// The id of the window that `at` falls in; `None` before this key's day.
    pub fn rid_at(&self, at: Millis) -> Option<(i64, Rid)> {
        let window = window_at(at);
        Some((window, self.for_day(day_of(window))?.rid(window)))
    }
}

/// The chain key of the next day. For hubs that derive very many.
pub fn next_key(key: &[u8; 32]) -> [u8; 32] {
    short_mac(key, b"passage day")
}

/// The id of `window` under the chain key of its day. For hubs that derive very many.
pub fn rid_of(key: &[u8; 32], window: i64) -> Rid {
    let mut message = *b"rid1....";
    message[4..].copy_from_slice(&u32::try_from(window).unwrap_or(0).to_be_bytes());
    let full = short_mac(key, &message);
    let mut rid = [0; 8];
    rid.copy_from_slice(&full[..8]);
    Rid(rid)
}

/// HMAC-SHA256 of a message that fits into one block behind the key: four compressions and nothing else, a third of the general form's time.
fn short_mac<const N: usize>(key: &[u8; 32], message: &[u8; N]) -> [u8; 32] {
    const { assert!(N <= 55, "the message and its padding fit into one block") };
    let mut inner = [[0x36; 64], [0; 64]];
    let mut outer = [[0x5c; 64], [0; 64]];
    for (i, byte) in key.iter().enumerate() {
        inner[0][i] ^= byte;
        outer[0][i] ^= byte;
    }
    inner[1][..N].copy_from_slice(message);
    pad(&mut inner, N);
    let mut state = INITIAL;
    compress256(&mut state, &inner);
    for (four, word) in outer[1].chunks_exact_mut(4).zip(state) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    pad(&mut outer, 32);
    state = INITIAL;
    compress256(&mut state, &outer);
    let mut out = [0; 32];
    for (four, word) in out.chunks_exact_mut(4).zip(state) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// SHA-256's padding of a block of key and `length` bytes in the second block.
fn pad(blocks: &mut [[u8; 64]; 2], length: usize) {
    blocks[1][length] = 0x80;
    let bits = ((64 + length) * 8) as u64;
    blocks[1][56..].copy_from_slice(&bits.to_be_bytes());
}

/// SHA-256's initial state, FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

pub(crate) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length.
    #[expect(clippy::expect_used, reason = "HMAC-SHA256 accepts every key length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The 10 bytes on the air: version and window-hint nibbles, the id, tx power at 1 m.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RidPayload {
    /// Low 4 bits of the window.
    pub hint: u8,
    /// The id.
    pub rid: Rid,
    /// RSSI in dBm that a receiver sees at 1 m.
    pub tx_power: i8,
}

impl RidPayload {
    /// The payload for a window.
    pub fn new(window: i64, rid: Rid, tx_power: i8) -> Self {
        Self { hint: u8::try_from(window.rem_euclid(16)).unwrap_or(0), rid, tx_power }
    }

    /// The wire form.
    pub fn to_bytes(self) -> [u8; 10] {
        let mut out = [0; 10];
        out[0] = (RID_VERSION << 4) | (self.hint & 0x0f);
        out[1..9].copy_from_slice(&self.rid.0);
        out[9] = self.tx_power.to_be_bytes()[0];
        out
    }

    /// Reads the wire form; `None` for another version.
    pub fn from_bytes(bytes: &[u8; 10]) -> Option<Self> {
        if bytes[0] >> 4 != RID_VERSION {
            return None;
        }
        let mut rid = [0; 8];
        rid.copy_from_slice(&bytes[1..9]);
        Some(Self { hint: bytes[0] & 0x0f, rid: Rid(rid), tx_power: i8::from_be_bytes([bytes[9]]) })
    }

    /// The service UUID that carries the payload: the brand's 6 bytes, then the 10 of the wire form, in the order in which a UUID is written
    /// as text. So an app writes `BBBBBBBB-BBBB-PPPP-PPPP-PPPPPPPPPPPP` and leaves it to the phone to send UUIDs little-endian: on the air
    /// the 16 bytes stand in the reverse order, tx power first and the brand last.
    pub fn to_uuid(self, brand: &[u8; 6]) -> [u8; 16] {
        let mut uuid = [0; 16];
        uuid[..6].copy_from_slice(brand);
        uuid[6..].copy_from_slice(&self.to_bytes());
        uuid
    }
}
