use proptest::prelude::*;

use super::*;

const A: [u8; 6] = [0xaa; 6];
const B: [u8; 6] = [0xbb; 6];

/// A merger with a clock that a test sets, in milliseconds.
struct Bench {
    merger: Merger,
    start: Instant,
    ms: u64,
    out: Vec<Merged>,
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        Self { merger: Merger::new(start), start, ms: 0, out: Vec::new() }
    }

    fn now(&self) -> (Millis, Instant) {
        (Millis(i64::try_from(self.ms).unwrap()), self.start + Duration::from_millis(self.ms))
    }

    fn hear(&mut self, address: [u8; 6], part: Part) -> &mut Self {
        let (at, now) = self.now();
        self.out.extend(self.merger.take(address, part, at, now));
        self
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.ms += ms;
        let (_, now) = self.now();
        self.out.extend(self.merger.settle(now));
        self
    }

    fn adverts(&mut self) -> Vec<(u8, i64, i8, Vec<u8>)> {
        self.wait(1000);
        let adverts = std::mem::take(&mut self.out).into_iter().filter_map(|merged| match merged {
            Merged::Advert(a) => Some((a.address[0], a.at.0, a.rssi, a.data)),
            Merged::Empty => None,
        });
        adverts.collect()
    }
}

fn apple(n: u8) -> Part {
    Part::Manufacturer(HashMap::from([(0x004c, vec![n])]))
}

fn service(n: u8) -> Part {
    Part::Service(HashMap::from([(Uuid::from_u128(7), vec![n])]))
}

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(0xabcd_0000_0000_0000_0000_0000_0000_0000 + n)
}

fn data(parts: &[Part]) -> Vec<u8> {
    let mut data = Vec::new();
    for part in parts {
        match part {
            Part::Manufacturer(m) => bytes::manufacturer_data(&mut data, m),
            Part::Service(s) => bytes::service_data(&mut data, s),
            Part::Services(s) => bytes::services(&mut data, s),
            Part::Rssi(_) => {}
        }
    }
    data
}

#[test]
fn strength_and_both_kinds_of_data_of_one_signal_are_one_advert() {
    let mut bench = Bench::new();
    bench.hear(A, Part::Rssi(-60)).hear(A, apple(1)).hear(A, service(2));
    assert_eq!(bench.adverts(), [(0xaa, 0, -60, data(&[apple(1), service(2)]))]);
}

#[test]
fn the_time_of_an_advert_is_the_arrival_of_its_first_event() {
    let mut bench = Bench::new();
    bench.wait(5).hear(A, Part::Rssi(-60));
    bench.wait(3).hear(A, apple(1));
    assert_eq!(bench.adverts(), [(0xaa, 5, -60, data(&[apple(1)]))]);
}

#[test]
fn a_second_frame_of_the_same_sender_is_a_second_advert() {
    let mut bench = Bench::new();
    bench.hear(A, Part::Rssi(-60)).hear(A, apple(1)).hear(A, Part::Rssi(-61)).hear(A, service(2));
    assert_eq!(bench.adverts(), [(0xaa, 0, -60, data(&[apple(1)])), (0xaa, 0, -61, data(&[service(2)]))]);
}

#[test]
fn an_event_of_another_sender_ends_an_advert_at_once() {
    let mut bench = Bench::new();
    bench.hear(A, Part::Rssi(-60)).hear(A, apple(1)).hear(B, Part::Rssi(-70));
    assert_eq!(bench.out.len(), 1);
}

#[test]
fn a_strength_that_has_not_changed_is_not_told_and_still_counts() {
    let mut bench = Bench::new();
    bench.hear(A, Part::Rssi(-60)).hear(A, apple(1)).wait(100).hear(A, apple(1));
    assert_eq!(bench.adverts().iter().map(|a| (a.1, a.2)).collect::<Vec<_>>(), [(0, -60), (100, -60)]);
}

#[test]
fn data_of_a_sender_whose_strength_was_never_told_is_no_advert() {
    let mut bench = Bench::new();
    bench.hear(A, apple(1)).wait(100);
    assert_eq!(bench.out, [Merged::Empty]);
}

#[test]
fn a_service_uuid_that_is_told_once_is_heard_with_every_later_strength() {
    let mut bench = Bench::new();
    let carrier = Part::Services(vec![uuid(1)]);
    bench.hear(A, Part::Rssi(-60)).hear(A, carrier.clone());
    bench.wait(200).hear(A, Part::Rssi(-61));
    bench.wait(200).hear(A, Part::Rssi(-62));
    let expected = data(&[carrier]);
    assert_eq!(bench.adverts(), [(0xaa, 0, -60, expected.clone()), (0xaa, 200, -61, expected.clone()), (0xaa, 400, -62, expected)]);
}

#[test]
fn a_rotated_service_uuid_takes_the_place_of_the_old_one() {
    let mut bench = Bench::new();
    bench.hear(A, Part::Rssi(-60)).hear(A, Part::Services(vec![uuid(1)]));
    bench.wait(200).hear(A, Part::Rssi(-60)).hear(A, Part::Services(vec![uuid(1), uuid(2)]));
    bench.wait(200).hear(A, Part::Rssi(-60));
    let (one, two) = (data(&[Part::Services(vec![uuid(1)])]), data(&[Part::Services(vec![uuid(2)])]));
    assert_eq!(bench.adverts().into_iter().map(|a| a.3).collect::<Vec<_>>(), [one, two.clone(), two]);
}

#[test]
fn an_advert_without_a_payload_is_counted_as_empty() {
    let mut bench = Bench::new();
    bench.hear(A, Part::Rssi(-60)).wait(100);
    assert_eq!(bench.out, [Merged::Empty]);
}

#[test]
fn the_answer_for_a_first_advert_is_an_advert_and_a_memory_of_bluez_is_none() {
    let mut bench = Bench::new();
    let (at, now) = bench.now();
    let first = First { rssi: Some(-55), manufacturer: HashMap::from([(0x004c, vec![9])]), services: vec![uuid(3)], ..First::default() };
    let merged = bench.merger.first(A, first.clone(), at, now);
    let expected = data(&[apple(9), Part::Services(vec![uuid(3)])]);
    assert_eq!(merged, Some(Merged::Advert(Advert { at, address: A, rssi: -55, data: expected })));
    assert_eq!(bench.merger.first(B, First { rssi: None, ..first }, at, now), None);
    bench.hear(A, Part::Services(vec![uuid(3)])).wait(100);
    assert!(bench.out.is_empty(), "known services are no advert");
}

proptest! {
    /// Whatever comes in whatever order: as many adverts as signals, each with its own sender and its own data, and nothing held back.
    #[test]
    fn signals_that_come_whole_and_apart_come_out_as_they_went_in(
        signals in prop::collection::vec((0u8..4, -99i16..-20, any::<bool>(), any::<bool>(), 0u64..60), 1..60)
    ) {
        let mut bench = Bench::new();
        let mut expected = Vec::new();
        for (sender, rssi, has_apple, has_service, pause) in signals {
            let address = [sender; 6];
            bench.wait(pause).hear(address, Part::Rssi(rssi));
            let mut parts = Vec::new();
            if has_apple {
                parts.push(apple(sender));
            }
            if has_service {
                parts.push(service(sender));
            }
            for part in &parts {
                bench.hear(address, part.clone());
            }
            if !parts.is_empty() {
                expected.push((sender, i64::try_from(bench.ms).unwrap(), i8::try_from(rssi).unwrap(), data(&parts)));
            }
        }
        prop_assert_eq!(bench.adverts(), expected);
        prop_assert!(!bench.merger.is_open());
    }
}
