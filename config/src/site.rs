//! Reads the folder that gateways and hubs share, and checks the files against each other.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use passage_protocol::StoreId;

use crate::{
    brand, channel,
    collect::{Collector, mistake, plain},
    gateways,
    geofence::{self, Fences},
    model::{Brand, Product, Site, Store, TouchRules, VisitRules},
    offer::{self, Placed},
    product, profile,
    reader::{Field, Reader},
    source::Source,
    staff, store, tracking,
    tree::{Node, toml},
};

/// What there is to refer to. A file counts by its name even when its content is wrong, so that one mistake does not make others.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) brands: BTreeSet<String>,
    pub(crate) entities: BTreeMap<String, BTreeSet<String>>,
    pub(crate) stores: BTreeSet<String>,
    pub(crate) campaigns: BTreeSet<String>,
}

/// One file of a folder.
struct Document {
    id: String,
    source: Source,
    tree: Option<Node>,
}

/// A site, and where its offers stand, for the checks against `hub.toml`.
pub(crate) struct Loaded {
    pub(crate) site: Site,
    pub(crate) offers: Vec<Placed>,
}

/// Reads the site in `dir`. Mistakes are in `out`; the site then lacks what was wrong.
pub(crate) fn read(dir: &Path, out: &Collector) -> Loaded {
    let [brands, stores, campaigns, offers] = ["brands", "stores", "campaigns", "offers"].map(|sub| documents(dir, sub, out));
    needs_one(dir, "brands", &brands, out);
    needs_one(dir, "stores", &stores, out);
    let mut names = Names { brands: ids(&brands), stores: ids(&stores), campaigns: ids(&campaigns), ..Names::default() };

    let brands: BTreeMap<String, Brand> = decode(&brands, out, brand::read).collect();
    distinct_namespaces(dir, &brands, out);
    names.entities = brands.iter().map(|(id, b)| (id.clone(), b.entities.keys().cloned().collect())).collect();
    let stores: BTreeMap<StoreId, Store> =
        decode(&stores, out, |r, id| store::read(r, &id.parse().ok()?, &names)).filter_map(|(id, s)| Some((id.parse().ok()?, s))).collect();
    let touch = RefCell::default();
    let campaigns = decode(&campaigns, out, |r, id| store::campaign(r, id, &names, &mut touch.borrow_mut())).collect();
    let products = product::read(&dir.join("products.csv"), out);
    let mut touch = touch.into_inner();
    touchpoints(dir, &products, &mut touch, out);
    touch.profiles = decode(&documents(dir, "profiles", out), out, |r, _| profile::read(r)).collect();
    let visit = visit(dir, out);
    let staff = optional(dir, "staff.toml", out, |r| staff::read(r, &names)).unwrap_or_default();
    let fences = fences(dir, &names, &stores, out);
    let gateways = documents(dir, "gateways", out);
    let gateways = decode(&gateways, out, |r, id| gateways::read(r, id, &names)).map(|(_, gateway)| gateway).collect();

    let known = offer::Known { names: &names, brands: &brands, stores: &stores, products: &products, fences: &fences };
    let placed: Vec<Placed> = offers
        .iter()
        .filter_map(|d| {
            let tree = d.tree.as_ref()?;
            out.explained(&d.source.file, || offer::read(Reader::root(&d.source, out, tree)?, &d.id, &known))
        })
        .collect();
    offer::ties(&placed, out);
    tracking::not_sensitive(&touch, &placed, out);

    let offers = placed.iter().map(|p| (p.offer.id.clone(), p.offer.clone())).collect();
    let site = Site {
        revision: out.revision(),
        brands,
        stores,
        geofences: fences.good,
        campaigns,
        offers,
        products,
        gateways,
        visit,
        touch,
        staff,
    };
    Loaded { site, offers: placed }
}

fn ids(documents: &[Document]) -> BTreeSet<String> {
    documents.iter().map(|d| d.id.clone()).collect()
}

fn needs_one(dir: &Path, sub: &str, documents: &[Document], out: &Collector) {
    if documents.is_empty() {
        let one = sub.trim_end_matches('s');
        let m = mistake("P037", format!("there is no {one} here"), "", format!("add a file such as {sub}/my-{one}.toml"));
        out.whole(&dir.join(sub), m);
        out.set_incomplete();
    }
}

/// The TOML files of `sub`, in the order of their names.
fn documents(dir: &Path, sub: &str, out: &Collector) -> Vec<Document> {
    list(&dir.join(sub), &["toml"], out)
        .into_iter()
        .filter_map(|(id, file)| {
            let source = out.read(&file)?;
            out.revise(format!("{sub}/{id}.toml"), &source);
            let tree = toml::read(&source, out);
            Some(Document { id, source, tree })
        })
        .collect()
}

