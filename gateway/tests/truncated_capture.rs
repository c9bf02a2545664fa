//! A capture that was cut anywhere plays every complete record before the cut and then says, once, that it is cut.

mod support;

use passage_gateway::radio::{Advert, Capture, RadioError};
use passage_protocol::Millis;
use support::captures::{Air, Wrapped, pcap, pcapng};

const RECORDS: usize = 4;
const BTSNOOP_HEADER: usize = 16;
/// 2026-11-20T09:00:00Z
const START: i64 = 1_795_165_200_000;

/// An event packet with one legacy advertising report whose only byte of data is `n`.
fn report(n: u8) -> Vec<u8> {
    vec![0x3e, 13, 0x02, 1, 3, 1, n, 2, 3, 4, 5, 6, 1, n, 0xc4]
}

/// A capture as `btmon -w` writes it, and the offsets at which its records end.
fn btsnoop() -> (Vec<u8>, Vec<usize>) {
    let mut bytes = b"btsnoop\0\0\0\0\x01\0\0\x07\xd1".to_vec();
    let mut ends = Vec::new();
    for n in 0..u8::try_from(RECORDS).unwrap() {
        let packet = report(n);
        let length = u32::try_from(packet.len()).unwrap().to_be_bytes();
        let stamp = ((START + i64::from(n)) * 1000 + 0x00dc_ddb3_0f2f_8000).to_be_bytes();
        bytes.extend([&length[..], &length, &[0, 0, 0, 3], &[0; 4], &stamp, &packet].concat());
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// The same as JSON lines. A line is complete with its last brace.
fn lines() -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for n in 0..RECORDS {
        bytes.extend(format!(r#"{{"at":{},"address":"a0a1a2a3a4a5","rssi":-60,"data":"0{n}"}}"#, START + n as i64).into_bytes());
        ends.push(bytes.len());
        bytes.push(b'\n');
    }
    (bytes, ends)
}

/// How many adverts play, and the errors.
fn play(bytes: &[u8]) -> (usize, Vec<RadioError>) {
    match Capture::read(std::io::Cursor::new(bytes.to_vec()), "cut".into()) {
        Err(refused) => (0, vec![refused]),
        Ok(capture) => {
            let (adverts, errors): (Vec<_>, Vec<_>) = capture.partition(Result::is_ok);
            let order: Vec<_> = adverts.iter().map(|advert| usize::from(advert.as_ref().unwrap().data[0])).collect();
            assert_eq!(order, (0..order.len()).collect::<Vec<_>>());
            (order.len(), errors.into_iter().filter_map(Result::err).collect())
        }
    }
}

#[test]
fn a_btsnoop_capture_that_is_cut_anywhere_plays_what_is_whole_and_says_so_once() {
    let (bytes, ends) = btsnoop();
    for cut in 0..=bytes.len() {
        let (played, errors) = play(&bytes[..cut]);
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(played, whole, "cut at {cut}");
        let starts_at = if whole == 0 { BTSNOOP_HEADER } else { ends[whole - 1] };
        match errors.as_slice() {
            // A cut between two records cannot be seen.
            [] => assert_eq!(cut, starts_at),
            [RadioError::Format { why }] => {
                assert!(cut < BTSNOOP_HEADER, "cut at {cut}");
                assert!(why.contains("empty") || why.contains("header"), "cut at {cut}: {why}");
            }
            [RadioError::Truncated { number, offset }] => {
                assert_eq!((*number, *offset), (whole as u64 + 1, starts_at as u64), "cut at {cut}");
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn json_lines_that_are_cut_anywhere_play_what_is_whole_and_say_so_once() {
    let (bytes, ends) = lines();
    for cut in 0..=bytes.len() {
        let (played, errors) = play(&bytes[..cut]);
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(played, whole, "cut at {cut}");
        let begun = if whole == 0 { 0 } else { ends[whole - 1] + 1 };
        match errors.as_slice() {
            [] => assert!(cut <= begun && cut > 0, "cut at {cut}"),
            [RadioError::Format { .. }] => assert_eq!(cut, 0),
            [RadioError::Truncated { number, .. }] => assert_eq!(*number, whole as u64 + 1, "cut at {cut}"),
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

/// Cuts a capture of some adverts at every byte behind the header of the file.
fn cut_anywhere(file: impl Fn(&[Advert]) -> Vec<u8>) {
    let advert = |n: u8| Advert { at: Millis(START + i64::from(n)), address: [n; 6], rssi: -60, data: vec![n] };
    let adverts: Vec<_> = (0..u8::try_from(RECORDS).unwrap()).map(advert).collect();
    let ends: Vec<_> = (0..=RECORDS).map(|n| file(&adverts[..n]).len()).collect();
    let bytes = file(&adverts);
    for cut in ends[0]..=bytes.len() {
        let (played, errors) = play(&bytes[..cut]);
        let whole = ends.iter().skip(1).filter(|&&end| end <= cut).count();
        assert_eq!(played, whole, "cut at {cut}");
        match errors.as_slice() {
            [] => assert_eq!(cut, ends[whole], "a cut between two records cannot be seen"),
            [RadioError::Truncated { offset, .. }] => assert_eq!(*offset, ends[whole] as u64, "cut at {cut}"),
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    for cut in 1..ends[0] {
        let (played, errors) = play(&bytes[..cut]);
        assert!(played == 0 && errors.len() <= 1, "cut at {cut}: {errors:?}");
    }
}

#[test]
fn a_pcap_capture_that_is_cut_anywhere_plays_what_is_whole_and_says_so_once() {
    cut_anywhere(|adverts| pcap(Wrapped::Air(Air::default()), adverts));
    cut_anywhere(|adverts| pcap(Wrapped::Nordic, adverts));
}

#[test]
fn a_pcapng_capture_that_is_cut_anywhere_plays_what_is_whole_and_says_so_once() {
    cut_anywhere(|adverts| pcapng(Wrapped::Air(Air::default()), adverts));
    cut_anywhere(|adverts| pcapng(Wrapped::Nordic, adverts));
}
