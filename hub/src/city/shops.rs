//! The gateways of the shops: everything that their radios hear, through the real presence machine.

use passage_config::PresenceRules;
use passage_gateway::{Change, beacon::Sighting, presence::Presence};
use passage_protocol::Millis;

use super::{
    air::{Heard, adverts},
    dice::Dice,
    plan::{Outing, Spot},
    report::Told,
    town::Town,
};

/// Everything that the gateway of one shop reports.
pub(super) fn listen(town: &Town, shop: usize, outings: &[Outing], replays: &[Replay]) -> Vec<Told> {
    let mut gateway = Gateway::new(town, shop);
    for day in 0..town.day_count() {
        let (from, to) = (town.days[day], town.days[day + 1]);
        let mut heard = Vec::new();
        let today = outings.iter().enumerate().filter(|(_, o)| from <= o.from && o.from < to && is_on_air(town, o));
        for (n, outing) in today {
            if let Some(spot) = spot_for(town, shop, outing) {
                let mut dice = Dice::of(town.seed, "air", n * town.shops.len() + shop);
                adverts(&town.world.radio, outing, spot, town.shops[shop].filters, &mut dice, &mut heard);
            }
        }
        heard.extend(replays.iter().filter(|r| r.shop == shop && from <= r.from && r.from < to).flat_map(Replay::adverts));
        // An outing may go on after midnight; what is left over waits for the next day.
        gateway.day(heard, to);
    }
    gateway.finish(town.end())
}

/// A rotating id that was recorded in one shop and is played in another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay {
    pub shop: usize,
    pub person: usize,
    /// In whose window it was recorded.
    pub recorded: Millis,
    pub from: Millis,
    pub to: Millis,
}

impl Replay {
    fn adverts(&self) -> impl Iterator<Item = Heard> + use<> {
        let window = u32::try_from(passage_protocol::rid::window_at(self.recorded)).unwrap_or(0);
        let (phone, from, to) = (u32::try_from(self.person).unwrap_or(0), self.from.0, self.to.0);
        (from..to).step_by(2000).map(move |at| Heard { at: Millis(at), phone, window, rssi: -60 })
    }
}

/// iPhones in the background are not on the air.
fn is_on_air(town: &Town, outing: &Outing) -> bool {
    !outing.off && !town.people[outing.person].iphone
}

/// Where the gateway of a shop has her; `None` out of its hearing.
fn spot_for(town: &Town, shop: usize, outing: &Outing) -> Option<Spot> {
    if outing.shop == shop {
        Some(outing.spot)
    } else if town.shops[shop].wall == Some(outing.shop) && outing.spot == Spot::Inside {
        Some(Spot::NextDoor)
    } else {
        None
    }
}

struct Gateway<'a> {
    town: &'a Town,
    shop: usize,
    presence: Presence,
    waiting: Vec<Heard>,
    was_down: bool,
    told: Vec<Told>,
}

impl<'a> Gateway<'a> {
    fn new(town: &'a Town, shop: usize) -> Self {
        let presence = Presence::new(town.shops[shop].store.clone(), PresenceRules::default(), town.site.dwell_marks());
        Self { town, shop, presence, waiting: Vec::new(), was_down: false, told: Vec::new() }
    }

    fn day(&mut self, heard: Vec<Heard>, until: Millis) {
        self.waiting.extend(heard);
        self.waiting.sort_unstable();
        let later = self.waiting.split_off(self.waiting.partition_point(|h| h.at < until));
        for heard in std::mem::replace(&mut self.waiting, later) {
            self.hear(&heard);
        }
    }

    fn hear(&mut self, heard: &Heard) {
        let here = &self.town.shops[self.shop];
        let is_down = here.outages.iter().any(|(from, to)| *from <= heard.at && heard.at <= *to);
        if is_down {
            self.was_down = true;
            return;
        }
        if std::mem::take(&mut self.was_down) {
            self.presence.listen_anew();
        }
        let at = Millis(heard.at.0 + here.skew);
        self.pass(at);
        let mut changes = Vec::new();
        self.presence.sight(&Sighting { at, subject: heard.subject(), rssi: heard.rssi, tx_power: -59 }, &mut changes);
        self.tell(changes, at);
    }

    /// Lets time pass as the gateway does: it wakes when something is due.
    fn pass(&mut self, until: Millis) {
        while let Some(due) = self.presence.next_due().filter(|due| *due <= until) {
            let mut changes = Vec::new();
            self.presence.advance(due, &mut changes);
            self.tell(changes, due);
        }
    }

    fn tell(&mut self, changes: Vec<Change>, at: Millis) {
        let here = &self.town.shops[self.shop];
        for change in changes {
            let Some(person) = Heard::person(&change.subject) else { continue };
            let said = Millis(at.0 - here.skew);
            let arrives = here.cuts.iter().filter(|(from, to)| *from <= said && said <= *to).map(|(_, to)| *to).max().unwrap_or(said);
            self.told.push(Told { arrives, person, shop: self.shop, gateway: here.gateway.clone(), change });
        }
    }

    fn finish(mut self, end: Millis) -> Vec<Told> {
        self.pass(Millis(end.0 + 86_400_000));
        self.told
    }
}
