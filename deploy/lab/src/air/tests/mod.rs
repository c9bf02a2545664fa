use super::packet::{ADV_IND, FromHost, SCAN_RSP};
use super::*;

fn advert(last: u8) -> Advert {
    Advert {
        phone: 0,
        instance: 0,
        address: Address([0xc0, 0, 0, 0, 0, last]),
        address_type: AddressType::Random,
        kind: AdvertKind::NonConnectable,
        rssi: -60,
        data: vec![2, 1, 6],
        scan_response: None,
    }
}

fn send(controller: &mut Controller, opcode: u16, parameters: &[u8]) -> Option<Change> {
    let (event, change) = controller.command(&Command { opcode, parameters });
    let [low, high] = opcode.to_le_bytes();
    assert_eq!(event[..7], [4, 0x0e, event[2], 1, low, high, 0], "success is said for the command that was sent");
    assert_eq!(event.len(), 3 + usize::from(event[2]));
    change
}

fn scanning(remembered: usize) -> Controller {
    let mut controller = Controller::new(Address([2, 0, 0x5e, 0, 0x53, 1]), remembered);
    send(&mut controller, opcode::LE_SET_SCAN_PARAMETERS, &[1, 0x12, 0, 0x12, 0, 0, 0]);
    let change = send(&mut controller, opcode::LE_SET_SCAN_ENABLE, &[1, 1]);
    assert_eq!(change, Some(Change::Scan { is_on: true, is_active: true, filters_duplicates: true }));
    controller
}

#[test]
fn an_advert_is_reported_with_address_data_and_strength_while_the_host_scans() {
    let mut controller = scanning(0);
    let report = [4, 0x3e, 15, 2, 1, 3, 1, 9, 0, 0, 0, 0, 0xc0, 3, 2, 1, 6, 0xc4];
    assert_eq!(controller.hear(&advert(9)), Fate::Reported(vec![report.to_vec()]));
    send(&mut controller, opcode::LE_SET_SCAN_ENABLE, &[0, 0]);
    assert_eq!(controller.hear(&advert(9)), Fate::NotScanning);
}

#[test]
fn an_active_scanner_gets_the_scan_response_too() {
    let mut controller = scanning(0);
    let asked = Advert { kind: AdvertKind::Connectable, scan_response: Some(vec![2, 0x0a, 4]), ..advert(1) };
    let Fate::Reported(packets) = controller.hear(&asked) else { panic!("reported") };
    assert_eq!(packets.iter().map(|packet| packet[5]).collect::<Vec<_>>(), [ADV_IND, SCAN_RSP]);
    assert_eq!(packets[1][14..17], [2, 0x0a, 4]);
}

#[test]
fn a_filtering_chip_reports_an_advertiser_once_a_round_as_long_as_it_remembers_it() {
    let mut controller = scanning(2);
    let mut reported = |last| matches!(controller.hear(&advert(last)), Fate::Reported(_));
    assert!(reported(1) && reported(2));
    assert!(!reported(1) && !reported(2));
    assert!(reported(3) && reported(1), "the third has pushed out the first");
    send(&mut controller, opcode::LE_SET_SCAN_ENABLE, &[1, 1]);
    assert!(matches!(controller.hear(&advert(1)), Fate::Reported(_)), "a new round");
}

#[test]
fn what_the_host_advertises_can_be_read_back() {
    let mut controller = scanning(0);
    send(&mut controller, opcode::LE_SET_ADVERTISING_PARAMETERS, &[0xa0, 0, 0xa0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0]);
    let mut data = vec![3, 2, 1, 6];
    data.resize(32, 0);
    assert_eq!(send(&mut controller, opcode::LE_SET_ADVERTISING_DATA, &data), None, "not on the air yet");
    let on_air = OnAir { kind: 3, data: vec![2, 1, 6], scan_response: Vec::new() };
    assert_eq!(send(&mut controller, opcode::LE_SET_ADVERTISING_ENABLE, &[1]), Some(Change::Advertises(Some(on_air))));
    assert_eq!(send(&mut controller, opcode::LE_SET_ADVERTISING_ENABLE, &[0]), Some(Change::Advertises(None)));
    assert_eq!(send(&mut controller, opcode::LE_SET_ADVERTISING_ENABLE, &[0]), None);
}

#[test]
fn a_reset_ends_the_scan_and_the_advertising() {
    let mut controller = scanning(4);
    send(&mut controller, opcode::RESET, &[]);
    assert!(!controller.scans());
    assert_eq!(controller.hear(&advert(1)), Fate::NotScanning);
}

#[test]
fn commands_that_are_cut_off_or_unknown_are_answered_and_never_panic() {
    let mut controller = scanning(0);
    for packet in [&[1_u8, 0x0c, 0x20, 2][..], &[1, 0x0c, 0x20, 2, 1], &[1, 0x08, 0x20, 32, 31, 1], &[1, 0xff, 0xfc, 0]] {
        let FromHost::Command(command) = FromHost::parse(packet) else { panic!("a command") };
        assert_eq!(controller.command(&command).0[..2], [4, 0x0e]);
    }
    assert_eq!(FromHost::parse(&[0xff, 0, 3, 0]), FromHost::Adapter(3));
    for other in [&[][..], &[1], &[1, 2, 3], &[2, 0, 0, 0], &[0xff, 0]] {
        assert_eq!(FromHost::parse(other), FromHost::Other);
    }
}
