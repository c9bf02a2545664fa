//! A mosquitto of the test's own.

use std::{
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::free_port;

/// A running mosquitto on a port of 127.0.0.1.
pub struct Broker {
    pub port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Broker {
    pub fn start() -> Self {
        Self::with("persistence false")
    }

    /// One that keeps sessions, messages in flight and retained ones on its disk, and saves them at each change.
    pub fn persistent() -> Self {
        Self::with("persistence true\nautosave_on_changes true\nautosave_interval 1\npersistence_location FOLDER/")
    }

    fn with(persistence: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\n{persistence}\nuser root\nmax_inflight_messages 200\nmax_queued_messages 0\n"
        );
        let config = config.replace("FOLDER", &folder.path().display().to_string());
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let mut broker = Self { port, folder, child: None };
        broker.restart();
        broker
    }

    /// Ends the process without a chance to say goodbye.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// It is there but does nothing any more, as on a machine that hangs.
    pub fn stall(&self) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-STOP", &id]).status().unwrap().success());
    }

    /// Starts it (again) on the same port, and waits until it answers.
    pub fn restart(&mut self) {
        self.kill();
        let child = Command::new(program())
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "mosquitto did not open its port");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Debian keeps mosquitto out of a user's PATH.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|f| f.join("mosquitto")).find(|p| p.is_file()).expect("mosquitto is not installed; deploy/test installs it")
}
