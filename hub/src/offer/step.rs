//! The work of one member in one transaction: evidence to visits, visits to decisions, decisions to messages.

use std::collections::{BTreeMap, HashMap};

use passage_config::{Brand, HubConfig, Store};
use passage_protocol::{Millis, StoreId, Zone};
use uuid::Uuid;

use crate::{
    attribution,
    identity::{Keyring, MemberId, Profile, Purpose},
    notice::{Notice, What},
    offer::trigger,
    store::{
        StoreError, Tx, counter,
        ingest::{self, StoredEvent},
        people, replay, touchpoint, visit,
        work::{self, Todo, TodoKind},
    },
    touchpoint::{Purchase, Touchpoint},
    visit::{
        Change, Evidence, Machine, Proof, Rules, Source, Stay, Visit, VisitChange,
        doubt::replay::{Heard, Replay},
        judge,
        span::Span,
        weigh,
    },
};

/// A month of messages, which is what the caps look at.
pub(super) const MONTH: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// What is the same for all members of one transaction.
pub(super) struct Step<'a> {
    pub config: &'a HubConfig,
    pub keyring: &'a Keyring,
    pub now: Millis,
    /// Told after the commit.
    pub notices: Vec<Notice>,
    /// What the work of the transaction is about, read with one statement.
    events: HashMap<String, Result<StoredEvent, StoreError>>,
    /// Events whose work is done, to be deleted with one statement.
    done: Vec<String>,
    /// Ids of the member at hand that are in two places at once.
    pub(super) replays: Vec<Replay>,
}

/// The work of one member in one store.
#[derive(Default)]
pub(super) struct InStore {
    pub heard: Vec<Heard>,
    evidence: Vec<Evidence>,
    events: Vec<String>,
    moments: Vec<Evidence>,
    due: Vec<(Todo, Stay)>,
}

/// A member in a store, as this step sees her.
pub(super) struct Scene<'a> {
    pub member: MemberId,
    pub brand: &'a Brand,
    pub store: &'a Store,
    pub profile: Profile,
    pub past: Past,
}

/// What she did online and bought, as far as she allowed it to be joined.
#[derive(Default)]
pub(super) struct Past {
    pub touchpoints: Vec<Touchpoint>,
    pub purchases: Vec<Purchase>,
}

impl<'a> Step<'a> {
    /// For all members whose work is in `todos`, in one transaction, which ends with [`Step::finish`].
    pub async fn begin(tx: &mut Tx, config: &'a HubConfig, keyring: &'a Keyring, now: Millis, todos: &[Todo]) -> Result<Self, StoreError> {
        let ids = todos.iter().filter(|todo| todo.kind == TodoKind::Event).map(|todo| todo.reference.as_str());
        let events = ingest::events(tx, ids).await?;
        Ok(Self { config, keyring, now, notices: Vec::new(), events, done: Vec::new(), replays: Vec::new() })
    }

    /// Deletes the rows of the work that was done; gives what is to be told after the commit.
    pub async fn finish(self, tx: &mut Tx) -> Result<Vec<Notice>, StoreError> {
        work::events_done(tx, self.done.iter().map(String::as_str)).await?;
        Ok(self.notices)
    }

    /// Does all of `todos`, which are of one member, and deletes them.
    pub async fn run(&mut self, tx: &mut Tx, member: MemberId, todos: &[Todo]) -> Result<(), StoreError> {
        let mut here = Vec::new();
        for (store, mut work) in self.gather(tx, todos).await? {
            let Some(store) = self.config.site.stores.get(&store) else { continue };
            let profile = self.profile(tx, member, store, &mut work).await?;
            here.push((store, profile, work));
        }
        self.note_heard(tx, member, here.iter().flat_map(|(_, _, work)| &work.heard)).await?;
        for (store, profile, work) in here {
            self.in_store(tx, member, store, profile, work).await?;
        }
        Ok(())
    }

