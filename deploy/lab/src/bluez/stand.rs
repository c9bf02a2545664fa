//! The process: plays the scenario to the daemon, and carries out the faults.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use dbus::channel::Channel;
use passage_protocol::Clock;
use serde_json::{Value, json};

use super::{
    control::{Control, Wish, bus_call, connect, request_name},
    model::{Counts, Model},
};
use crate::{
    Address, Scenario,
    scenario::{Act, Timeline, What},
};

/// Longest pause of the loop: so long a call may wait while nothing is on the air.
const PAUSE: Duration = Duration::from_millis(10);
/// How often silent senders are looked for.
const SWEEP: Duration = Duration::from_millis(500);

/// What systemd is on this bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Systemd {
    /// There is none.
    None,
    /// It restarts the daemon.
    Allow,
    /// It refuses.
    Deny,
}

/// How the stand-in is run.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The scenario.
    #[arg(long, value_name = "FILE")]
    pub scenario: PathBuf,
    /// Address of the message bus.
    #[arg(long, env = "DBUS_SYSTEM_BUS_ADDRESS")]
    pub bus: String,
    /// A sender is forgotten after so many seconds of silence (`TemporaryTimeout`).
    #[arg(long, default_value_t = 30.0)]
    pub temporary_timeout: f64,
    /// A daemon that was killed before has left a scan round of so many milliseconds behind.
    #[arg(long, default_value_t = 0)]
    pub busy_ms: u64,
    /// What systemd answers to the wish to restart the daemon.
    #[arg(long, value_enum, default_value = "allow")]
    pub systemd: Systemd,
    /// Milliseconds that a restart by systemd takes.
    #[arg(long, default_value_t = 500)]
    pub restart_ms: u64,
}

/// Runs until the scenario quits or the bus is gone. Writes `ready` to stdout when the names are taken.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let scenario = Scenario::load(&options.scenario)?;
    let mut stand = Stand::open(options, &scenario)?;
    println!("ready");
    while stand.turn()? {}
    Ok(())
}

/// A daemon on the bus.
struct Daemon {
    channel: Channel,
    model: Model,
}

struct Stand {
    bus: String,
    address: Address,
    timeout: Duration,
    restart: Duration,
    control: Control,
    daemon: Option<Daemon>,
    timeline: Timeline,
    /// The first scan: the scenario's time zero.
    zero: Option<Instant>,
    busy_until: Option<Instant>,
    start_at: Option<Instant>,
    swept: Instant,
    counts: Counts,
    latest: Duration,
}

impl Stand {
    fn open(options: &Options, scenario: &Scenario) -> anyhow::Result<Self> {
        let now = Instant::now();
        let mut stand = Self {
            bus: options.bus.clone(),
            address: scenario.adapter,
            timeout: Duration::from_secs_f64(options.temporary_timeout),
            restart: Duration::from_millis(options.restart_ms),
            control: Control::open(&options.bus, options.systemd)?,
            daemon: None,
            timeline: scenario.timeline(Clock::System.now()),
            zero: None,
            busy_until: (options.busy_ms > 0).then(|| now + Duration::from_millis(options.busy_ms)),
            start_at: None,
            swept: now,
            counts: Counts::default(),
            latest: Duration::ZERO,
        };
        stand.start_daemon()?;
        Ok(stand)
    }

    /// One turn of the loop; false at the end.
    fn turn(&mut self) -> anyhow::Result<bool> {
        self.wait()?;
        if let Some(daemon) = &mut self.daemon {
            daemon.receive();
            if !daemon.model.clients.is_empty() {
                self.zero.get_or_insert_with(Instant::now);
            }
        }
        if !self.play()? {
            return Ok(false);
        }
        for wish in self.control.serve(|what| look(self.daemon.as_ref(), self.counts, self.latest, what))? {
            match wish {
                Wish::Act(Act::Quit) => return Ok(false),
                Wish::Act(act) => self.act(act)?,
                Wish::Restart => self.restart(),
            }
        }
        if self.start_at.is_some_and(|at| Instant::now() >= at) {
            self.start_daemon()?;
        }
        self.sweep();
        if let Some(daemon) = &mut self.daemon {
            daemon.send();
        }
        Ok(true)
    }

