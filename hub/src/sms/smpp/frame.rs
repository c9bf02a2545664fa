//! PDUs on the wire. The framing is ours, so that one PDU that the codec cannot read costs that PDU and not the link.

use rusmpp::{Command, decode::DecodeWithLength as _, tokio_codec::CommandCodec};
use tokio_util::{
    bytes::{Buf as _, BytesMut},
    codec::{Decoder, Encoder},
};

/// Largest PDU that is read.
const MAX: usize = 64 * 1024;
const HEADER: usize = 16;

/// What stands between two PDU boundaries.
#[derive(Debug)]
pub enum Frame {
    /// A PDU.
    Command(Box<Command>),
    /// Bytes that are no PDU that the codec knows.
    Unreadable {
        /// As in its header.
        id: u32,
        /// As in its header.
        sequence: u32,
    },
}

/// Reads and writes PDUs.
#[derive(Debug, Default)]
pub struct Codec;

/// The link cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The socket.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A length that no PDU has: the boundaries are lost.
    #[error("a PDU of {0} octets")]
    Length(usize),
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let word = |at: usize, src: &BytesMut| src.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        let (Some(length), Some(id), Some(sequence)) = (word(0, src), word(4, src), word(12, src)) else { return Ok(None) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(HEADER..=MAX).contains(&length) {
            return Err(FrameError::Length(length));
        }
        if src.len() < length {
            src.reserve(length - src.len());
            return Ok(None);
        }
        let mut pdu = src.split_to(length);
        pdu.advance(4);
        Ok(Some(match Command::decode(&mut pdu, length - 4) {
            Ok((command, _)) => Frame::Command(Box::new(command)),
            Err(_) => Frame::Unreadable { id, sequence },
        }))
    }
}

impl Encoder<Command> for Codec {
    type Error = FrameError;

    fn encode(&mut self, command: Command, dst: &mut BytesMut) -> Result<(), FrameError> {
        match CommandCodec::new().encode(command, dst) {
            Ok(()) => Ok(()),
            Err(error) => Err(FrameError::Io(std::io::Error::other(error.to_string()))),
        }
    }
}
