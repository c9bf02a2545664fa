//! A message bus of one's own, where everybody may do everything.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"#;

/// A dbus-daemon in a folder. Dropping it ends it; the folder is the caller's.
#[derive(Debug)]
pub struct PrivateBus {
    folder: PathBuf,
    daemon: Child,
}

impl PrivateBus {
    /// Starts dbus-daemon with its socket in `folder`, and waits until it listens. The path of a socket has at most 107 bytes.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let config = folder.join("bus.conf");
        let socket = folder.join("bus");
        std::fs::write(&config, CONFIG.replace("SOCKET", &socket.display().to_string()))?;
        let daemon = spawn(&config)?;
        let mut bus = Self { folder: folder.to_owned(), daemon };
        bus.listens()?;
        Ok(bus)
    }

    /// As `DBUS_SYSTEM_BUS_ADDRESS` takes it.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.folder.join("bus").display())
    }

    /// Process id of dbus-daemon.
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Kills the bus, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        // A crash leaves the socket's file behind, and a new daemon takes it away; a client shall not wait on it meanwhile.
        let _ = std::fs::remove_file(self.folder.join("bus"));
    }

    /// Starts it again at the same address.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.daemon = spawn(&self.folder.join("bus.conf"))?;
        self.listens()
    }

    fn listens(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let socket = self.folder.join("bus");
        while !socket.exists() {
            if let Some(status) = self.daemon.try_wait()? {
                bail!("dbus-daemon has ended with {status}");
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(20), "dbus-daemon does not listen on {}", socket.display());
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

fn spawn(config: &Path) -> anyhow::Result<Child> {
    let mut option = std::ffi::OsString::from("--config-file=");
    option.push(config);
    Command::new("dbus-daemon")
        .arg(option)
        .args(["--nofork", "--nopidfile", "--nosyslog"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("dbus-daemon cannot be started. Mend: apt-get install dbus-daemon")
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        self.kill();
    }
}
