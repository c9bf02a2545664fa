//! The radio: switches, bluetoothd on the bus, the adapter.

use std::path::Path;

use super::finding::Finding;

/// A Bluetooth switch of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Switch {
    pub name: String,
    /// Switched off by software.
    pub soft: bool,
    /// Switched off by a button or the firmware.
    pub hard: bool,
}

/// What the bus says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "ble"), allow(dead_code, reason = "a build without Bluetooth asks nobody"))]
pub(super) enum Bus {
    /// The system bus cannot be reached.
    Unreachable(String),
    /// Nobody is called org.bluez.
    NoBluez,
    /// This user may not talk to org.bluez.
    Denied,
    /// org.bluez does not answer.
    Mute(String),
    /// Its adapters.
    Adapters(Vec<Adapter>),
}

/// An adapter as BlueZ shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Adapter {
    /// `hci0`
    pub name: String,
    pub address: String,
    pub powered: bool,
    pub discovering: bool,
}

/// The kernel's Bluetooth switches in `folder` (`/sys/class/rfkill`).
pub(super) fn switches(folder: &Path) -> Vec<Switch> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default().trim().to_owned();
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| read(folder, "type") == "bluetooth")
        .map(|folder| Switch { name: read(&folder, "name"), soft: read(&folder, "soft") == "1", hard: read(&folder, "hard") == "1" })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Judges the switches.
pub(super) fn judge_switches(switches: &[Switch]) -> Finding {
    const CHECK: &str = "rfkill";
    if let Some(switch) = switches.iter().find(|switch| switch.hard) {
        let what = format!("Bluetooth {} is switched off by a button or by the firmware", switch.name);
        return Finding::wrong(CHECK, what, "look for the switch or key for flight mode, or for Bluetooth in the firmware's setup");
    }
    if let Some(switch) = switches.iter().find(|switch| switch.soft) {
        return Finding::wrong(CHECK, format!("Bluetooth {} is switched off by software", switch.name), "run `rfkill unblock bluetooth`");
    }
    match switches.len() {
        0 => Finding::ok(CHECK, "no Bluetooth switch on this machine"),
        n => Finding::ok(CHECK, format!("{n} Bluetooth switches, all on")),
    }
}

/// Judges bluetoothd, with its version where it is known.
pub(super) fn judge_daemon(bus: &Bus, version: Option<&str>) -> Finding {
    const CHECK: &str = "bluetoothd";
    let version = version.map_or_else(|| "version unknown".to_owned(), |version| format!("version {version}"));
    match bus {
        Bus::Unreachable(why) => Finding::wrong(
            CHECK,
            format!("the system message bus cannot be reached: {why}"),
            "run `systemctl start dbus`; in a container, mount /run/dbus",
        ),
        Bus::NoBluez => Finding::wrong(
            CHECK,
            format!("bluetoothd is not on the bus ({version})"),
            "install the package `bluez` if it is missing, and run `systemctl enable --now bluetooth`",
        ),
        Bus::Denied => Finding::wrong(
            CHECK,
            "this user may not talk to bluetoothd",
            "run this as the user of the gateway's service, and add that user to the group `bluetooth`",
        ),
        Bus::Mute(why) => Finding::wrong(CHECK, format!("bluetoothd does not answer: {why}"), "run `systemctl restart bluetooth`"),
        Bus::Adapters(_) => Finding::ok(CHECK, format!("on the bus and answers ({version})")),
    }
}

