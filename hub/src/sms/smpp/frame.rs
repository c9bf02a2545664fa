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

#[cfg(test)]
mod tests {
    use passage_config::model::MessageIds;
    use proptest::prelude::*;
    use rusmpp::{CommandStatus, Pdu};

    use super::*;
    use crate::sms::smpp::pdu::delivered;

    fn pdu(id: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).unwrap();
        [&length.to_be_bytes()[..], &id.to_be_bytes(), &0_u32.to_be_bytes(), &9_u32.to_be_bytes(), body].concat()
    }

    #[test]
    fn a_pdu_that_cannot_be_read_costs_only_itself() {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&pdu(0x05, &[0xFF; 7]));
        Codec.encode(Command::new(CommandStatus::EsmeRok, 10, Pdu::EnquireLink), &mut bytes).unwrap();
        assert!(matches!(Codec.decode(&mut bytes).unwrap(), Some(Frame::Unreadable { id: 5, sequence: 9 })));
        assert!(matches!(Codec.decode(&mut bytes).unwrap(), Some(Frame::Command(c)) if c.sequence_number() == 10));
        assert!(Codec.decode(&mut bytes).unwrap().is_none());
    }

    #[test]
    fn an_impossible_length_ends_the_link() {
        for length in [0_u32, 15, 1 << 20] {
            let mut bytes = BytesMut::from(&pdu(0x15, &[])[..]);
            bytes[..4].copy_from_slice(&length.to_be_bytes());
            assert!(Codec.decode(&mut bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(body: Vec<u8>, id in prop_oneof![Just(0x05_u32), Just(0x8000_0004), Just(0x8000_0009), any::<u32>()]) {
            let mut bytes = BytesMut::from(&pdu(id, &body)[..]);
            if let Ok(Some(Frame::Command(command))) = Codec.decode(&mut bytes)
                && let Some(Pdu::DeliverSm(delivery)) = command.pdu()
            {
                let _ = delivered(delivery, MessageIds::DecInReceipt, "FR");
            }
        }

        #[test]
        fn no_delivery_makes_the_reader_panic(esm: u8, coding: u8, text in proptest::collection::vec(any::<u8>(), 0..200), tlvs in proptest::collection::vec(any::<u8>(), 0..60)) {
            let head = [&b"\0\x01\x0133612345621\0\x03\x0036111\0"[..], &[esm, 0, 0, 0, 0, 0, 0, coding, 0]].concat();
            let length = u8::try_from(text.len()).unwrap();
            let mut bytes = BytesMut::from(&pdu(5, &[&head[..], &[length], &text, &tlvs].concat())[..]);
            match Codec.decode(&mut bytes) {
                Ok(Some(Frame::Command(command))) => {
                    if let Some(Pdu::DeliverSm(delivery)) = command.pdu() {
                        prop_assert_eq!(u8::from(delivery.esm_class) & 0x3C, esm & 0x3C);
                        let _ = delivered(delivery, MessageIds::HexInReceipt, "FR");
                    }
                }
                other => {
                    let unreadable = matches!(other, Ok(Some(Frame::Unreadable { .. })));
                    prop_assert!(unreadable);
                }
            }
        }
    }
}
