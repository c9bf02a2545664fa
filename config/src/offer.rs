//! `offers/*.toml`: one offer a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use passage_protocol::StoreId;

use crate::{
    collect::{Collector, mistake, suggest},
    diagnostic::Diagnostic,
    geofence::Fences,
    hours::DayWindow,
    model::{Audience, Brand, Exposed, Offer, Product, Store, Trigger, ViewedNotBought},
    reader::{Field, Reader},
    site::Names,
    template::{self, Longest},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Touchpoints are kept for 13 months.
const LOOK_BACK: Duration = Duration::from_secs(396 * 86_400);

/// What an offer may refer to.
pub(crate) struct Known<'a> {
    pub(crate) names: &'a Names,
    pub(crate) brands: &'a BTreeMap<String, Brand>,
    pub(crate) stores: &'a BTreeMap<StoreId, Store>,
    pub(crate) products: &'a BTreeMap<String, Product>,
    pub(crate) fences: &'a Fences,
}

/// An offer, and how to point at two of its values in later checks.
pub(crate) struct Placed {
    pub(crate) offer: Offer,
    /// A mistake at the trigger, still without words.
    pub(crate) trigger: Diagnostic,
    /// The same at the text.
    pub(crate) text: Diagnostic,
    /// The same at the window; `None` if the file does not set one.
    pub(crate) window: Option<Diagnostic>,
}

/// Reads one offer.
pub(crate) fn read(r: Reader<'_>, id: &str, known: &Known<'_>) -> Option<Placed> {
    let name = r.need("name", "name = \"..\", as people read it", |f| f.text().map(str::to_owned));
    let live = r.need("live", "live = true, or false while you write it", |f| f.flag());
    let brand = r.need("brand", "brand = \"..\", the name of a file in brands/", |f| known.names.brand(&f));
    let stores = r.need("stores", "stores = [\"..\"], names of files in stores/", |f| stores(&f, brand.as_deref(), known));
    let mut trigger_place = None;
    let on = r.need("on", "on = \"enter\", \"near\" or { dwell = \"10 min\" }", |f| {
        trigger_place = Some(f.place());
        let on = trigger(&f)?;
        if on == Trigger::Near {
            fences_for_near(&f, stores.as_deref().unwrap_or(&[]), known)?;
        }
        Some(on)
    });
    let audience = r.or("audience", Audience::default(), |f| audience(f, known));
    // A broken audience is noted already; the text is then not blamed for it.
    let knows_product = audience.viewed_not_bought.is_some() || r.find("audience").is_some_and(|f| f.has("viewed_not_bought"));
    let max_parts = r.or("max_parts", 1, |f| f.whole(1, 5));
    let mut text_place = None;
    let text = r.need("text", "text = \"... {{ stop }}\"", |f| {
        text_place = Some(f.place());
        let text = template::read(&f, knows_product)?;
        if let (Some(stores), Some(brand)) = (&stores, brand.as_ref().and_then(|b| known.brands.get(b))) {
            template::fits(&f, &text, max_parts, &longest(stores, brand, &audience, known))?;
        }
        Some(text)
    });
    let mut window_place = None;
    let window = r.or("window", DayWindow::OFFER, |f| {
        window_place = Some(f.place());
        f.window()
    });
    let transliterate = r.or("transliterate", false, |f| f.flag());
    let priority = r.or("priority", 50, |f| f.whole(0, 100));
    let holdout = r.or("holdout", 0.1, |f| f.share());
    let deadline = r.or("deadline", 10 * MINUTE, |f| f.duration(Duration::from_secs(10), DAY));
    let validity = r.or("validity", 30 * MINUTE, |f| f.duration(MINUTE, 2 * DAY));
    let campaign = r.may("campaign", |f| known.names.campaign(&f));
    r.done();
    // Only now, with every key read, may the first missing one end this.
    let offer = Offer {
        id: id.to_owned(),
        name: name?,
        live: live?,
        brand: brand?,
        stores: stores?,
        on: on?,
        audience,
        text: text?,
        transliterate,
        max_parts,
        priority,
        holdout,
        window,
        deadline,
        validity,
        campaign,
    };
    Some(Placed { offer, trigger: trigger_place?, text: text_place?, window: window_place })
}

fn stores(f: &Field<'_>, brand: Option<&str>, known: &Known<'_>) -> Option<Vec<StoreId>> {
    let list = f.texts()?;
    if list.is_empty() {
        return f.refuse(mistake("P008", "this offer is for no store", "the list is empty", "name at least one store"));
    }
    let mut ids = BTreeSet::new();
    let mut good = true;
    for f in &list {
        let Some(id) = known.names.store(f) else {
            good = false;
            continue;
        };
        if let (Some(brand), Some(store)) = (brand, known.stores.get(&id))
            && store.brand != brand
        {
            good = false;
            let label = format!("it belongs to \"{}\"", store.brand);
            f.refuse::<()>(mistake(
                "P041",
                format!("\"{id}\" is a store of another brand"),
                label,
                format!("name stores of \"{brand}\" only"),
            ));
        }
        if !ids.insert(id) {
            good = false;
            f.refuse::<()>(mistake("P056", "this store is named twice", "second time", "take it out"));
        }
    }
    good.then(|| ids.into_iter().collect())
}

/// The names of shop and article that make the text longest.
fn longest<'a>(stores: &[StoreId], brand: &'a Brand, audience: &Audience, known: &Known<'a>) -> Longest<'a> {
    let stores = stores.iter().filter_map(|id| known.stores.get(id));
    let category = audience.viewed_not_bought.as_ref().and_then(|v| v.category.as_deref());
    let products = known.products.values().filter(|p| category.is_none_or(|c| c == p.category));
    Longest {
        brand,
        store: stores.map(|s| s.name.as_str()).max_by_key(|name| name.chars().count()).unwrap_or(""),
        product: audience.viewed_not_bought.as_ref().and_then(|_| products.max_by_key(|p| p.name.chars().count())),
    }
}

