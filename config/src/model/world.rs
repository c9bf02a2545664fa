//! The parameters of a made-up city, in which the visits that the hub finds are compared with those that took place.

use std::{sync::Arc, time::Duration};

use crate::hours::Hours;

/// A city. Shares are from 0 to 1.
#[derive(Debug, Clone)]
pub struct World {
    /// Members with the app.
    pub members: u32,
    /// Shops of the brand.
    pub shops: u32,
    /// How long it goes on, from Monday 2026-10-05 on, Europe/Paris.
    pub weeks: u32,
    /// Of all shops.
    pub hours: Arc<Hours>,
    /// What people do.
    pub people: PeopleWorld,
    /// What they carry.
    pub phones: PhoneWorld,
    /// How it sounds.
    pub radio: RadioWorld,
    /// What goes wrong with gateways.
    pub gateways: GatewayWorld,
    /// What happens at the tills.
    pub counter: CounterWorld,
}

/// What people do.
#[derive(Debug, Clone, PartialEq)]
pub struct PeopleWorld {
    /// Mean visits of a member to our shops in a week.
    pub visits_a_week: f64,
    /// Median dwell of a visit.
    pub dwell: Duration,
    /// Standard deviation of the logarithm of the dwell.
    pub dwell_spread: f64,
    /// Share of visits with a step out of the door for some minutes.
    pub step_out: f64,
    /// Mean walks past one of our shops of a member in a day.
    pub passes_a_day: f64,
    /// Share of those who stop at the window for minutes.
    pub window_shopping: f64,
    /// Mean stays of a member in the premises next door to one of our shops in a week.
    pub next_door_a_week: f64,
    /// Members who work in one of our shops.
    pub staff: f64,
    /// Share of those who are on the store's list.
    pub staff_listed: f64,
    /// Members who live above or beside one of our shops.
    pub residents: f64,
    /// Members who work next door to one of our shops.
    pub neighbours: f64,
    /// Share of our shops that have another one of ours behind a wall.
    pub shared_walls: f64,
    /// Copied rotating ids that are played in a distant shop.
    pub replays: u32,
}

/// What they carry.
#[derive(Debug, Clone, PartialEq)]
pub struct PhoneWorld {
    /// Share of iPhones, whose app is in the background: no advert, only the app's word and positions.
    pub iphones: f64,
    /// Share of outings with the phone off, or its Bluetooth and position.
    pub off: f64,
    /// Share of members who share their position.
    pub positions: f64,
    /// Time between fixes.
    pub fix_every: Duration,
    /// Median 68 % radius of fixes, metres.
    pub accuracy_m: f64,
    /// Share of outings whose fixes are delivered later, all together.
    pub late_fixes: f64,
    /// Share of stays at which an iPhone does not wake the app.
    pub wake_lost: f64,
    /// Mean time between words of a woken app.
    pub glance_every: Duration,
    /// Mean time after which an iPhone tells that it has left.
    pub exit_delay: Duration,
    /// Share of departures that it never tells.
    pub exit_lost: f64,
    /// Radius of the shops' geofences, metres.
    pub fence_m: f64,
    /// Distance of the premises next door from the middle of the shop, metres.
    pub next_door_m: f64,
}

/// How it sounds.
#[derive(Debug, Clone, PartialEq)]
pub struct RadioWorld {
    /// Mean strength in the shop, dBm.
    pub inside_dbm: f64,
    /// Standard deviation of it from stay to stay, dB.
    pub spread_db: f64,
    /// What the wall to next door takes, dB.
    pub wall_db: f64,
    /// What the floor to the flat above takes, dB.
    pub floor_db: f64,
    /// What the window and the way to the pavement take, dB.
    pub window_db: f64,
    /// Standard deviation of single adverts, dB.
    pub fading_db: f64,
    /// What a body between phone and gateway takes, dB.
    pub body_db: f64,
    /// Time between the adverts of a phone that can be heard.
    pub advert_every: Duration,
    /// Share of adverts that are lost.
    pub loss: f64,
    /// Share of gateways whose chip reports a phone once in 10.4 s.
    pub filtering: f64,
}

/// What goes wrong with gateways.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayWorld {
    /// Mean outages of a gateway in a week; it hears nothing.
    pub outages_a_week: f64,
    /// Mean length of those.
    pub outage: Duration,
    /// Mean outages of its line in a week; everything is delivered afterwards.
    pub cuts_a_week: f64,
    /// Mean length of those.
    pub cut: Duration,
    /// Standard deviation of its clock.
    pub skew: Duration,
}

/// What happens at the tills.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterWorld {
    /// Share of visits with a purchase.
    pub buys: f64,
    /// Share of purchases with the loyalty card.
    pub card: f64,
    /// Share of those with somebody else's card.
    pub lent: f64,
    /// Share of visits that pick up an order.
    pub pickups: f64,
    /// Standard deviation of the clock of a till.
    pub skew: Duration,
}
