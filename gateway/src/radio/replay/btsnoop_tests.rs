use proptest::prelude::*;

use super::{
    super::{Advert, packet::Unpacker, records::Records},
    *,
};

/// 2026-11-20T09:00:00.250Z
const START: i64 = 1_795_165_200_250;

fn file(link: u32) -> Vec<u8> {
    [MAGIC, &1u32.to_be_bytes(), &link.to_be_bytes()].concat()
}

fn record(flags: u32, at: i64, packet: &[u8]) -> Vec<u8> {
    let length = u32::try_from(packet.len()).unwrap().to_be_bytes();
    let stamp = (at * 1000 + EPOCH_US).to_be_bytes();
    [&length[..], &length, &flags.to_be_bytes(), &[0; 4], &stamp, packet].concat()
}

/// A legacy report of an advert that holds only its number.
fn event(n: u8) -> Vec<u8> {
    vec![0x3e, 15, 0x02, 1, 3, 1, n, 2, 3, 4, 5, 6, 3, 2, 1, n, 0xc4]
}

fn read(bytes: Vec<u8>) -> Vec<Result<Advert, RadioError>> {
    play(Window::new(std::io::Cursor::new(bytes), "x".into()))
}

fn play(mut bytes: Window) -> Vec<Result<Advert, RadioError>> {
    let container = Btsnoop::open(&mut bytes).unwrap();
    Records::new(bytes, container, Unpacker::default()).collect()
}

/// The numbers of the adverts, and the errors at their place.
fn summary(items: &[Result<Advert, RadioError>]) -> Vec<String> {
    // Damage can shorten an advert so that its number is gone.
    let number = |advert: &Advert| advert.data.get(2).map_or_else(|| "short".to_owned(), u8::to_string);
    let one = |item: &Result<Advert, RadioError>| item.as_ref().map_or_else(ToString::to_string, number);
    items.iter().map(one).collect()
}

#[test]
fn a_monitor_capture_plays_with_its_times_and_addresses() {
    let mut bytes = file(2001);
    bytes.extend(record(0x0000_0000, START - 1, b"new index"));
    bytes.extend(record(0x0000_0003, START, &event(7)));
    bytes.extend(record(0x0001_0003, START + 5, &event(8)));
    bytes.extend(record(0x0000_0002, START + 6, &[1, 2, 3]));
    let items = read(bytes);
    assert_eq!(items[0], Ok(Advert { at: Millis(START), address: [6, 5, 4, 3, 2, 7], rssi: -60, data: vec![2, 1, 7] }));
    assert_eq!(summary(&items), ["7", "8"]);
}

#[test]
fn the_time_stamp_of_the_year_2000_is_the_one_that_bluez_documents() {
    let mut bytes = file(2001);
    let mut one = record(3, 0, &event(1));
    one[16..24].copy_from_slice(&0x00E0_3AB4_4A67_6000_i64.to_be_bytes());
    bytes.extend(one);
    assert_eq!(read(bytes)[0].as_ref().unwrap().at, Millis::from_secs(946_684_800));
}

#[test]
fn an_h4_capture_plays() {
    let mut bytes = file(1002);
    bytes.extend(record(3, START, &[&[4], &event(9)[..]].concat()));
    bytes.extend(record(2, START, &[1, 3, 12, 0]));
    assert_eq!(summary(&read(bytes)), ["9"]);
}

#[test]
fn an_h1_capture_plays_the_events_that_were_received() {
    let mut bytes = file(1001);
    bytes.extend(record(3, START, &event(9)));
    bytes.extend(record(2, START, &[3, 12, 0]));
    bytes.extend(record(0, START, &event(8)));
    assert_eq!(summary(&read(bytes)), ["9"]);
}

#[test]
fn a_broken_packet_is_named_and_the_rest_plays() {
    let mut bytes = file(2001);
    bytes.extend(record(3, START, &event(1)));
    bytes.extend(record(3, START, &event(2)[..9]));
    bytes.extend(record(3, START, &event(3)));
    let items = read(bytes);
    assert_eq!(
        summary(&items),
        ["1", "record 2 of the capture, at byte 57, is broken and was left out: the event is shorter than it says", "3"]
    );
}

#[test]
fn a_damaged_header_costs_one_record() {
    let damages: [(usize, &[u8]); 4] = [(0, &[0xff; 8]), (4, &[0, 0, 0xf0, 0]), (0, &[0, 0, 0xf0, 0, 0, 0, 0xf0, 0]), (16, &[0xff; 8])];
    for (at, damage) in damages {
        let mut bytes = file(2001);
        bytes.extend(record(3, START, &event(1)));
        let mut bad = record(3, START + 1, &event(2));
        bad[at..at + damage.len()].copy_from_slice(damage);
        bytes.extend(bad);
        bytes.extend(record(3, START + 2, &event(3)));
        bytes.extend(record(3, START + 3, &event(4)));
        let items = read(bytes);
        assert_eq!(items.iter().filter(|item| item.is_err()).count(), 1, "{:?}", summary(&items));
        assert_eq!(summary(&items)[0], "1");
        assert_eq!(summary(&items)[2..], ["3", "4"], "{:?}", summary(&items));
    }
}

#[test]
fn reading_fails_once_and_then_ends() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    use std::io::Read as _;
    let mut bytes = file(2001);
    bytes.extend(record(3, START, &event(1)));
    let window = Window::new(std::io::Cursor::new(bytes).chain(Failing), "day.btsnoop".into());
    let items = play(window);
    assert_eq!(summary(&items), ["1", "cannot read the capture day.btsnoop: the disk is gone"]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_read_for_ever(tail in prop::collection::vec(any::<u8>(), 0..600), monitor in any::<bool>()) {
        let mut bytes = file(if monitor { 2001 } else { 1002 });
        bytes.extend(&tail);
        prop_assert!(read(bytes).len() <= tail.len() + 1);
    }

    #[test]
    fn damage_in_one_place_never_costs_the_first_or_the_last_records(at in 16 + 41..16 + 2 * 41usize, to in any::<u8>()) {
        let mut bytes = file(2001);
        for n in 1..=4 {
            bytes.extend(record(3, START + i64::from(n), &event(n)));
        }
        bytes[at] = to;
        let items = summary(&read(bytes));
        prop_assert_eq!(&items[0], "1");
        prop_assert_eq!(&items[items.len() - 1], "4");
    }
}
