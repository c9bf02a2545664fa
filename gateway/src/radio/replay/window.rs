//! A look ahead into a stream of any length with bounded memory.

use std::{io::Read, path::PathBuf};

use super::RadioError;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// The unread part of a stream, of which some bytes are already in memory.
pub(super) struct Window {
    bytes: Box<dyn Read + Send>,
    name: PathBuf,
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    /// Bytes consumed so far.
    pub offset: u64,
}

impl Window {
    pub fn new(bytes: impl Read + Send + 'static, name: PathBuf) -> Self {
        Self { bytes: Box::new(bytes), name, buffer: Vec::new(), start: 0, ended: false, offset: 0 }
    }

    /// The bytes that come next: `wanted` or more, fewer only at the end of the stream.
    pub fn at_least(&mut self, wanted: usize) -> Result<&[u8], RadioError> {
        while !self.ended && self.buffer.len() - self.start < wanted {
            self.buffer.drain(..self.start);
            self.start = 0;
            let filled = self.buffer.len();
            self.buffer.resize(filled + CHUNK, 0);
            let read = match self.bytes.read(&mut self.buffer[filled..]) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => Ok(None),
                Err(e) => Err(RadioError::File { path: self.name.clone(), why: e.to_string() }),
                Ok(read) => Ok(Some(read)),
            };
            self.buffer.truncate(filled + read.as_ref().map_or(0, |read| read.unwrap_or(0)));
            self.ended = read? == Some(0);
        }
        Ok(&self.buffer[self.start..])
    }

    /// Moves on by `count` bytes that were looked at.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.buffer.len() - self.start);
        self.start += count;
        self.offset += count as u64;
    }
}
