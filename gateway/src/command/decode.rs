//! `passage-gateway decode`: what stands in an advert, one JSON object a line.

use std::{
    io::{self, BufRead, Write},
    path::Path,
};

use passage_protocol::Subject;
use serde::Serialize;

use crate::beacon::{
    Decoder,
    frame::{Eddystone, Frame, Proximity, frames},
};

/// Decodes adverts given as hex; `-`, or none at all, reads them from standard input, one a line.
pub(super) fn decode(adverts: &[String], config: Option<&Path>) -> anyhow::Result<()> {
    let decoder = match config {
        Some(file) => Decoder::new(&super::load(file)?.site),
        None => Decoder::of_brands([]),
    };
    let mut printer = Printer { decoder, out: io::stdout().lock(), err: io::stderr().lock(), lines: 0, bad: 0 };
    let done = match adverts {
        [] => printer.all(io::stdin().lock()),
        adverts => adverts.iter().try_for_each(|hex| match hex.as_str() {
            "-" => printer.all(io::stdin().lock()),
            hex => printer.one(hex.as_bytes()),
        }),
    };
    match done {
        // Whoever read has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        done => done?,
    }
    anyhow::ensure!(printer.bad == 0, "{} of {} lines were no hex", printer.bad, printer.lines);
    Ok(())
}

struct Printer<O, E> {
    decoder: Decoder,
    out: O,
    err: E,
    lines: u64,
    bad: u64,
}

impl<O: Write, E: Write> Printer<O, E> {
    fn all(&mut self, mut input: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line)? > 0 {
            self.one(&line)?;
            line.clear();
        }
        self.out.flush()
    }

    /// One advert: always one line on `out`, so that answers stand beside their questions, and one on `err` where it is no hex. An empty line is an
    /// advert without data.
    fn one(&mut self, hex: &[u8]) -> io::Result<()> {
        let mark = "\u{feff}".as_bytes();
        let hex = if self.lines == 0 { hex.strip_prefix(mark).unwrap_or(hex) } else { hex };
        self.lines += 1;
        let told = match bytes(hex) {
            Ok(advert) => line(&advert, &self.decoder),
            Err(why) => {
                self.bad += 1;
                writeln!(self.err, "line {}: {why}", self.lines)?;
                None
            }
        };
        serde_json::to_writer(&mut self.out, &told)?;
        self.out.write_all(b"\n")
    }
}

/// The bytes of hex digits in pairs, with blanks and colons anywhere, and `0x` in front of any group.
fn bytes(hex: &[u8]) -> Result<Vec<u8>, String> {
    let is_gap = |byte: &u8| byte.is_ascii_whitespace() || *byte == b':';
    let begins = |at: usize| hex[at..].len() > 2 && hex[at] == b'0' && hex[at + 1] | 0x20 == b'x' && (at == 0 || is_gap(&hex[at - 1]));
    let is_prefix = |at: usize| begins(at) || at.checked_sub(1).is_some_and(begins);
    let mut digits = Vec::with_capacity(hex.len());
    for (at, byte) in hex.iter().enumerate().filter(|(at, byte)| !is_gap(byte) && !is_prefix(*at)) {
        let digit = char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        digits.push(digit.ok_or_else(|| format!("column {} is no hex digit", at + 1))?);
    }
    let (pairs, rest) = digits.as_chunks();
    if !rest.is_empty() {
        return Err(format!("{} hex digits are not whole bytes; each has two", digits.len()));
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// What is printed: nothing for who is no beacon.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    beacon: Kind,
    /// The site knows it.
    ours: bool,
}

/// The keys of each kind. Bytes are hex digits, powers dBm.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Kind {
    Rid {
        carrier: &'static str,
        rid: String,
        hint: u8,
        power_1m: i8,
    },
    #[serde(rename = "ibeacon")]
    IBeacon(Numbers),
    #[serde(rename = "altbeacon")]
    AltBeacon {
        company_id: u16,
        id: String,
        #[serde(flatten)]
        numbers: Numbers,
        reserved: u8,
    },
    EddystoneUid {
        power_0m: i8,
        namespace: String,
        instance: String,
    },
    EddystoneUrl {
        power_0m: i8,
        url: String,
    },
    EddystoneTlm {
        version: u8,
        battery_mv: Option<u16>,
        temperature_c: Option<f64>,
        adv_count: u32,
        uptime_ds: u32,
    },
    EddystoneEtlm {
        version: u8,
        encrypted_data: String,
        salt: u16,
        mic: u16,
    },
    EddystoneEid {
        power_0m: i8,
        eid: String,
    },
}

#[derive(Serialize)]
struct Numbers {
    uuid: String,
    major: u16,
    minor: u16,
    power_1m: i8,
}

