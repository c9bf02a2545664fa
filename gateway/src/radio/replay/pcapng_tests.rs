use proptest::prelude::*;

use super::{
    super::{Advert, RadioError, packet::Unpacker, records::Records, window::Window},
    *,
};

/// 2026-11-20T09:00:00.250Z
const START: i64 = 1_795_165_200_250;

/// Writes blocks in one byte order.
#[derive(Debug, Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| if self.big { word.to_be_bytes() } else { word.to_le_bytes() }).collect()
    }

    fn halves(self, halves: &[u16]) -> Vec<u8> {
        halves.iter().flat_map(|half| if self.big { half.to_be_bytes() } else { half.to_le_bytes() }).collect()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = u32::try_from(12 + body.len() + padding.len()).unwrap();
        [&self.words(&[kind, length]), body, &padding, &self.words(&[length])].concat()
    }

    fn section(self) -> Vec<u8> {
        self.block(0x0a0d_0d0a, &[self.words(&[BYTE_ORDER]), self.halves(&[1, 0]), vec![0xff; 8]].concat())
    }

    /// An interface with a time resolution, when one is given.
    fn interface(self, link: u16, resolution: Option<u8>) -> Vec<u8> {
        let mut body = [self.halves(&[link, 0]), self.words(&[65_535])].concat();
        if let Some(resolution) = resolution {
            body.extend([self.halves(&[9, 1]), vec![resolution, 0, 0, 0], self.halves(&[0, 0])].concat());
        }
        self.block(INTERFACE, &body)
    }

    fn packet(self, interface: u32, stamp: u64, packet: &[u8]) -> Vec<u8> {
        let length = u32::try_from(packet.len()).unwrap();
        let (high, low) = (u32::try_from(stamp >> 32).unwrap(), u32::try_from(stamp & 0xffff_ffff).unwrap());
        self.block(PACKET, &[self.words(&[interface, high, low, length, length]), packet.to_vec()].concat())
    }

    /// A packet on the first interface, in microseconds.
    fn at(self, at: i64, n: u8) -> Vec<u8> {
        self.packet(0, u64::try_from(at * 1000).unwrap(), &event(n))
    }

    fn file(self) -> Vec<u8> {
        [self.section(), self.interface(187, None)].concat()
    }
}

const LITTLE: Order = Order { big: false };

/// An H4 packet with a legacy report of an advert that holds only its number.
fn event(n: u8) -> Vec<u8> {
    vec![4, 0x3e, 15, 0x02, 1, 3, 1, n, 2, 3, 4, 5, 6, 3, 2, 1, n, 0xc4]
}

fn read(bytes: Vec<u8>) -> Vec<Result<Advert, RadioError>> {
    let bytes = Window::new(std::io::Cursor::new(bytes), "x".into());
    Records::new(bytes, Pcapng::default(), Unpacker::default()).collect()
}

/// The numbers of the adverts, and the errors at their place.
fn summary(items: &[Result<Advert, RadioError>]) -> Vec<String> {
    let number = |advert: &Advert| advert.data.get(2).map_or_else(|| "short".to_owned(), u8::to_string);
    items.iter().map(|item| item.as_ref().map_or_else(ToString::to_string, number)).collect()
}

#[test]
fn both_byte_orders_are_read_and_a_second_section_may_have_the_other_one() {
    let big = Order { big: true };
    let other = LITTLE.block(5, &[0; 12]);
    let items = read([LITTLE.file(), other, LITTLE.at(START, 1), big.file(), big.at(START + 1, 2)].concat());
    assert_eq!(summary(&items), ["1", "2"]);
    assert_eq!(items[1], Ok(Advert { at: Millis(START + 1), address: [6, 5, 4, 3, 2, 2], rssi: -60, data: vec![2, 1, 2] }));
}

#[test]
fn each_interface_has_its_own_link_type_and_resolution() {
    let interfaces = [LITTLE.interface(1, None), LITTLE.interface(187, Some(9)), LITTLE.interface(187, Some(0x8a))].concat();
    let nanoseconds = u64::try_from(START).unwrap() * 1_000_000;
    let in_1024ths = u64::try_from(START / 1000).unwrap() * 1024 + 256;
    let packets = [
        LITTLE.packet(0, 0, b"ethernet"),
        LITTLE.packet(1, nanoseconds, &event(1)),
        LITTLE.packet(2, in_1024ths, &event(2)),
        LITTLE.packet(3, 0, &event(3)),
    ];
    let items = read([LITTLE.section(), interfaces, packets.concat()].concat());
    assert_eq!(items.iter().flatten().map(|advert| advert.at.0).collect::<Vec<_>>(), [START, START]);
    assert!(items[2].as_ref().is_err_and(|e| e.to_string().contains("record 8") && e.to_string().contains("interface")), "{items:?}");
}

#[test]
fn a_damaged_block_costs_one_record() {
    // Type, length, captured length.
    for (at, damage) in [(0, [7, 0, 0, 0]), (4, [0xff; 4]), (4, [60, 0, 0, 0]), (20, [0xff; 4])] {
        let mut bad = LITTLE.at(START + 1, 2);
        bad[at..at + 4].copy_from_slice(&damage);
        let rest = [LITTLE.at(START + 2, 3), LITTLE.at(START + 3, 4)].concat();
        let items = summary(&read([LITTLE.file(), LITTLE.at(START, 1), bad, rest].concat()));
        assert_eq!(items[0], "1", "{items:?}");
        assert_eq!(items[items.len() - 2..], ["3", "4"], "{items:?}");
        // A block of an unknown type is left out in silence, as the format wants it.
        assert_eq!(items.len(), if at == 0 { 3 } else { 4 }, "{items:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_read_for_ever(tail in prop::collection::vec(any::<u8>(), 0..600), kind in 0u32..12, big in any::<bool>()) {
        let order = Order { big };
        let bytes = [order.file(), order.block(kind, &tail), tail.clone()].concat();
        prop_assert!(read(bytes).len() <= tail.len() * 2 + 20);
    }

    #[test]
    fn damage_in_one_place_never_costs_the_first_or_the_last_records(at in 0..52usize, to in any::<u8>()) {
        let mut bytes = LITTLE.file();
        let begin = bytes.len();
        for n in 1..=4 {
            bytes.extend(LITTLE.at(START + i64::from(n), n));
        }
        prop_assert_eq!(LITTLE.at(START, 1).len(), 52);
        bytes[begin + 52 + at] = to;
        let items = summary(&read(bytes));
        prop_assert_eq!(&items[0], "1");
        prop_assert_eq!(&items[items.len() - 1], "4");
    }
}
