//! Packets as they are on the air: the advertising channel of the link layer (Bluetooth Core 5.4, vol. 6, part B, 2.3).

/// Access address of everything that is advertised.
const ADVERTISING: [u8; 4] = 0x8e89_bed6_u32.to_le_bytes();
/// Start of the checksum on advertising channels, 0x555555, in the bit order of the air.
const CHECKSUM_START: u32 = 0x00aa_aaaa;
/// The polynomial of the checksum, in the same order: x^24 + x^10 + x^9 + x^6 + x^4 + x^3 + x + 1.
const POLYNOMIAL: u32 = 0x00da_6000;

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pdu<'a> {
    /// An advert or a part of one.
    Advert {
        /// Most significant byte first; it can stand in an earlier packet with the same `id`.
        address: Option<[u8; 6]>,
        /// Of extended adverts: what the packets of one advert have in common.
        id: Option<u16>,
        /// AD structures.
        data: &'a [u8],
        /// A packet with more data follows.
        more: bool,
    },
    /// Scan requests, connections, data.
    Other,
}

/// A packet that was cut out of the capture's wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// Header and payload.
    pdu: &'a [u8],
    /// Three bytes; empty when the capture does not hold them.
    checksum: &'a [u8],
}

/// Takes a packet from the access address on apart. `None` for packets of a connection. `coded` packets have a byte more behind the address.
pub(super) fn packet(bytes: &[u8], coded: bool) -> Result<Option<Packet<'_>>, &'static str> {
    const SHORT: &str = "the packet is shorter than it says";
    let Some((address, rest)) = bytes.split_first_chunk::<4>() else { return Err(SHORT) };
    if *address != ADVERTISING {
        return Ok(None);
    }
    let rest = rest.get(usize::from(coded)..).unwrap_or_default();
    let Some(length) = rest.get(1) else { return Err(SHORT) };
    let (pdu, checksum) = rest.split_at_checked(2 + usize::from(*length)).ok_or(SHORT)?;
    Ok(Some(Packet { pdu, checksum: checksum.get(..3).unwrap_or_default() }))
}

impl<'a> Packet<'a> {
    /// False if the checksum is there and wrong. Tools that do not keep it write zeros.
    pub fn may_be_whole(&self) -> bool {
        let &[a, b, c] = self.checksum else { return true };
        let told = u32::from_le_bytes([a, b, c, 0]);
        told == 0 || told == checksum(self.pdu)
    }

    /// Reads the packet. `None` when its fields do not fit into it.
    pub fn read(&self) -> Option<Pdu<'a>> {
        let (&[head, _length], payload) = self.pdu.split_first_chunk()?;
        match head & 0x0f {
            // ADV_IND, ADV_NONCONN_IND, SCAN_RSP, ADV_SCAN_IND
            0 | 2 | 4 | 6 => {
                let (address, data) = payload.split_first_chunk()?;
                Some(Pdu::Advert { address: Some(reversed(*address)), id: None, data, more: false })
            }
            // ADV_EXT_IND and everything that it points to
            7 => extended(payload),
            _ => Some(Pdu::Other),
        }
    }
}

/// The common extended advertising payload (2.3.4): a header of fields that flags announce, and data.
fn extended(payload: &[u8]) -> Option<Pdu<'_>> {
    const ADDRESS: u8 = 1;
    const TARGET: u8 = 1 << 1;
    const TONE: u8 = 1 << 2;
    const ID: u8 = 1 << 3;
    const POINTER: u8 = 1 << 4;
    let (&lengths, rest) = payload.split_first()?;
    let (header, data) = rest.split_at_checked(usize::from(lengths & 0x3f))?;
    let (flags, mut fields) = header.split_first().map_or((0, header), |(flags, fields)| (*flags, fields));
    let mut field = |flag: u8, length: usize| -> Option<&[u8]> {
        let (value, rest) = if flags & flag == 0 { (&[][..], fields) } else { fields.split_at_checked(length)? };
        fields = rest;
        Some(value)
    };
    let address = field(ADDRESS, 6)?;
    field(TARGET, 6)?;
    field(TONE, 1)?;
    let id = field(ID, 2)?;
    let pointer = field(POINTER, 3)?;
    let address = <[u8; 6]>::try_from(address).ok().map(reversed);
    let id = <[u8; 2]>::try_from(id).ok().map(u16::from_le_bytes);
    // A packet that only points to another one has no data itself.
    Some(Pdu::Advert { address, id, data, more: !pointer.is_empty() && !data.is_empty() })
}

fn reversed(mut address: [u8; 6]) -> [u8; 6] {
    address.reverse();
    address
}

