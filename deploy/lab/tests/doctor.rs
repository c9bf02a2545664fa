//! The doctor at a stand-in for BlueZ: each trouble with the radio has its line, and its mend.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use dbus::{Message, channel::Channel};
use passage_lab::bluez::PrivateBus;
use serde_json::Value;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(90);

/// A bus, a stand-in for BlueZ, and the file of a gateway with a radio.
struct Shop {
    bluez: Child,
    bus: PrivateBus,
    folder: TempDir,
}

impl Drop for Shop {
    fn drop(&mut self) {
        // A process that was stopped is killed as well.
        let _ = self.bluez.kill();
        let _ = self.bluez.wait();
    }
}

impl Shop {
    fn open(radio: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scenario = folder.path().join("scenario.json");
        std::fs::write(&scenario, r#"{ "name": "nobody", "seed": 1, "phones": [] }"#).unwrap();
        let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/demo");
        let text = format!(
            "id = \"gw-lyon-1\"\nstore = \"lyon-bellecour\"\nsite = \"{demo}\"\ndata = \"{}\"\nhub_keys = []\nradio = {radio}\n[mqtt]\nhost = \"127.0.0.1\"\nport = 9\n",
            folder.path().join("data").display()
        );
        std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let mut bluez = Command::new(env!("CARGO_BIN_EXE_lab-bluez"))
            .arg("--scenario")
            .arg(&scenario)
            .args(["--bus", &bus.address()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(bluez.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready.trim(), "ready");
        Self { bluez, bus, folder }
    }

    /// What the doctor finds.
    fn examine(&self) -> Vec<Value> {
        let out = Command::new(gateway())
            .args(["doctor", "--json", "--config"])
            .arg(self.folder.path().join("gateway.toml"))
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(1), "there is no broker: {out:?}");
        String::from_utf8(out.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asks until the doctor finds this of `check`: its state, a part of what it says, and a part of the mend.
    fn finds(&self, check: &str, state: &str, what: &str, mend: &str) {
        let begun = Instant::now();
        loop {
            let findings = self.examine();
            let found = findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("no {check} in {findings:#?}"));
            let says = |key: &str, part: &str| found[key].as_str().unwrap_or_default().contains(part);
            if found["state"] == state && says("what", what) && says("mend", mend) {
                return;
            }
            assert!(begun.elapsed() < LONG, "not `{what}`, but {found}");
        }
    }

    fn fault(&self, name: &str) {
        let mut channel = Channel::open_private(&self.bus.address()).unwrap();
        channel.register().unwrap();
        let call = Message::call_with_args("org.passage.Lab1", "/org/passage/lab", "org.passage.Lab1", "Fault", (name,));
        channel.send_with_reply_and_block(call, LONG).unwrap();
    }
}

/// `CARGO_BIN_EXE_*` exists only inside its own package, so the gateway is found beside this test's own folder.
fn gateway() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let file = here.parent().and_then(Path::parent).unwrap().join("passage-gateway");
    assert!(file.is_file(), "{} is missing: build it first with `cargo build --workspace --bins` (deploy/test does)", file.display());
    file
}

#[test]
fn a_radio_without_trouble_is_well() {
    let shop = Shop::open("\"ble\"");
    shop.finds("bluetoothd", "ok", "on the bus and answers", "");
    shop.finds("adapter", "ok", "hci0 is on and does not scan now", "");
}

#[test]
fn an_adapter_that_is_switched_off_or_pulled_is_told() {
    let shop = Shop::open("\"ble\"");
    shop.fault("power_off");
    shop.finds("adapter", "wrong", "hci0 is switched off", "bluetoothctl power on");
    shop.fault("adapter_gone");
    shop.finds("adapter", "wrong", "no Bluetooth adapter", "plug one in");
    shop.fault("adapter_back");
    shop.finds("adapter", "ok", "hci0 is on", "");
}

#[test]
fn another_adapter_than_the_wanted_one_is_told_with_what_there_is() {
    let shop = Shop::open("{ ble = { adapter = \"02:00:5E:00:53:77\" } }");
    shop.finds("adapter", "wrong", "02:00:5E:00:53:77` of gateway.toml is not here; there is hci0", "name one of these");
}

#[test]
fn a_daemon_that_is_dead_is_told_and_not_started() {
    let shop = Shop::open("\"ble\"");
    shop.fault("daemon_kill");
    shop.finds("bluetoothd", "wrong", "not on the bus", "enable --now bluetooth");
    shop.finds("adapter", "wrong", "bluetoothd does not tell", "mend the line above");
}

#[test]
fn a_daemon_that_hangs_is_told_after_five_seconds() {
    let shop = Shop::open("\"ble\"");
    assert!(Command::new("kill").args(["-s", "STOP", &shop.bluez.id().to_string()]).status().unwrap().success());
    shop.finds("bluetoothd", "wrong", "does not answer", "systemctl restart bluetooth");
}

#[test]
fn a_bus_that_is_dead_is_told() {
    let mut shop = Shop::open("\"ble\"");
    shop.bus.kill();
    shop.finds("bluetoothd", "wrong", "message bus cannot be reached", "systemctl start dbus");
}
