//! Plays the day: time moves in small steps, and does not pass a step before everything that the step caused is done.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use passage_protocol::{Clock, Millis, StoreId};

use crate::{
    day::{self, How, Link, Outing, Person, Where},
    lines::{Lines, wall},
    phones::Phones,
    streets::Streets,
    system::System,
    track,
};

/// How far time moves at once.
const STEP: Duration = Duration::from_secs(5);
/// How far it moves at once while nobody is out and nothing happens.
const IDLE: Duration = Duration::from_secs(60);
/// Longest wait for a step to be done, in machine time; a system that hangs must not hang the demo.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An iPhone wakes the app whenever the screen lights up near the shop's beacon; the app says again that it is there.
const GLANCE: Duration = Duration::from_secs(4 * 60);

/// Something that happens at a fixed time.
#[derive(Debug)]
enum Act {
    Position { crm_id: String, step: track::Step },
    AppEvent { crm_id: String, store: StoreId, phase: &'static str },
    Link(Link),
    LiveTouchpoints(Vec<serde_json::Value>),
    Stop { crm_id: String },
    Withdraw { crm_id: String, purpose: &'static str },
    Refresh,
    Tills,
}

/// The played day.
#[derive(Debug)]
pub struct Day {
    acts: BTreeMap<(Millis, usize), Act>,
    streets: Streets,
    people: BTreeMap<String, Person>,
    end: Millis,
}

/// Which member answers STOP, and when.
pub const STOPS: (&str, &str) = ("C-00002", "13:15:00");
/// When the apps' tokens are half through their life.
const REFRESH_AT: &str = "20:31:00";
/// Which member withdraws what in the app, and when.
const WITHDRAWS: (&str, &str, &str) = ("C-00449", "presence", "21:00:00");
/// When the site posts the last day's views, and when the tills send their tickets.
const LIVE_AT: &str = "08:55:00";
const TILLS_AT: &str = "21:30:00";

impl Day {
    /// The first instant of the day that is played.
    pub fn begin() -> Result<Millis> {
        day::clock_time("08:30:00")
    }

    /// Reads the script in `data`, and enrols everybody who goes out.
    pub async fn prepare(data: &Path, system: &System, phones: &mut Phones) -> Result<Self> {
        let people = day::people(data)?;
        let outings = day::outings(data)?;
        let mut refused = 0;
        let mut out: Vec<&str> = outings.iter().filter_map(|o| o.crm_id.as_deref()).collect();
        out.sort_unstable();
        out.dedup();
        for crm_id in out {
            let Some(person) = people.get(crm_id) else { bail!("day.csv names {crm_id}, who is not in members.csv") };
            if !phones.enrol(person).await? {
                refused += 1;
            }
        }
        println!(
            "{}  {refused} apps were refused at enrolment: without consent to presence there is no key, no token and no row",
            wall(Self::begin()?)
        );
        let mut day = Self { acts: BTreeMap::new(), streets: Streets::new(system.site()), people, end: day::clock_time("21:45:00")? };
        day.script(data, &outings, system, phones)?;
        Ok(day)
    }

    fn script(&mut self, data: &Path, outings: &[Outing], system: &System, phones: &Phones) -> Result<()> {
        for link in day::links(data)? {
            self.at(link.at.max(Self::begin()?), Act::Link(link));
        }
        self.at(day::clock_time(LIVE_AT)?, Act::LiveTouchpoints(day::live_touchpoints(data)?));
        self.at(day::clock_time(STOPS.1)?, Act::Stop { crm_id: STOPS.0.to_owned() });
        self.at(day::clock_time(REFRESH_AT)?, Act::Refresh);
        self.at(day::clock_time(WITHDRAWS.2)?, Act::Withdraw { crm_id: WITHDRAWS.0.to_owned(), purpose: WITHDRAWS.1 });
        self.at(day::clock_time(TILLS_AT)?, Act::Tills);
        for outing in outings {
            self.outing(outing, system, phones)?;
        }
        Ok(())
    }

    fn outing(&mut self, outing: &Outing, system: &System, phones: &Phones) -> Result<()> {
        let site = system.site();
        let Some(store) = site.stores.get(&outing.store) else {
            bail!("day.csv names the store {}, which no file describes", outing.store)
        };
        let phone = outing.crm_id.as_deref().and_then(|id| phones.of(id));
        match (outing.how, outing.crm_id.clone()) {
            (How::Android | How::Ios, _) => {
                if let Some(phone) = phone {
                    self.streets.walk(outing, &phone.key);
                }
            }
            (How::Stranger, _) => self.streets.stranger(outing),
            (How::Positions, Some(crm_id)) => {
                for step in track::steps(outing, store.at.y(), store.at.x()) {
                    self.at(step.at, Act::Position { crm_id: crm_id.clone(), step });
                }
            }
            (How::App, Some(crm_id)) if outing.place != Where::Near => {
                let store = outing.store.clone();
                let leaves = outing.at + Duration::from_secs(u64::try_from(outing.minutes * 60)?);
                let mut seen = outing.at;
                while seen < leaves {
                    self.at(seen, Act::AppEvent { crm_id: crm_id.clone(), store: store.clone(), phase: "enter" });
                    seen = seen + GLANCE;
                }
                self.at(leaves, Act::AppEvent { crm_id, store, phase: "exit" });
            }
            _ => bail!("day.csv has a way that nobody can go: {:?} by {:?}", outing.place, outing.how),
        }
        Ok(())
    }

    fn at(&mut self, at: Millis, act: Act) {
        let n = self.acts.len();
        self.acts.insert((at, n), act);
    }

    /// Plays to the end of the day, `speed` times as fast as life; as fast as possible when `None`.
    pub async fn play(
        mut self,
        clock: &Clock,
        speed: Option<f64>,
        system: &mut System,
        phones: &mut Phones,
        lines: &mut Lines,
    ) -> Result<()> {
        let started = Instant::now();
        let begin = clock.now();
        let mut now = begin;
        while now < self.end {
            now = self.next_step(now);
            clock.set(now);
            system.reload_if_changed();
            while let Some(entry) = self.acts.first_entry().filter(|e| e.key().0 <= now) {
                let ((at, _), act) = entry.remove_entry();
                self.act(at, act, system, phones).await?;
            }
            for (store, advert) in self.streets.heard_until(now) {
                system.hear(&store, advert).await?;
            }
            system.settle(PATIENCE).await?;
            lines.print();
            if let Some(speed) = speed {
                #[expect(clippy::cast_precision_loss, reason = "milliseconds of one day")]
                let due = Duration::from_secs_f64(now.since(begin) as f64 / 1000.0 / speed);
                tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
            }
        }
        Ok(())
    }

    /// The end of the step that begins at `now`.
    fn next_step(&mut self, now: Millis) -> Millis {
        let act = self.acts.keys().next().map(|(at, _)| *at);
        let next = [act, self.streets.next()].into_iter().flatten().min().unwrap_or(self.end);
        let mut to = now + STEP;
        while to < next && to < now + IDLE {
            to = to + STEP;
        }
        to
    }

    async fn act(&self, at: Millis, act: Act, system: &System, phones: &mut Phones) -> Result<()> {
        match act {
            Act::Position { crm_id, step } => phones.position(&crm_id, &step).await,
            Act::AppEvent { crm_id, store, phase } => {
                let Some(wake) = system.wake(&store, at) else { bail!("the brand of {store} has no `wake_uuid`") };
                phones.app_event(&crm_id, &wake, phase, at.0).await
            }
            Act::Link(link) => phones.identify(&link).await,
            Act::LiveTouchpoints(rows) => phones.touchpoints(&rows).await,
            Act::Stop { crm_id } => match self.people.get(&crm_id) {
                Some(person) => system.reply(&person.phone, "STOP").await,
                None => Ok(()),
            },
            Act::Withdraw { crm_id, purpose } => phones.withdraw(&crm_id, purpose).await,
            Act::Refresh => phones.refresh(at).await,
            Act::Tills => system.import_tills().await,
        }
    }
}
