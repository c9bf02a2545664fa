use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;

const AT: Millis = Millis(1_795_165_200_250);
/// A legacy advertising PDU: header, address, flags.
const ADVERT: &str = "4209 665544332211 020106";
const ADDRESS: [u8; 6] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66];

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.replace(' ', "")).unwrap()
}

/// A packet from the air with its checksum.
fn air(pdu: &str) -> Vec<u8> {
    let pdu = bytes(pdu);
    let checksum = super::air::checksum(&pdu).to_le_bytes();
    [&0x8e89_bed6_u32.to_le_bytes()[..], &pdu, &checksum[..3]].concat()
}

/// The same behind a pseudo header.
fn measured_air(flags: u16, strength: i8, packet: &[u8]) -> Vec<u8> {
    [&[37, strength.to_le_bytes()[0], 0, 0, 0xd6, 0xbe, 0x89, 0x8e], &flags.to_le_bytes()[..], packet].concat()
}

struct Played {
    adverts: Vec<Advert>,
    left_out: [u64; 3],
}

fn play(link: Link, packets: &[Vec<u8>]) -> Played {
    let left_out = Arc::new(LeftOut::default());
    let mut unpacker = Unpacker::new(Arc::clone(&left_out));
    let mut adverts = Vec::new();
    for packet in packets {
        unpacker.unpack(link, packet, AT, |advert| adverts.push(advert)).unwrap();
    }
    let left_out = [&left_out.bad_checksum, &left_out.no_strength, &left_out.other].map(|n| n.load(Ordering::Relaxed));
    Played { adverts, left_out }
}

#[test]
fn the_same_advert_comes_out_of_every_wrapping() {
    let event = bytes("3e 0f 02 01 03 01 665544332211 03 020106 c4");
    let nordic = [&bytes("00 06 25 01 0000 06 0a 01 25 3c 0000 00000000"), &air(ADVERT)[..]].concat();
    let wrapped = [
        (Link::Event, event.clone()),
        (Link::H4, [&[4], &event[..]].concat()),
        (Link::DirectedH4, [&[0, 0, 0, 1, 4], &event[..]].concat()),
        (Link::Monitor, [&[0, 0, 0, 3], &event[..]].concat()),
        (Link::MeasuredAir, measured_air(0x0c33, -60, &air(ADVERT))),
        (Link::Nordic, nordic),
    ];
    for (link, packet) in wrapped {
        let played = play(link, &[packet]);
        assert_eq!(played.adverts, [Advert { at: AT, address: ADDRESS, rssi: -60, data: vec![2, 1, 6] }], "{link:?}");
        assert_eq!(played.left_out, [0; 3], "{link:?}");
    }
}

#[test]
fn packets_with_a_wrong_checksum_are_dropped_and_counted() {
    let mut flipped = air(ADVERT);
    flipped[8] ^= 1;
    let packets = [
        measured_air(0x0433, -60, &air(ADVERT)),
        measured_air(0x0033, -60, &flipped),
        measured_air(0x0c33, -60, &air(ADVERT)),
        measured_air(0x0033, -60, &air(ADVERT)),
    ];
    let played = play(Link::MeasuredAir, &packets);
    assert_eq!(
        (played.adverts.len(), played.left_out),
        (2, [2, 0, 0]),
        "flagged as bad; not flagged but wrong; good; not flagged and right"
    );
}

#[test]
fn adverts_without_a_strength_are_left_out_and_counted() {
    assert_eq!(play(Link::Air, &[air(ADVERT)]).left_out, [0, 1, 0]);
    assert_eq!(play(Link::MeasuredAir, &[measured_air(0x0c31, -60, &air(ADVERT))]).left_out, [0, 1, 0]);
    let event = bytes("3e 0f 02 01 03 01 665544332211 03 020106 7f");
    let played = play(Link::Event, &[event]);
    assert_eq!((played.adverts.len(), played.left_out), (0, [0, 1, 0]));
}

#[test]
fn what_is_no_advert_is_counted() {
    assert_eq!(play(Link::H4, &[bytes("01 0320 00"), bytes("04 0e 04 01 0c20 00")]).left_out, [0, 0, 2]);
    assert_eq!(play(Link::Monitor, &[bytes("0000 0002 0c20 00")]).left_out, [0, 0, 1]);
    let request = air("430c 665544332211 665544332211");
    assert_eq!(play(Link::MeasuredAir, &[measured_air(0x0c33, -60, &request)]).left_out, [0, 0, 1]);
}

#[test]
fn a_long_advert_is_joined_from_the_packets_of_its_chain() {
    let wrap = |pdu: &str| measured_air(0x0c33, -60, &air(pdu));
    let packets = [
        // ADV_EXT_IND names the sender, AUX_ADV_IND begins, AUX_CHAIN_IND ends; a stranger in between.
        wrap("070d 0c 19 665544332211 3412 010203"),
        wrap("070a 06 18 3412 010203 04ff4c"),
        wrap("4209 665544332299 020106"),
        wrap("0706 03 08 3412 0002"),
    ];
    let played = play(Link::MeasuredAir, &packets);
    assert_eq!(played.adverts.len(), 2);
    assert_eq!(played.adverts[1], Advert { at: AT, address: ADDRESS, rssi: -60, data: vec![4, 0xff, 0x4c, 0, 2] });
}

#[test]
fn packets_that_are_cut_say_so() {
    for (link, packet) in [
        (Link::Event, bytes("3e")),
        (Link::DirectedH4, bytes("0000")),
        (Link::Monitor, bytes("00")),
        (Link::MeasuredAir, bytes("2500")),
        (Link::Air, bytes("d6be898e 4209 66")),
        (Link::Air, bytes("d6be898e 4203 665544")),
        (Link::Nordic, bytes("00")),
    ] {
        assert!(Unpacker::default().unpack(link, &packet, AT, |_| ()).is_err(), "{link:?}");
    }
}

proptest! {
    #[test]
    fn no_packet_makes_it_panic_and_no_advert_is_longer_than_its_packets(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..12), number in 0u16..300
    ) {
        let link = Link::of_pcap(number).unwrap_or(Link::Event);
        let mut unpacker = Unpacker::default();
        let (mut given, mut taken) = (0, 0);
        for packet in &packets {
            given += packet.len();
            let _ = unpacker.unpack(link, packet, AT, |advert| taken += advert.data.len());
        }
        prop_assert!(taken <= given);
    }
}
