//! Plays a scenario: adverts and actions in the order of time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
    time::Duration,
};

use passage_protocol::{ChainKey, Millis};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Act, Action, AddressPlan, AddressType, AdvertKind, App, Content, Phone, Scenario};
use crate::Address;

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, from the start of the scenario.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// Kinds of [`Step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An advert that the adapter hears if it scans.
    Advert(Advert),
    /// An action that the lab carries out. Silence of the air is already in the adverts.
    Act(Act),
}

/// One advert as an adapter hears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Index of the phone in the scenario.
    pub phone: usize,
    /// Which of its instances.
    pub instance: u32,
    /// Address of the sender at this moment.
    pub address: Address,
    /// Kind of the address.
    pub address_type: AddressType,
    /// Kind of the advert.
    pub kind: AdvertKind,
    /// Strength in dBm.
    pub rssi: i8,
    /// AD structures.
    pub data: Vec<u8>,
    /// Answer to an active scanner.
    pub scan_response: Option<Vec<u8>>,
}

/// An iterator over a scenario. It may have no end. Lost adverts are left out.
#[derive(Debug, Clone)]
pub struct Timeline {
    phones: Arc<[Phone]>,
    seed: u64,
    start: Millis,
    senders: Vec<Sender>,
    /// Senders by the microsecond of their next advert.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    actions: VecDeque<Action>,
    is_air_off: bool,
}

/// An instance of a phone.
#[derive(Debug, Clone)]
struct Sender {
    phone: usize,
    instance: u32,
    until: Option<u64>,
    /// Moment within the period at which its address changes, in microseconds.
    phase: u64,
    key: Option<ChainKey>,
    random: ChaCha8Rng,
    on_air: Option<OnAir>,
}

/// What a sender says until its next rotation.
#[derive(Debug, Clone)]
struct OnAir {
    rotation: u64,
    address: Address,
    data: Vec<u8>,
    scan_response: Option<Vec<u8>>,
}

impl Timeline {
    pub(super) fn new(scenario: &Scenario, start: Millis) -> Self {
        let phones: Arc<[Phone]> = scenario.phones.clone().into();
        let mut timeline = Self {
            seed: scenario.seed,
            start,
            senders: Vec::new(),
            due: BinaryHeap::new(),
            actions: scenario.actions.clone().into(),
            is_air_off: false,
            phones: Arc::clone(&phones),
        };
        for (index, phone) in phones.iter().enumerate() {
            for instance in 0..phone.repeat {
                timeline.add(index, phone, instance);
            }
        }
        timeline
    }

    fn add(&mut self, index: usize, phone: &Phone, instance: u32) {
        let mut random = stream(self.seed, &phone.id, instance, Purpose::Air);
        let (from, until) = phone.presence(instance);
        let first = micros(from) + random.random_range(0..micros(phone.interval).max(1));
        let key = match &phone.content {
            Content::App(app) => Some(app.key(instance, self.start)),
            Content::Template(_) => None,
        };
        let sender = Sender { phone: index, instance, until: until.map(micros), phase: random.next_u64() >> 1, key, random, on_air: None };
        if sender.until.is_none_or(|until| first < until) {
            self.due.push(Reverse((first, self.senders.len())));
            self.senders.push(sender);
        }
    }

    /// The earliest moment at which a step may come; `None` after the last.
    pub fn next_at(&self) -> Option<Duration> {
        let advert = self.due.peek().map(|Reverse((at, _))| Duration::from_micros(*at));
        [advert, self.actions.front().map(|action| action.at)].into_iter().flatten().min()
    }

    /// The step that is due at or before `now`, if any.
    pub fn pop_due(&mut self, now: Duration) -> Option<Step> {
        while self.next_at()? <= now {
            if let Some(step) = self.advance() {
                return Some(step);
            }
        }
        None
    }

