//! A Bluetooth LE controller that is not there: HCI commands in, HCI events out. Pure; `lab-air` puts it on `/dev/vhci`.
//!
//! It answers as a 4.2 chip that knows only Low Energy, so that the kernel uses the legacy scan and advertising commands. It scans, filters
//! duplicates if told to, and advertises into a log. It makes no connections. Numbers are those of the Bluetooth Core Specification, volume 4,
//! part E.

use crate::{
    Address,
    scenario::{AddressType, Advert, AdvertKind},
};

mod answer;
mod duplicates;
pub mod packet;

#[cfg(test)]
mod tests;

use duplicates::Duplicates;
use packet::{Command, opcode};

/// The state of the chip.
#[derive(Debug)]
pub struct Controller {
    address: Address,
    scan: Scan,
    duplicates: Duplicates,
    advertising: Advertising,
}

/// What the host asked of the scanner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Scan {
    is_on: bool,
    /// Scan requests go out.
    is_active: bool,
    filters_duplicates: bool,
}

/// What the host asked of the advertiser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Advertising {
    is_on: bool,
    kind: u8,
    data: Vec<u8>,
    scan_response: Vec<u8>,
}

/// What a command has changed, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The scan was switched on or off.
    Scan {
        /// On?
        is_on: bool,
        /// Does it ask for scan responses?
        is_active: bool,
        /// Does the host want each advertiser once?
        filters_duplicates: bool,
    },
    /// The adapter advertises this, or nothing any more.
    Advertises(Option<OnAir>),
    /// A command that this chip does not know and answered with plain success.
    Unknown(u16),
}

/// An advert of the adapter itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnAir {
    /// Advertising type: 0 connectable, 2 scannable, 3 neither.
    pub kind: u8,
    /// AD structures.
    pub data: Vec<u8>,
    /// AD structures of the scan response.
    pub scan_response: Vec<u8>,
}

/// What became of an advert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The host is told with these packets.
    Reported(Vec<Vec<u8>>),
    /// Nobody scans.
    NotScanning,
    /// The filter has seen its sender in this round.
    Duplicate,
}

impl Controller {
    /// A chip after power-on. `remembered` is how many advertisers its filter for duplicates remembers; with 0 it filters nothing.
    pub fn new(address: Address, remembered: usize) -> Self {
        Self { address, scan: Scan::default(), duplicates: Duplicates::new(remembered), advertising: Advertising::default() }
    }

    /// True while adverts are reported.
    pub fn scans(&self) -> bool {
        self.scan.is_on
    }

    /// Carries out a command. Gives the event for the host, and what has changed.
    pub fn command(&mut self, command: &Command<'_>) -> (Vec<u8>, Option<Change>) {
        let (answer, change) = match (command.opcode, command.parameters) {
            (opcode::RESET, _) => {
                *self = Self::new(self.address, self.duplicates.capacity());
                (vec![0], None)
            }
            (opcode::LE_SET_SCAN_PARAMETERS, [kind, ..]) => {
                self.scan.is_active = *kind == 1;
                (vec![0], None)
            }
            (opcode::LE_SET_SCAN_ENABLE, [is_on, filters, ..]) => (vec![0], Some(self.switch_scan(*is_on == 1, *filters == 1))),
            (opcode::LE_SET_ADVERTISING_PARAMETERS, [_, _, _, _, kind, ..]) => {
                self.advertising.kind = *kind;
                (vec![0], None)
            }
            (opcode::LE_SET_ADVERTISING_DATA, parameters) => {
                self.advertising.data = counted(parameters);
                (vec![0], self.advertising.on_air())
            }
            (opcode::LE_SET_SCAN_RESPONSE_DATA, parameters) => {
                self.advertising.scan_response = counted(parameters);
                (vec![0], self.advertising.on_air())
            }
            (opcode::LE_SET_ADVERTISING_ENABLE, [is_on, ..]) => {
                let was_on = std::mem::replace(&mut self.advertising.is_on, *is_on == 1);
                let off = was_on.then_some(Change::Advertises(None));
                (vec![0], self.advertising.on_air().or(off))
            }
            (code, _) => match answer::fixed(code, self.address) {
                Some(answer) => (answer, None),
                None => (vec![0], Some(Change::Unknown(code))),
            },
        };
        (packet::command_complete(command.opcode, &answer), change)
    }

    fn switch_scan(&mut self, is_on: bool, filters_duplicates: bool) -> Change {
        self.scan = Scan { is_on, filters_duplicates, ..self.scan };
        // Each round begins with an empty memory.
        self.duplicates.forget();
        Change::Scan { is_on, is_active: self.scan.is_active, filters_duplicates }
    }

    /// An advert arrives at the antenna.
    pub fn hear(&mut self, advert: &Advert) -> Fate {
        if !self.scan.is_on {
            return Fate::NotScanning;
        }
        if self.scan.filters_duplicates && !self.duplicates.is_new(advert.address) {
            return Fate::Duplicate;
        }
        let is_random = advert.address_type == AddressType::Random;
        let report = |kind, data: &[u8]| packet::advertising_report(kind, is_random, advert.address, data, advert.rssi);
        let (kind, is_askable) = match advert.kind {
            AdvertKind::Connectable => (packet::ADV_IND, true),
            AdvertKind::Scannable => (packet::ADV_SCAN_IND, true),
            AdvertKind::NonConnectable => (packet::ADV_NONCONN_IND, false),
        };
        let mut packets = vec![report(kind, &advert.data)];
        if is_askable && self.scan.is_active {
            packets.push(report(packet::SCAN_RSP, advert.scan_response.as_deref().unwrap_or_default()));
        }
        Fate::Reported(packets)
    }
}

impl Advertising {
    fn on_air(&self) -> Option<Change> {
        let Self { is_on, kind, data, scan_response } = self;
        is_on.then(|| Change::Advertises(Some(OnAir { kind: *kind, data: data.clone(), scan_response: scan_response.clone() })))
    }
}

/// Data behind its length; the rest is padding.
fn counted(parameters: &[u8]) -> Vec<u8> {
    let Some((len, data)) = parameters.split_first() else { return Vec::new() };
    data.iter().take(usize::from(*len)).copied().collect()
}
