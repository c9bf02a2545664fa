//! Who is where, in truth.

use passage_protocol::Millis;

use super::{
    dice::{Dice, whole},
    town::{Role, Town},
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Where somebody is, as seen from a shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    /// In the shop.
    Inside,
    /// In the premises next door.
    NextDoor,
    /// In the flat above.
    Above,
    /// On the pavement.
    Pavement,
}

/// Why somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Visit,
    Work,
    Home,
    Passing,
}

/// One time of one person near one shop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outing {
    pub person: usize,
    pub shop: usize,
    pub spot: Spot,
    pub why: Why,
    pub from: Millis,
    pub to: Millis,
    /// She is out of the door from then to then.
    pub out: Option<(Millis, Millis)>,
    /// Her phone is off.
    pub off: bool,
}

/// All outings, by person and time. Nobody is in two places at once, and half an hour lies between two of them.
pub(super) fn plan(town: &Town) -> Vec<Outing> {
    (0..town.people.len()).flat_map(|n| Diary::of(town, n)).collect()
}

struct Diary<'a> {
    town: &'a Town,
    person: usize,
    dice: Dice,
    outings: Vec<Outing>,
}

impl<'a> Diary<'a> {
    fn of(town: &'a Town, person: usize) -> Vec<Outing> {
        let mut diary = Self { town, person, dice: Dice::of(town.seed, "diary", person), outings: Vec::new() };
        match town.people[person].role {
            Role::Staff { shop, .. } => diary.shifts(shop),
            Role::Resident { shop } => diary.nights(shop),
            Role::Neighbour { shop } => diary.office(shop),
            Role::Customer => {}
        }
        let (people, weeks) = (&town.world.people, f64::from(town.world.weeks));
        // Some come often and some hardly ever.
        let appetite = -(1.0 - diary.dice.share()).ln();
        for _ in 0..diary.dice.poisson(people.visits_a_week * weeks * appetite) {
            diary.visit();
        }
        for _ in 0..diary.dice.poisson(people.next_door_a_week * weeks) {
            diary.coffee();
        }
        for _ in 0..diary.dice.poisson(people.passes_a_day * weeks * 7.0) {
            diary.pass();
        }
        diary.outings.sort_by_key(|o| o.from);
        diary.outings
    }

    /// Enters it if she is free then.
    fn add(&mut self, shop: usize, spot: Spot, why: Why, from: i64, to: i64) -> Option<&mut Outing> {
        let pause = if spot == Spot::Pavement { 10 * MINUTE } else { 45 * MINUTE };
        // By where they are: the neighbour of a shop in another town is there too.
        let town = |shop: usize| self.town.shops[shop].at.0;
        let far = |o: &Outing| if (town(o.shop) - town(shop)).abs() > 1.0 { 6 * HOUR } else { 0 };
        let is_free = |o: &Outing| o.to.0 + pause + far(o) < from || to + pause + far(o) < o.from.0;
        if !self.outings.iter().all(is_free) || to <= from {
            return None;
        }
        let off = self.dice.chance(self.town.world.phones.off);
        self.outings.push(Outing { person: self.person, shop, spot, why, from: Millis(from), to: Millis(to), out: None, off });
        self.outings.last_mut()
    }

    fn taste(&mut self) -> usize {
        let tastes = self.town.people[self.person].tastes;
        match self.dice.share() {
            s if s < 0.6 => tastes[0],
            s if s < 0.85 => tastes[1],
            _ => tastes[2],
        }
    }

    fn open_moment(&mut self) -> Option<i64> {
        let day = self.dice.below(self.town.day_count());
        let minutes = self.town.open_minutes(day);
        let minute = minutes.get(self.dice.below(minutes.len()))?;
        Some(minute.0 + whole(self.dice.share() * 60_000.0))
    }

    fn visit(&mut self) {
        let Some(from) = self.open_moment() else { return };
        let people = &self.town.world.people;
        let dwell = self.dice.lognormal(people.dwell, people.dwell_spread).clamp(20_000, 210 * MINUTE);
        // The shop closes, and everybody leaves within some minutes.
        let closes = (0..dwell / MINUTE).map(|m| from + m * MINUTE).find(|at| !self.town.is_open(Millis(*at)));
        let to = closes.map_or(from + dwell, |at| (from + dwell).min(at + 5 * MINUTE));
        let shop = self.taste();
        let steps_out = self.dice.chance(people.step_out) && to - from > 20 * MINUTE;
        let (when, long) = (self.dice.between(0.3, 0.6), whole(self.dice.between(2.0, 8.0) * 60_000.0));
        let Some(outing) = self.add(shop, Spot::Inside, Why::Visit, from, to) else { return };
        if steps_out {
            let out = from + whole(when * super::dice::real(to - from));
            outing.out = Some((Millis(out), Millis(out + long)));
        }
    }

    fn coffee(&mut self) {
        let Some(from) = self.open_moment() else { return };
        let long = self.dice.lognormal(std::time::Duration::from_secs(25 * 60), 0.6).clamp(3 * MINUTE, 180 * MINUTE);
        let shop = self.taste();
        self.add(shop, Spot::NextDoor, Why::Passing, from, from + long);
    }

    fn pass(&mut self) {
        let Some(from) = self.open_moment() else { return };
        let stops = self.dice.chance(self.town.world.people.window_shopping);
        let seconds = if stops { self.dice.between(60.0, 240.0) } else { self.dice.between(15.0, 50.0) };
        let shop = self.taste();
        self.add(shop, Spot::Pavement, Why::Passing, from, from + whole(seconds * 1000.0));
    }

    /// Five days of a week with a break at noon, or three shorter ones.
    fn shifts(&mut self, shop: usize) {
        let full = self.dice.chance(0.7);
        for day in 0..self.town.day_count() {
            let open = self.town.open_minutes(day);
            let works = self.dice.chance(if full { 0.83 } else { 0.5 });
            let (Some(first), Some(last), true) = (open.first(), open.last(), works) else { continue };
            let (first, last) = (first.0 - 25 * MINUTE, last.0 + 20 * MINUTE);
            if full {
                let noon = first + whole(self.dice.between(3.0, 4.2) * 3_600_000.0);
                self.add(shop, Spot::Inside, Why::Work, first, noon);
                self.add(shop, Spot::Inside, Why::Work, noon + 50 * MINUTE, last);
            } else {
                let from = first + whole(self.dice.between(0.0, 3.0) * 3_600_000.0);
                self.add(shop, Spot::Inside, Why::Work, from, (from + 5 * HOUR).min(last));
            }
        }
    }

    fn nights(&mut self, shop: usize) {
        for day in 0..self.town.day_count() {
            let (home, leaves) = (self.dice.between(18.0, 20.5), self.dice.between(31.0, 33.0));
            let midnight = self.town.days[day].0;
            let at = |hours: f64| midnight + whole(hours * 3_600_000.0);
            self.add(shop, Spot::Above, Why::Home, at(home), at(leaves));
        }
    }

    fn office(&mut self, shop: usize) {
        for day in (0..self.town.day_count()).filter(|day| day % 7 < 5) {
            let midnight = self.town.days[day].0;
            self.add(shop, Spot::NextDoor, Why::Passing, midnight + 9 * HOUR, midnight + 13 * HOUR);
            self.add(shop, Spot::NextDoor, Why::Passing, midnight + 14 * HOUR, midnight + 18 * HOUR);
        }
    }
}
