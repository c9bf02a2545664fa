//! The shops and the people of a city.

use std::time::Duration;

use chrono::{Days, NaiveDate, TimeZone};
use chrono_tz::{Europe::Paris, Tz};
use passage_config::{FenceKind, Geofence, Shape, Site, Store, World};
use passage_protocol::{GatewayId, Millis, StoreId};

use super::dice::{Dice, whole};

/// The shops' time.
pub(super) const ZONE: Tz = Paris;
const MINUTE: i64 = 60_000;

/// A shop with its gateway.
pub(super) struct Shop {
    pub store: StoreId,
    pub gateway: GatewayId,
    /// Latitude and longitude.
    pub at: (f64, f64),
    /// One of ours behind the wall.
    pub wall: Option<usize>,
    /// Its chip reports a phone once in 10.4 s.
    pub filters: bool,
    /// Its clock is ahead by so much.
    pub skew: i64,
    /// When it hears nothing.
    pub outages: Vec<(Millis, Millis)>,
    /// When it delivers nothing.
    pub cuts: Vec<(Millis, Millis)>,
}

/// What somebody is to one shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Customer,
    Staff { shop: usize, listed: bool },
    Resident { shop: usize },
    Neighbour { shop: usize },
}

/// A member.
pub(super) struct Person {
    pub role: Role,
    pub iphone: bool,
    pub positions: bool,
    /// Where she goes, favourite first.
    pub tastes: [usize; 3],
}

/// The city.
pub(super) struct Town {
    pub seed: u64,
    pub world: World,
    pub shops: Vec<Shop>,
    pub people: Vec<Person>,
    pub site: Site,
    /// Local midnight of each day, and of the one after the last.
    pub days: Vec<Millis>,
    /// Open or not, by minute from the day before the first on.
    open: Vec<bool>,
}

impl Town {
    pub fn new(world: &World, seed: u64) -> Self {
        let days = days(world.weeks);
        let shops: Vec<Shop> = (0..count(world.shops)).map(|n| shop(world, seed, n, &days)).collect();
        let people = (0..count(world.members)).map(|n| person(world, seed, n, shops.len())).collect();
        let site = site(world, &shops);
        let open = open(world, &days);
        Self { seed, world: world.clone(), shops, people, site, days, open }
    }

    /// Looked up, because the visit machine asks often.
    pub fn is_open(&self, at: Millis) -> bool {
        let minute = (at.0 - self.first_minute().0).div_euclid(MINUTE);
        usize::try_from(minute).ok().and_then(|m| self.open.get(m)).copied().unwrap_or(false)
    }

    /// The open minutes of a day.
    pub fn open_minutes(&self, day: usize) -> Vec<Millis> {
        let (from, to) = (self.days[day], self.days[day + 1]);
        (0..to.since(from) / MINUTE).map(|m| Millis(from.0 + m * MINUTE)).filter(|at| self.is_open(*at)).collect()
    }

    pub fn day_count(&self) -> usize {
        self.days.len() - 1
    }

    pub fn end(&self) -> Millis {
        self.days[self.day_count()]
    }

    fn first_minute(&self) -> Millis {
        self.days[0] - Duration::from_secs(2 * 86_400)
    }
}

pub(super) fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn days(weeks: u32) -> Vec<Millis> {
    let first = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap_or_default();
    let midnight = |day: u64| {
        let wall = (first + Days::new(day)).and_hms_opt(0, 0, 0).unwrap_or_default();
        ZONE.from_local_datetime(&wall).earliest().map_or(Millis(0), |at| Millis(at.timestamp_millis()))
    };
    (0..=u64::from(weeks) * 7).map(midnight).collect()
}

fn open(world: &World, days: &[Millis]) -> Vec<bool> {
    let from = days[0] - Duration::from_secs(2 * 86_400);
    let to = days[days.len() - 1] + Duration::from_secs(2 * 86_400);
    (0..to.since(from) / MINUTE).map(|m| world.hours.is_open(Millis(from.0 + m * MINUTE), ZONE)).collect()
}

