//! `stores/*.toml`: one shop a file. Also `campaigns/*.toml` and `visit.toml`, which are as short.

use std::{sync::Arc, time::Duration};

use geo::Point;
use passage_protocol::StoreId;

use crate::{
    collect::{mistake, suggest},
    geofence,
    model::{Campaign, Company, ContradictionRules, RegularRules, ScoreRules, Store, TouchRules, VisitRules},
    reader::{Field, Reader},
    site::Names,
    tracking,
};

/// Reads one store.
pub(crate) fn read(r: Reader<'_>, id: &StoreId, names: &Names) -> Option<Store> {
    let name = r.need("name", "name = \"Lyon Bellecour\"", |f| f.text().map(str::to_owned));
    let brand = r.need("brand", "brand = \"..\", the name of a file in brands/", |f| names.brand(&f));
    let entity = r.need("entity", "entity = \"..\", one of the brand's entities", |f| names.entity(&f, brand.as_deref()));
    let region = r.or("region", String::new(), |f| f.text().map(str::to_owned));
    let tags = r.or("tags", Vec::new(), |f| Some(f.texts()?.iter().filter_map(|f| f.text().map(str::to_owned)).collect()));
    // Only to notice a place in another country.
    let country = r.may("country", country);
    let at = r.need("at", "at = { lat = 45.7578, lon = 4.8320 }", |f| in_country(&f, point(f.clone())?, country.as_deref()));
    let timezone = r.or("timezone", chrono_tz::Europe::Paris, |f| f.zone());
    let hours = r.need("hours", "hours = \"Mo-Sa 10:00-19:30\"", |f| f.hours());
    r.done();
    Some(Store { id: id.clone(), name: name?, brand: brand?, entity: entity?, region, tags, at: at?, timezone, hours: Arc::new(hours?) })
}

/// A place as a person writes it.
pub(crate) fn point(f: Field<'_>) -> Option<Point<f64>> {
    let r = f.table()?;
    let lat = r.need("lat", "lat = 45.7578", |f| f.number(-90.0, 90.0));
    let lon = r.need("lon", "lon = 4.8320", |f| f.number(-180.0, 180.0));
    r.done();
    Some(Point::new(lon?, lat?))
}

/// An ISO 3166-1 alpha-2 code.
fn country(f: Field<'_>) -> Option<String> {
    let text = f.text()?;
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) {
        return Some(text.to_owned());
    }
    f.refuse(mistake("P009", "`country` is not the code of a country", "not two capital letters", "write country = \"FR\""))
}

/// A store stands in its country, as far as its box is known.
fn in_country(f: &Field<'_>, at: Point<f64>, country: Option<&str>) -> Option<Point<f64>> {
    let Some(code) = country.filter(|code| geofence::in_country(code, at) == Some(false)) else { return Some(at) };
    let place = format!("latitude {}, longitude {}", at.y(), at.x());
    if geofence::in_country(code, Point::new(at.y(), at.x())) == Some(true) {
        let mend = format!("write at = {{ lat = {}, lon = {} }}", at.x(), at.y());
        return f.refuse(mistake("P050", "latitude and longitude are swapped", place, mend));
    }
    f.refuse(mistake("P063", format!("this place is not in {code}"), place, "mend `at`, or `country`"))
}

/// Reads one campaign.
pub(crate) fn campaign(r: Reader<'_>, id: &str, names: &Names, touch: &mut TouchRules) -> Option<Campaign> {
    let name = r.need("name", "name = \"..\", as people read it", |f| f.text().map(str::to_owned));
    let channel = r.need("channel", "channel = \"social\"", |f| f.text().map(str::to_owned));
    let starts = r.need("starts", "starts = \"2026-11-01T00:00:00+01:00\"", |f| f.instant());
    let ends = r.need("ends", "ends = \"2026-12-01T00:00:00+01:00\"", |f| {
        let ends = f.instant()?;
        match starts {
            Some(starts) if ends <= starts => f.refuse(mistake(
                "P013",
                "this campaign ends before it starts",
                "not after `starts`",
                "write a later time, or an earlier `starts`",
            )),
            _ => Some(ends),
        }
    });
    let company = r.may("company", |f| company(f, names));
    tracking::campaign(&r, id, touch);
    r.done();
    Some(Campaign { id: id.to_owned(), name: name?, channel: channel?, starts: starts?, ends: ends?, company })
}

fn company(f: Field<'_>, names: &Names) -> Option<Company> {
    let r = f.table()?;
    let brand = r.need("brand", "brand = \"..\", the name of a file in brands/", |f| names.brand(&f));
    let entity = r.need("entity", "entity = \"..\", one of the brand's entities", |f| names.entity(&f, brand.as_deref()));
    r.done();
    Some(Company { brand: brand?, entity: entity? })
}

/// Reads `visit.toml`.
pub(crate) fn visit(r: Reader<'_>) -> VisitRules {
    const DAY: Duration = Duration::from_secs(86_400);
    const SECOND: Duration = Duration::from_secs(1);
    let d = VisitRules::default();
    let rules = VisitRules {
        min_dwell_beacon: r.or("min_dwell_beacon", d.min_dwell_beacon, |f| f.duration(SECOND, DAY)),
        min_dwell_position: r.or("min_dwell_position", d.min_dwell_position, |f| f.duration(SECOND, DAY)),
        gap_counted: r.or("gap_counted", d.gap_counted, |f| f.duration(SECOND, DAY)),
        gap_joined: r.or("gap_joined", d.gap_joined, |f| f.duration(SECOND, DAY)),
        max_visit: r.or("max_visit", d.max_visit, |f| f.duration(SECOND, DAY)),
        hours_grace: r.or("hours_grace", d.hours_grace, |f| f.duration(Duration::ZERO, DAY)),
        score: r.or("score", d.score, score),
        regulars: r.or("regulars", d.regulars, regulars),
        contradictions: r.or("contradictions", d.contradictions, contradictions),
    };
    let order = |small: (&'static str, Duration), large: (&'static str, Duration)| {
        if let (true, Some(f)) = (small.1 > large.1, r.find(large.0).or_else(|| r.find(small.0))) {
            let message = format!("`{}` must be at least `{}`", large.0, small.0);
            f.refuse::<()>(mistake("P008", message, "these two contradict each other", "raise the one or lower the other"));
        }
    };
    order(("gap_counted", rules.gap_counted), ("gap_joined", rules.gap_joined));
    order(("min_dwell_beacon", rules.min_dwell_beacon), ("max_visit", rules.max_visit));
    order(("min_dwell_position", rules.min_dwell_position), ("max_visit", rules.max_visit));
    r.done();
    rules
}

