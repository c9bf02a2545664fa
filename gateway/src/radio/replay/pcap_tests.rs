use proptest::prelude::*;

use super::{
    super::{Advert, packet::Unpacker, records::Records},
    *,
};

/// 2026-11-20T09:00:00.250Z
const START: i64 = 1_795_165_200_250;

/// How a test writes its file.
#[derive(Debug, Clone, Copy)]
struct Style {
    big_endian: bool,
    nanoseconds: bool,
}

impl Style {
    const ALL: [Self; 4] = [
        Self { big_endian: false, nanoseconds: false },
        Self { big_endian: false, nanoseconds: true },
        Self { big_endian: true, nanoseconds: false },
        Self { big_endian: true, nanoseconds: true },
    ];
    const USUAL: Self = Self::ALL[0];

    fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| if self.big_endian { word.to_be_bytes() } else { word.to_le_bytes() }).collect()
    }

    fn file(self, link: u32) -> Vec<u8> {
        let magic = if self.nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let version = if self.big_endian { 0x0002_0004 } else { 0x0004_0002 };
        self.words(&[magic, version, 0, 0, 65_535, link])
    }

    fn record(self, at: i64, packet: &[u8]) -> Vec<u8> {
        let length = u32::try_from(packet.len()).unwrap();
        let fraction = u32::try_from(at.rem_euclid(1000)).unwrap() * if self.nanoseconds { 1_000_000 } else { 1000 };
        [self.words(&[u32::try_from(at.div_euclid(1000)).unwrap(), fraction, length, length]), packet.to_vec()].concat()
    }
}

/// An H4 packet with a legacy report of an advert that holds only its number.
fn event(n: u8) -> Vec<u8> {
    vec![4, 0x3e, 15, 0x02, 1, 3, 1, n, 2, 3, 4, 5, 6, 3, 2, 1, n, 0xc4]
}

fn read(bytes: Vec<u8>) -> Vec<Result<Advert, RadioError>> {
    let mut bytes = Window::new(std::io::Cursor::new(bytes), "x".into());
    let container = Pcap::open(&mut bytes).unwrap();
    Records::new(bytes, container, Unpacker::default()).collect()
}

/// The numbers of the adverts, and the errors at their place.
fn summary(items: &[Result<Advert, RadioError>]) -> Vec<String> {
    let number = |advert: &Advert| advert.data.get(2).map_or_else(|| "short".to_owned(), u8::to_string);
    items.iter().map(|item| item.as_ref().map_or_else(ToString::to_string, number)).collect()
}

#[test]
fn both_byte_orders_and_both_resolutions_are_read() {
    for style in Style::ALL {
        let items = read([style.file(187), style.record(START, &event(7)), style.record(START + 1, &[1, 3, 12, 0])].concat());
        let expected = Advert { at: Millis(START), address: [6, 5, 4, 3, 2, 7], rssi: -60, data: vec![2, 1, 7] };
        assert_eq!(items, [Ok(expected)], "{style:?}");
    }
}

#[test]
fn a_damaged_header_costs_one_record() {
    let style = Style::USUAL;
    let damages: [(usize, &[u8]); 4] = [(0, &[0xff; 4]), (4, &[0xff; 4]), (8, &[0xff; 4]), (8, &[0xff, 0, 0, 0, 0xff, 0, 0, 0])];
    for (at, damage) in damages {
        let mut bad = style.record(START + 1, &event(2));
        bad[at..at + damage.len()].copy_from_slice(damage);
        let rest = [style.record(START + 2, &event(3)), style.record(START + 3, &event(4))].concat();
        let items = summary(&read([style.file(187), style.record(START, &event(1)), bad, rest].concat()));
        assert_eq!((items.len(), items[0].as_str()), (4, "1"), "{items:?}");
        assert_eq!(items[2..], ["3", "4"], "{items:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_read_for_ever(tail in prop::collection::vec(any::<u8>(), 0..600), link in 0usize..6, style in 0usize..4) {
        let style = Style::ALL[style];
        let mut bytes = style.file([187, 201, 251, 254, 256, 272][link]);
        bytes.extend(&tail);
        prop_assert!(read(bytes).len() <= tail.len() + 1);
    }

    #[test]
    fn damage_in_one_place_never_costs_the_first_or_the_last_records(at in 24 + 34..24 + 2 * 34usize, to in any::<u8>()) {
        let style = Style::USUAL;
        let mut bytes = style.file(187);
        for n in 1..=4 {
            bytes.extend(style.record(START + i64::from(n), &event(n)));
        }
        bytes[at] = to;
        let items = summary(&read(bytes));
        prop_assert_eq!(&items[0], "1");
        prop_assert_eq!(&items[items.len() - 1], "4");
    }
}
