//! Listens to what BlueZ tells of the senders at one adapter, on a connection to the message bus and a thread of its own.
//!
//! btleplug asks BlueZ back for each of its events, up to four times an advert, in front of a queue without a bound. The signals of BlueZ hold it
//! all, the first advert of an address too. So they are read here as they are, and handed on at once; what is not taken is dropped and counted.

use std::time::{Duration, Instant};

use dbus::{
    Message,
    channel::{BusType, Channel},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Out,
    ladder::Notice,
    pressure::Pressure,
    senders::Senders,
    session::ANSWER,
    signal::{self, DEVICE},
};

const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
/// A thread that is to end does so within this time.
const PAUSE: Duration = Duration::from_millis(500);

/// The handle of the thread. Dropping it ends thread and connection.
pub(super) struct Listening {
    _stop: DropGuard,
}

impl Listening {
    /// Connects, and returns when no signal of this adapter (`hci0`) will be missed any more.
    pub async fn open(adapter: String, out: Out, told: mpsc::UnboundedSender<Notice>) -> Result<Self, dbus::Error> {
        let stop = CancellationToken::new();
        let (ready, answer) = oneshot::channel();
        let ended = stop.clone();
        let thread = std::thread::Builder::new().name("adverts".to_owned());
        let begun = thread.spawn(move || match Ear::open(&adapter, out, told) {
            Ok(ear) => {
                let _ = ready.send(Ok(()));
                ear.run(&ended);
            }
            Err(e) => {
                let _ = ready.send(Err(e));
            }
        });
        begun.map_err(|e| dbus::Error::new_failed(&format!("no thread can be started: {e}")))?;
        let listening = Self { _stop: stop.drop_guard() };
        answer.await.unwrap_or_else(|_| Err(dbus::Error::new_failed("the thread has ended"))).map(|()| listening)
    }
}

/// What lives on the thread.
struct Ear {
    channel: Channel,
    senders: Senders,
    pressure: Pressure,
    out: Out,
    told: mpsc::UnboundedSender<Notice>,
}

impl Ear {
    fn open(adapter: &str, out: Out, told: mpsc::UnboundedSender<Notice>) -> Result<Self, dbus::Error> {
        let now = Instant::now();
        let channel = Channel::get_private(BusType::System)?;
        for rule in rules(adapter) {
            let bus = "org.freedesktop.DBus";
            call(&channel, Message::call_with_args(bus, "/org/freedesktop/DBus", bus, "AddMatch", (rule,)))?;
        }
        let mut senders = Senders::new(now);
        let known = call(&channel, Message::call_with_args("org.bluez", "/", OBJECTS, "GetManagedObjects", ()))?;
        for report in signal::remembered(&known, adapter) {
            senders.take(report, out.clock.now(), now);
        }
        Ok(Self { channel, senders, pressure: Pressure::new(now), out, told })
    }

    fn run(mut self, stop: &CancellationToken) {
        let mut pause = PAUSE;
        while !stop.is_cancelled() {
            if self.channel.read_write(Some(pause)).is_err() {
                let _ = self.told.send(Notice::BusGone);
                return;
            }
            // After something was read, the next reading does not wait: only so it shows whether there is more.
            pause = if self.take_in() { Duration::ZERO } else { PAUSE };
        }
    }

    /// Takes in what was read; false when that was nothing.
    fn take_in(&mut self) -> bool {
        let now = Instant::now();
        let mut count = 0u32;
        while let Some(message) = self.channel.pop_message() {
            count += 1;
            if let Some(report) = signal::read(&message) {
                self.out.heard(self.senders.take(report, self.out.clock.now(), now));
            }
        }
        if count == 0 {
            self.pressure.calm(now);
        } else if self.pressure.is_overrun(now) {
            let _ = self.told.send(Notice::Overrun);
        }
        count > 0
    }
}

/// What the bus shall send us: first adverts and changes of the senders at one adapter, and nothing else.
fn rules(adapter: &str) -> [String; 2] {
    let path = format!("/org/bluez/{adapter}");
    [
        format!("type='signal',sender='org.bluez',interface='{OBJECTS}',member='InterfacesAdded',arg0path='{path}/'"),
        format!(
            "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
             path_namespace='{path}',arg0='{DEVICE}'"
        ),
    ]
}

fn call(channel: &Channel, message: Message) -> Result<Message, dbus::Error> {
    channel.send_with_reply_and_block(message, ANSWER)
}
