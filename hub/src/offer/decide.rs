//! May this offer be sent to this member, here and now? Pure; every check is made and noted, the first that fails names the refusal.
//!
//! The order is that of [`Reason`]: what the member allowed, then the evidence, the hours, the audience, the hold-out, the caps, the text. The hold-out
//! stands behind everything that makes a member eligible and before the caps: so the two groups that are compared are drawn from the same people, and
//! the messages of one group do not change who is counted in it.

use std::time::Duration;

use passage_config::{Brand, Caps, HubConfig, Offer, Site, Store, Trigger};
use passage_protocol::Millis;
use uuid::Uuid;

use crate::{
    identity::{Keyring, MemberId, Profile, Purpose, page},
    offer::{
        audience::{self, History, Pick},
        decision::{Check, Mark, Outcome, Reason},
        local_day,
        text::{self, TextError},
    },
    sms::{MessageState, PastMessage},
    visit::{Cause, stay::millis},
};

/// Evidence older than this triggers nothing.
pub const FRESH: Duration = Duration::from_secs(180);
/// Evidence further ahead of the hub's clock than this is not believed.
pub const AHEAD: Duration = Duration::from_secs(120);

/// Everything that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Which offer.
    pub offer: &'a Offer,
    /// Who speaks.
    pub brand: &'a Brand,
    /// Where.
    pub store: &'a Store,
    /// Products and stores.
    pub site: &'a Site,
    /// When it is decided.
    pub now: Millis,
    /// The evidence.
    pub cause: &'a Cause,
    /// The visit, unless the offer is for passers-by.
    pub visit: Option<Uuid>,
    /// The rotating id that proves the visit was heard in a distant store as well.
    pub is_replayed: bool,
    /// The member for the brand and entity of the store.
    pub profile: &'a Profile,
    /// What she did before.
    pub history: History<'a>,
    /// Messages of the last 30 days to her or to her number, in any state.
    pub past: &'a [PastMessage],
    /// How many are allowed.
    pub caps: Caps,
    /// How members reach the hub.
    pub page_url: Option<&'a str>,
    /// The store is open now.
    pub store_open: bool,
    /// Now lies in the offer's window and in the sender's hard bounds.
    pub in_window: bool,
    /// [`bucket`] of the member and the offer.
    pub bucket: f64,
}

