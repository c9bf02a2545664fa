//! The file of a made-up city. Every key may be left out.

use std::{sync::Arc, time::Duration};

use crate::{
    hours::Hours,
    model::{CounterWorld, GatewayWorld, PeopleWorld, PhoneWorld, RadioWorld, World},
    reader::{Field, Reader},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Reads the file.
pub(crate) fn read(r: Reader<'_>) -> Option<World> {
    let world = World {
        members: r.or("members", 1000, |f| f.whole(1, 100_000)),
        shops: r.or("shops", 20, |f| f.whole(1, 1000)),
        weeks: r.or("weeks", 4, |f| f.whole(1, 12)),
        hours: match r.find("hours") {
            Some(f) => Arc::new(f.hours()?),
            None => Arc::new(Hours::parse("Mo-Sa 10:00-19:30").ok()?),
        },
        people: people(r.find("people"))?,
        phones: phones(r.find("phones"))?,
        radio: radio(r.find("radio"))?,
        gateways: gateways(r.find("gateways"))?,
        counter: counter(r.find("counter"))?,
    };
    r.done();
    Some(world)
}

/// One table, or the defaults without it.
struct Part<'a>(Option<Reader<'a>>);

impl<'a> Part<'a> {
    fn of(field: Option<Field<'a>>) -> Option<Self> {
        field.map_or(Some(Self(None)), |f| f.table().map(|r| Self(Some(r))))
    }

    fn number(&self, key: &'static str, default: f64, least: f64, most: f64) -> f64 {
        self.0.as_ref().map_or(default, |r| r.or(key, default, |f| f.number(least, most)))
    }

    fn share(&self, key: &'static str, default: f64) -> f64 {
        self.number(key, default, 0.0, 1.0)
    }

    fn time(&self, key: &'static str, default: Duration, most: Duration) -> Duration {
        self.0.as_ref().map_or(default, |r| r.or(key, default, |f| f.duration(Duration::ZERO, most)))
    }

    fn done(self) {
        if let Some(r) = self.0 {
            r.done();
        }
    }
}

fn people(f: Option<Field<'_>>) -> Option<PeopleWorld> {
    let p = Part::of(f)?;
    let people = PeopleWorld {
        visits_a_week: p.number("visits_a_week", 2.5, 0.0, 20.0),
        dwell: p.time("dwell", 12 * 60 * SECOND, 4 * HOUR),
        dwell_spread: p.number("dwell_spread", 0.9, 0.0, 2.0),
        step_out: p.share("step_out", 0.03),
        passes_a_day: p.number("passes_a_day", 1.0, 0.0, 20.0),
        window_shopping: p.share("window_shopping", 0.1),
        next_door_a_week: p.number("next_door_a_week", 1.0, 0.0, 20.0),
        staff: p.share("staff", 0.06),
        staff_listed: p.share("staff_listed", 0.3),
        residents: p.share("residents", 0.03),
        neighbours: p.share("neighbours", 0.02),
        shared_walls: p.share("shared_walls", 0.2),
        replays: p.0.as_ref().map_or(5, |r| r.or("replays", 5, |f| f.whole(0, 10_000))),
    };
    p.done();
    Some(people)
}

fn phones(f: Option<Field<'_>>) -> Option<PhoneWorld> {
    let p = Part::of(f)?;
    let phones = PhoneWorld {
        iphones: p.share("iphones", 0.45),
        off: p.share("off", 0.05),
        positions: p.share("positions", 0.4),
        fix_every: p.time("fix_every", 120 * SECOND, HOUR),
        accuracy_m: p.number("accuracy_m", 12.0, 1.0, 200.0),
        late_fixes: p.share("late_fixes", 0.1),
        wake_lost: p.share("wake_lost", 0.1),
        glance_every: p.time("glance_every", 240 * SECOND, DAY),
        exit_delay: p.time("exit_delay", 40 * SECOND, HOUR),
        exit_lost: p.share("exit_lost", 0.05),
        fence_m: p.number("fence_m", 25.0, 10.0, 1000.0),
        next_door_m: p.number("next_door_m", 45.0, 5.0, 1000.0),
    };
    p.done();
    Some(phones)
}

fn radio(f: Option<Field<'_>>) -> Option<RadioWorld> {
    let p = Part::of(f)?;
    let radio = RadioWorld {
        inside_dbm: p.number("inside_dbm", -64.0, -90.0, -40.0),
        spread_db: p.number("spread_db", 3.0, 0.0, 20.0),
        wall_db: p.number("wall_db", 22.0, 0.0, 60.0),
        floor_db: p.number("floor_db", 15.0, 0.0, 60.0),
        window_db: p.number("window_db", 20.0, 0.0, 60.0),
        fading_db: p.number("fading_db", 4.0, 0.0, 20.0),
        body_db: p.number("body_db", 10.0, 0.0, 40.0),
        advert_every: p.time("advert_every", 2 * SECOND, 60 * SECOND).max(SECOND / 10),
        loss: p.share("loss", 0.1),
        filtering: p.share("filtering", 0.3),
    };
    p.done();
    Some(radio)
}

fn gateways(f: Option<Field<'_>>) -> Option<GatewayWorld> {
    let p = Part::of(f)?;
    let gateways = GatewayWorld {
        outages_a_week: p.number("outages_a_week", 0.5, 0.0, 100.0),
        outage: p.time("outage", 2 * HOUR, 7 * DAY),
        cuts_a_week: p.number("cuts_a_week", 0.5, 0.0, 100.0),
        cut: p.time("cut", 8 * HOUR, 7 * DAY),
        skew: p.time("skew", 10 * SECOND, HOUR),
    };
    p.done();
    Some(gateways)
}

fn counter(f: Option<Field<'_>>) -> Option<CounterWorld> {
    let p = Part::of(f)?;
    let counter = CounterWorld {
        buys: p.share("buys", 0.25),
        card: p.share("card", 0.5),
        lent: p.share("lent", 0.01),
        pickups: p.share("pickups", 0.03),
        skew: p.time("skew", 30 * SECOND, HOUR),
    };
    p.done();
    Some(counter)
}