/// One line for one advert: the first beacon of ours in it, else the first beacon.
fn line(advert: &[u8], decoder: &Decoder) -> Option<Line> {
    let ours = frames(advert).find_map(|frame| Some(Line { beacon: known(&frame, &decoder.known(&frame)?)?, ours: true }));
    ours.or_else(|| frames(advert).find_map(|frame| Some(Line { beacon: beacon(&frame)?, ours: false })))
}

/// A beacon of ours: a rotating id under whatever carrier, else what the frame says.
fn known(frame: &Frame<'_>, (subject, power_1m): &(Subject, i8)) -> Option<Kind> {
    let Subject::Rid { rid, hint } = subject else { return beacon(frame) };
    let carrier = match frame {
        Frame::ServiceData { .. } => "service-data",
        Frame::ServiceUuid(_) => "service-uuid",
        _ => "ibeacon",
    };
    Some(Kind::Rid { carrier, rid: hex::encode(rid.0), hint: *hint, power_1m: *power_1m })
}

/// `None` for frames that name no beacon: services, and battery levels.
fn beacon(frame: &Frame<'_>) -> Option<Kind> {
    match *frame {
        Frame::IBeacon(beacon) => Some(Kind::IBeacon(numbers(&beacon))),
        Frame::AltBeacon { company, beacon, reserved } => {
            Some(Kind::AltBeacon { company_id: company, id: hex::encode(beacon.id), numbers: numbers(&beacon), reserved })
        }
        Frame::Eddystone(frame) => Some(eddystone(frame)),
        Frame::Battery(_) | Frame::ServiceData { .. } | Frame::ServiceUuid(_) => None,
    }
}

fn numbers(beacon: &Proximity<'_>) -> Numbers {
    let uuid = uuid::Uuid::from_bytes(beacon.uuid()).to_string();
    Numbers { uuid, major: beacon.major(), minor: beacon.minor(), power_1m: beacon.power_1m }
}

fn eddystone(frame: Eddystone<'_>) -> Kind {
    match frame {
        Eddystone::Uid { power_0m, namespace, instance } => {
            Kind::EddystoneUid { power_0m, namespace: hex::encode(namespace), instance: hex::encode(instance) }
        }
        Eddystone::Url { power_0m, url } => Kind::EddystoneUrl { power_0m, url: url.to_string() },
        Eddystone::Tlm(how) => Kind::EddystoneTlm {
            version: 0,
            battery_mv: how.battery_mv,
            temperature_c: how.temperature_c(),
            adv_count: how.adverts,
            uptime_ds: how.uptime_ds,
        },
        Eddystone::EncryptedTlm { data, salt, mic } => Kind::EddystoneEtlm { version: 1, encrypted_data: hex::encode(data), salt, mic },
        Eddystone::Eid { power_0m, eid } => Kind::EddystoneEid { power_0m, eid: hex::encode(eid) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_with_blanks_and_what_is_wrong_with_it_is_told() {
        assert_eq!(bytes(b" 02 01\t0 6\r\n"), Ok(vec![2, 1, 6]));
        assert_eq!(bytes(b""), Ok(vec![]));
        assert_eq!(bytes(b"aBCd"), Ok(vec![0xab, 0xcd]));
        for good in [&b"0x020106"[..], b"0X02 0x01 0x06", b"02:01:06", b"0x02:01:06\r\n"] {
            assert_eq!(bytes(good), Ok(vec![2, 1, 6]), "{}", good.escape_ascii());
        }
        assert_eq!(bytes(b"020x06"), Err("column 4 is no hex digit".to_owned()));
        assert_eq!(bytes(b"0x"), Err("column 2 is no hex digit".to_owned()));
        assert_eq!(bytes(b"02\xff"), Err("column 3 is no hex digit".to_owned()));
        assert_eq!(bytes(b"020"), Err("3 hex digits are not whole bytes; each has two".to_owned()));
    }

    #[test]
    fn a_bad_line_is_told_and_the_next_one_is_decoded() {
        let mut printer = Printer { decoder: Decoder::of_brands([]), out: Vec::new(), err: Vec::new(), lines: 0, bad: 0 };
        printer.all(&b"\xef\xbb\xbf020106\nno\n\n0303aafe0d16aafe30e34549445f74657374"[..]).unwrap();
        let out = "null\nnull\nnull\n{\"type\":\"eddystone-eid\",\"power_0m\":-29,\"eid\":\"4549445f74657374\",\"ours\":false}\n";
        assert_eq!(String::from_utf8(printer.out).unwrap(), out);
        assert_eq!(String::from_utf8(printer.err).unwrap(), "line 2: column 1 is no hex digit\n");
        assert_eq!((printer.lines, printer.bad), (4, 1));
    }
}
