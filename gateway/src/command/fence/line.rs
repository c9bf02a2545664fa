//! One line of a file of OwnTracks locations: the place as a gateway reads it, and what the file says of whose it is and when it came.

use passage_protocol::{InstallationId, Millis};

use crate::position::{
    Fate, Fix,
    owntracks::{Label, Location},
};

/// What a line says.
pub(super) struct Report {
    /// The installation, as the file names it.
    pub(super) who: String,
    /// When it arrived: the line tells, else as it was measured.
    pub(super) arrived: Millis,
    location: Location,
}

/// Why a line is no fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipped {
    /// Not a location that can be read.
    Poison,
    /// Too old when it arrived.
    Old,
    /// More than a day ahead of when it arrived.
    Future,
    /// A sign of life, or something else than a location.
    Ignored,
}

impl Report {
    /// Reads a line.
    pub(super) fn read(line: &[u8]) -> Result<Self, Skipped> {
        let location = Location::read(line)?;
        let label = Label::read(line)?;
        Ok(Self { who: label.installation().to_owned(), arrived: label.arrived(location.at), location })
    }

    /// The fix of an installation for a gateway whose clock shows `now`.
    pub(super) fn fix(&self, installation: InstallationId, now: Millis) -> Result<Fix, Skipped> {
        Ok(self.location.fix(installation, now)?)
    }
}

impl From<Fate> for Skipped {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Ignored => Self::Ignored,
            Fate::Old => Self::Old,
            Fate::Future => Self::Future,
            _ => Self::Poison,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Report {
        Report::read(line.as_bytes()).unwrap_or_else(|why| panic!("{why:?}: {line}"))
    }

    fn location(more: &str) -> String {
        format!(r#"{{"_type":"location","lat":45.76,"lon":4.83,"tst":1795168800,"acc":10{more}}}"#)
    }

    #[test]
    fn a_line_arrived_when_it_says_but_never_was_made_before_it_was_measured() {
        for (more, seconds) in [
            ("", 1_795_168_800),
            (r#","created_at":1795168805"#, 1_795_168_805),
            (r#","created_at":25"#, 1_795_168_800),
            (r#","created_at":1795168805,"received_at":"1795168900""#, 1_795_168_900),
        ] {
            assert_eq!(read(&location(more)).arrived, Millis::from_secs(seconds), "{more}");
        }
        // OwnTracks' own sample of every field.
        let sample = read(
            r#"{"_type":"location","lat":50.1,"lon":60.2,"tst":123456789,"created_at":25,"acc":10,"tid":"aa","topic":"owntracks/user/device"}"#,
        );
        assert_eq!((sample.who.as_str(), sample.arrived), ("user/device", Millis::from_secs(123_456_789)));
        assert!(sample.fix("phone".parse().unwrap(), sample.arrived).is_ok());
    }

    #[test]
    fn what_a_gateway_does_not_read_may_be_anything_here_too() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        for unread in
            [r#""alt":1e400"#.to_owned(), format!(r#""poi":{deep}"#), r#""SSID":"\ud800""#.to_owned(), r#""tag":1,"tag":2"#.to_owned()]
        {
            let line = location(&format!(r#","tid":"ca",{unread}"#));
            assert_eq!(read(&line).who, "ca");
        }
        let mut bytes = location(r#","SSID":"?""#).into_bytes();
        let at = bytes.iter().position(|b| *b == b'?').unwrap();
        bytes[at] = 0xe9;
        assert_eq!(Report::read(&bytes).map(|report| report.who), Ok("phone".to_owned()));
    }

    #[test]
    fn a_fix_of_another_time_is_told_as_such() {
        let fix = |arrived: i64| read(&location("")).fix("phone".parse().unwrap(), Millis::from_secs(arrived)).map(drop);
        assert_eq!(fix(1_795_168_800 + 4 * 86_400), Err(Skipped::Old));
        assert_eq!(fix(1_795_168_800 - 2 * 86_400), Err(Skipped::Future));
        assert_eq!(fix(1_795_168_800), Ok(()));
        let ahead = |arrived: i64| read(&location("")).fix("phone".parse().unwrap(), Millis::from_secs(arrived)).map(|fix| fix.ahead_ms);
        assert_eq!((ahead(1_795_168_800 - 120), ahead(1_795_168_800 - 600)), (Ok(0), Ok(600_000)));
    }
}
