//! The small languages inside values: durations, sizes, shares, instants, windows, addresses, zones, money.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use chrono::DateTime;
use chrono_tz::Tz;
use passage_protocol::Millis;

use crate::{
    collect::{mistake, suggest},
    hours::{DayWindow, Hours},
    reader::Field,
    tree::Kind,
};

/// Splits `"12.5 km"` into its number and its unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..at].parse().ok()?;
    number.is_finite().then(|| (number, text[at..].trim()))
}

/// `"3m"`, `"15 s"`, `"10 min"`, `"30 days"`, `"1h 30min"`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, tail) = split(rest)?;
        let at = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let unit = match &tail[..at] {
            "ms" => 0.001,
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 604_800.0,
            _ => return None,
        };
        total += number * unit;
        rest = tail[at..].trim();
    }
    // Milliseconds are the finest time there is here; 1,000 years are enough.
    if total > 3.2e10 {
        return None;
    }
    let millis = Duration::try_from_secs_f64(total).ok()?.as_micros().saturating_add(500) / 1000;
    Some(Duration::from_millis(u64::try_from(millis).ok()?))
}

/// A duration as a person would write it.
pub(crate) fn show(d: Duration) -> String {
    let ms = d.as_millis();
    for (unit, size) in [("days", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)] {
        if ms >= size && ms.is_multiple_of(size) {
            let n = ms / size;
            return if unit == "days" && n == 1 { "1 day".into() } else { format!("{n} {unit}") };
        }
    }
    format!("{ms} ms")
}

/// `"12.50 EUR"`, `"12,50 €"` or `"12.50"` in cents.
pub(crate) fn cents(text: &str) -> Option<i64> {
    let text = text.trim();
    let number = text.strip_suffix("EUR").or_else(|| text.strip_suffix('€')).unwrap_or(text).trim();
    let (euros, cents) = number.split_once(['.', ',']).unwrap_or((number, "00"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(euros) || !digits(cents) || cents.len() > 2 || euros.len() > 12 {
        return None;
    }
    let cents = if cents.len() == 1 { cents.parse::<i64>().ok()? * 10 } else { cents.parse().ok()? };
    Some(euros.parse::<i64>().ok()? * 100 + cents)
}

/// `"256 MiB"` in bytes.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text.trim())?;
    let size: u64 = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a bound, and as a cast it saturates"
    )]
    Some((number * size as f64) as u64)
}