/// The checksum over header and payload (vol. 6, part B, 3.1.1), as its three bytes stand in captures.
pub(super) fn checksum(pdu: &[u8]) -> u32 {
    pdu.iter().fold(CHECKSUM_START, |state, byte| {
        (0..8).fold(state ^ u32::from(*byte), |state, _| if state & 1 == 1 { (state >> 1) ^ POLYNOMIAL } else { state >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex.replace(' ', "")).unwrap()
    }

    fn read(hex: &str) -> Option<Pdu<'static>> {
        let bytes = Vec::leak(bytes(hex));
        packet(bytes, false).unwrap().unwrap().read()
    }

    #[test]
    fn the_checksum_is_the_one_that_other_tools_compute() {
        // The empty ADV_IND and the scan request of Scapy's tests.
        let empty = bytes("d6be898e 0006 000000000000 5a3960");
        assert!(packet(&empty, false).unwrap().unwrap().may_be_whole());
        let request = bytes("d6be898e 030c aaaaaaaaaaaa bbbbbbbbbbbb 07b261");
        assert!(packet(&request, false).unwrap().unwrap().may_be_whole());
        let mut flipped = empty.clone();
        flipped[7] ^= 0x10;
        assert!(!packet(&flipped, false).unwrap().unwrap().may_be_whole());
        for unknown in ["d6be898e 0006 000000000000", "d6be898e 0006 000000000000 000000"] {
            assert!(packet(&bytes(unknown), false).unwrap().unwrap().may_be_whole(), "{unknown}");
        }
    }

    #[test]
    fn each_legacy_advert_is_read_and_what_is_no_advert_is_not() {
        let address = Some([0x11, 0x22, 0x33, 0x44, 0x55, 0x66]);
        for head in ["40", "42", "44", "46"] {
            let expected = Pdu::Advert { address, id: None, data: &[2, 1, 6], more: false };
            assert_eq!(read(&format!("d6be898e {head}09 665544332211 020106 000000")), Some(expected), "{head}");
        }
        for head in ["41", "43", "45"] {
            assert_eq!(read(&format!("d6be898e {head}0c 665544332211 665544332211")), Some(Pdu::Other), "{head}");
        }
        assert_eq!(packet(&bytes("12345678 0101 00 000000"), false), Ok(None), "a connection");
        assert_eq!(read("d6be898e 4003 665544"), None, "no room for an address");
    }

    #[test]
    fn an_extended_advert_is_read_with_and_without_each_field() {
        let address = Some([0x11, 0x22, 0x33, 0x44, 0x55, 0x66]);
        // ADV_EXT_IND: address, id and pointer, no data.
        let pointer = read("d6be898e 070d 0c 19 665544332211 3412 010203");
        assert_eq!(pointer, Some(Pdu::Advert { address, id: Some(0x1234), data: &[], more: false }));
        // AUX_ADV_IND: every field, additional data of the controller (ACAD), and data; another packet follows.
        let whole = format!("07{:02x} {:02x} 7f 665544332211 {} 00 3412 010203 {} 7f 0201 020106", 44, 40, "00".repeat(6), "00".repeat(18));
        assert_eq!(read(&format!("d6be898e {whole}")), Some(Pdu::Advert { address, id: Some(0x1234), data: &[2, 1, 6], more: true }));
        // AUX_CHAIN_IND: only the id.
        assert_eq!(
            read("d6be898e 0707 03 08 3412 020106"),
            Some(Pdu::Advert { address: None, id: Some(0x1234), data: &[2, 1, 6], more: false })
        );
        assert_eq!(read("d6be898e 0704 00 020106"), Some(Pdu::Advert { address: None, id: None, data: &[2, 1, 6], more: false }));
        assert_eq!(read("d6be898e 0704 03 01 6655"), None, "the address does not fit into the header");
        assert_eq!(read("d6be898e 0703 0a 01 66"), None, "the header does not fit into the packet");
    }

    #[test]
    fn a_coded_packet_has_its_indicator_behind_the_access_address() {
        let coded = bytes("d6be898e 00 4209 665544332211 020106 000000");
        assert!(matches!(packet(&coded, true).unwrap().unwrap().read(), Some(Pdu::Advert { data: [2, 1, 6], .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in prop::collection::vec(any::<u8>(), 0..300), coded in any::<bool>(), extended in any::<bool>()) {
            let _ = packet(&tail, coded);
            let mut whole = [&ADVERTISING[..], &tail].concat();
            if let Some(head) = whole.get_mut(4).filter(|_| extended) {
                *head = 7;
            }
            if let Ok(Some(packet)) = packet(&whole, coded) {
                let _ = (packet.may_be_whole(), packet.read());
            }
        }
    }
}
