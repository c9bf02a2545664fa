//! One connection to BlueZ, the object that it reads, and calls that cannot hang. Interfaces: `doc/org.bluez.LEAdvertisingManager.rst` and
//! `doc/org.bluez.LEAdvertisement.rst` of BlueZ.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dbus::{
    Path,
    arg::{PropMap, RefArg, Variant, prop_cast},
    channel::{BusType, Channel, MatchingReceiver as _},
    message::MatchRule,
    nonblock::{Proxy, SyncConnection, stdintf::org_freedesktop_dbus::Properties as _},
};
use dbus_crossroads::{Crossroads, IfaceToken};
use passage_protocol::wake::APPLE;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, spawn_blocking},
    time::timeout,
};

use super::Fault;

/// BlueZ answers at once or not at all.
const ANSWER: Duration = Duration::from_secs(5);
const BLUEZ: &str = "org.bluez";
const MANAGER: &str = "org.bluez.LEAdvertisingManager1";
/// Milliseconds between two advertisements: phones with the screen off listen seldom, and Apple asks for 100. BlueZ without its experimental
/// interfaces takes no interval and uses 1.28 s.
const INTERVAL_MS: (u32, u32) = (100, 150);

/// What BlueZ reads of us.
struct Advertisement {
    frame: [u8; 23],
    released: mpsc::UnboundedSender<()>,
}

/// An advertisement that BlueZ has taken.
pub(super) struct Registered {
    adapter: Path<'static>,
    object: Path<'static>,
}

/// The connection. Dropping it takes everything off the air.
pub(super) struct Line {
    connection: Arc<SyncConnection>,
    objects: Arc<Mutex<Crossroads>>,
    kind: IfaceToken<Advertisement>,
    news: mpsc::UnboundedReceiver<()>,
    teller: mpsc::UnboundedSender<()>,
    task: AbortHandle,
    count: u32,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Adapters = HashMap<Path<'static>, HashMap<String, PropMap>>;

impl Line {
    /// Connects to the bus at `address`, or to the system's.
    pub(super) async fn open(address: Option<&str>) -> Result<Self, Fault> {
        let address = address.map(str::to_owned);
        let connect = spawn_blocking(move || match address {
            None => Channel::get_private(BusType::System),
            Some(address) => Channel::open_private(&address).and_then(|mut channel| channel.register().map(|()| channel)),
        });
        let channel = match timeout(ANSWER, connect).await {
            Ok(Ok(Ok(channel))) => channel,
            Ok(Ok(Err(e))) => return Err(no_bus(e.name().unwrap_or("no reason given"))),
            Ok(Err(_)) | Err(_) => return Err(no_bus("no answer")),
        };
        let (resource, connection) =
            dbus_tokio::connection::from_channel::<SyncConnection>(channel).map_err(|_| no_bus("the connection cannot be used"))?;
        let (teller, news) = mpsc::unbounded_channel();
        let task = tokio::spawn({
            let teller = teller.clone();
            async move {
                resource.await;
                let _ = teller.send(());
            }
        });
        let mut objects = Crossroads::new();
        let kind = advertisement(&mut objects);
        let line = Self { connection, objects: Arc::new(Mutex::new(objects)), kind, news, teller, task: task.abort_handle(), count: 0 };
        line.serve();
        line.watch_owner().await?;
        Ok(line)
    }

    /// Ends when BlueZ has come or gone, has taken the advertisement back, or the connection is over.
    pub(super) async fn changed(&mut self) {
        if self.news.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        while self.news.try_recv().is_ok() {}
    }

    /// Registers an advertisement at the wanted adapter, or at the first that can advertise.
    pub(super) async fn register(&mut self, wanted: Option<&str>, window: i64, frame: [u8; 23]) -> Result<Registered, Fault> {
        let adapter = self.adapter(wanted).await?;
        self.count = self.count.wrapping_add(1);
        let object = Path::new(format!("/org/passage/wake/w{}n{}", window.unsigned_abs(), self.count))
            .map_err(|_| fault("the name of the advertisement is refused".to_owned(), RESTART))?;
        let data = Advertisement { frame, released: self.teller.clone() };
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).insert(object.clone(), &[self.kind], data);
        let options: HashMap<String, Variant<Box<dyn RefArg>>> = HashMap::new();
        let call = self.at(&adapter).method_call::<(), _, _, _>(MANAGER, "RegisterAdvertisement", (object.clone(), options));
        call.await.map_err(|e| refused(&e))?;
        Ok(Registered { adapter, object })
    }

    /// Takes an advertisement off the air.
    pub(super) async fn unregister(&mut self, registered: &Registered) -> Result<(), Fault> {
        let call =
            self.at(&registered.adapter).method_call::<(), _, _, _>(MANAGER, "UnregisterAdvertisement", (registered.object.clone(),));
        let done = call.await.map_err(|e| refused(&e));
        self.forget(registered);
        done
    }

