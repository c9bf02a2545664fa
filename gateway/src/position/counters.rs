//! How many reports came in and why some went no further. Numbers only: nothing here can name a person.

use std::sync::atomic::{AtomicU64, Ordering};

use passage_protocol::PositionCounters;

use crate::geofence::Geofences;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// What became of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fate {
            $($(#[$doc])* $name),*
        }

        impl Fate {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As it stands in metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),*
                }
            }
        }
    };
}

reasons! {
    /// A position went to the decider and was committed.
    Fix = "fix",
    /// The same, of a phone whose clock is more than two minutes ahead: it counts as measured when it arrived.
    Ahead = "ahead",
    /// An app event went to the decider and was committed.
    App = "app",
    /// A shop that the app only named, where it must be proven.
    Claimed = "claimed",
    /// What was heard of one of our brands' wake beacons cannot be proven: a copy, a recording, a wrong clock.
    WakeUnproven = "wake-unproven",
    /// Unproven ids of an installation that has sent too many of them.
    WakeGuessing = "wake-guessing",
    /// A proven wake beacon in two shops that are too far apart for the time between.
    WakeTwoPlaces = "wake-two-places",
    /// Wrong, missing, expired, foreign or revoked credentials.
    Denied = "denied",
    /// Not an OwnTracks object, or a location without time or place.
    Poison = "poison",
    /// A kind of message that says nothing about where somebody is.
    Ignored = "ignored",
    /// A kind of message that is not known.
    Unknown = "unknown",
    /// A transition of a region that is none of ours.
    UnknownRegion = "unknown-region",
    /// More than a day ahead of the gateway's clock.
    Future = "future",
    /// Too old to belong to any visit that is still amended.
    Old = "old",
    /// Far from every store.
    Far = "far",
    /// Near a store, more than an hour outside its opening hours.
    Closed = "closed",
    /// The same report again.
    Duplicate = "duplicate",
    /// The phone's word rests on a fix too coarse to say anything.
    Vague = "vague",
    /// Encrypted with another key than this installation's, or there is no secret here to open it with.
    Locked = "locked",
    /// Not encrypted, on the way where it must be; it was not read.
    Plain = "plain",
    /// The broker's copy of an old report.
    Retained = "retained",
    /// Over the broker, for another gateway of the group.
    Foreign = "foreign",
    /// Over HTTP, answered by another gateway of the group.
    PassedOn = "passed-on",
    /// A body above the limit.
    Oversize = "oversize",
    /// The decider's queue was full, the commit failed, or the body did not arrive in time: the app sends it again.
    Busy = "busy",
}

/// What the geofences made of the positions that they were given: those that decided nothing at their time, by reason, and the fences that lay
/// between two of them.
const JUDGED: [&str; 7] = ["coarse", "double", "late", "amended", "jump", "no-room", "crossed"];

/// Counts by fate, and what became of those that were decided on; shared, never reset.
#[derive(Debug, Default)]
pub struct Counters {
    fates: [AtomicU64; Fate::ALL.len()],
    judged: [AtomicU64; JUDGED.len()],
}

impl Counters {
    /// How many met this fate.
    pub fn get(&self, fate: Fate) -> u64 {
        self.fates[fate as usize].load(Ordering::Relaxed)
    }

    /// All counts with their names.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let judged = JUDGED.iter().zip(&self.judged).map(|(name, count)| (*name, count.load(Ordering::Relaxed)));
        Fate::ALL.iter().map(|fate| (fate.as_str(), self.get(*fate))).chain(judged)
    }

    /// All of them as the state of the gateway carries them; `None` while nothing has come.
    pub fn told(&self) -> Option<PositionCounters> {
        let any = self.all().any(|(_, count)| count > 0);
        any.then(|| PositionCounters(self.all().map(|(name, count)| (name.to_owned(), count)).collect()))
    }

    /// Takes over what the geofences have counted.
    pub(crate) fn judge(&self, geofences: &Geofences) {
        let counts = geofences.counts();
        let now = [counts.coarse, counts.duplicates, counts.late, counts.amended, counts.jumps, counts.no_room, geofences.crossings()];
        for (count, now) in self.judged.iter().zip(now) {
            count.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn count(&self, fate: Fate) {
        self.fates[fate as usize].fetch_add(1, Ordering::Relaxed);
    }
}