    /// Takes what comes next; `None` for an advert that nobody hears.
    fn advance(&mut self) -> Option<Step> {
        let advert_at = self.due.peek().map(|Reverse((at, _))| Duration::from_micros(*at));
        if let Some(action) = self.actions.pop_front_if(|action| advert_at.is_none_or(|at| action.at <= at)) {
            match action.what {
                Act::AirOff => self.is_air_off = true,
                Act::AirOn => self.is_air_off = false,
                _ => {}
            }
            return Some(Step { at: action.at, what: What::Act(action.what) });
        }
        let Reverse((at, number)) = self.due.pop()?;
        let sender = self.senders.get_mut(number)?;
        let phone = self.phones.get(sender.phone)?;
        let next = at + sender.pause(phone);
        if sender.until.is_none_or(|until| next < until) {
            self.due.push(Reverse((next, number)));
        }
        let at = Duration::from_micros(at);
        let rssi = sender.hear(phone, at)?;
        sender.rotate(phone, self.seed, self.start, at);
        let on_air = sender.on_air.as_ref().filter(|on_air| !on_air.data.is_empty() && !self.is_air_off)?;
        Some(Step { at, what: What::Advert(sender.advert(phone, on_air, rssi)) })
    }
}

impl Iterator for Timeline {
    type Item = Step;
    fn next(&mut self) -> Option<Step> {
        self.pop_due(Duration::MAX)
    }
}

impl Sender {
    /// Microseconds to the next advert.
    fn pause(&mut self, phone: &Phone) -> u64 {
        let delay = self.random.random_range(0..=micros(phone.advert_delay));
        (micros(phone.interval) + delay).max(1)
    }

    /// The strength with which the adapter hears this advert; `None` when it is lost.
    fn hear(&mut self, phone: &Phone, at: Duration) -> Option<i8> {
        let is_lost = self.random.random_bool(phone.loss);
        let jitter = (self.random.random::<f64>() * 2.0 - 1.0) * phone.rssi_jitter;
        #[expect(clippy::cast_possible_truncation, reason = "clamped to what a radio reports")]
        let rssi = (phone.rssi.at(at) + jitter).round().clamp(-127.0, 20.0) as i8;
        (!is_lost).then_some(rssi)
    }

    /// Changes address and content if it is time.
    fn rotate(&mut self, phone: &Phone, seed: u64, start: Millis, at: Duration) {
        let rotation = self.rotation(phone, start, at);
        if self.on_air.as_ref().is_some_and(|on_air| on_air.rotation == rotation) {
            return;
        }
        let mut random = stream(seed, &phone.id, self.instance, Purpose::Rotation(rotation));
        let address = match phone.address {
            AddressPlan::Fixed(address) => address.plus(self.instance),
            AddressPlan::Derived { .. } => Address(random.random()).resolvable(),
        };
        let scan_response = phone.scan_response.as_ref().map(|template| template.fill(self.instance, rotation, &mut random));
        let data = match (&phone.content, &self.key) {
            (Content::Template(template), _) => template.fill(self.instance, rotation, &mut random),
            (Content::App(app), Some(key)) => app.data(key, rotation.cast_signed()),
            (Content::App(_), None) => Vec::new(),
        };
        self.on_air = Some(OnAir { rotation, address, data, scan_response });
    }

    /// Number of the rotation: the window of an app, else how often the period has passed.
    fn rotation(&self, phone: &Phone, start: Millis, at: Duration) -> u64 {
        match (&phone.content, &self.key, phone.address) {
            (Content::App(app), Some(key), _) => App::window(app, start + at, key).cast_unsigned(),
            (_, _, AddressPlan::Derived { rotate: Some(period) }) => {
                let period = micros(period).max(1);
                (micros(at) + self.phase % period) / period
            }
            _ => 0,
        }
    }

    fn advert(&self, phone: &Phone, on_air: &OnAir, rssi: i8) -> Advert {
        Advert {
            phone: self.phone,
            instance: self.instance,
            address: on_air.address,
            address_type: phone.address_type,
            kind: phone.kind,
            rssi,
            data: on_air.data.clone(),
            scan_response: on_air.scan_response.clone(),
        }
    }
}

enum Purpose {
    Air,
    Rotation(u64),
}

/// A stream of random numbers of its own for each instance and purpose, so that a phone that is added changes no other.
fn stream(seed: u64, id: &str, instance: u32, purpose: Purpose) -> ChaCha8Rng {
    // FNV-1a: the same on every machine and in every version.
    let name = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let purpose = match purpose {
        Purpose::Air => 0,
        Purpose::Rotation(n) => n.wrapping_add(1),
    };
    let mut key = [0; 32];
    for (part, word) in key.chunks_exact_mut(8).zip([seed, name, u64::from(instance), purpose]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
