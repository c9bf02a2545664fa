//! Stands in for systemd on a message bus, for the one thing that is asked of it: to restart bluetooth.service. Ends with the bus.

use std::{process::Command, thread, time::Duration};

use clap::Parser;
use passage_lab::bluez::Systemd;
use passage_lab::bluez::control::{Control, Wish};
use serde_json::json;

/// Runs a command whenever the restart of bluetooth.service is asked for.
#[derive(Debug, Parser)]
#[command(name = "lab-systemd", version)]
struct Cli {
    /// Address of the message bus.
    #[arg(long, env = "DBUS_SYSTEM_BUS_ADDRESS", default_value = "unix:path=/run/dbus/system_bus_socket")]
    bus: String,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let control = Control::open(&cli.bus, Systemd::Allow)?;
    loop {
        for wish in control.serve(|_| json!({}))? {
            if wish == Wish::Restart
                && let [program, arguments @ ..] = cli.command.as_slice()
            {
                let status = Command::new(program).args(arguments).status()?;
                anyhow::ensure!(status.success(), "{program} has ended with {status}");
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
}
