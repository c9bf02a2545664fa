//! HCI events to advertising reports: LE Advertising Report and LE Extended Advertising Report (Bluetooth Core 5.4, vol. 4, part E, 7.7.65).

const LE_META: u8 = 0x3e;
const LEGACY_REPORT: u8 = 0x02;
const EXTENDED_REPORT: u8 = 0x0d;
/// Longest advert that the standard knows.
const LONGEST_ADVERT: usize = 1650;

/// One advertising report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// As people write it, most significant byte first.
    pub address: [u8; 6],
    pub rssi: i8,
    pub data: Vec<u8>,
    /// Advertising set, for joining parts.
    set: u8,
    /// More parts of the same advert follow.
    more: bool,
}

/// The reports in an event packet (event code, length, parameters), and what is wrong behind them. Other events give nothing.
pub(super) fn reports(event: &[u8]) -> (Vec<Report>, Option<&'static str>) {
    let Some((&[code, length], parameters)) = event.split_first_chunk() else { return (Vec::new(), Some("an event needs two bytes")) };
    if code != LE_META {
        return (Vec::new(), None);
    }
    let Some(parameters) = parameters.get(..usize::from(length)) else { return (Vec::new(), Some("the event is shorter than it says")) };
    let mut reader = Reader { rest: parameters };
    let read: fn(&mut Reader) -> Option<Report> = match reader.byte() {
        Some(LEGACY_REPORT) => legacy,
        Some(EXTENDED_REPORT) => extended,
        _ => return (Vec::new(), None),
    };
    let Some(count) = reader.byte() else { return (Vec::new(), Some("the advertising report is empty")) };
    let mut found = Vec::new();
    for _ in 0..count {
        match read(&mut reader) {
            Some(report) => found.push(report),
            None => return (found, Some("an advertising report is cut")),
        }
    }
    (found, None)
}

fn legacy(reader: &mut Reader) -> Option<Report> {
    let _event_and_address_type = reader.take(2)?;
    let address = reader.address()?;
    let length = reader.byte()?;
    let data = reader.take(usize::from(length))?.to_vec();
    let rssi = reader.signed()?;
    Some(Report { address, rssi, data, set: 0, more: false })
}

fn extended(reader: &mut Reader) -> Option<Report> {
    let event_type = u16::from_le_bytes(reader.take(2)?.try_into().ok()?);
    let _address_type = reader.byte()?;
    let address = reader.address()?;
    let _primary_and_secondary_phy = reader.take(2)?;
    let set = reader.byte()?;
    let _tx_power = reader.byte()?;
    let rssi = reader.signed()?;
    let _interval_and_direct_address = reader.take(9)?;
    let length = reader.byte()?;
    let data = reader.take(usize::from(length))?.to_vec();
    Some(Report { address, rssi, data, set, more: (event_type >> 5) & 0b11 == 0b01 })
}

/// Joins the parts of a long advert. A radio reports the parts of one advert one after the other.
#[derive(Default)]
pub(super) struct Parts {
    waiting: Option<Report>,
}

impl Parts {
    /// The advert that this report completes.
    pub fn join(&mut self, mut report: Report) -> Option<Report> {
        if let Some(mut begun) = self.waiting.take_if(|begun| begun.address == report.address && begun.set == report.set) {
            begun.data.append(&mut report.data);
            report.data = begun.data;
        }
        if report.more && report.data.len() < LONGEST_ADVERT {
            self.waiting = Some(report);
            return None;
        }
        Some(report)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn signed(&mut self) -> Option<i8> {
        self.byte().map(|byte| i8::from_le_bytes([byte]))
    }

    fn address(&mut self) -> Option<[u8; 6]> {
        let mut address: [u8; 6] = self.take(6)?.try_into().ok()?;
        address.reverse();
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex.replace(' ', "")).unwrap()
    }

    #[test]
    fn a_legacy_report_is_read() {
        let (reports, error) = reports(&bytes("3e 0f 02 01 03 01 665544332211 03 020106 c4"));
        assert_eq!(error, None);
        assert_eq!(
            reports,
            [Report { address: [0x11, 0x22, 0x33, 0x44, 0x55, 0x66], rssi: -60, data: vec![2, 1, 6], set: 0, more: false }]
        );
    }

    #[test]
    fn a_second_report_that_is_cut_leaves_the_first() {
        let (reports, error) = reports(&bytes("3e 13 02 02 03 01 665544332211 03 020106 c4 03 01 66 55"));
        assert_eq!(reports.len(), 1);
        assert_eq!(error, Some("an advertising report is cut"));
    }

    #[test]
    fn an_extended_report_is_read_and_its_parts_are_joined() {
        let part = |status: &str, data: &str| {
            bytes(&format!("3e 1d 0d 01 {status} 01 665544332211 01 02 03 7f c4 0000 00 000000000000 03 {data}"))
        };
        let mut parts = Parts::default();
        let (first, _) = reports(&part("2000", "040901"));
        assert_eq!(parts.join(first[0].clone()), None);
        let (second, _) = reports(&part("0000", "020304"));
        let whole = parts.join(second[0].clone()).unwrap();
        assert_eq!((whole.data, whole.rssi), (vec![4, 9, 1, 2, 3, 4], -60));
        assert_eq!(parts.join(second[0].clone()).unwrap().data, [2, 3, 4], "nothing is left over");
    }

    #[test]
    fn other_events_give_nothing() {
        assert_eq!(reports(&bytes("0e 04 01 0c20 00")), (Vec::new(), None));
        assert_eq!(reports(&bytes("3e 02 01 00")), (Vec::new(), None));
        assert_eq!(reports(&bytes("3e 05 02")).1, Some("the event is shorter than it says"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut event in prop::collection::vec(any::<u8>(), 0..260), extended in any::<bool>()) {
            let _ = reports(&event);
            if event.len() > 3 {
                event[0] = LE_META;
                event[1] = u8::try_from(event.len() - 2).unwrap_or(255);
                event[2] = if extended { EXTENDED_REPORT } else { LEGACY_REPORT };
                let (found, _) = reports(&event);
                let mut parts = Parts::default();
                for report in found {
                    let _ = parts.join(report);
                }
            }
        }
    }
}
