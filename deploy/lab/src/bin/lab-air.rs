//! Puts the phones of a scenario on the air of a real kernel: a virtual Bluetooth controller on `/dev/vhci`. The kernel makes an ordinary
//! `hciN` of it. Prints what happens, one JSON object a line. Needs root.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Parser;
use passage_lab::{
    Address, Scenario,
    air::{
        Change, Controller, Fate,
        packet::{self, FromHost},
    },
    scenario::{Act, Advert, Timeline, What},
};
use passage_protocol::{Clock, Millis};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
};
use serde_json::{Value, json};

/// Time between two counts.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Adverts that are played before commands are looked at again.
const BATCH: usize = 64;

#[derive(Parser)]
#[command(name = "lab-air", about = "A virtual Bluetooth controller that hears the phones of a scenario")]
struct Cli {
    /// The scenario.
    scenario: PathBuf,
    /// How many advertisers the chip's filter for duplicates remembers; 0 is a chip that filters nothing.
    #[arg(long, default_value_t = 0)]
    remember: usize,
    /// Folder of programs that carry out the actions, named as in the scenario. Without it only the adapter and the air can fail.
    #[arg(long)]
    hooks: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let scenario = Scenario::load(&cli.scenario)?;
    let mut air = Air {
        adapter: Some(Adapter::plug_in(scenario.adapter, cli.remember)?),
        played: None,
        counts: BTreeMap::new(),
        hooks: cli.hooks,
        remember: cli.remember,
        scenario,
    };
    air.run()
}

/// The adapter, the phones around it, and the count of what became of their adverts.
struct Air {
    scenario: Scenario,
    adapter: Option<Adapter>,
    /// Begins with the first scan.
    played: Option<(Instant, Timeline)>,
    counts: BTreeMap<&'static str, u64>,
    hooks: Option<PathBuf>,
    remember: usize,
}

impl Air {
    fn run(&mut self) -> anyhow::Result<()> {
        let mut tell_at = Instant::now();
        loop {
            if tell_at <= Instant::now() {
                say("count", &json!(self.counts));
                tell_at = Instant::now() + TELL_EVERY;
            }
            let due = self.next_due().map_or(tell_at, |due| due.min(tell_at));
            let packets = wait(self.adapter.as_ref(), due)?;
            self.obey(&packets)?;
            self.play()?;
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let (start, timeline) = self.played.as_ref()?;
        start.checked_add(timeline.next_at()?)
    }

    /// Carries out commands of the host.
    fn obey(&mut self, packets: &[Vec<u8>]) -> anyhow::Result<()> {
        for packet in packets {
            let Some(adapter) = &mut self.adapter else { return Ok(()) };
            match FromHost::parse(packet) {
                FromHost::Command(command) => {
                    let (answer, change) = adapter.chip.command(&command);
                    adapter.write(&answer)?;
                    if let Some(change) = change {
                        tell(&change);
                    }
                }
                FromHost::Adapter(number) => say("adapter", &json!({ "hci": number })),
                FromHost::Other => {}
            }
        }
        let scans = self.adapter.as_ref().is_some_and(|adapter| adapter.chip.scans());
        if scans && self.played.is_none() {
            let start = Clock::System.now();
            self.played = Some((Instant::now(), self.scenario.timeline(start)));
            say("start", &json!({ "at": start }));
        }
        Ok(())
    }

    /// Plays what is due.
    fn play(&mut self) -> anyhow::Result<()> {
        for _ in 0..BATCH {
            let Some((start, timeline)) = &mut self.played else { return Ok(()) };
            let Some(step) = timeline.pop_due(start.elapsed()) else { return Ok(()) };
            match step.what {
                What::Advert(advert) => self.hear(&advert),
                What::Act(act) => self.act(act)?,
            }
        }
        Ok(())
    }

    fn hear(&mut self, advert: &Advert) {
        let fate = match &mut self.adapter {
            None => "no_adapter",
            Some(adapter) => match adapter.chip.hear(advert) {
                Fate::NotScanning => "not_scanning",
                Fate::Duplicate => "duplicate",
                Fate::Reported(packets) if packets.iter().all(|packet| adapter.write(packet).is_ok()) => "reported",
                Fate::Reported(_) => "refused",
            },
        };
        *self.counts.entry(fate).or_default() += 1;
    }

    fn act(&mut self, act: Act) -> anyhow::Result<()> {
        let name = serde_json::to_value(act)?;
        say("act", &json!({ "do": name }));
        match act {
            Act::AdapterGone => self.adapter = None,
            Act::AdapterBack => self.adapter = Some(Adapter::plug_in(self.scenario.adapter, self.remember)?),
            Act::AirOff | Act::AirOn => {}
            _ => self.hook(name.as_str().unwrap_or_default()),
        }
        Ok(())
    }

    /// Starts the program of an action and does not wait for it.
    fn hook(&self, name: &str) {
        let Some(program) = self.hooks.as_deref().map(|folder: &Path| folder.join(name)) else {
            return say("error", &json!({ "why": format!("no --hooks, so nothing can {name}") }));
        };
        if let Err(e) = std::process::Command::new(&program).spawn() {
            say("error", &json!({ "why": format!("{}: {e}", program.display()) }));
        }
    }
}

/// A chip in its socket. Dropping it pulls it out.
struct Adapter {
    device: File,
    chip: Controller,
}

impl Adapter {
    fn plug_in(address: Address, remember: usize) -> anyhow::Result<Self> {
        let mut device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open("/dev/vhci")
            .context("cannot open /dev/vhci; run as root after `modprobe hci_vhci`")?;
        device.write_all(&packet::MAKE_ADAPTER)?;
        Ok(Self { device, chip: Controller::new(address, remember) })
    }

    fn write(&mut self, packet: &[u8]) -> io::Result<()> {
        self.device.write_all(packet)
    }
}

/// The packets that the host has sent; waits for one until `due`.
fn wait(adapter: Option<&Adapter>, due: Instant) -> io::Result<Vec<Vec<u8>>> {
    let patience = Timespec::try_from(due.saturating_duration_since(Instant::now())).ok();
    let Some(adapter) = adapter else {
        poll(&mut [], patience.as_ref())?;
        return Ok(Vec::new());
    };
    poll(&mut [PollFd::new(&adapter.device, PollFlags::IN)], patience.as_ref())?;
    let mut packets = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match (&adapter.device).read(&mut buffer) {
            Ok(len) => packets.extend(buffer.get(..len).map(<[u8]>::to_vec)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(packets),
            Err(e) => return Err(e),
        }
    }
}

fn tell(change: &Change) {
    match change {
        Change::Scan { is_on, is_active, filters_duplicates } => {
            say("scan", &json!({ "on": is_on, "active": is_active, "filter_duplicates": filters_duplicates }));
        }
        Change::Advertises(None) => say("advertises", &json!({ "on": false })),
        Change::Advertises(Some(on_air)) => {
            let (data, scan_rsp) = (hex::encode(&on_air.data), hex::encode(&on_air.scan_response));
            say("advertises", &json!({ "on": true, "kind": on_air.kind, "data": data, "scan_rsp": scan_rsp }));
        }
        // The kernel sets event masks and the like; there is nothing in it for this chip.
        Change::Unknown(_) => {}
    }
}

/// One line with the time of the machine's clock in milliseconds.
fn say(what: &str, more: &Value) {
    let Millis(t) = Clock::System.now();
    println!("{}", json!({ "t": t, "what": what, "more": more }));
}