impl<'a> Inputs<'a> {
    /// Looks up the hours, the caps and the bucket, and takes the rest as it is given.
    #[expect(clippy::too_many_arguments, reason = "the facts of a decision, each from its own source")]
    pub fn new(
        config: &'a HubConfig,
        keyring: &Keyring,
        (offer, brand, store): (&'a Offer, &'a Brand, &'a Store),
        now: Millis,
        cause: &'a Cause,
        (visit, is_replayed): (Uuid, bool),
        profile: &'a Profile,
        history: History<'a>,
        past: &'a [PastMessage],
    ) -> Self {
        let zone = store.timezone;
        Self {
            offer,
            brand,
            store,
            site: &config.site,
            now,
            cause,
            visit: (offer.on != Trigger::Near).then_some(visit),
            is_replayed,
            profile,
            history,
            past,
            caps: config.caps,
            page_url: config.page.url.as_deref(),
            store_open: store.hours.is_open(now, zone),
            in_window: offer.window.contains(now, zone) && config.hard_window.contains(now, zone),
            bucket: bucket(keyring, profile.member, &offer.id),
        }
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Send, or the first refusal.
    pub result: Outcome,
    /// Every check in order.
    pub checks: Vec<Check>,
    /// The words, if the text could be filled in.
    pub text: Option<String>,
}

impl Verdict {
    /// Turns a `Send` into a refusal that only shows after the other checks.
    pub fn refuse(&mut self, reason: Reason, detail: String) {
        self.checks.push(Check { check: reason.word().to_owned(), outcome: Mark::Fail, detail });
        if self.result == Outcome::Send {
            self.result = Outcome::Refuse(reason);
        }
    }
}

/// A number from 0 to 1 that is always the same for a member and an offer and tells nothing about either.
pub fn bucket(keyring: &Keyring, member: MemberId, offer: &str) -> f64 {
    let hash = keyring.hash("holdout", &[&member.0.to_be_bytes(), offer.as_bytes()]);
    let top = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

/// Judges one offer.
pub fn decide(inputs: &Inputs<'_>) -> Verdict {
    let mut notes = Notes::default();
    consents(inputs, &mut notes);
    evidence(inputs, &mut notes);
    hours(inputs, &mut notes);
    let pick = audience(inputs, &mut notes);
    notes.check(Reason::HeldOut, inputs.bucket >= inputs.offer.holdout, || {
        format!("bucket {:.3}, held out below {:.3}", inputs.bucket, inputs.offer.holdout)
    });
    caps(inputs, &mut notes);
    let text = words(inputs, pick.as_ref(), &mut notes);
    let result = notes.first.map_or(Outcome::Send, Outcome::Refuse);
    Verdict { result, checks: notes.checks, text }
}

#[derive(Default)]
struct Notes {
    checks: Vec<Check>,
    first: Option<Reason>,
}

impl Notes {
    fn check(&mut self, reason: Reason, ok: bool, detail: impl FnOnce() -> String) {
        if !ok && self.first.is_none() {
            self.first = Some(reason);
        }
        let outcome = if ok { Mark::Pass } else { Mark::Fail };
        self.checks.push(Check { check: reason.word().to_owned(), outcome, detail: detail() });
    }

    fn skip(&mut self, reason: Reason, detail: &str) {
        self.checks.push(Check { check: reason.word().to_owned(), outcome: Mark::Skip, detail: detail.to_owned() });
    }
}

fn consents(inputs: &Inputs<'_>, notes: &mut Notes) {
    let sms = inputs.profile.consents.allow(Purpose::Sms);
    notes.check(Reason::NoSmsConsent, sms, || granted(sms, "offers by SMS"));
    let number = inputs.profile.destination.is_some();
    notes.check(Reason::NoNumber, number, || if number { "has a number" } else { "no phone number is known" }.to_owned());
    let stopped = inputs.profile.suppressed;
    notes.check(Reason::Suppressed, !stopped, || if stopped { "the number said STOP" } else { "no STOP" }.to_owned());
}

fn granted(yes: bool, what: &str) -> String {
    if yes { format!("consent to {what}") } else { format!("no consent to {what}") }
}

fn evidence(inputs: &Inputs<'_>, notes: &mut Notes) {
    let cause = inputs.cause;
    notes.check(Reason::Initial, !cause.initial, || if cause.initial { "was inside when first seen" } else { "seen coming" }.to_owned());
    notes.check(Reason::Late, !cause.late, || if cause.late { "came too late" } else { "came in time" }.to_owned());
    notes.check(Reason::Left, !cause.left, || if cause.left { "was leaving" } else { "was there" }.to_owned());
    let age = inputs.now.since(cause.at);
    let fresh = (-millis(AHEAD)..=millis(FRESH)).contains(&age);
    notes.check(Reason::StaleEvidence, fresh, || format!("{} s old, at most {} s", age / 1000, FRESH.as_secs()));
    notes.check(Reason::Replayed, !inputs.is_replayed, || {
        if inputs.is_replayed { "her rotating id was heard in a distant store as well: it was copied" } else { "no copied id" }.to_owned()
    });
}

fn hours(inputs: &Inputs<'_>, notes: &mut Notes) {
    notes.check(Reason::StoreClosed, inputs.store_open, || {
        format!("the store is {} ({})", if inputs.store_open { "open" } else { "closed" }, inputs.store.hours.text())
    });
    notes.check(Reason::OutsideHours, inputs.in_window, || {
        format!(
            "{} the hours of the offer ({}) and of the sender",
            if inputs.in_window { "inside" } else { "outside" },
            inputs.offer.window
        )
    });
}

fn audience(inputs: &Inputs<'_>, notes: &mut Notes) -> Option<Pick> {
    let (offer, consents) = (inputs.offer, &inputs.profile.consents);
    let may_match = consents.allow(Purpose::Match);
    if audience::needs_touchpoints(&offer.audience) {
        notes.check(Reason::NoMatchConsent, may_match, || granted(may_match, "joining online and store"));
    } else {
        notes.skip(Reason::NoMatchConsent, "the offer asks for nothing online");
    }
    let may_speak = consents.allow(Purpose::Personalise);
    if offer.is_personal() {
        notes.check(Reason::NoPersonaliseConsent, may_speak, || granted(may_speak, "products in offers"));
    } else {
        notes.skip(Reason::NoPersonaliseConsent, "the offer speaks of no product");
    }
    match &offer.audience.exposed {
        None => notes.skip(Reason::NotExposed, "the offer asks for no exposure"),
        Some(_) if !may_match => notes.skip(Reason::NotExposed, "cannot be judged without consent"),
        Some(exposed) => {
            let n = audience::exposures(&inputs.history, exposed, inputs.now);
            notes.check(Reason::NotExposed, n >= exposed.at_least, || {
                format!("{n} exposures to {} in {}, at least {}", exposed.campaign, days(exposed.within), exposed.at_least)
            });
        }
    }
    match &offer.audience.viewed_not_bought {
        None => notes.skip(Reason::NotViewed, "the offer asks for no product looked at"),
        Some(_) if !(may_match && may_speak) => notes.skip(Reason::NotViewed, "cannot be judged without consent"),
        Some(rule) => {
            let pick = audience::viewed_not_bought(&inputs.history, rule, inputs.site, inputs.store.timezone, inputs.now);
            notes.check(Reason::NotViewed, pick.is_some(), || match &pick {
                Some(p) => format!("looked at {} {} times on {} days and did not buy it", p.product.sku, p.views, p.days),
                None => {
                    format!("nothing looked at {} times on {} days in {} and not bought", rule.min_views, rule.min_days, days(rule.within))
                }
            });
            return pick;
        }
    }
    None
}

fn days(d: Duration) -> String {
    format!("{} days", d.as_secs() / 86_400)
}

fn caps(inputs: &Inputs<'_>, notes: &mut Notes) {
    let counts = |m: &&PastMessage| {
        let void = matches!(m.state, MessageState::Failed | MessageState::Expired | MessageState::Suppressed);
        !void && m.brand == inputs.store.brand && m.entity == inputs.store.entity
    };
    let past: Vec<&PastMessage> = inputs.past.iter().filter(counts).collect();
    let since = |d: u64| past.iter().filter(|m| m.at > inputs.now - Duration::from_secs(d * 86_400)).count();
    let zone = inputs.store.timezone;
    let today = past.iter().filter(|m| local_day(m.at, zone) == local_day(inputs.now, zone)).count();
    let mut cap = |reason, n: usize, max: u32, over: &str| {
        notes.check(reason, n < usize::try_from(max).unwrap_or(usize::MAX), || format!("{n} of {max} messages {over}"));
    };
    cap(Reason::CapDay, today, inputs.caps.per_day, "today");
    cap(Reason::CapWeek, since(7), inputs.caps.per_week, "in 7 days");
    cap(Reason::CapMonth, since(30), inputs.caps.per_month, "in 30 days");
    match inputs.visit {
        None => notes.skip(Reason::OnePerVisit, "not inside yet"),
        Some(visit) => {
            let had = past.iter().any(|m| m.visit == Some(visit));
            notes.check(Reason::OnePerVisit, !had, || if had { "this visit has its message" } else { "first of this visit" }.to_owned());
        }
    }
}

fn words(inputs: &Inputs<'_>, pick: Option<&Pick>, notes: &mut Notes) -> Option<String> {
    if inputs.offer.audience.viewed_not_bought.is_some() && pick.is_none() {
        notes.skip(Reason::TextIncomplete, "no product to speak of");
        notes.skip(Reason::TooLong, "no text");
        return None;
    }
    match text::render(inputs.offer, inputs.brand, inputs.store, pick, inputs.page_url.map(page::nameless).as_deref()) {
        Ok(text) => {
            notes.check(Reason::TextIncomplete, true, || "the text is complete".to_owned());
            notes.check(Reason::TooLong, true, || {
                format!("{} of {} parts", crate::sms::segment::segment(&text).count(), inputs.offer.max_parts)
            });
            Some(text)
        }
        Err(e @ TextError::Incomplete(_)) => {
            notes.check(Reason::TextIncomplete, false, || e.to_string());
            notes.skip(Reason::TooLong, "no text");
            None
        }
        Err(e @ TextError::TooLong { .. }) => {
            notes.check(Reason::TextIncomplete, true, || "the text is complete".to_owned());
            notes.check(Reason::TooLong, false, || e.to_string());
            None
        }
    }
}

/// Judges all offers that one change fired, in their order: the first that may be sent wins.
pub fn arbitrate(verdicts: &mut [(&Offer, Verdict)]) {
    let Some(winner) = verdicts.iter().position(|(_, v)| v.result == Outcome::Send) else { return };
    let (first, rest) = verdicts.split_at_mut(winner + 1);
    let Some((won, _)) = first.last() else { return };
    for (_, verdict) in rest.iter_mut().filter(|(_, v)| v.result == Outcome::Send) {
        verdict.refuse(Reason::OtherOfferWon, format!("{} has a higher priority", won.id));
    }
}
