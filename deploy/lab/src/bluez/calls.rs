//! What BlueZ answers.

use std::time::Instant;

use dbus::{
    Message, MessageType, Path,
    arg::{PropMap, RefArg as _, Variant},
};

use super::{
    advertising::{Refusal, error},
    model::{ADAPTER, ADVERTISING, HCI, Model},
};

const IN_PROGRESS: Refusal = ("org.bluez.Error.InProgress", "Operation already in progress");
const NOT_READY: Refusal = ("org.bluez.Error.NotReady", "Resource Not Ready");
const UNKNOWN: Refusal = ("org.freedesktop.DBus.Error.UnknownMethod", "There is no such method here");
const NO_PROPERTY: Refusal = ("org.freedesktop.DBus.Error.InvalidArgs", "No such property");

type Reply = Result<Message, Refusal>;

impl Model {
    /// A message has come for the daemon.
    pub fn receive(&mut self, message: Message) {
        match message.msg_type() {
            MessageType::Signal => self.bus_signal(&message),
            MessageType::MethodCall => self.call(message),
            MessageType::MethodReturn | MessageType::Error => {
                if let Some(reply) = self.advertising.answered(&message) {
                    self.send(reply);
                }
            }
        }
    }

    fn bus_signal(&mut self, message: &Message) {
        if let Ok((name, _, owner)) = message.read3::<&str, &str, &str>()
            && owner.is_empty()
        {
            self.client_gone(name);
        }
    }

    fn call(&mut self, call: Message) {
        let text = |part: Option<String>| part.unwrap_or_default();
        let path = text(call.path().map(|path| path.to_string()));
        let member = text(call.member().map(|member| member.to_string()));
        let client = text(call.sender().map(|sender| sender.to_string()));
        if member == "RegisterAdvertisement" && path == HCI && self.present {
            return self.register(&client, call);
        }
        let mut effect = Effect::None;
        let reply = match (path.as_str(), member.as_str()) {
            ("/", "GetManagedObjects") => Ok(call.method_return().append1(self.objects())),
            (HCI, _) if !self.present => Err(UNKNOWN),
            (HCI, "GetAll" | "Get" | "Set") => self.adapter_property(&call, &member, &mut effect),
            (HCI, _) => self.adapter_call(&call, &member, &client, &mut effect),
            _ => self.device_call(&call, &path, &member),
        };
        if let Some(reply) = reply.map_or_else(|refusal| error(&call, refusal), Some) {
            self.send(reply);
        }
        // BlueZ answers first and tells the change behind it.
        match effect {
            Effect::None => {}
            Effect::Power(on) => self.power(on),
            Effect::Start => self.start_client(&client),
            Effect::Stop => self.stop_client(&client),
        }
    }

    fn adapter_property(&mut self, call: &Message, member: &str, effect: &mut Effect) -> Reply {
        let interface = call.get1::<&str>().unwrap_or_default();
        let props = if interface == ADVERTISING { self.advertising.props() } else { self.adapter_props() };
        match member {
            "GetAll" => {
                self.counts.get_all += 1;
                Ok(call.method_return().append1(props))
            }
            "Get" => property(call, props),
            _ => {
                let (interface, key, value) = call.read3::<&str, &str, Variant<Box<dyn dbus::arg::RefArg>>>().map_err(|_| NO_PROPERTY)?;
                let on = value.0.as_u64().filter(|_| interface == ADAPTER && key == "Powered").ok_or(NO_PROPERTY)? != 0;
                *effect = Effect::Power(on);
                Ok(call.method_return())
            }
        }
    }

    fn adapter_call(&mut self, call: &Message, member: &str, client: &str, effect: &mut Effect) -> Reply {
        let done = || Ok(call.method_return());
        match member {
            "SetDiscoveryFilter" => {
                let filter: PropMap = call.get1().unwrap_or_default();
                let duplicates = filter.get("DuplicateData").and_then(|value| value.0.as_u64()) == Some(1);
                self.filters.insert(client.to_owned(), duplicates);
                done()
            }
            "StartDiscovery" => {
                self.counts.starts += 1;
                let busy = self.clients.contains_key(client) || self.busy_until.is_some_and(|end| Instant::now() < end);
                if !self.powered {
                    return Err(NOT_READY);
                } else if busy {
                    return Err(IN_PROGRESS);
                }
                *effect = Effect::Start;
                done()
            }
            "StopDiscovery" if !self.powered => Err(NOT_READY),
            "StopDiscovery" if !self.clients.contains_key(client) => Err(("org.bluez.Error.Failed", "No discovery started")),
            // It waits for the end of a scan that has ended long ago.
            "StopDiscovery" if self.wedged => Err(IN_PROGRESS),
            "StopDiscovery" => {
                *effect = Effect::Stop;
                done()
            }
            "UnregisterAdvertisement" => {
                let path: Path<'_> = call.get1().ok_or(("org.bluez.Error.InvalidArguments", "Invalid Arguments"))?;
                self.advertising.unregister(client, &path)?;
                done()
            }
            _ => Err(UNKNOWN),
        }
    }

    fn register(&mut self, client: &str, call: Message) {
        let path = call.get1::<Path<'_>>().map(|path| path.to_string()).unwrap_or_default();
        match self.advertising.register(client, &path, call) {
            Ok(question) => self.send(question),
            Err((call, refusal)) => {
                if let Some(reply) = error(&call, refusal) {
                    self.send(reply);
                }
            }
        }
    }

    fn device_call(&mut self, call: &Message, path: &str, member: &str) -> Reply {
        let device = self.devices.get(path).ok_or(UNKNOWN)?;
        match member {
            "GetAll" => {
                self.counts.get_all += 1;
                Ok(call.method_return().append1(device.props(HCI)))
            }
            "Get" => property(call, device.props(HCI)),
            _ => Err(("org.bluez.Error.NotSupported", "This stand-in only advertises")),
        }
    }
}

/// What follows behind an answer.
enum Effect {
    None,
    Power(bool),
    Start,
    Stop,
}

fn property(call: &Message, mut props: PropMap) -> Reply {
    let (_, key) = call.get2::<&str, &str>();
    let value = props.remove(key.unwrap_or_default()).ok_or(NO_PROPERTY)?;
    Ok(call.method_return().append1(value))
}