/// Judges the adapter that the configuration wants, or the first one.
pub(super) fn judge_adapter(bus: &Bus, wanted: Option<&str>) -> Finding {
    const CHECK: &str = "adapter";
    let Bus::Adapters(adapters) = bus else {
        return Finding::wrong(CHECK, "unknown, because bluetoothd does not tell", "mend the line above first");
    };
    let names = || adapters.iter().map(|adapter| format!("{} ({})", adapter.name, adapter.address)).collect::<Vec<_>>().join(", ");
    let matches = |adapter: &&Adapter| wanted.is_none_or(|wanted| adapter.name == wanted || adapter.address.eq_ignore_ascii_case(wanted));
    match adapters.iter().find(matches) {
        None if adapters.is_empty() => Finding::wrong(
            CHECK,
            "this machine has no Bluetooth adapter",
            "plug one in; if one is there, `dmesg | grep -i bluetooth` says why it is not used, often because of missing firmware",
        ),
        None => Finding::wrong(
            CHECK,
            format!("the adapter `{}` of gateway.toml is not here; there is {}", wanted.unwrap_or_default(), names()),
            "name one of these as `adapter`, best by its address, or leave the key out",
        ),
        Some(adapter) if !adapter.powered => Finding::wrong(
            CHECK,
            format!("{} is switched off", adapter.name),
            "run `bluetoothctl power on`; the gateway does so itself when it starts",
        ),
        Some(_) if wanted.is_none() && adapters.len() > 1 => Finding::warning(
            CHECK,
            format!("there are {}: {}; the first one is used, whichever that is after a restart", adapters.len(), names()),
            "name the right one by its address: radio = { ble = { adapter = \"..\" } }",
        ),
        Some(adapter) => {
            let scans = if adapter.discovering { "scans" } else { "does not scan now" };
            Finding::ok(CHECK, format!("{} is on and {scans}", adapter.name))
        }
    }
}