fn trigger(f: &Field<'_>) -> Option<Trigger> {
    if !f.is_table() {
        return f.choice(&[("enter", Trigger::Enter), ("near", Trigger::Near)]);
    }
    let r = f.clone().table()?;
    let dwell = r.need("dwell", "dwell = \"10 min\"", |f| f.duration(MINUTE, 4 * 60 * MINUTE));
    r.done();
    dwell.map(Trigger::Dwell)
}

fn fences_for_near(f: &Field<'_>, stores: &[StoreId], known: &Known<'_>) -> Option<()> {
    let missing: Vec<&str> = stores.iter().filter(|s| !known.fences.nearby.contains(*s)).map(StoreId::as_str).collect();
    if missing.is_empty() || known.fences.incomplete {
        return Some(());
    }
    let message = format!("nobody can be near {}: no geofence of kind \"nearby\" is drawn there", missing.join(" or "));
    f.refuse(mistake("P042", message, "this would never happen", "draw one in geofences/, or use on = \"enter\""))
}

fn audience(f: Field<'_>, known: &Known<'_>) -> Option<Audience> {
    let r = f.table()?;
    let exposed = r.may("exposed", |f| exposed(f, known));
    let viewed_not_bought = r.may("viewed_not_bought", |f| viewed(f, known));
    r.done();
    Some(Audience { exposed, viewed_not_bought })
}

fn exposed(f: Field<'_>, known: &Known<'_>) -> Option<Exposed> {
    let r = f.table()?;
    let campaign = r.need("campaign", "campaign = \"..\", the name of a file in campaigns/", |f| known.names.campaign(&f));
    let within = r.need("within", "within = \"30 days\"", |f| f.duration(MINUTE, LOOK_BACK));
    let at_least = r.or("at_least", 1, |f| f.whole(1, 1000));
    r.done();
    Some(Exposed { campaign: campaign?, within: within?, at_least })
}

fn viewed(f: Field<'_>, known: &Known<'_>) -> Option<ViewedNotBought> {
    let r = f.table()?;
    let within = r.need("within", "within = \"14 days\"", |f| f.duration(MINUTE, LOOK_BACK));
    let min_views = r.or("min_views", 1, |f| f.whole(1, 1000));
    let min_days = r.or("min_days", 1, |f| {
        let days: u32 = f.whole(1, 396)?;
        if days > 1 && within.is_some_and(|w| w < DAY * (days - 1)) {
            return f.refuse(mistake(
                "P008",
                "`within` is too short for so many days",
                "can never be reached",
                "lower min_days, or raise within",
            ));
        }
        Some(days)
    });
    let category = r.may("category", |f| category(&f, known));
    r.done();
    Some(ViewedNotBought { within: within?, min_views, min_days, category })
}

fn category(f: &Field<'_>, known: &Known<'_>) -> Option<String> {
    let text = f.text()?;
    let all: BTreeSet<&str> = known.products.values().map(|p| p.category.as_str()).collect();
    if all.contains(text) || f.out.is_incomplete() {
        return Some(text.to_owned());
    }
    f.refuse(mistake("P024", format!("no article has the category \"{text}\""), "not in products.csv", suggest(text, all)))
}

/// Notes each pair of live offers that one trigger in one store could call with equal right.
pub(crate) fn ties(placed: &[Placed], out: &Collector) {
    let live: Vec<&Placed> = placed.iter().filter(|p| p.offer.live).collect();
    for (i, b) in live.iter().enumerate() {
        for a in &live[..i] {
            let (x, y) = (&a.offer, &b.offer);
            let Some(store) = x.stores.iter().find(|s| y.stores.contains(s)) else { continue };
            if x.on == y.on && x.priority == y.priority {
                let message = format!("two live offers compete and nothing says which wins: \"{}\" and \"{}\"", x.id, y.id);
                let label = format!("the same trigger in {store}, both with priority {}", x.priority);
                let mend = format!("give one of them a higher `priority`, or set `live = false` in {}", a.trigger.file.display());
                out.placed(&b.trigger, mistake("P043", message, label, mend));
            }
        }
    }
}

/// Notes each offer whose text names the member's page when `hub.toml` gives it no address.
pub(crate) fn page_known(placed: &[Placed], known: bool, out: &Collector) {
    for p in placed.iter().filter(|p| !known && template::names_page(&p.offer.text)) {
        let mend = "write url under [page] or [web] of hub.toml, or take {{ page }} out";
        out.placed(
            &p.text,
            mistake(
                "P086",
                "the text names the member's page, which has no address",
                "hub.toml does not say how members reach the hub",
                mend,
            ),
        );
    }
}

/// Notes each offer that could be sent outside the hard bounds of the sender. A window that nobody wrote is cut to the bounds instead.
pub(crate) fn within_bounds(placed: &mut [Placed], bounds: DayWindow, out: &Collector) {
    for p in placed {
        let cut = DayWindow {
            days: p.offer.window.days & bounds.days,
            from: p.offer.window.from.max(bounds.from),
            to: p.offer.window.to.min(bounds.to),
        };
        match &p.window {
            None if cut.days != 0 && cut.from < cut.to => p.offer.window = cut,
            Some(_) if p.offer.window.is_within(&bounds) => {}
            place => {
                let message = "this offer may be sent when the sender may not";
                let label = format!("the hard bounds in hub.toml are {bounds}");
                let place = place.as_ref().unwrap_or(&p.trigger);
                out.placed(place, mistake("P040", message, label, format!("write a window inside {bounds}")));
            }
        }
    }
}
