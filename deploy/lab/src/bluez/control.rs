//! The other names of the stand-in's process: `org.passage.Lab1`, by which a test looks and causes faults, and `org.freedesktop.systemd1`, that
//! restarts the daemon when it is asked.

use std::time::Duration;

use anyhow::Context as _;
use dbus::{Message, MessageType, Path, channel::Channel};
use serde_json::Value;

use super::{
    advertising::{Refusal, error},
    stand::Systemd,
};
use crate::scenario::Act;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A fault, or the end of one.
    Act(Act),
    /// `systemctl restart bluetooth`.
    Restart,
}

/// A connection with these names.
pub struct Control {
    channel: Channel,
    systemd: Systemd,
}

impl Control {
    /// Takes the names.
    pub fn open(bus: &str, systemd: Systemd) -> anyhow::Result<Self> {
        let channel = connect(bus)?;
        request_name(&channel, "org.passage.Lab1")?;
        if systemd != Systemd::None {
            request_name(&channel, "org.freedesktop.systemd1")?;
        }
        Ok(Self { channel, systemd })
    }

    /// Answers what has come. `look` gives what is asked for: the advertisements, or the counters.
    pub fn serve(&self, look: impl Fn(&str) -> Value) -> anyhow::Result<Vec<Wish>> {
        anyhow::ensure!(self.channel.read_write(Some(Duration::ZERO)).is_ok(), "the bus is gone");
        let mut wishes = Vec::new();
        while let Some(message) = self.channel.pop_message() {
            if message.msg_type() != MessageType::MethodCall {
                continue;
            }
            let reply = self.answer(&message, &look, &mut wishes);
            if let Some(reply) = reply.map_or_else(|refusal| error(&message, refusal), Some) {
                let _ = self.channel.send(reply);
            }
        }
        self.channel.flush();
        Ok(wishes)
    }

    fn answer(&self, call: &Message, look: impl Fn(&str) -> Value, wishes: &mut Vec<Wish>) -> Result<Message, Refusal> {
        let member = call.member().map(|member| member.to_string()).unwrap_or_default();
        match member.as_str() {
            "Advertisements" | "Stats" => Ok(call.method_return().append1(look(&member).to_string())),
            "Fault" => {
                let name = call.get1::<String>().map(Value::String).unwrap_or_default();
                let act = serde_json::from_value(name).map_err(|_| ("org.passage.Lab1.Error.Unknown", "There is no such fault"))?;
                wishes.push(Wish::Act(act));
                Ok(call.method_return())
            }
            "RestartUnit" if self.systemd == Systemd::Deny => Err(("org.freedesktop.DBus.Error.AccessDenied", "Permission denied")),
            "RestartUnit" if call.get1::<&str>() == Some("bluetooth.service") => {
                wishes.push(Wish::Restart);
                Ok(call.method_return().append1(Path::from("/org/freedesktop/systemd1/job/1")))
            }
            "RestartUnit" => Err(("org.freedesktop.systemd1.NoSuchUnit", "There is no such unit")),
            _ => Err(("org.freedesktop.DBus.Error.UnknownMethod", "There is no such method here")),
        }
    }
}

/// A connection to the bus at this address.
pub fn connect(bus: &str) -> anyhow::Result<Channel> {
    let mut channel = Channel::open_private(bus).with_context(|| format!("cannot reach the message bus at {bus}"))?;
    channel.register().context("the message bus does not greet")?;
    Ok(channel)
}

/// Takes a name, or fails when another one has it.
pub fn request_name(channel: &Channel, name: &str) -> anyhow::Result<()> {
    const DO_NOT_QUEUE: u32 = 4;
    let answer: u32 = bus_call(channel, "RequestName", |call| call.append2(name, DO_NOT_QUEUE))?.read1()?;
    anyhow::ensure!(answer == 1, "somebody else is {name} on this bus");
    Ok(())
}

/// Asks the bus itself.
pub fn bus_call(channel: &Channel, member: &str, fill: impl FnOnce(Message) -> Message) -> anyhow::Result<Message> {
    let name = "org.freedesktop.DBus";
    let call = Message::new_method_call(name, "/org/freedesktop/DBus", name, member).map_err(anyhow::Error::msg)?;
    Ok(channel.send_with_reply_and_block(fill(call), Duration::from_secs(5))?)
}