    /// Gathers what the todo rows are about. Rows about events are deleted in the end; rows about visits when the visit is closed.
    async fn gather(&mut self, tx: &mut Tx, todos: &[Todo]) -> Result<BTreeMap<StoreId, InStore>, StoreError> {
        let mut stores: BTreeMap<StoreId, InStore> = BTreeMap::new();
        for todo in todos {
            match todo.kind {
                TodoKind::Event => {
                    let Some(event) = self.events.remove(&todo.reference).transpose()? else {
                        self.done.push(todo.reference.clone());
                        continue;
                    };
                    if !self.knows(tx, todo, &event.store).await? {
                        continue;
                    }
                    self.done.push(todo.reference.clone());
                    let evidence = self.evidence(&event);
                    let heard = heard(&event);
                    let here = stores.entry(event.store).or_default();
                    here.heard.extend(heard);
                    here.evidence.push(evidence);
                    here.events.push(event.id);
                }
                TodoKind::Counter => {
                    let Some((store, kind, at)) = counter::get(tx, &todo.reference).await? else {
                        work::done(tx, todo).await?;
                        continue;
                    };
                    if self.knows(tx, todo, &store).await? {
                        counter::forget(tx, &todo.reference).await?;
                        work::done(tx, todo).await?;
                        stores.entry(store).or_default().moments.push(Evidence::counter(kind, at));
                    }
                }
                TodoKind::Visit => {
                    let id = todo.reference.parse().map_err(|_| StoreError::Corrupt("visit id"))?;
                    let Some(found) = visit::get(tx, id).await?.filter(|v| v.visit.open) else {
                        work::done(tx, todo).await?;
                        continue;
                    };
                    if self.knows(tx, todo, &found.visit.store).await? {
                        stores.entry(found.visit.store).or_default().due.push((todo.clone(), found.stay));
                    }
                }
            }
        }
        Ok(stores)
    }

    /// True if the configuration has the store and its brand; otherwise the work waits, parked, for a person.
    async fn knows(&self, tx: &mut Tx, todo: &Todo, store: &StoreId) -> Result<bool, StoreError> {
        if self.config.site.stores.get(store).is_some_and(|s| self.config.site.brands.contains_key(&s.brand)) {
            return Ok(true);
        }
        work::park(tx, todo, &format!("the configuration has no store '{store}', or not its brand"), self.now).await?;
        Ok(false)
    }

    fn evidence(&self, event: &StoredEvent) -> Evidence {
        let fence = match &event.zone {
            Zone::Fence(id) => self.config.site.geofences.get(id).filter(|f| f.store == event.store),
            Zone::In | Zone::Front => None,
        };
        let presence = self.config.site.gateways.get(&event.gateway).map(|g| g.presence).unwrap_or_default();
        Evidence {
            weight: weigh(&event.strength, &presence, fence.map(|f| f.shape.radius_m())),
            source: Source::Gateway {
                gateway: event.gateway.clone(),
                zone: event.zone.clone(),
                fence_kind: fence.map(|f| f.kind),
                signal: event.signal,
                strength: event.strength,
            },
            phase: event.phase,
            first: event.first,
            last: event.last,
            initial: event.initial,
            late: event.late,
        }
    }

    /// The member, if she allows to be seen in the store; if not, what was seen goes. Read under the lock of the shard: a consent that was withdrawn
    /// since the event came in counts.
    async fn profile(&self, tx: &mut Tx, member: MemberId, store: &Store, work: &mut InStore) -> Result<Option<Profile>, StoreError> {
        let profile = people::profile(tx, member, &store.brand, &store.entity).await?;
        let profile = profile.filter(|p| p.consents.allow(Purpose::Presence));
        if profile.is_none() {
            work.evidence.clear();
            work.heard.clear();
            for event in &work.events {
                ingest::forget_resolved(tx, event).await?;
            }
            replay::forget(tx, member, &store.id).await?;
        }
        // A ticket says where she was only if she allows it to be joined with her visits.
        let joined = profile.as_ref().is_some_and(|p| p.consents.allow(Purpose::Match));
        work.evidence.extend(std::mem::take(&mut work.moments).into_iter().filter(|_| joined));
        Ok(profile)
    }

