//! The real binaries as processes of their own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// The path of a binary of the workspace: in the folder that PASSAGE_TEST_BINARIES names (the soak takes optimised ones), else beside this test's own
/// folder, because `CARGO_BIN_EXE_*` exists only inside its own package.
pub fn path(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let beside = || here.parent().and_then(Path::parent).unwrap().to_owned();
    let file = std::env::var_os("PASSAGE_TEST_BINARIES").map_or_else(beside, PathBuf::from).join(name);
    assert!(file.is_file(), "{} is missing: build it first with `cargo build --workspace --bins` (deploy/test does)", file.display());
    file
}

/// Runs a command to its end.
pub fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(path(name)).args(arguments).output().unwrap()
}

/// A binary that runs in the background; its words go to a file. Dropping it kills it.
pub struct Process {
    child: Child,
    pub log: PathBuf,
}

impl Process {
    pub fn start(name: &str, arguments: &[&str], log: &Path) -> Self {
        Self::start_with_output(name, arguments, log, None)
    }

    /// What it prints goes to a file of its own when there is one.
    pub fn start_with_output(name: &str, arguments: &[&str], log: &Path, printed: Option<&Path>) -> Self {
        let out = File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(path(name))
            .args(arguments)
            .env("RUST_LOG", "debug,sqlx=info,hyper=info")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(printed.map_or_else(|| out.try_clone().unwrap(), |file| File::create(file).unwrap()))
            .stderr(out)
            .spawn()
            .unwrap();
        Self { child, log: log.to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, then waits; the exit must be clean.
    pub fn stop(&mut self) {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "a process that was asked to stop ended with {status}; its log:\n{}", self.words());
    }

    /// Lets it stand still as a machine that hangs does, or go on.
    pub fn hang(&self, hang: bool) {
        let signal = if hang { "-STOP" } else { "-CONT" };
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    pub fn has_ended(&mut self) -> bool {
        !self.is_running()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn words(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let words = self.words();
            let told: Vec<&str> =
                words.lines().filter(|l| [" WARN ", " ERROR ", " INFO ", "panicked"].iter().any(|w| l.contains(w))).collect();
            eprintln!("the last words of {}:\n{}\n", self.log.display(), told[told.len().saturating_sub(25)..].join("\n"));
        }
    }
}