/// Asks the system bus; waits 5 s at most for each answer.
#[cfg(feature = "ble")]
pub(super) fn bus() -> Bus {
    use std::{collections::HashMap, time::Duration};

    use dbus::{
        Path,
        arg::{PropMap, prop_cast},
        blocking::Connection,
    };

    type Objects = HashMap<Path<'static>, HashMap<String, PropMap>>;
    const ANSWER: Duration = Duration::from_secs(5);
    let connection = match Connection::new_system() {
        Ok(connection) => connection,
        Err(e) => return Bus::Unreachable(e.to_string()),
    };
    let daemon = connection.with_proxy("org.freedesktop.DBus", "/org/freedesktop/DBus", ANSWER);
    match daemon.method_call("org.freedesktop.DBus", "NameHasOwner", ("org.bluez",)) {
        Ok((true,)) => {}
        // Asking BlueZ itself would start it; the doctor changes nothing.
        Ok((false,)) => return Bus::NoBluez,
        Err(e) => return Bus::Unreachable(e.to_string()),
    }
    let bluez = connection.with_proxy("org.bluez", "/", ANSWER);
    let answer: Result<(Objects,), _> = bluez.method_call("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ());
    let objects = match answer {
        Ok((objects,)) => objects,
        Err(e) if e.name() == Some("org.freedesktop.DBus.Error.AccessDenied") => return Bus::Denied,
        Err(e) => return Bus::Mute(e.to_string()),
    };
    let adapter = |(path, interfaces): (&Path<'static>, &HashMap<String, PropMap>)| {
        let properties = interfaces.get("org.bluez.Adapter1")?;
        Some(Adapter {
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            address: prop_cast::<String>(properties, "Address").cloned().unwrap_or_default(),
            powered: prop_cast(properties, "Powered").copied().unwrap_or(false),
            discovering: prop_cast(properties, "Discovering").copied().unwrap_or(false),
        })
    };
    let mut adapters: Vec<_> = objects.iter().filter_map(adapter).collect();
    adapters.sort_by(|a, b| a.name.cmp(&b.name));
    Bus::Adapters(adapters)
}

/// This build has no Bluetooth.
#[cfg(not(feature = "ble"))]
pub(super) fn bus() -> Bus {
    Bus::Unreachable("this build has no Bluetooth".to_owned())
}

/// The version of the installed bluetoothd.
pub(super) fn version() -> Option<String> {
    let daemons = ["/usr/libexec/bluetooth/bluetoothd", "/usr/lib/bluetooth/bluetoothd", "/usr/sbin/bluetoothd"];
    let daemon = daemons.iter().find(|daemon| Path::new(daemon).is_file())?;
    let said = std::process::Command::new(daemon).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned()).filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    fn switch(soft: bool, hard: bool) -> Switch {
        Switch { name: "hci0".into(), soft, hard }
    }

    fn adapter(name: &str, powered: bool) -> Adapter {
        Adapter { name: name.into(), address: format!("00:11:22:33:44:0{}", &name[3..]), powered, discovering: false }
    }

    #[test]
    fn each_switch_that_is_off_is_told_with_the_way_to_switch_it_on() {
        let cases: [(&[Switch], State, &str); 5] = [
            (&[], State::Ok, "no Bluetooth switch"),
            (&[switch(false, false)], State::Ok, "all on"),
            (&[switch(true, false)], State::Wrong, "by software"),
            (&[switch(true, true)], State::Wrong, "by a button"),
            (&[switch(false, false), switch(false, true)], State::Wrong, "by a button"),
        ];
        for (switches, state, what) in cases {
            let finding = judge_switches(switches);
            assert!(finding.state == state && finding.what.contains(what), "{finding}");
        }
        assert_eq!(judge_switches(&[switch(true, false)]).mend.unwrap(), "run `rfkill unblock bluetooth`");
    }

    #[test]
    fn switches_are_read_from_the_kernels_files() {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind, soft) in [("rfkill0", "wlan", "1"), ("rfkill1", "bluetooth", "1")] {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            for (file, text) in [("type", kind), ("soft", soft), ("hard", "0"), ("name", "hci0")] {
                std::fs::write(path.join(file), format!("{text}\n")).unwrap();
            }
        }
        assert_eq!(switches(folder.path()), [switch(true, false)]);
        assert_eq!(switches(&folder.path().join("nothing")), []);
    }

    #[test]
    fn each_trouble_with_bluetoothd_has_its_own_mend() {
        let cases = [
            (Bus::Unreachable("no such file".into()), State::Wrong, "message bus", "systemctl start dbus"),
            (Bus::NoBluez, State::Wrong, "not on the bus", "enable --now bluetooth"),
            (Bus::Denied, State::Wrong, "may not talk", "group `bluetooth`"),
            (Bus::Mute("timed out".into()), State::Wrong, "does not answer", "restart bluetooth"),
            (Bus::Adapters(Vec::new()), State::Ok, "5.66", ""),
        ];
        for (bus, state, what, mend) in cases {
            let finding = judge_daemon(&bus, Some("5.66"));
            let told = finding.mend.clone().unwrap_or_default();
            assert!(finding.state == state && finding.what.contains(what) && told.contains(mend), "{finding}");
        }
    }

    #[test]
    fn the_adapter_is_there_is_on_and_is_the_one_that_is_wanted() {
        let (on, off, other) = (adapter("hci0", true), adapter("hci0", false), adapter("hci1", true));
        let cases = [
            (vec![], None, State::Wrong, "no Bluetooth adapter"),
            (vec![on.clone()], None, State::Ok, "hci0 is on"),
            (vec![off.clone()], None, State::Wrong, "switched off"),
            (vec![on.clone()], Some("hci0"), State::Ok, "hci0 is on"),
            (vec![on.clone(), other.clone()], Some("00:11:22:33:44:01"), State::Ok, "hci1 is on"),
            (vec![on.clone()], Some("hci1"), State::Wrong, "`hci1` of gateway.toml is not here; there is hci0"),
            (vec![on, other], None, State::Warning, "there are 2"),
        ];
        for (adapters, wanted, state, what) in cases {
            let finding = judge_adapter(&Bus::Adapters(adapters), wanted);
            assert!(finding.state == state && finding.what.contains(what), "{finding}");
        }
        assert_eq!(judge_adapter(&Bus::NoBluez, None).state, State::Wrong);
    }
}
