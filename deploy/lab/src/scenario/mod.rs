//! A scenario: which phones are on the air, and what goes wrong meanwhile. A JSON file (`deploy/lab/README.md` describes it), read once,
//! checked whole, and played by [`Timeline`]. Pure: the same file and the same start give the same adverts.

use std::{path::Path, time::Duration};

use passage_protocol::Millis;

use crate::Address;

mod app;
mod curve;
mod file;
mod template;
mod timeline;

#[cfg(test)]
mod tests;

pub use app::{App, Brand, Carrier};
pub use curve::Curve;
pub use template::Template;
pub use timeline::{Advert, Step, Timeline, What};

/// Most bytes of advertising data in one legacy advert.
pub const MAX_DATA: usize = 31;

/// A checked scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// For people.
    pub name: String,
    /// Same seed: same addresses, payloads and order.
    pub seed: u64,
    /// Address of the virtual adapter.
    pub adapter: Address,
    /// Who is on the air.
    pub phones: Vec<Phone>,
    /// What happens, in the order of time.
    pub actions: Vec<Action>,
}

/// One or more phones of one kind. Times count from the start of the scenario, which is the first scan.
#[derive(Debug, Clone)]
pub struct Phone {
    /// Name, unique in the scenario.
    pub id: String,
    /// Number of instances; each has its own number from 0 on.
    pub repeat: u32,
    /// Where its addresses come from.
    pub address: AddressPlan,
    /// Random (as phones use) or public.
    pub address_type: AddressType,
    /// How the advert may be answered.
    pub kind: AdvertKind,
    /// What it says.
    pub content: Content,
    /// Sent to an active scanner after each advert of a kind that can be asked.
    pub scan_response: Option<Template>,
    /// Mean time between two adverts, without the delay.
    pub interval: Duration,
    /// Most random delay that is added to each interval. The standard says 10 ms.
    pub advert_delay: Duration,
    /// Strength over time.
    pub rssi: Curve,
    /// Most dB that a single advert is off the curve, either way.
    pub rssi_jitter: f64,
    /// Share of adverts that nobody hears, 0 to 1.
    pub loss: f64,
    /// When instance 0 comes.
    pub start: Duration,
    /// Each instance comes this much later than the one before.
    pub stagger: Duration,
    /// When all instances are gone.
    pub stop: Option<Duration>,
    /// How long each instance stays.
    pub stay: Option<Duration>,
}

/// Where the address of an instance comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPlan {
    /// Instance i has this address plus i.
    Fixed(Address),
    /// Derived from the seed and shaped as a resolvable private address. With a period it changes so often, at a moment of the instance's own;
    /// that of an app changes with its id.
    Derived {
        /// Time between two changes.
        rotate: Option<Duration>,
    },
}

/// Kind of a device address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressType {
    /// Any kind of random address.
    Random,
    /// Given by the manufacturer.
    Public,
}

/// What an advert invites to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdvertKind {
    /// Nothing.
    NonConnectable,
    /// Connecting, and asking for more.
    Connectable,
    /// Asking for more.
    Scannable,
}

/// What a phone advertises.
#[derive(Debug, Clone)]
pub enum Content {
    /// The bytes of a template.
    Template(Template),
    /// RID v1 of an app.
    App(App),
}

/// Something that happens at a moment of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// When, from the start.
    pub at: Duration,
    /// What.
    pub what: Act,
}

/// What can happen. The names in the file are these in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// bluetoothd dies without a word.
    DaemonKill,
    /// bluetoothd is started.
    DaemonStart,
    /// The adapter is pulled out.
    AdapterGone,
    /// It is plugged in again.
    AdapterBack,
    /// Another program powers the adapter off.
    PowerOff,
    /// bluetoothd hangs.
    Freeze,
    /// It goes on.
    Thaw,
    /// The message bus dies.
    BusKill,
    /// The message bus is started again, and bluetoothd on it.
    BusStart,
    /// All phones fall silent.
    AirOff,
    /// They are heard again.
    AirOn,
    /// bluetoothd believes that it scans, and reports nothing. The real one is brought there by a hang over the end of a scan round with some
    /// hundred adverts queued.
    Wedge,
    /// The stand-in ends.
    Quit,
}

/// Every mistake of a scenario, one a line, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScenarioError(pub String);

impl Scenario {
    /// Reads a scenario from JSON text.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        file::decode(text)
    }

    /// Reads a scenario file. The error names the file.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path).map_err(|e| ScenarioError(format!("{}: {e}", path.display())))?;
        Self::parse(&text).map_err(|e| ScenarioError(format!("{}: {e}", path.display())))
    }

    /// Everything that happens, in the order of time. `start` is the business time of the first moment: ids of apps follow it.
    pub fn timeline(&self, start: Millis) -> Timeline {
        Timeline::new(self, start)
    }
}

impl Phone {
    /// When an instance is on the air: from, and until (never, unless told).
    pub fn presence(&self, instance: u32) -> (Duration, Option<Duration>) {
        let from = self.start + self.stagger.saturating_mul(instance);
        let leaves = self.stay.map(|stay| from + stay);
        (from, [self.stop, leaves].into_iter().flatten().min())
    }
}
