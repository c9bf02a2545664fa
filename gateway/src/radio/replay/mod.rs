//! Captures: btsnoop as `btmon -w` writes it, or JSON lines `{"at":ms,"address":"aabbccddeeff","rssi":-60,"data":"hex"}`.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use passage_protocol::Clock;
use sha2::{Digest, Sha256};

use self::{btsnoop::Btsnoop, lines::Lines, steady::Steady, window::Window};
use super::{Advert, Paced, RadioError};

mod btsnoop;
mod hci;
mod lines;
mod steady;
mod window;

/// How much of a capture makes its id; the time stamp of the first record is in it.
const ID_BYTES: usize = 64;

/// 2100-01-01 in seconds; later time stamps are taken for damage.
const LATEST_SECS: i64 = 4_102_444_800;

/// A capture that plays at its own time stamps.
pub type Replay = Paced<Capture>;

/// The adverts of a capture and, at their place, what is broken in it. Reading goes on behind a broken record.
pub struct Capture {
    id: String,
    records: Box<dyn Iterator<Item = Result<Advert, RadioError>> + Send>,
}

impl Capture {
    /// Opens a capture file. The format is recognised by its first bytes.
    pub fn open(path: &Path) -> Result<Self, RadioError> {
        let file = File::open(path).map_err(|e| RadioError::File { path: path.to_owned(), why: e.to_string() })?;
        Self::read(file, path.to_owned())
    }

    /// Reads a capture from anywhere; errors name it `name`.
    pub fn read(bytes: impl Read + Send + 'static, name: PathBuf) -> Result<Self, RadioError> {
        let mut bytes = Window::new(bytes, name);
        let head = bytes.at_least(ID_BYTES)?;
        let id = hex::encode(Sha256::digest(&head[..head.len().min(ID_BYTES)]).as_slice().get(..8).unwrap_or_default());
        let first = head.iter().find(|byte| !byte.is_ascii_whitespace()).copied();
        let records: Box<dyn Iterator<Item = _> + Send> = match first {
            None => return Err(RadioError::Format { why: "it is empty".to_owned() }),
            Some(b'{') => Box::new(Lines::new(bytes)),
            Some(_) => Box::new(Btsnoop::new(bytes)?),
        };
        Ok(Self { id, records: Box::new(Steady::new(records)) })
    }

    /// Tells this capture from others, so that a replay position of another one is not used: 16 hex digits, from its first bytes alone.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A source that plays the capture against `clock`.
    pub fn play(self, clock: Clock) -> Replay {
        Paced::replayed(self, clock)
    }
}

impl Iterator for Capture {
    type Item = Result<Advert, RadioError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.records.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(bytes: &'static [u8]) -> String {
        Capture::read(bytes, "x".into()).err().unwrap().to_string()
    }

    #[test]
    fn what_is_no_capture_is_refused_with_the_formats_that_are_read() {
        assert!(why(b"").contains("empty"));
        assert!(why(b"\n\n").contains("empty"));
        assert!(why(b"at,rssi\n1,2\n").contains("JSON lines"));
        assert!(why(b"\x0a\x0d\x0d\x0a pcapng .....").contains("btsnoop"));
        assert!(why(b"btsnoop\0\0\0\0\x02\0\0\x03\xea").contains("version 2"));
        assert!(why(b"btsnoop\0\0\0\0\x01\0\0\x03\xeb").contains("1003"));
        assert!(why(b"btsnoop\0\0\0").contains("header"));
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = Capture::open(Path::new("/nowhere/capture.btsnoop")).err().unwrap().to_string();
        assert!(error.contains("/nowhere/capture.btsnoop"), "{error}");
    }

    #[test]
    fn the_id_depends_on_the_beginning_alone() {
        let id = |bytes: Vec<u8>| Capture::read(std::io::Cursor::new(bytes), "x".into()).unwrap().id().to_owned();
        let line = br#"{"at":1700000000000,"address":"aabbccddeeff","rssi":-60,"data":"020106"}"#;
        let other = br#"{"at":1700000000001,"address":"aabbccddeeff","rssi":-60,"data":"020106"}"#;
        assert_eq!(id(line.to_vec()), id([&line[..], b"\n", other].concat()));
        assert_ne!(id(line.to_vec()), id(other.to_vec()));
    }
}