    /// Waits for the bus or the next advert.
    fn wait(&self) -> anyhow::Result<()> {
        let next = self.zero.and_then(|zero| Some((zero + self.timeline.next_at()?).saturating_duration_since(Instant::now())));
        let pause = next.unwrap_or(PAUSE).clamp(Duration::from_millis(1), PAUSE);
        match &self.daemon {
            Some(daemon) => anyhow::ensure!(daemon.channel.read_write(Some(pause)).is_ok(), "the bus is gone"),
            None => thread::sleep(pause),
        }
        Ok(())
    }

    /// Everything of the scenario that is due; false when it quits.
    fn play(&mut self) -> anyhow::Result<bool> {
        let Some(zero) = self.zero else { return Ok(true) };
        let now = zero.elapsed();
        // In portions, so that calls are answered in between.
        for _ in 0..256 {
            let Some(step) = self.timeline.pop_due(now) else { break };
            match step.what {
                What::Advert(advert) => {
                    self.latest = self.latest.max(now.saturating_sub(step.at));
                    if let Some(daemon) = &mut self.daemon {
                        daemon.model.hear(&advert, now);
                    }
                }
                What::Act(Act::Quit) => return Ok(false),
                What::Act(act) => self.act(act)?,
            }
        }
        Ok(true)
    }

    fn act(&mut self, act: Act) -> anyhow::Result<()> {
        match (act, &mut self.daemon) {
            (Act::DaemonKill, _) => self.kill_daemon(),
            (Act::DaemonStart, None) => self.start_daemon()?,
            (Act::AdapterGone, Some(daemon)) => daemon.model.unplug(),
            (Act::AdapterBack, Some(daemon)) => daemon.model.plug(),
            (Act::PowerOff, Some(daemon)) => daemon.model.power(false),
            (Act::Wedge, Some(daemon)) => daemon.model.wedged = true,
            // The air is in the timeline. To freeze this process or to kill the bus is for whoever has started them.
            _ => {}
        }
        Ok(())
    }

    fn kill_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            self.busy_until = daemon.model.round_end();
            self.counts = daemon.model.counts;
        }
    }

    /// As systemd does: the daemon ends in order, and its scan with it.
    fn restart(&mut self) {
        self.kill_daemon();
        self.busy_until = None;
        self.counts.restarts += 1;
        self.start_at = Some(Instant::now() + self.restart);
    }

    fn start_daemon(&mut self) -> anyhow::Result<()> {
        self.start_at = None;
        let channel = connect(&self.bus)?;
        request_name(&channel, "org.bluez")?;
        let rule = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''";
        bus_call(&channel, "AddMatch", |call| call.append1(rule))?;
        let mut daemon = Daemon { channel, model: Model::new(self.address, self.counts, self.busy_until.take()) };
        daemon.send();
        self.daemon = Some(daemon);
        Ok(())
    }

    fn sweep(&mut self) {
        if self.swept.elapsed() < SWEEP {
            return;
        }
        self.swept = Instant::now();
        if let (Some(daemon), Some(zero)) = (&mut self.daemon, self.zero) {
            daemon.model.forget(zero.elapsed(), self.timeout);
        }
    }
}

impl Daemon {
    fn receive(&mut self) {
        while let Some(message) = self.channel.pop_message() {
            self.model.receive(message);
        }
    }

    fn send(&mut self) {
        for message in self.model.take_out() {
            let _ = self.channel.send(message);
        }
        self.channel.flush();
    }
}

/// What `org.passage.Lab1` tells.
fn look(daemon: Option<&Daemon>, counts: Counts, latest: Duration, what: &str) -> Value {
    match (what, daemon) {
        ("Advertisements", Some(daemon)) => daemon.model.advertising.to_json(),
        ("Advertisements", None) => json!([]),
        (_, Some(daemon)) => json!({
            "counts": daemon.model.counts, "known": daemon.model.devices.len(), "clients": daemon.model.clients.len(),
            "powered": daemon.model.powered, "wedged": daemon.model.wedged, "latest_ms": latest.as_secs_f64() * 1e3,
        }),
        (_, None) => json!({"counts": counts, "known": 0, "clients": 0}),
    }
}