    async fn in_store(
        &mut self,
        tx: &mut Tx,
        member: MemberId,
        store: &Store,
        profile: Option<Profile>,
        work: InStore,
    ) -> Result<(), StoreError> {
        let Some(brand) = self.config.site.brands.get(&store.brand) else { return Ok(()) };
        let changes = self.visits(tx, member, store, work).await?;
        let Some(profile) = profile else { return Ok(()) };
        let past = self.past(tx, &profile, store, &changes).await?;
        let scene = Scene { member, brand, store, profile, past };
        for change in &changes {
            self.tell(&scene, change);
            self.offers(tx, &scene, change).await?;
        }
        Ok(())
    }

    /// Runs the machine and writes what became of the visits.
    async fn visits(&self, tx: &mut Tx, member: MemberId, store: &Store, mut work: InStore) -> Result<Vec<VisitChange>, StoreError> {
        let marks = trigger::marks(&self.config.site, store);
        let open = |at| store.hours.is_open(at, store.timezone);
        let rules = Rules { visit: &self.config.visit, marks: &marks, open: &open };
        let Some(reach) = reach(&work) else { return Ok(Vec::new()) };
        let widened = Span(reach.0 - rules.visit.gap_joined, reach.1 + rules.visit.gap_joined);
        let mut machine = Machine::new(visit::within(tx, member, &store.id, widened).await?);
        work.evidence.sort_by_key(|e| (e.last, e.first));
        let mut new_id = || new_id(self.now);
        let mut changes: Vec<VisitChange> = work.evidence.iter().flat_map(|e| machine.apply(e, &rules, &mut new_id)).collect();
        if work.evidence.is_empty() {
            // With evidence at hand there may be more in the table; the visit is closed in the next step.
            changes.extend(machine.due(self.now, &rules));
        }
        for (id, into) in machine.absorbed() {
            visit::absorb(tx, *id, *into).await?;
            work::done(tx, &Todo::new(member, self.now, TodoKind::Visit, id.to_string())).await?;
        }
        changes.extend(self.note_regular(tx, member, store, &mut machine, &rules).await?);
        self.save_all(tx, member, store, &machine, &rules).await?;
        changes.extend(self.note_doubts(tx, member, store, &machine).await?);
        changes.extend(self.learn_regular(tx, member, store, &changes, &rules).await?);
        for (todo, _) in &work.due {
            // Later evidence may have moved the end; then the row moves too.
            match machine.stays().iter().find(|s| s.id.to_string() == todo.reference && s.open) {
                Some(stay) => work::put(tx, &Todo { due: stay.closes_at(&rules), ..todo.clone() }).await?,
                None => work::done(tx, todo).await?,
            }
        }
        let now_part_of = |id: Uuid| machine.absorbed().iter().fold(id, |id, (from, into)| if id == *from { *into } else { id });
        changes.iter_mut().for_each(|c| c.visit = now_part_of(c.visit));
        Ok(changes)
    }

