//! The JSON of a scenario, read and checked: every mistake at once.

use std::{collections::HashSet, time::Duration};

use serde::Deserialize;

use super::{
    Act, Action, AddressPlan, AddressType, AdvertKind, App, Brand, Carrier, Content, Curve, Phone, Scenario, ScenarioError, Template,
};
use crate::Address;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    name: String,
    #[serde(default = "first_seed")]
    seed: u64,
    #[serde(default = "adapter")]
    adapter: String,
    brand: Option<BrandFile>,
    #[serde(default)]
    phones: Vec<PhoneFile>,
    #[serde(default)]
    actions: Vec<ActionFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BrandFile {
    service_uuid: String,
    ibeacon: String,
    #[serde(default = "no_prefix")]
    uuid_prefix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhoneFile {
    id: String,
    #[serde(default = "once")]
    repeat: u32,
    address: Option<String>,
    #[serde(default)]
    address_type: AddressTypeFile,
    payload: Option<String>,
    app: Option<AppFile>,
    scan_rsp: Option<String>,
    #[serde(default)]
    adv_type: AdvertKindFile,
    #[serde(default = "four_a_second")]
    interval_ms: f64,
    #[serde(default = "standard_delay")]
    adv_delay_ms: f64,
    rssi: Option<Vec<(f64, f64)>>,
    #[serde(default)]
    rssi_jitter: f64,
    #[serde(default)]
    loss: f64,
    rotate_ms: Option<f64>,
    #[serde(default)]
    start_ms: f64,
    stop_ms: Option<f64>,
    stay_ms: Option<f64>,
    #[serde(default)]
    stagger_ms: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppFile {
    key: String,
    day: Option<i64>,
    #[serde(default = "android")]
    carrier: Carrier,
    #[serde(default = "usual_power")]
    tx_power: i8,
    #[serde(default)]
    lag_ms: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionFile {
    at_ms: f64,
    #[serde(rename = "do")]
    what: Act,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum AddressTypeFile {
    #[default]
    Random,
    Public,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum AdvertKindFile {
    #[default]
    Nonconn,
    Ind,
    Scan,
}

fn first_seed() -> u64 {
    1
}
fn once() -> u32 {
    1
}
fn four_a_second() -> f64 {
    250.0
}
fn standard_delay() -> f64 {
    10.0
}
fn usual_power() -> i8 {
    -59
}
fn android() -> Carrier {
    Carrier::ServiceData
}
fn no_prefix() -> String {
    "000000000000".to_owned()
}
fn adapter() -> String {
    "02:00:5E:00:53:01".to_owned()
}

/// Longest time in a file: 100 days.
const LONGEST_MS: f64 = 8_640_000_000.0;

/// The mistakes so far, each with its place.
#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn keep<T>(&mut self, place: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|why| self.0.push(format!("{place}: {why}"))).ok()
    }

    fn time(&mut self, place: &str, ms: f64) -> Duration {
        if (0.0..=LONGEST_MS).contains(&ms) {
            return Duration::from_secs_f64(ms / 1000.0);
        }
        self.0.push(format!("{place}: {ms} is no time; write milliseconds from 0 to 100 days"));
        Duration::ZERO
    }
}

/// Reads and checks a whole file.
pub(super) fn decode(text: &str) -> Result<Scenario, ScenarioError> {
    let file: File = serde_json::from_str(text).map_err(|e| ScenarioError(e.to_string()))?;
    let mut wrong = Mistakes::default();
    let adapter = wrong.keep("adapter", file.adapter.parse());
    let brand = file.brand.and_then(|brand| decode_brand(&brand, &mut wrong));
    let mut names = HashSet::new();
    let phones = file.phones.iter().filter_map(|phone| {
        if !names.insert(phone.id.clone()) {
            wrong.0.push(format!("phone {}: two phones have this id; ids tell them apart", phone.id));
        }
        decode_phone(phone, brand, &mut wrong)
    });
    let phones: Vec<Phone> = phones.collect();
    let mut actions: Vec<Action> =
        file.actions.iter().map(|action| Action { at: wrong.time("actions, at_ms", action.at_ms), what: action.what }).collect();
    actions.sort_by_key(|action| action.at);
    match adapter {
        Some(adapter) if wrong.0.is_empty() => Ok(Scenario { name: file.name, seed: file.seed, adapter, phones, actions }),
        _ => Err(ScenarioError(wrong.0.join("\n"))),
    }
}

fn decode_brand(brand: &BrandFile, wrong: &mut Mistakes) -> Option<Brand> {
    let service_uuid = wrong.keep("brand, service_uuid", bytes(&brand.service_uuid.replace('-', "")));
    let ibeacon = wrong.keep("brand, ibeacon", bytes(&brand.ibeacon));
    let uuid_prefix = wrong.keep("brand, uuid_prefix", bytes(&brand.uuid_prefix));
    Some(Brand { service_uuid: service_uuid?, ibeacon: ibeacon?, uuid_prefix: uuid_prefix? })
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| format!("write {} hex digits", 2 * N))?;
    Ok(bytes)
}

fn decode_phone(phone: &PhoneFile, brand: Option<Brand>, wrong: &mut Mistakes) -> Option<Phone> {
    let at = |field: &str| format!("phone {}, {field}", phone.id);
    check_ranges(phone, wrong);
    let address = wrong.keep(&at("address"), phone.address.as_deref().map(str::parse::<Address>).transpose())?;
    let rotate = phone.rotate_ms.map(|ms| wrong.time(&at("rotate_ms"), ms));
    if rotate.is_some() && phone.app.is_some() {
        wrong.0.push(format!("{}: an app changes its address with its id; leave this out", at("rotate_ms")));
    }
    let content = decode_content(phone, brand, wrong);
    let scan_response = wrong.keep(&at("scan_rsp"), phone.scan_rsp.as_deref().map(Template::parse).transpose());
    let points = phone.rssi.as_ref().map(|points| points.iter().map(|(ms, dbm)| (wrong.time(&at("rssi"), *ms), *dbm)).collect());
    let rssi = wrong.keep(&at("rssi"), points.map(Curve::new).transpose());
    Some(Phone {
        id: phone.id.clone(),
        repeat: phone.repeat,
        address: match (address, rotate) {
            (Some(address), None) if phone.app.is_none() => AddressPlan::Fixed(address),
            _ => AddressPlan::Derived { rotate },
        },
        address_type: match phone.address_type {
            AddressTypeFile::Random => AddressType::Random,
            AddressTypeFile::Public => AddressType::Public,
        },
        kind: match phone.adv_type {
            AdvertKindFile::Nonconn => AdvertKind::NonConnectable,
            AdvertKindFile::Ind => AdvertKind::Connectable,
            AdvertKindFile::Scan => AdvertKind::Scannable,
        },
        interval: wrong.time(&at("interval_ms"), phone.interval_ms),
        advert_delay: wrong.time(&at("adv_delay_ms"), phone.adv_delay_ms),
        rssi_jitter: phone.rssi_jitter,
        loss: phone.loss,
        start: wrong.time(&at("start_ms"), phone.start_ms),
        stagger: wrong.time(&at("stagger_ms"), phone.stagger_ms),
        stop: phone.stop_ms.map(|ms| wrong.time(&at("stop_ms"), ms)),
        stay: phone.stay_ms.map(|ms| wrong.time(&at("stay_ms"), ms)),
        // Last, so that all mistakes of the phone are told.
        content: content?,
        scan_response: scan_response?,
        rssi: rssi?.unwrap_or_default(),
    })
}

fn check_ranges(phone: &PhoneFile, wrong: &mut Mistakes) {
    let mut check = |field: &str, is_right: bool, mend: &str| {
        if !is_right {
            wrong.0.push(format!("phone {}, {field}: {mend}", phone.id));
        }
    };
    check("interval_ms", phone.interval_ms >= 1.0, "write at least 1");
    check("rotate_ms", phone.rotate_ms.is_none_or(|ms| ms >= 1.0), "write at least 1");
    check("loss", (0.0..=1.0).contains(&phone.loss), "write a share from 0 to 1");
    check("rssi_jitter", (0.0..=100.0).contains(&phone.rssi_jitter), "write 0 to 100 dB");
    check("repeat", phone.repeat <= 1_000_000, "write at most 1000000");
}

fn decode_content(phone: &PhoneFile, brand: Option<Brand>, wrong: &mut Mistakes) -> Option<Content> {
    let at = |field: &str| format!("phone {}, {field}", phone.id);
    match (&phone.payload, &phone.app) {
        (Some(payload), None) => wrong.keep(&at("payload"), Template::parse(payload)).map(Content::Template),
        (None, Some(app)) => {
            let key = wrong.keep(&at("app.key"), bytes(&app.key));
            let brand = wrong.keep(&at("app"), brand.ok_or_else(|| "the scenario has no right `brand`, which an app needs".to_owned()));
            let lag = wrong.time(&at("app.lag_ms"), app.lag_ms);
            Some(Content::App(App { key: key?, day: app.day, brand: brand?, carrier: app.carrier, tx_power: app.tx_power, lag }))
        }
        _ => {
            wrong.0.push(format!("phone {}: give it either a `payload` or an `app`", phone.id));
            None
        }
    }
}