fn shop(world: &World, seed: u64, n: usize, days: &[Millis]) -> Shop {
    let mut dice = Dice::of(seed, "shop", n);
    // A town on a grid of some kilometres, and every fifth shop in another town.
    let far = if n % 5 == 4 { 3.0 } else { 0.0 };
    let at = (45.75 + far + 0.02 * (n / 4 % 5) as f64, 4.83 + 0.03 * (n % 4) as f64);
    // Pairs stand side by side: 30 m to the east.
    let paired = count(world.shops) > n + 1 && n.is_multiple_of(2) && Dice::of(seed, "wall", n / 2).chance(world.people.shared_walls);
    let second = n % 2 == 1 && Dice::of(seed, "wall", n / 2).chance(world.people.shared_walls);
    let at = if second { beside(world, seed, n, days) } else { at };
    let wall = if paired { Some(n + 1) } else { second.then(|| n - 1) };
    let spans = |dice: &mut Dice, a_week: f64, mean: Duration| {
        let mut spans: Vec<(Millis, Millis)> = (0..dice.poisson(a_week * f64::from(world.weeks)))
            .map(|_| {
                let span = crate::visit::stay::millis(Duration::from_secs(u64::from(world.weeks) * 7 * 86_400));
                let from = Millis(days[0].0 + whole(dice.share() * super::dice::real(span)));
                (from, Millis(from.0 + dice.wait(mean)))
            })
            .collect();
        spans.sort();
        spans
    };
    let g = &world.gateways;
    Shop {
        store: id("shop", n),
        gateway: id("gw", n),
        at,
        wall,
        filters: dice.chance(world.radio.filtering),
        skew: whole(dice.normal() * super::dice::real(crate::visit::stay::millis(g.skew))),
        outages: spans(&mut dice, g.outages_a_week, g.outage),
        cuts: spans(&mut dice, g.cuts_a_week, g.cut),
    }
}

fn beside(world: &World, seed: u64, n: usize, days: &[Millis]) -> (f64, f64) {
    let first = shop(world, seed, n - 1, days).at;
    (first.0, first.1 + 60.0 / (111_195.0 * first.0.to_radians().cos()))
}

fn id<T: std::str::FromStr>(what: &str, n: usize) -> T
where
    T::Err: std::fmt::Debug,
{
    format!("{what}-{n:04}").parse().expect("letters, digits and a dash are an id")
}

fn person(world: &World, seed: u64, n: usize, shops: usize) -> Person {
    let mut dice = Dice::of(seed, "person", n);
    let (share, shop, p) = (dice.share(), dice.below(shops), &world.people);
    let role = if share < p.staff {
        Role::Staff { shop, listed: dice.chance(p.staff_listed) }
    } else if share < p.staff + p.residents {
        Role::Resident { shop }
    } else if share < p.staff + p.residents + p.neighbours {
        Role::Neighbour { shop }
    } else {
        Role::Customer
    };
    let tastes = [dice.below(shops), dice.below(shops), dice.below(shops)];
    Person { role, iphone: dice.chance(world.phones.iphones), positions: dice.chance(world.phones.positions), tastes }
}

/// The shops as gateways know them.
fn site(world: &World, shops: &[Shop]) -> Site {
    let mut site = Site { revision: "city".to_owned(), ..Site::default() };
    for shop in shops {
        let at = geo_point(shop.at);
        let store = Store {
            id: shop.store.clone(),
            name: shop.store.to_string(),
            brand: "city".to_owned(),
            entity: "city".to_owned(),
            region: String::new(),
            tags: Vec::new(),
            at,
            timezone: ZONE,
            hours: world.hours.clone(),
        };
        let id: passage_protocol::FenceId = self::id("fence", site.geofences.len());
        let shape = Shape::Circle { centre: at, radius_m: world.phones.fence_m };
        site.geofences.insert(id.clone(), Geofence { id, store: shop.store.clone(), kind: FenceKind::Store, shape });
        site.stores.insert(shop.store.clone(), store);
    }
    site
}

fn geo_point((lat, lon): (f64, f64)) -> geo::Point<f64> {
    geo::Point::new(lon, lat)
}