/// Reads `score` of `visit.toml`.
fn score(f: Field<'_>) -> Option<ScoreRules> {
    let r = f.table()?;
    let d = ScoreRules::default();
    let number = |key, default, least, most| r.or(key, default, |f| f.number(least, most));
    let time = |key, default| r.or(key, default, |f| f.duration(Duration::from_secs(1), Duration::from_secs(86_400)));
    let rules = ScoreRules {
        radio_above_db: number("radio_above_db", d.radio_above_db, -30.0, 30.0),
        app_above_db: number("app_above_db", d.app_above_db, -30.0, 30.0),
        per_db: number("per_db", d.per_db, 0.01, 10.0),
        most: number("most", d.most, 0.0, 20.0),
        position: number("position", d.position, 0.0, 20.0),
        app_unmeasured: number("app_unmeasured", d.app_unmeasured, -20.0, 20.0),
        half_life_radio: time("half_life_radio", d.half_life_radio),
        half_life_position: time("half_life_position", d.half_life_position),
    };
    r.done();
    Some(rules)
}

/// Reads `regulars` of `visit.toml`.
fn regulars(f: Field<'_>) -> Option<RegularRules> {
    const DAY: Duration = Duration::from_secs(86_400);
    const MINUTE: Duration = Duration::from_secs(60);
    let r = f.table()?;
    let d = RegularRules::default();
    let time = |key, default, most| r.or(key, default, |f| f.duration(MINUTE, most));
    let number = |key, default, most| r.or(key, default, |f| f.whole(1, most));
    let rules = RegularRules {
        window: time("window", d.window, DAY * 60),
        holds: time("holds", d.holds, DAY * 180),
        staff_day: time("staff_day", d.staff_day, DAY),
        staff_days: number("staff_days", d.staff_days, 7),
        staff_week: time("staff_week", d.staff_week, DAY * 7),
        closed_least: time("closed_least", d.closed_least, DAY),
        closed_days: number("closed_days", d.closed_days, 60),
        stays_a_day: number("stays_a_day", d.stays_a_day, 100),
        busy_days: number("busy_days", d.busy_days, 60),
        resident_day: time("resident_day", d.resident_day, DAY),
        resident_percent: number("resident_percent", d.resident_percent, 100),
        resident_days: number("resident_days", d.resident_days, 60),
    };
    r.done();
    Some(rules)
}

/// Reads `contradictions` of `visit.toml`.
fn contradictions(f: Field<'_>) -> Option<ContradictionRules> {
    let r = f.table()?;
    let d = ContradictionRules::default();
    let rules = ContradictionRules {
        distant_m: r.or("distant_m", d.distant_m, |f| f.whole(100, 1_000_000)),
        fastest_kmh: r.or("fastest_kmh", d.fastest_kmh, |f| f.whole(1, 100_000)),
        clocks: r.or("clocks", d.clocks, |f| f.duration(Duration::ZERO, Duration::from_secs(3600))),
        next_door_m: r.or("next_door_m", d.next_door_m, |f| f.whole(0, 10_000)),
        next_door_db: r.or("next_door_db", d.next_door_db, |f| f.whole(0, 100)),
    };
    r.done();
    Some(rules)
}

impl Names {
    /// A brand that has a file.
    pub(crate) fn brand(&self, f: &Field<'_>) -> Option<String> {
        known(f, &self.brands, ("P020", "brand", "brands"))
    }

    /// A store that has a file.
    pub(crate) fn store(&self, f: &Field<'_>) -> Option<StoreId> {
        known(f, &self.stores, ("P022", "store", "stores"))?.parse().ok()
    }

    /// A campaign that has a file.
    pub(crate) fn campaign(&self, f: &Field<'_>) -> Option<String> {
        known(f, &self.campaigns, ("P023", "campaign", "campaigns"))
    }

    fn entity(&self, f: &Field<'_>, brand: Option<&str>) -> Option<String> {
        let text = f.text()?;
        // Nothing is known of a brand whose own file is wrong.
        if let Some(entities) = brand.and_then(|b| self.entities.get(b)).filter(|e| !e.contains(text)) {
            let mend = suggest(text, entities.iter().map(String::as_str));
            return f.refuse(mistake("P021", format!("\"{text}\" is not an entity of this brand"), "the brand does not list it", mend));
        }
        Some(text.to_owned())
    }
}

fn known(f: &Field<'_>, all: &std::collections::BTreeSet<String>, (code, what, folder): (&'static str, &str, &str)) -> Option<String> {
    let text = f.text()?;
    if all.contains(text) {
        return Some(text.to_owned());
    }
    let near = suggest(text, all.iter().map(String::as_str));
    let m = mistake(code, format!("there is no {what} \"{text}\""), format!("no file {folder}/{}.toml", text.escape_debug()), near);
    f.refuse(m)
}
