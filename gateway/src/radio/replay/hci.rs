//! HCI events to advertising reports: LE Advertising Report and LE Extended Advertising Report (Bluetooth Core 5.4, vol. 4, part E, 7.7.65).

use passage_protocol::Millis;

use super::parts::{Key, Part};

const LE_META: u8 = 0x3e;
const LEGACY_REPORT: u8 = 0x02;
const EXTENDED_REPORT: u8 = 0x0d;

/// Reads the reports in an event packet (event code, length, parameters) one after the other, without a copy. Other events give nothing; what is
/// wrong with an event ends its reports with an error.
pub(super) struct Reports<'a> {
    at: Millis,
    rest: Reader<'a>,
    left: u8,
    extended: bool,
    error: Option<&'static str>,
}

impl<'a> Reports<'a> {
    /// `None` for an event that is no advertising report.
    pub fn of(event: &'a [u8], at: Millis) -> Result<Option<Self>, &'static str> {
        let Some((&[code, length], parameters)) = event.split_first_chunk() else { return Err("an event needs two bytes") };
        if code != LE_META {
            return Ok(None);
        }
        let Some(parameters) = parameters.get(..usize::from(length)) else { return Err("the event is shorter than it says") };
        let mut rest = Reader { rest: parameters };
        let extended = match rest.byte() {
            Some(LEGACY_REPORT) => false,
            Some(EXTENDED_REPORT) => true,
            _ => return Ok(None),
        };
        let Some(left) = rest.byte() else { return Err("the advertising report is empty") };
        Ok(Some(Self { at, rest, left, extended, error: None }))
    }

    /// What is wrong behind the reports that were read.
    pub fn error(&self) -> Option<&'static str> {
        self.error
    }

    fn legacy(&mut self) -> Option<Part<'a>> {
        let reader = &mut self.rest;
        let _event_and_address_type = reader.take(2)?;
        let address = reader.address()?;
        let length = reader.byte()?;
        let data = reader.take(usize::from(length))?;
        let rssi = reader.signed()?;
        Some(Part { at: self.at, key: Key::Set(address, 0), address, rssi, data, more: false })
    }

    fn extended(&mut self) -> Option<Part<'a>> {
        let reader = &mut self.rest;
        let event_type = u16::from_le_bytes(reader.take(2)?.try_into().ok()?);
        let _address_type = reader.byte()?;
        let address = reader.address()?;
        let _primary_and_secondary_phy = reader.take(2)?;
        let set = reader.byte()?;
        let _tx_power = reader.byte()?;
        let rssi = reader.signed()?;
        let _interval_and_direct_address = reader.take(9)?;
        let length = reader.byte()?;
        let data = reader.take(usize::from(length))?;
        // Data status: 0 complete, 1 more to come, 2 truncated with nothing to come.
        Some(Part { at: self.at, key: Key::Set(address, set), address, rssi, data, more: (event_type >> 5) & 0b11 == 0b01 })
    }
}

impl<'a> Iterator for Reports<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        self.left = self.left.checked_sub(1)?;
        let part = if self.extended { self.extended() } else { self.legacy() };
        if part.is_none() {
            self.error = Some("an advertising report is cut");
            self.left = 0;
        }
        part
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
    use super::{super::parts::Parts, *};
    use proptest::prelude::*;

    const AT: Millis = Millis(7);

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex.replace(' ', "")).unwrap()
    }

    fn reports(event: &[u8]) -> (Vec<Part<'_>>, Option<&'static str>) {
        match Reports::of(event, AT) {
            Ok(Some(mut reports)) => (reports.by_ref().collect(), reports.error()),
            Ok(None) => (Vec::new(), None),
            Err(why) => (Vec::new(), Some(why)),
        }
    }

    #[test]
    fn a_legacy_report_is_read() {
        let event = bytes("3e 0f 02 01 03 01 665544332211 03 020106 c4");
        let (reports, error) = reports(&event);
        assert_eq!(error, None);
        let address = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66];
        assert_eq!(reports, [Part { at: AT, key: Key::Set(address, 0), address, rssi: -60, data: &[2, 1, 6], more: false }]);
    }

    #[test]
    fn several_reports_of_one_event_are_read_in_their_order() {
        let event = bytes("3e 1c 02 02 03 01 665544332211 03 020106 c4 00 00 665544332212 03 02010a b0");
        let (reports, error) = reports(&event);
        assert_eq!(error, None);
        assert_eq!(
            reports.iter().map(|part| (part.address[5], part.rssi, part.data)).collect::<Vec<_>>(),
            [(0x66, -60, &[2, 1, 6][..]), (0x66, -80, &[2, 1, 10][..]),]
        );
        assert_eq!((reports[0].address[0], reports[1].address[0]), (0x11, 0x12));
    }

    #[test]
    fn a_second_report_that_is_cut_leaves_the_first() {
        let event = bytes("3e 13 02 02 03 01 665544332211 03 020106 c4 03 01 66 55");
        let (reports, error) = reports(&event);
        assert_eq!(reports.len(), 1);
        assert_eq!(error, Some("an advertising report is cut"));
    }

    /// An extended report of three bytes of data with this event type, little-endian.
    fn extended(event_type: &str, data: &str) -> Vec<u8> {
        bytes(&format!("3e 1d 0d 01 {event_type} 01 665544332211 01 02 03 7f c4 0000 00 000000000000 03 {data}"))
    }

    #[test]
    fn an_extended_report_is_read_and_its_parts_are_joined() {
        let mut parts = Parts::default();
        assert_eq!(parts.join(reports(&extended("2000", "040901")).0[0]), None);
        let whole = parts.join(reports(&extended("0000", "020304")).0[0]).unwrap();
        assert_eq!((whole.data, whole.rssi), (vec![4, 9, 1, 2, 3, 4], -60));
    }

    #[test]
    fn a_truncated_advert_is_handed_on_as_far_as_it_came() {
        let mut parts = Parts::default();
        assert_eq!(parts.join(reports(&extended("2000", "020106")).0[0]), None);
        assert_eq!(parts.join(reports(&extended("4000", "1bff4c")).0[0]).unwrap().data, [2, 1, 6, 0x1b, 0xff, 0x4c]);
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
                for part in found {
                    let _ = parts.join(part);
                }
            }
        }
    }
}
