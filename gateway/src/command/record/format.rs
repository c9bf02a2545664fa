//! The two formats that are written.

use std::{
    io::{self, Write},
    path::Path,
};

use crate::radio::{Advert, replay::encode};

/// How a capture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    Lines,
    /// btsnoop as `btmon -w` writes it: `btmon -r` and Wireshark read it too.
    Btsnoop,
}

impl Format {
    /// By the ending of the file's name.
    pub fn of(file: &Path) -> anyhow::Result<Self> {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl" | "ndjson" | "json") => Ok(Self::Lines),
            Some("btsnoop" | "snoop" | "log") => Ok(Self::Btsnoop),
            _ => anyhow::bail!("{}: the ending does not tell the format. Mend: end the name with .jsonl or .btsnoop", file.display()),
        }
    }

    /// Writes what stands before the first advert.
    pub fn begin(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Lines => Ok(()),
            Self::Btsnoop => out.write_all(&encode::btsnoop_header()),
        }
    }

    /// Writes one advert.
    pub fn write(self, advert: &Advert, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Lines => writeln!(out, "{}", encode::line(advert)),
            Self::Btsnoop => {
                encode::hci_events(advert).iter().try_for_each(|event| out.write_all(&encode::btsnoop_record(advert.at, event)))
            }
        }
    }
}
