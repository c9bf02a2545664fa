//! JSON lines, one advert each.

use passage_protocol::Millis;
use serde::Deserialize;

use super::{Advert, LATEST_SECS, RadioError, window::Window};

/// Longer lines are left out. The longest advert there is needs some 3.4 kB in hex.
const LONGEST: usize = 8 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: Millis,
    address: String,
    rssi: i8,
    data: String,
}

/// The adverts of a stream of lines. Empty lines are allowed.
pub(super) struct Lines {
    bytes: Window,
    number: u64,
    ended: bool,
}

impl Lines {
    pub fn new(bytes: Window) -> Self {
        Self { bytes, number: 0, ended: false }
    }

    /// The next line without its end; `None` behind the last one.
    fn line(&mut self) -> Option<Result<Advert, RadioError>> {
        loop {
            let offset = self.bytes.offset;
            let ahead = match self.bytes.at_least(LONGEST) {
                Ok(ahead) => ahead,
                Err(e) => return self.end(Some(e)),
            };
            if ahead.is_empty() {
                return self.end(None);
            }
            self.number += 1;
            let number = self.number;
            let Some(length) = ahead.iter().take(LONGEST).position(|byte| *byte == b'\n') else {
                if ahead.len() >= LONGEST {
                    let why = format!("the line is longer than {LONGEST} bytes");
                    return self.leave_out_line().map_or_else(|e| self.end(Some(e)), |()| Some(broken(number, offset, why)));
                }
                // The last line has no end of line; it counts if it is whole.
                let last = ahead.to_vec();
                self.end(None);
                return advert(&last, number, offset, true);
            };
            let line = ahead.get(..length).unwrap_or_default().to_vec();
            self.bytes.consume(length + 1);
            if let Some(item) = advert(&line, number, offset, false) {
                return Some(item);
            }
        }
    }

    fn leave_out_line(&mut self) -> Result<(), RadioError> {
        loop {
            let ahead = self.bytes.at_least(1)?;
            let end = ahead.iter().position(|byte| *byte == b'\n');
            let length = ahead.len();
            match end {
                Some(end) => {
                    self.bytes.consume(end + 1);
                    return Ok(());
                }
                None if length == 0 => return Ok(()),
                None => self.bytes.consume(length),
            }
        }
    }

    fn end(&mut self, error: Option<RadioError>) -> Option<Result<Advert, RadioError>> {
        self.ended = true;
        error.map(Err)
    }
}

impl Iterator for Lines {
    type Item = Result<Advert, RadioError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended { None } else { self.line() }
    }
}

/// Reads one line; `None` for an empty one.
fn advert(line: &[u8], number: u64, offset: u64, is_last: bool) -> Option<Result<Advert, RadioError>> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    let read: Line = match serde_json::from_slice(line) {
        Ok(read) => read,
        Err(e) if is_last && e.is_eof() => return Some(Err(RadioError::Truncated { number, offset })),
        // serde's own text may quote a value.
        Err(e) if e.is_data() => return Some(broken(number, offset, "a field is missing, unknown or of the wrong kind".to_owned())),
        Err(e) => return Some(broken(number, offset, format!("broken JSON at column {}", e.column()))),
    };
    if !(0..LATEST_SECS).contains(&read.at.secs()) {
        return Some(broken(number, offset, "`at` does not lie between 1970 and 2100; it is milliseconds since 1970".to_owned()));
    }
    let mut address = [0; 6];
    if hex::decode_to_slice(&read.address, &mut address).is_err() {
        return Some(broken(number, offset, "`address` is not 12 hex digits".to_owned()));
    }
    Some(match hex::decode(&read.data) {
        Ok(data) => Ok(Advert { at: read.at, address, rssi: read.rssi, data }),
        Err(_) => broken(number, offset, "`data` is not pairs of hex digits".to_owned()),
    })
}

fn broken(number: u64, offset: u64, why: String) -> Result<Advert, RadioError> {
    Err(RadioError::Record { number, offset, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Advert, RadioError>> {
        Lines::new(Window::new(std::io::Cursor::new(text.to_owned()), "x".into())).collect()
    }

    const GOOD: &str = r#"{"at":1700000000000,"address":"aabbccddeeff","rssi":-60,"data":"020106"}"#;

    #[test]
    fn lines_are_read_with_and_without_a_last_end_of_line() {
        let expected =
            Advert { at: Millis(1_700_000_000_000), address: [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff], rssi: -60, data: vec![2, 1, 6] };
        assert_eq!(read(&format!("{GOOD}\r\n\n{GOOD}")), [Ok(expected.clone()), Ok(expected)]);
    }

    #[test]
    fn each_broken_line_is_named_and_the_lines_around_it_play() {
        let cases = [
            (r#"{"at":1,"address":"aabbccddeeff","rssi":-60}"#, "missing"),
            (r#"{"at":1,"address":"aabbccddeeff","rssi":-600,"data":""}"#, "wrong kind"),
            (r#"{"at":1,"address":"aabbccddee","rssi":-60,"data":""}"#, "12 hex digits"),
            (r#"{"at":1,"address":"aabbccddeeff","rssi":-60,"data":"abc"}"#, "pairs of hex"),
            (r#"{"at":1,"#, "broken JSON"),
            ("nonsense", "broken JSON"),
            (r#"{"at":-1,"address":"aabbccddeeff","rssi":-60,"data":""}"#, "between 1970 and 2100"),
            (r#"{"at":9223372036854775807,"address":"aabbccddeeff","rssi":-60,"data":""}"#, "between 1970 and 2100"),
            (&" ".repeat(20_000).replace("  ", "{ "), "longer than"),
        ];
        for (line, why) in cases {
            let items = read(&format!("{GOOD}\n{line}\n{GOOD}\n"));
            assert_eq!(items.len(), 3, "{why}");
            assert!(items[0].is_ok() && items[2].is_ok(), "{why}");
            let error = items[1].as_ref().unwrap_err();
            assert!(matches!(error, RadioError::Record { number: 2, offset: 73, .. }), "{error:?}");
            assert!(error.to_string().contains(why) && !error.to_string().contains("aabbcc"), "{error}");
        }
    }
}
