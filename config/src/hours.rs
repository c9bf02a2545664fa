//! Opening hours of stores and windows of sending, both by the store's own zone.

use chrono_tz::Tz;
use passage_protocol::Millis;

/// Opening hours in OSM syntax, for example `Mo-Sa 10:00-19:30; PH off`, with the French public holidays.
#[derive(Debug)]
pub struct Hours {
    _text: String,
}

impl Hours {
    /// True if a shop with these hours in `zone` is open at `at`.
    pub fn is_open(&self, _at: Millis, _zone: Tz) -> bool {
        todo!("written by the config stage")
    }
}

/// A daily window such as 09:00-20:00 on some weekdays; French public holidays are always closed. Written `"Mo-Sa 09:00-20:00"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayWindow {
    /// Bit 0 is Monday.
    pub days: u8,
    /// Minutes since midnight, included.
    pub from: u16,
    /// Minutes since midnight, excluded.
    pub to: u16,
}

impl DayWindow {
    /// True if `at` lies inside the window by the wall clock of `zone`.
    pub fn contains(&self, _at: Millis, _zone: Tz) -> bool {
        todo!("written by the config stage")
    }
}