impl Field<'_> {
    /// A duration from `least` to `most`.
    pub(crate) fn duration(&self, least: Duration, most: Duration) -> Option<Duration> {
        let text = match &self.node.kind {
            Kind::Integer(n) => {
                let m = mistake(
                    "P011",
                    format!("`{}` has no unit", self.key),
                    "seconds, minutes, days?",
                    format!("write \"{n} s\" or \"{n} min\""),
                );
                return self.refuse(m);
            }
            _ => self.text()?,
        };
        match duration(text) {
            Some(d) if (least..=most).contains(&d) => Some(d),
            Some(_) => self.out_of_range(text, &show(least), &show(most)),
            None => {
                let message = format!("`{}` is not a duration", self.key);
                self.refuse(mistake("P011", message, "no duration", "write a number and ms, s, min, h, days or weeks, such as \"10 min\""))
            }
        }
    }

    /// A size in bytes from `least` to `most`.
    pub(crate) fn bytes(&self, least: u64, most: u64) -> Option<u64> {
        let text = self.text()?;
        match bytes(text) {
            Some(n) if (least..=most).contains(&n) => Some(n),
            Some(_) => self.out_of_range(text, &format!("{} KiB", least >> 10), &format!("{} GiB", most >> 30)),
            None => self.refuse(mistake(
                "P011",
                format!("`{}` is not a size", self.key),
                "no size",
                "write a number and KiB, MiB or GiB, such as \"256 MiB\"",
            )),
        }
    }

    /// A share of 1: `0.1` or `"10 %"`.
    pub(crate) fn share(&self) -> Option<f64> {
        let Kind::Text(text) = &self.node.kind else { return self.number(0.0, 1.0) };
        match text.trim().strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok()) {
            Some(percent) if (0.0..=100.0).contains(&percent) => Some(percent / 100.0),
            _ => self.out_of_range(text, "0", "1 (or \"0 %\" and \"100 %\")"),
        }
    }

    /// An instant with its offset: `"2026-11-20T08:30:00+01:00"`.
    pub(crate) fn instant(&self) -> Option<Millis> {
        let text = match &self.node.kind {
            Kind::Date(text) => text.as_str(),
            _ => self.text()?,
        };
        match DateTime::parse_from_rfc3339(text) {
            Ok(at) => Some(Millis(at.timestamp_millis())),
            Err(_) => {
                let message = format!("`{}` is not a time", self.key);
                self.refuse(mistake("P013", message, "no time with an offset", "write it as \"2026-11-20T08:30:00+01:00\""))
            }
        }
    }

    /// A window of sending: `"Mo-Sa 09:00-20:00"`.
    pub(crate) fn window(&self) -> Option<DayWindow> {
        match DayWindow::from_str(self.text()?) {
            Ok(window) => Some(window),
            Err(why) => self.refuse(mistake(
                "P014",
                format!("`{}` is not a window of days and times", self.key),
                why,
                "write it as \"Mo-Sa 09:00-20:00\"",
            )),
        }
    }

    /// Opening hours in OSM syntax.
    pub(crate) fn hours(&self) -> Option<Hours> {
        match Hours::parse(self.text()?) {
            Ok(hours) => Some(hours),
            Err(_) => {
                let mend = "write them in OpenStreetMap's way, such as \"Mo-Sa 10:00-19:30; Su 11:00-18:00; PH off\"";
                self.refuse(mistake("P015", format!("`{}` are not opening hours", self.key), "this is not understood", mend))
            }
        }
    }

    /// An IANA time zone.
    pub(crate) fn zone(&self) -> Option<Tz> {
        let text = self.text()?;
        match text.parse() {
            Ok(zone) => Some(zone),
            Err(_) => {
                let mend = suggest(text, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name()));
                self.refuse(mistake("P016", format!("\"{text}\" is not a time zone"), "no IANA zone has this name", mend))
            }
        }
    }

    /// An address with a port.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let text = self.text()?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                let mend = "write an IP address and a port, such as \"127.0.0.1:8080\"";
                self.refuse(mistake("P017", format!("`{}` is not an address", self.key), "no address with a port", mend))
            }
        }
    }

    /// A path, relative to the file that it stands in.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.text().map(|text| self.beside(text))
    }

    /// `path` as seen from the folder of this file, absolute.
    pub(crate) fn beside(&self, path: &str) -> PathBuf {
        let folder = self.source.file.parent().unwrap_or(std::path::Path::new(""));
        let joined = folder.join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_write_them() {
        for (text, seconds) in
            [("3m", 180), ("15s", 15), ("10 min", 600), ("30 days", 2_592_000), ("1h 30min", 5400), ("2 weeks", 1_209_600), ("0 s", 0)]
        {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("50 ms"), Some(Duration::from_millis(50)));
        assert_eq!(duration("0.5 s"), Some(Duration::from_millis(500)));
        for text in ["", "10", "min", "10 parsecs", "-3 s", "1e9 d", "99999999999999999999999 d", "3 m 4", "1..2 s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn money_is_exact() {
        for (text, n) in [("12.50 EUR", 1250), ("289.00", 28900), ("289", 28900), ("12,5 €", 1250), ("0.07", 7)] {
            assert_eq!(cents(text), Some(n), "{text}");
        }
        for text in ["", "12.505", "-1", "12.50 USD", "1 000", ".5", "9999999999999"] {
            assert_eq!(cents(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_duration_reads_back_as_it_is_shown(ms in 0u64..10_000_000_000) {
            let d = Duration::from_millis(ms);
            proptest::prop_assert_eq!(duration(&show(d)), Some(d));
        }

        #[test]
        fn no_text_makes_a_value_parser_panic(text in ".{0,40}") {
            let _ = (duration(&text), cents(&text), bytes(&text), DayWindow::from_str(&text));
        }
    }
}
