//! A bus, a stand-in for BlueZ and a listener, each a process of its own.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use dbus::{Message, arg::AppendAll, channel::Channel};
use passage_lab::bluez::PrivateBus;
use serde_json::Value;
use tempfile::TempDir;

/// 20 phones, five adverts a second each.
pub const WALKERS: &str = r#"{
  "name": "20 phones with fixed addresses", "seed": 17,
  "phones": [{"id": "walker", "repeat": 20, "address": "C0:00:00:00:10:00", "payload": "020106 09ffffff {i32} {r16}", "interval_ms": 200, "rssi": [[0, -60]], "rssi_jitter": 3}]
}"#;
/// Silence after which the listeners of these tests start the radio again; 15 s in a shop.
pub const RESTART_AFTER: Duration = Duration::from_secs(2);
/// A busy machine may take so long for anything.
pub const LONG: Duration = Duration::from_secs(60);

/// Kills its process when it is dropped.
pub struct Process(Child);

impl Process {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap().success());
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        self.0.try_wait().unwrap().and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that was stopped is killed as well.
        self.kill();
    }
}

pub struct Lab {
    pub bluez: Process,
    pub probe: Process,
    pub bus: PrivateBus,
    lines: Receiver<Value>,
    last: Value,
    folder: TempDir,
}

impl Lab {
    /// Everything runs and the first adverts are in.
    pub fn start(scenario: &str, bluez: &[&str], probe: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("scenario.json"), scenario).unwrap();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let bluez = start_bluez(&folder, &bus, bluez);
        let (probe, lines) = start_probe(&bus, probe);
        let mut lab = Self { bluez, probe, bus, lines, last: Value::Null, folder };
        lab.wait("the first adverts", LONG, |line| count(line, "adverts") > 0);
        lab
    }

    /// Another stand-in, after the first one was killed.
    pub fn restart_bluez(&mut self, options: &[&str]) {
        self.bluez.kill();
        self.bluez = start_bluez(&self.folder, &self.bus, options);
    }

    /// Waits until the listener says so, and gives what it says.
    pub fn wait(&mut self, what: &str, limit: Duration, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            match self.lines.recv_timeout(limit.saturating_sub(begun.elapsed())) {
                Ok(line) => self.last = line,
                Err(RecvTimeoutError::Timeout) => panic!("{what}: not within {limit:?}; the listener says {}", self.last),
                Err(RecvTimeoutError::Disconnected) => panic!("{what}: the listener has ended; it said {}", self.last),
            }
            if is_so(&self.last) {
                return self.last.clone();
            }
        }
    }

    /// Waits until nothing has been heard for a second: the fault is real.
    pub fn falls_silent(&mut self) {
        let (mut adverts, mut since) = (u64::MAX, 0);
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < LONG, "the radio does not fall silent: {}", self.last);
            let line = self.wait("a line", LONG, |_| true);
            if count(&line, "adverts") != adverts {
                (adverts, since) = (count(&line, "adverts"), count(&line, "ms"));
            } else if count(&line, "ms") - since >= 1000 {
                return;
            }
        }
    }

    /// Waits until the phones are heard again, and prints how long that took from `since`.
    pub fn hears_again(&mut self, fault: &str, since: Instant) -> Value {
        let before = count(&self.last, "adverts");
        let line = self.wait("the radio hears again", LONG, |line| count(line, "adverts") >= before + 20);
        println!("{fault}: heard again after {:.1} s; {line}", since.elapsed().as_secs_f64());
        line
    }

    /// Waits until no flag is raised any more.
    pub fn is_well(&mut self) {
        self.wait("no flag is raised", LONG, |line| line["silent"] == false && line["wedged"] == false);
    }

    /// The last thing that the listener said.
    pub fn now(&mut self) -> Value {
        while let Ok(line) = self.lines.try_recv() {
            self.last = line;
        }
        self.last.clone()
    }

    /// Causes a fault.
    pub fn fault(&self, name: &str) {
        self.call("Fault", (name,)).unwrap();
    }

    /// What the stand-in counts.
    pub fn stats(&self) -> Value {
        let answer = self.call("Stats", ()).unwrap();
        serde_json::from_str(answer.read1().unwrap()).unwrap()
    }

    fn call(&self, method: &str, arguments: impl AppendAll) -> Result<Message, dbus::Error> {
        let mut channel = Channel::open_private(&self.bus.address())?;
        channel.register()?;
        let call = Message::call_with_args("org.passage.Lab1", "/org/passage/lab", "org.passage.Lab1", method, arguments);
        channel.send_with_reply_and_block(call, Duration::from_secs(20))
    }
}

fn start_bluez(folder: &TempDir, bus: &PrivateBus, options: &[&str]) -> Process {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab-bluez"))
        .arg("--scenario")
        .arg(folder.path().join("scenario.json"))
        .args(["--bus", &bus.address()])
        .args(options)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready.trim(), "ready");
    Process(child)
}

/// A listener, and the lines that it prints.
pub fn start_probe(bus: &PrivateBus, options: &[&str]) -> (Process, Receiver<Value>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab-probe"))
        .args(["--restart-after-ms", &RESTART_AFTER.as_millis().to_string()])
        .args(options)
        .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                return;
            }
        }
    });
    (Process(child), lines)
}

pub fn count(line: &Value, key: &str) -> u64 {
    line[key].as_u64().unwrap_or_else(|| panic!("no {key} in {line}"))
}

/// Resident memory of a process in KiB.
pub fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Processor time of a process so far, in seconds.
pub fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split_whitespace().collect();
    // utime and stime in ticks; Linux counts 100 a second for everybody.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
