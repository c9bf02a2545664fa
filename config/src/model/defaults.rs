//! The rules as they are when nobody wrote anything. Each is a config key.

use std::time::Duration;

use super::{
    AppRules, Caps, ContradictionRules, GeofenceRules, Outbox, PresenceRules, RadioZone, RegularRules, Retention, ScoreRules, VisitRules,
    Windows,
};
use crate::hours::DayWindow;

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

impl Default for AppRules {
    fn default() -> Self {
        Self { presence_from: 18 }
    }
}

impl Default for PresenceRules {
    fn default() -> Self {
        Self {
            inside: RadioZone::between(-75, -83),
            front: RadioZone::between(-85, -92),
            // Whoever is inside is heard within a scan round of 10.4 s.
            settle: Duration::from_secs(15),
            max_subjects: 200_000,
        }
    }
}

impl RadioZone {
    /// A zone with these thresholds in dBm and the times that suit every chip.
    pub const fn between(enter_dbm: i8, leave_dbm: i8) -> Self {
        Self {
            enter_dbm,
            leave_dbm,
            enter_sightings: 3,
            // A chip that filters duplicates reports once in 10.4 s, so three fit into this.
            window: Duration::from_secs(32),
            silence: Duration::from_secs(180),
            // A body between phone and gateway takes 10 dB for minutes; who is heard at all is not far.
            hold: minutes(10),
        }
    }
}

impl Default for GeofenceRules {
    fn default() -> Self {
        Self {
            enter_p: 0.75,
            exit_p: 0.25,
            exit_fixes: 2,
            exit_after: Duration::from_secs(60),
            max_accuracy_m: 100.0,
            untold_accuracy_m: 65.0,
            coarsest_radii: 2.0,
            max_speed_kmh: 15.0,
            speed_within: minutes(2),
            cross_within: minutes(5),
            jump_m: 1000.0,
            jump_kmh: 300.0,
            jump_fixes: 2,
            fresh: minutes(3),
            reorder: Duration::from_secs(120),
            // Phones that compute transitions themselves are silent between enter and leave.
            silence: minutes(60),
            far_m: 2000.0,
            around_hours: minutes(60),
        }
    }
}

impl Default for VisitRules {
    fn default() -> Self {
        Self {
            min_dwell_beacon: Duration::from_secs(120),
            min_dwell_position: Duration::from_secs(300),
            gap_counted: minutes(15),
            gap_joined: minutes(30),
            max_visit: minutes(240),
            hours_grace: minutes(15),
            score: ScoreRules::default(),
            regulars: RegularRules::default(),
            contradictions: ContradictionRules::default(),
        }
    }
}

impl Default for ScoreRules {
    fn default() -> Self {
        Self {
            radio_above_db: 0.5,
            app_above_db: 3.0,
            per_db: 0.5,
            most: 4.0,
            position: 3.0,
            app_unmeasured: 2.0,
            half_life_radio: minutes(2),
            half_life_position: minutes(10),
        }
    }
}

impl Default for RegularRules {
    fn default() -> Self {
        Self {
            window: days(28),
            holds: days(28),
            staff_day: minutes(180),
            staff_days: 3,
            staff_week: minutes(600),
            closed_least: minutes(30),
            closed_days: 2,
            stays_a_day: 5,
            busy_days: 5,
            resident_day: minutes(18 * 60),
            resident_percent: 60,
            resident_days: 3,
        }
    }
}

impl Default for ContradictionRules {
    fn default() -> Self {
        Self { distant_m: 1000, fastest_kmh: 300, clocks: minutes(2), next_door_m: 150, next_door_db: 6 }
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self { click: days(30), engaged: days(3), view: days(1), qr_call: days(30), message: days(7) }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            events: days(30),
            visits: days(396),
            refused: days(90),
            // Three years, the last of them a leap year.
            members: days(1096),
            cookies: days(396),
            audit: days(365),
        }
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self { per_day: 1, per_week: 2, per_month: 4 }
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self { commit_within: Duration::from_millis(50), max_bytes: 256 << 20, max_age: days(30), backlog_spread: Duration::from_secs(60) }
    }
}

impl DayWindow {
    /// Monday to Saturday, 09:00-20:00: when an offer may be sent if it does not say otherwise.
    pub const OFFER: Self = Self { days: 0b011_1111, from: 9 * 60, to: 20 * 60 };
    /// Monday to Saturday, 08:00-20:00: the hard bounds of the sender if `hub.toml` does not say otherwise.
    pub const HARD: Self = Self { days: 0b011_1111, from: 8 * 60, to: 20 * 60 };
}
