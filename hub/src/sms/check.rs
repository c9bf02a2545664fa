//! The last look before the bytes leave: may this message still go to this member? Pure.

use std::{str::FromStr, time::Duration};

use passage_config::model::HubConfig;
use passage_protocol::Millis;

use crate::{
    identity::{Profile, Purpose, member::words},
    sms::{MessageState, PastMessage, state::Step},
    store::message::Claimed,
};

words! {
    /// Why a planned message does not leave.
    Stop {
        /// The deadline of the message, or of the offer as it is written now, is over.
        TooLate = "too-late",
        /// There is no such member any more.
        MemberGone = "member-gone",
        /// The destination said STOP.
        Stopped = "stop",
        /// `sms` was withdrawn.
        NoSms = "no-sms",
        /// `presence` was withdrawn.
        NoPresence = "no-presence",
        /// `match` was withdrawn, and the offer looks back at touchpoints.
        NoMatch = "no-match",
        /// `personalise` was withdrawn, and the text names a product.
        NoPersonalise = "no-personalise",
        /// The member's number is another one now.
        NumberChanged = "number-changed",
        /// The offer is not live here any more.
        OfferWithdrawn = "offer-withdrawn",
        /// Outside the offer's window or the hard bounds, by the store's clock.
        OutsideHours = "outside-hours",
        /// The store has closed meanwhile.
        StoreClosed = "store-closed",
        /// The member or the destination has had enough.
        CapReached = "cap-reached",
    }
}

impl Stop {
    /// What happens to the message.
    pub fn step(self) -> Step {
        if self == Self::TooLate { Step::Expire } else { Step::Suppress }
    }
}

/// How far back caps look.
pub const LOOK_BACK: Duration = Duration::from_secs(31 * 86_400);

/// Checks everything again.
///
/// `profile` is the member's for the brand and entity of the message, `past` what was planned for the member or the destination in [`LOOK_BACK`].
///
/// # Errors
/// The first reason why it must not leave.
pub fn check(now: Millis, message: &Claimed, profile: Option<&Profile>, past: &[PastMessage], config: &HubConfig) -> Result<(), Stop> {
    if now > message.deadline {
        return Err(Stop::TooLate);
    }
    let profile = profile.ok_or(Stop::MemberGone)?;
    consent(message, profile)?;
    offer(now, message, profile, config)?;
    caps(now, message, past, config)
}

fn consent(message: &Claimed, profile: &Profile) -> Result<(), Stop> {
    if profile.suppressed {
        return Err(Stop::Stopped);
    }
    if !profile.consents.allow(Purpose::Sms) {
        return Err(Stop::NoSms);
    }
    if !profile.consents.allow(Purpose::Presence) {
        return Err(Stop::NoPresence);
    }
    match &profile.destination {
        Some(destination) if destination.key == message.destination => Ok(()),
        _ => Err(Stop::NumberChanged),
    }
}

fn offer(now: Millis, message: &Claimed, profile: &Profile, config: &HubConfig) -> Result<(), Stop> {
    let site = &config.site;
    let offer = site.offers.get(&message.offer).ok_or(Stop::OfferWithdrawn)?;
    let store = site.stores.get(&message.store).ok_or(Stop::OfferWithdrawn)?;
    if !offer.live || offer.brand != message.brand || !offer.stores.contains(&message.store) || store.entity != message.entity {
        return Err(Stop::OfferWithdrawn);
    }
    if now > message.trigger_at + offer.deadline {
        return Err(Stop::TooLate);
    }
    if (offer.audience.exposed.is_some() || offer.audience.viewed_not_bought.is_some()) && !profile.consents.allow(Purpose::Match) {
        return Err(Stop::NoMatch);
    }
    if offer.is_personal() && !profile.consents.allow(Purpose::Personalise) {
        return Err(Stop::NoPersonalise);
    }
    let open = offer.window.contains(now, store.timezone) && config.hard_window.contains(now, store.timezone);
    if !open {
        return Err(Stop::OutsideHours);
    }
    if store.hours.is_open(now, store.timezone) { Ok(()) } else { Err(Stop::StoreClosed) }
}

/// Messages count that were planned before this one, so that two of the same moment cannot forbid each other, and those whose bytes have left: a
/// hub that decided earlier may have committed later.
fn caps(now: Millis, message: &Claimed, past: &[PastMessage], config: &HubConfig) -> Result<(), Stop> {
    use chrono::TimeZone as _;
    let Some(store) = config.site.stores.get(&message.store) else { return Err(Stop::OfferWithdrawn) };
    let day = |at: Millis| store.timezone.timestamp_millis_opt(at.0).single().map(|t| t.date_naive());
    let counts = |p: &&PastMessage| {
        p.brand == message.brand
            && p.entity == message.entity
            && !matches!(p.state, MessageState::Failed | MessageState::Expired | MessageState::Suppressed)
            && p.id != message.id
            && (has_left(p.state) || (p.at, p.id) < (message.planned_at, message.id))
    };
    let (mut today, mut week, mut month) = (0_u32, 0_u32, 0_u32);
    for earlier in past.iter().filter(counts) {
        let age = now.since(earlier.at);
        today += u32::from(day(earlier.at) == day(now));
        week += u32::from(age < 7 * 86_400_000);
        month += u32::from(age < 30 * 86_400_000);
    }
    let caps = config.caps;
    let free = today < caps.per_day && week < caps.per_week && month < caps.per_month;
    if free { Ok(()) } else { Err(Stop::CapReached) }
}

fn has_left(state: MessageState) -> bool {
    matches!(state, MessageState::Writing | MessageState::Accepted | MessageState::Delivered | MessageState::Unknown)
}