    pub(super) async fn save_all(
        &self,
        tx: &mut Tx,
        member: MemberId,
        store: &Store,
        machine: &Machine,
        rules: &Rules<'_>,
    ) -> Result<(), StoreError> {
        for stay in machine.changed() {
            self.save(tx, member, store, stay, rules).await?;
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, member: MemberId, store: &Store, stay: &Stay, rules: &Rules<'_>) -> Result<(), StoreError> {
        let figures = stay.figures(rules);
        let row = Visit {
            id: stay.id,
            member,
            store: store.id.clone(),
            start: figures.span.0,
            end: figures.span.1,
            dwell_ms: figures.dwell_ms,
            label: figures.label,
            open: stay.open,
            proof: Proof {
                kinds: stay.kinds(),
                accuracy_m: stay.accuracy_m.map(f64::from),
                confidence: figures.confidence,
                reasons: figures.reasons.into_iter().collect(),
                rules: self.rules(),
                revision: stay.revision,
                revised: stay.revised,
            },
        };
        visit::save(tx, &row, stay, self.now).await?;
        if stay.open {
            work::put(tx, &Todo::new(member, stay.closes_at(rules), TodoKind::Visit, stay.id.to_string())).await?;
        }
        Ok(())
    }

    /// The rules that are in force: of the machine, and the revision of the files.
    fn rules(&self) -> String {
        let revision = &self.config.site.revision;
        format!("{}/{}", judge::MACHINE, revision.get(..8).unwrap_or(revision))
    }

    /// Reads the past only if a change needs it and the member allows it.
    async fn past(&self, tx: &mut Tx, profile: &Profile, store: &Store, changes: &[VisitChange]) -> Result<Past, StoreError> {
        let needed = |c: &VisitChange| c.what == Change::Qualified || !trigger::fired(&self.config.site, store, c.what).is_empty();
        if !profile.consents.allow(Purpose::Match) || !changes.iter().any(needed) {
            return Ok(Past::default());
        }
        let audiences = self.config.site.offers.values().map(|o| &o.audience);
        let offers = audiences.flat_map(|a| [a.exposed.as_ref().map(|e| e.within), a.viewed_not_bought.as_ref().map(|v| v.within)]);
        let w = &self.config.windows;
        let windows = [w.click, w.engaged, w.view, w.qr_call, w.message].into_iter().map(Some);
        let since = self.now - offers.chain(windows).flatten().max().unwrap_or(MONTH);
        Ok(Past {
            touchpoints: touchpoint::of_member(tx, profile.member, since).await?,
            purchases: touchpoint::purchases_of(tx, profile.member, since).await?,
        })
    }

    fn tell(&mut self, scene: &Scene<'_>, change: &VisitChange) {
        let at = change.cause.as_ref().map_or(self.now, |c| c.at);
        let zone = change.cause.as_ref().map(|c| c.zone.to_string()).unwrap_or_default();
        let mut note = |what| self.notices.push(notice(at, scene, what));
        match change.what {
            Change::Opened | Change::Near => note(What::Entered(zone)),
            Change::Passing if zone == "front" => note(What::Entered(zone)),
            Change::Passing | Change::Reached(_) => {}
            Change::Qualified => {
                note(What::VisitQualified);
                if let Some(campaign) = attribution::last_campaign(&scene.past.touchpoints, at, &self.config.windows) {
                    note(What::ExposureCredited(campaign));
                }
            }
            Change::Closed(label) => note(What::VisitClosed(label.word())),
            Change::Revised(revision, because) => note(What::VisitRevised(revision, because.word())),
        }
    }
}

pub(super) fn notice(at: Millis, scene: &Scene<'_>, what: What) -> Notice {
    Notice { at, store: Some(scene.store.id.clone()), member: Some(scene.member), what }
}

/// Where and when the rotating id of an event was heard.
fn heard(event: &StoredEvent) -> Option<Heard> {
    let span = Span(event.first.min(event.last), event.last.max(event.first));
    Some(Heard { mark: event.mark?, store: event.store.clone(), span, is_sure: event.at == event.at_corrected })
}

/// From the first to the last evidence that this step is about; `None` if there is nothing to do.
fn reach(work: &InStore) -> Option<Span> {
    let events = work.evidence.iter().map(|e| Span(e.first.min(e.last), e.last.max(e.first)));
    events.chain(work.due.iter().filter_map(|(_, stay)| stay.hull())).reduce(Span::hull)
}

/// A UUIDv7 of business time.
pub(super) fn new_id(now: Millis) -> Uuid {
    let random: [u8; 10] = rand::random();
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.0).unwrap_or(0), &random).into_uuid()
}