/// Ids and paths of the files in `folder` with one of these endings. Hidden files and copies that editors leave are not looked at.
fn list(folder: &Path, endings: &[&str], out: &Collector) -> Vec<(String, PathBuf)> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(e) => {
            out.whole(folder, mistake("P001", format!("this folder cannot be read: {}", plain(&e)), "", "check its permissions"));
            out.set_incomplete();
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for file in entries.filter_map(|e| e.ok().map(|e| e.path())) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((id, _)) = name.rsplit_once('.').filter(|(_, ending)| endings.contains(ending) && !name.starts_with('.')) else {
            continue;
        };
        if id.parse::<StoreId>().is_err() {
            out.set_incomplete();
            let mend = "rename the file: 3 to 40 characters out of a-z, 0-9 and -";
            out.whole(&file, mistake("P010", format!("\"{id}\" cannot be an id"), "", mend));
            continue;
        }
        found.push((id.to_owned(), file));
    }
    found.sort();
    found
}

fn decode<'a, T>(
    documents: &'a [Document],
    out: &'a Collector,
    read: impl Fn(Reader<'_>, &str) -> Option<T> + 'a,
) -> impl Iterator<Item = (String, T)> + 'a {
    documents.iter().filter_map(move |d| {
        let tree = d.tree.as_ref()?;
        let value = out.explained(&d.source.file, || read(Reader::root(&d.source, out, tree)?, &d.id))?;
        Some((d.id.clone(), value))
    })
}

fn distinct_namespaces(dir: &Path, brands: &BTreeMap<String, Brand>, out: &Collector) {
    let all: Vec<_> = brands.values().collect();
    for (i, b) in all.iter().enumerate() {
        let same = |a: &&&Brand| share_beacons(a, b);
        if let Some(a) = all[..i].iter().find(same) {
            let message = format!("the brands \"{}\" and \"{}\" have the same beacons", a.id, b.id);
            let m = mistake("P062", message, "", "give each brand a service_uuid, an ibeacon, a uuid_prefix and a wake_uuid of its own");
            out.whole(&dir.join("brands").join(format!("{}.toml", b.id)), m);
        }
    }
}

/// True if an advert could be of both.
fn share_beacons(a: &Brand, b: &Brand) -> bool {
    let (one, other) = (&a.namespace, &b.namespace);
    one.service_uuid == other.service_uuid
        || one.ibeacon == other.ibeacon
        || (one.uuid_prefix.is_some() && one.uuid_prefix == other.uuid_prefix)
        || (a.wake_uuid.is_some() && a.wake_uuid == b.wake_uuid)
}

fn visit(dir: &Path, out: &Collector) -> VisitRules {
    optional(dir, "visit.toml", out, store::visit).unwrap_or_default()
}

/// `tracking.toml` and `channels.toml`.
fn touchpoints(dir: &Path, products: &BTreeMap<String, Product>, touch: &mut TouchRules, out: &Collector) {
    optional(dir, "tracking.toml", out, |r| tracking::read(r, products, touch));
    touch.channels = optional(dir, "channels.toml", out, channel::read).unwrap_or_default();
}

/// What `read` makes of a file that may be left out.
fn optional<T>(dir: &Path, name: &str, out: &Collector, read: impl FnOnce(Reader<'_>) -> T) -> Option<T> {
    let file = dir.join(name);
    if !file.exists() {
        return None;
    }
    let source = out.read(&file)?;
    out.revise(name.to_owned(), &source);
    let tree = toml::read(&source, out)?;
    Some(read(Reader::root(&source, out, &tree)?))
}

fn fences(dir: &Path, names: &Names, stores: &BTreeMap<StoreId, Store>, out: &Collector) -> Fences {
    let mut fences = Fences::default();
    let known = geofence::Known { names, stores };
    for (_, file) in list(&dir.join("geofences"), &["geojson", "json", "toml"], out) {
        let Some(source) = out.read(&file) else {
            fences.incomplete = true;
            continue;
        };
        out.revise(format!("geofences/{}", file.file_name().unwrap_or_default().to_string_lossy()), &source);
        geofence::read(&source, known, &mut fences, out);
    }
    fences
}

impl Field<'_> {
    /// An id.
    pub(crate) fn id<T: std::str::FromStr>(&self) -> Option<T> {
        let text = self.text()?;
        match text.parse() {
            Ok(id) => Some(id),
            Err(_) => {
                let mend = "use 3 to 40 characters out of a-z, 0-9 and -";
                self.refuse(mistake("P010", format!("\"{text}\" cannot be an id"), "not an id", mend))
            }
        }
    }

    /// The key itself as an id.
    pub(crate) fn id_of_key(&self) -> Option<String> {
        if self.key.parse::<StoreId>().is_ok() {
            return Some(self.key.clone());
        }
        let m = mistake("P010", format!("\"{}\" cannot be an id", self.key), "not an id", "use 3 to 40 characters out of a-z, 0-9 and -");
        self.out.at(self.source, &self.key_span, m);
        None
    }
}
