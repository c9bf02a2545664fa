//! Every file that a person edits: its schema, its parser, its diagnostics and the geometry checks.
//!
//! [`load_hub`] and [`load_gateway`] read a file and everything it refers to, and return either a valid configuration or **all** errors at once,
//! each with file, line, column and the way to mend it. Files become a tree that knows its places ([`tree`]), which is taken apart key by key
//! ([`reader`]) while one collector gathers the mistakes ([`collect`]); serde would stop at the first.

mod brand;
pub mod bundle;
pub mod channel;
mod collect;
mod common;
pub mod diagnostic;
mod fleet;
mod gateway;
mod gateways;
mod geofence;
pub mod holidays;
pub mod hours;
mod hub;
mod identity;
pub mod model;
mod mqtt;
mod offer;
mod page;
mod product;
mod profile;
mod reader;
mod secret;
mod site;
mod source;
mod staff;
mod store;
pub mod template;
mod tracking;
mod tree;
mod value;
mod wake;
mod web;
mod world;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use geofence::{PlainFence, PlainFences, load_fences, read_fences};
pub use model::*;
pub use mqtt::read_proxy;

use std::path::{Path, PathBuf};

use collect::Collector;
use reader::Reader;
use source::Source;

/// Reads `hub.toml` at `file` and the folders beside it (`brands`, `stores`, `geofences`, `campaigns`, `offers`, `products.csv`, `visit.toml`,
/// `tracking.toml`, `channels.toml`, `staff.toml`),
/// or those in the folder that its key `site` names.
///
/// # Errors
/// All mistakes of all files.
pub fn load_hub(file: &Path) -> Result<HubConfig, Diagnostics> {
    load(file, hub::read)
}

/// Reads a gateway file at `file` and the site folders beside it, or those in the folder that its key `site` names; none with `site = "hub"`.
///
/// # Errors
/// All mistakes of all files.
pub fn load_gateway(file: &Path) -> Result<GatewayConfig, Diagnostics> {
    load(file, gateway::read)
}

/// Reads only what gateways and hubs share from the folder `dir`.
///
/// # Errors
/// All mistakes of all files.
pub fn load_site(dir: &Path) -> Result<Site, Diagnostics> {
    let out = Collector::default();
    let site = site::read(dir, &out).site;
    out.finish(Some(site))
}

/// Reads the parameters of a made-up city.
///
/// # Errors
/// All mistakes of the file.
pub fn load_world(file: &Path) -> Result<World, Diagnostics> {
    let out = Collector::default();
    let world = out.read(file).and_then(|source| world_of(&source, &out));
    out.finish(world)
}

/// The same from text.
///
/// # Errors
/// All mistakes in it.
pub fn read_world(text: &str) -> Result<World, Diagnostics> {
    let out = Collector::default();
    let world = world_of(&Source::new("world.toml".into(), text.to_owned()), &out);
    out.finish(world)
}

fn world_of(source: &Source, out: &Collector) -> Option<World> {
    let tree = tree::toml::read(source, out)?;
    world::read(Reader::root(source, out, &tree)?)
}

fn load<T>(file: &Path, read: impl FnOnce(Reader<'_>, &Collector) -> Option<T>) -> Result<T, Diagnostics> {
    let out = Collector::default();
    let value = out.read(file).and_then(|source| {
        let Some(tree) = tree::toml::read(&source, &out) else {
            // The other files have something to say all the same.
            site::read(folder(file), &out);
            return None;
        };
        read(Reader::root(&source, &out, &tree)?, &out)
    });
    out.finish(value)
}

fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// True when the file says that the site comes from the hub. A folder of that name is written `./hub`.
fn is_from_hub(r: &Reader<'_>) -> bool {
    r.find("site").is_some_and(|f| f.is_word("hub"))
}

/// Where the site lies: beside the file, or where its key `site` says.
fn site_dir(r: &Reader<'_>) -> PathBuf {
    let beside = folder(&r.source.file);
    r.may("site", |f| f.text().map(|text| beside.join(text))).unwrap_or_else(|| beside.to_owned())
}
