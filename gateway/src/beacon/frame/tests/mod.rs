use super::{eddystone::Telemetry, *};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| *b != b' ').map(|b| u8::try_from(char::from(b).to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The frames in an advert, as a debugger shows them.
fn seen(hex: &str) -> Vec<String> {
    frames(&bytes(hex)).map(|frame| format!("{frame:?}")).collect()
}

fn is_none(hex: &str) -> bool {
    frames(&bytes(hex)).next().is_none()
}

fn telemetry(fields: &str) -> Telemetry {
    let advert = bytes(&format!("1116aafe2000{fields}"));
    match frames(&advert).next() {
        Some(Frame::Eddystone(Eddystone::Tlm(telemetry))) => telemetry,
        other => panic!("{other:?}"),
    }
}

fn url(encoded: &str) -> Option<String> {
    let encoded = bytes(encoded);
    let mut advert = vec![u8::try_from(encoded.len() + 5).unwrap(), 0x16, 0xaa, 0xfe, 0x10, 0x00];
    advert.extend(encoded);
    match frames(&advert).next()? {
        Frame::Eddystone(Eddystone::Url { url, .. }) => Some(url.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_ibeacon_may_have_bytes_behind_it_and_none_too_few() {
    let whole = "4c000215 41424344454647484940414243444546 0001 0002 f8";
    let advert = bytes(&format!("1aff{whole}"));
    let Some(Frame::IBeacon(beacon)) = frames(&advert).next() else { panic!("no iBeacon") };
    assert_eq!((beacon.uuid()[0], beacon.major(), beacon.minor(), beacon.power_1m), (0x41, 1, 2, -8));
    let with_battery = bytes(&format!("1bff{whole}64"));
    assert_eq!(frames(&with_battery).next(), Some(Frame::IBeacon(beacon)));
    assert!(is_none("19ff 4c000215 41424344454647484940414243444546 0001 0002"));
}

#[test]
fn only_apple_sends_ibeacons_and_not_all_that_apple_sends_is_one() {
    assert!(is_none("1aff 59000215 41424344454647484940414243444546 0001 0002 f8"), "another company");
    assert!(is_none("1aff 004c0215 41424344454647484940414243444546 0001 0002 f8"), "the company id the wrong way round");
    assert!(is_none("1aff 4c000216 41424344454647484940414243444546 0001 0002 f8"), "another length");
    assert!(is_none("14ff 4c0001 00000000000000000000000000000000 20"), "an iPhone in the background");
    assert!(is_none("0fff 4c000f06a033bd08c5001002440c"), "an iPhone near by");
}

#[test]
fn an_altbeacon_is_one_of_whatever_company() {
    for (company, on_air) in [(0xffff, "ffff"), (0x0118, "1801"), (0x004c, "4c00")] {
        let advert = bytes(&format!("1bff{on_air}beac d3162f5af3ee494799db09756062d0fc 005a 0005 c4 07"));
        let Some(Frame::AltBeacon { company: read, beacon, reserved }) = frames(&advert).next() else { panic!("no AltBeacon") };
        assert_eq!((read, reserved), (company, 7));
        assert_eq!((beacon.uuid()[0], beacon.major(), beacon.minor(), beacon.power_1m), (0xd3, 90, 5, -60));
    }
    assert!(is_none("1aff ffffbeac d3162f5af3ee494799db09756062d0fc 005a 0005 c4"), "the last byte is missing");
    assert!(is_none("1bff ffffacbe d3162f5af3ee494799db09756062d0fc 005a 0005 c4 00"), "the code the wrong way round");
}

#[test]
fn an_eddystone_uid_needs_its_id_and_not_its_reserved_bytes() {
    let whole = seen("1716aafe 00e3 12345678901234678901 000000000001 0000");
    assert_eq!(whole.len(), 1);
    assert_eq!(seen("1516aafe 00e3 12345678901234678901 000000000001"), whole, "phones leave the reserved bytes out");
    assert_eq!(seen("1716aafe 00e3 12345678901234678901 000000000001 abcd"), whole);
    assert!(is_none("1416aafe 00e3 12345678901234678901 0000000000"));
    assert!(is_none("0416aafe 00") && is_none("0316aafe"));
}

#[test]
fn kinds_that_do_not_exist_are_no_frames() {
    for kind in [0x01, 0x11, 0x21, 0x31, 0x40, 0xff] {
        assert!(is_none(&format!("1716aafe {kind:02x}e3 12345678901234678901 000000000001 0000")), "{kind:#x}");
    }
}

#[test]
fn urls_are_written_out() {
    for (encoded, expected) in [
        ("03 67657470617265746f 07", "https://getpareto.com"),
        ("03 676974687562 00 636974727573", "https://github.com/citrus"),
        ("00 61 01 62", "http://www.a.org/b"),
        ("01 61 0d", "https://www.a.gov"),
        ("02 613f623d7e2321", "http://a?b=~#!"),
    ] {
        assert_eq!(url(encoded).as_deref(), Some(expected));
    }
    let all: Vec<_> = (0..14).map(|code| url(&format!("02 61 {code:02x}")).unwrap().replace("http://a", "")).collect();
    let expected =
        [".com/", ".org/", ".edu/", ".net/", ".info/", ".biz/", ".gov/", ".com", ".org", ".edu", ".net", ".info", ".biz", ".gov"];
    assert_eq!(all, expected);
}

#[test]
fn urls_with_reserved_codes_are_none() {
    for encoded in ["", "03", "04 61", "03 61 0e", "03 61 1f", "03 61 20", "03 61 7f", "03 61 80", "03 61 ff"] {
        assert_eq!(url(encoded), None, "{encoded}");
    }
}

#[test]
fn telemetry_has_its_units_and_knows_what_it_does_not_know() {
    let plain = telemetry("0b18 1300 00001467 00002ac4");
    let expected = Telemetry { battery_mv: Some(2840), temperature_256: Some(19 * 256), adverts: 5223, uptime_ds: 10948 };
    assert_eq!((plain, plain.temperature_c()), (expected, Some(19.0)));
    let silent = telemetry("0000 8000 ffffffff ffffffff");
    assert_eq!(silent, Telemetry { battery_mv: None, temperature_256: None, adverts: u32::MAX, uptime_ds: u32::MAX });
    for (fixed, degrees) in [("ff80", -0.5), ("8001", -127.996_093_75), ("0040", 0.25), ("7fff", 127.996_093_75), ("0000", 0.0)] {
        assert_eq!(telemetry(&format!("0bb8 {fixed} 00000000 00000000")).temperature_c(), Some(degrees), "{fixed}");
    }
}

#[test]
fn telemetry_of_each_version_has_its_length() {
    let encrypted = "1516aafe2001 414141414141414141414141 dead beff";
    let advert = bytes(encrypted);
    let data = b"AAAAAAAAAAAA";
    assert_eq!(frames(&advert).next(), Some(Frame::Eddystone(Eddystone::EncryptedTlm { data, salt: 0xdead, mic: 0xbeff })));
    assert!(is_none("1116aafe2001 414141414141414141414141 dead beff"), "the length cuts salt and mic off");
    assert!(is_none("1416aafe2001 414141414141414141414141 dead be"));
    assert!(is_none("1016aafe2000 0b18 1300 00001467 00002a"), "a byte short");
    assert!(is_none("1116aafe2002 0b18 1300 00001467 00002ac4"), "a version that does not exist");
    assert_eq!(seen("1116aafe2000 0b18 1300 00001467 00002ac4 e4").len(), 1, "a byte behind the structure");
}

#[test]
fn an_eid_has_eight_bytes() {
    let advert = bytes("0d16aafe30e3 4549445f74657374");
    assert_eq!(frames(&advert).next(), Some(Frame::Eddystone(Eddystone::Eid { power_0m: -29, eid: b"EID_test" })));
    assert!(is_none("0c16aafe30e3 4549445f746573"));
}

#[test]
fn an_advert_whose_list_leaves_eddystone_out_has_no_eddystone_frame() {
    let eid = "0d16aafe30e3 4549445f74657374";
    assert!(is_none(&format!("0303abfe {eid}")));
    assert!(is_none(&format!("{eid} 0302abfe")), "a list behind it");
    for list in ["", "0303aafe", "05020f18aafe", "0303abfe 0302aafe", "0201 06"] {
        assert_eq!(seen(&format!("{list} {eid}")).len(), 1, "{list}");
    }
}

#[test]
fn a_battery_level_is_a_percentage() {
    assert_eq!(seen("04160f1863"), ["Battery(99)"]);
    assert!(is_none("04160f1865") && is_none("03160f18"));
}

#[test]
fn frames_of_one_advert_come_one_after_the_other() {
    let ibeacon = "1aff4c000215 41424344454647484940414243444546 0001 0002 f8";
    let tlm = "1116aafe2000 0b18 1300 00001467 00002ac4";
    let both = seen(&format!("{tlm} {ibeacon}"));
    assert_eq!(both, [seen(tlm), seen(ibeacon)].concat());
    assert_eq!(seen(&format!("1716aafe01 {} {ibeacon}", "00".repeat(19))), seen(ibeacon), "what is no frame does not end the advert");
    assert_eq!(seen(&format!("{ibeacon} {}", &tlm[..20])), seen(ibeacon), "a frame that is cut does not harm the one before");
}

#[test]
fn extended_adverts_hold_as_many_frames_as_fit() {
    let name = format!("fb09{}", "61".repeat(250));
    let uuids = format!("2107{}{}", "11".repeat(16), "22".repeat(16));
    let data = format!("{name}{name}{name}{uuids}1321{}0102", "33".repeat(16));
    assert!(data.len() / 2 > 800);
    assert_eq!(seen(&data).len(), 3);
    assert_eq!(frames(&[19, 0x07].iter().copied().chain([9; 18]).collect::<Vec<_>>()).count(), 1, "a rest that is no UUID is left out");
}

#[test]
fn empty_structures_and_padding_are_no_frames() {
    assert!(is_none("") && is_none("00") && is_none("0000000000") && is_none("01ff") && is_none("0116") && is_none("0121 0107"));
    assert_eq!(seen("01ff 0116 04160f1863").len(), 1, "an empty value is a structure like others");
    assert!(is_none("00 04160f1863"), "a length of zero ends the advert");
    assert!(is_none("0201060303"), "a list that is cut");
}
