//! `wake` and `app_events` of a gateway file: the shop's own beacon, and the check of what apps heard of it.

use std::collections::BTreeMap;

use passage_protocol::{StoreId, WakeKey, WakeMaster};

use crate::{
    collect::{mistake, suggest},
    model::{AppEvents, Site, Wake, WakeCheck, WakeSecret},
    reader::{Field, Reader},
};

/// Apple's own value for a phone as a beacon; right within some dB for a small box.
const USUAL_POWER: i8 = -59;

/// Reads `wake`; without a site when that comes from the hub.
pub(crate) fn read(f: Field<'_>, store: Option<&StoreId>, site: Option<&Site>) -> Option<Wake> {
    let whole = f.clone();
    let r = f.table()?;
    let power = r.or("power", USUAL_POWER, |f| f.whole(-127, 0));
    let key = r.find("key");
    let (master, keys) = (r.find("master"), r.find("keys"));
    r.done();
    let check = match (&master, &keys) {
        (Some(_), Some(f)) => {
            f.refuse(mistake("P009", "`keys` stand beside `master`", "the master makes every key", "take one of them out"))
        }
        (Some(f), None) => secret(f, "--master", WakeMaster::from_text).map(WakeCheck::Master),
        (None, Some(f)) => store_keys(f, site).map(WakeCheck::Keys),
        (None, None) if key.is_none() => whole.refuse(mistake(
            "P009",
            "`wake` says nothing",
            "neither a key nor a master",
            "write key = \"file:wake.key\" in a shop, or master = \"file:wake-master.key\" where apps report",
        )),
        (None, None) => None,
    };
    let is_unheard = |site: &Site| site.brands.values().all(|b| b.wake_uuid.is_none());
    if check.is_some() && site.is_some_and(is_unheard) && !whole.out.is_incomplete() {
        let mend = "add wake_uuid = \"..\" to the file in brands/, the UUID that the app watches for";
        whole.refuse::<()>(mistake("P048", "no brand has a `wake_uuid`", "there is nothing to check", mend));
    }
    let beacon = key.and_then(|f| beacon(&f, power, store, site));
    Some(Wake { beacon, check })
}

fn beacon(f: &Field<'_>, power: i8, store: Option<&StoreId>, site: Option<&Site>) -> Option<WakeSecret> {
    let key = secret(f, "STORE", WakeKey::from_text);
    let Some(store) = store else {
        let mend = "add store = \"..\", or give `master` if this gateway takes the words of apps";
        return f.refuse(mistake("P048", "a wake beacon wakes apps near a shop", "but `store` is missing", mend));
    };
    let Some(site) = site else { return Some(WakeSecret { key: key?, power }) };
    // A store or brand that is missing or wrong has been told already.
    let brand = site.brands.get(&site.stores.get(store)?.brand)?;
    if brand.wake_uuid.is_none() {
        let mend = format!("add wake_uuid = \"..\" to brands/{}.toml, the UUID that the app watches for", brand.id);
        return f.refuse(mistake("P048", format!("the brand \"{}\" has no `wake_uuid`", brand.id), "there is nothing to advertise", mend));
    }
    Some(WakeSecret { key: key?, power })
}

fn store_keys(f: &Field<'_>, site: Option<&Site>) -> Option<BTreeMap<StoreId, WakeKey>> {
    let keys = f.clone().each(|f| {
        let store: StoreId = f.id_of_key()?.parse().ok()?;
        if let Some(site) = site.filter(|site| !site.stores.contains_key(&store) && !f.out.is_incomplete()) {
            let mend = suggest(store.as_str(), site.stores.keys().map(StoreId::as_str));
            let m = mistake("P022", format!("there is no store \"{store}\""), format!("no file stores/{store}.toml"), mend);
            f.out.at(f.source, &f.key_span, m);
        }
        secret(&f, store.as_str(), WakeKey::from_text).map(|key| (store, key))
    })?;
    Some(keys.into_iter().collect())
}

/// A key from its file or variable. The text itself is never shown.
fn secret<T>(f: &Field<'_>, whose: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let text = f.secret()?;
    let key = read(&text.0);
    if key.is_none() {
        let mend = format!("write there what `passage-hub wake-key {whose}` prints");
        f.refuse::<()>(mistake("P049", format!("`{}` is not the key of a wake beacon", f.key), "not 32 bytes in base64", mend));
    }
    key
}

/// Reads `app_events`. What has keys to verify with verifies, unless the file says otherwise.
pub(crate) fn app_events(r: &Reader<'_>, wake: &Wake) -> AppEvents {
    let usual = if wake.check.is_some() { AppEvents::Verified } else { AppEvents::Claimed };
    r.or("app_events", usual, |f| {
        let chosen = f.choice(&[("claimed", AppEvents::Claimed), ("verified", AppEvents::Verified)])?;
        // Keys that are given but cannot be read are told where they stand.
        let given = r.find("wake").is_some_and(|f| f.has("master") || f.has("keys"));
        if chosen == AppEvents::Verified && wake.check.is_none() && !given {
            let mend = "add wake = { master = \"file:wake-master.key\" }, or write app_events = \"claimed\"";
            return f.refuse(mistake("P048", "words of the app cannot be verified here", "no wake keys are given", mend));
        }
        Some(chosen)
    })
}