    /// Withdraws the object of an advertisement that BlueZ has no more.
    pub(super) fn forget(&mut self, registered: &Registered) {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).remove::<Advertisement>(&registered.object);
    }

    /// True while BlueZ still has it: an adapter that was switched off, or pulled, has nothing.
    pub(super) async fn is_on_air(&self, registered: &Registered) -> Result<bool, Fault> {
        let active: Result<u8, _> = self.at(&registered.adapter).get(MANAGER, "ActiveInstances").await;
        match active {
            Ok(count) => Ok(count > 0),
            Err(e) => Err(refused(&e)),
        }
    }

    fn at(&self, path: &Path<'static>) -> Proxy<'static, Arc<SyncConnection>> {
        Proxy::new(BLUEZ, path.clone(), ANSWER, Arc::clone(&self.connection))
    }

    /// The path of the adapter that is to advertise.
    async fn adapter(&self, wanted: Option<&str>) -> Result<Path<'static>, Fault> {
        let root = Path::from("/");
        let call = self.at(&root).method_call("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ());
        let (objects,): (Adapters,) = call.await.map_err(|e| refused(&e))?;
        let mut found: Vec<_> = objects.iter().filter(|(_, i)| i.contains_key("org.bluez.Adapter1")).collect();
        found.sort_by(|a, b| a.0.cmp(b.0));
        let adapter = found.into_iter().find(|(path, interfaces)| wanted.is_none_or(|wanted| is_called(path, interfaces, wanted)));
        let Some((path, interfaces)) = adapter else {
            return Err(fault("no such Bluetooth adapter is there".to_owned(), "compare `radio` in gateway.toml with `bluetoothctl list`"));
        };
        let Some(manager) = interfaces.get(MANAGER) else {
            let mend = "use another adapter: `bluetoothctl show` lists \"Advertising Features\" for one that can";
            return Err(fault("this adapter cannot advertise while it listens".to_owned(), mend));
        };
        // What is free; BlueZ counts what is taken apart.
        if prop_cast::<u8>(manager, "SupportedInstances") == Some(&0) {
            let mend = "stop the other program that advertises (`bluetoothctl advertise off`), or use a second adapter";
            return Err(fault("all advertisements that this adapter can hold are taken".to_owned(), mend));
        }
        Ok(path.clone())
    }

    /// Answers what BlueZ asks of our object.
    fn serve(&self) {
        let objects = Arc::clone(&self.objects);
        self.connection.start_receive(
            MatchRule::new_method_call(),
            Box::new(move |message, connection| {
                let _ = objects.lock().unwrap_or_else(PoisonError::into_inner).handle_message(message, connection);
                true
            }),
        );
    }

    /// Learns when the daemon comes and goes.
    async fn watch_owner(&self) -> Result<(), Fault> {
        const RULE: &str =
            "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.bluez'";
        let teller = self.teller.clone();
        self.connection.start_receive(
            MatchRule::new_signal("org.freedesktop.DBus", "NameOwnerChanged"),
            Box::new(move |message, _| {
                if message.get1::<String>().as_deref() == Some(BLUEZ) {
                    let _ = teller.send(());
                }
                true
            }),
        );
        self.connection.add_match_no_cb(RULE).await.map_err(|e| no_bus(e.name().unwrap_or("no reason given")))
    }
}

/// The interface `org.bluez.LEAdvertisement1`.
fn advertisement(objects: &mut Crossroads) -> IfaceToken<Advertisement> {
    objects.register("org.bluez.LEAdvertisement1", |b| {
        // Nobody needs to connect to a shop, and a connection would take the beacon off the air with many chips.
        b.property("Type").emits_changed_const().get(|_, _| Ok("broadcast".to_owned()));
        b.property("ManufacturerData")
            .emits_changed_const()
            .get(|_, own: &mut Advertisement| Ok(HashMap::from([(APPLE, Variant(own.frame.to_vec()))])));
        b.property("MinInterval").emits_changed_const().get(|_, _| Ok(INTERVAL_MS.0));
        b.property("MaxInterval").emits_changed_const().get(|_, _| Ok(INTERVAL_MS.1));
        b.method("Release", (), (), |_, own: &mut Advertisement, ()| {
            let _ = own.released.send(());
            Ok(())
        });
    })
}

/// By address, or by the end of its path.
fn is_called(path: &Path<'_>, interfaces: &HashMap<String, PropMap>, wanted: &str) -> bool {
    let address = interfaces.get("org.bluez.Adapter1").and_then(|a| prop_cast::<String>(a, "Address"));
    path.rsplit('/').next() == Some(wanted) || address.is_some_and(|address| address.eq_ignore_ascii_case(wanted))
}

const RESTART: &str = "look at `bluetoothctl show`; if it looks well, run `systemctl restart bluetooth`";

/// In words, what BlueZ or the bus says; never its own text, which may hold an address.
fn refused(e: &dbus::Error) -> Fault {
    let name = e.name().unwrap_or("no reason given");
    match name {
        "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner" => {
            fault("BlueZ does not run".to_owned(), "install the package `bluez` and run `systemctl start bluetooth`")
        }
        "org.freedesktop.DBus.Error.AccessDenied" => {
            let mend = "add this user to the group `bluetooth`, or allow it to send to org.bluez in /etc/dbus-1/system.d";
            fault("this user must not speak to BlueZ".to_owned(), mend)
        }
        "org.bluez.Error.NotPermitted" => {
            let mend = "stop the other program that advertises (`bluetoothctl advertise off`), or use a second adapter";
            fault("BlueZ takes no further advertisement".to_owned(), mend)
        }
        "org.bluez.Error.NotReady" => {
            fault("the adapter is switched off".to_owned(), "run `rfkill unblock bluetooth` and `bluetoothctl power on`")
        }
        _ => fault(format!("BlueZ refuses ({name})"), RESTART),
    }
}

fn no_bus(why: &str) -> Fault {
    let mend = "start it with `systemctl start dbus bluetooth`; in a container, mount /run/dbus";
    fault(format!("the system message bus cannot be reached ({why})"), mend)
}

fn fault(what: String, mend: &'static str) -> Fault {
    Fault { what, mend }
}
