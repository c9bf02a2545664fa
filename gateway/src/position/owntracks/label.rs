//! What a line of a file says beside its location: of whose phone it is, and when it arrived.

use passage_protocol::Millis;
use serde::Deserialize;

use super::{location::seconds, parse, value::Loose};
use crate::position::Fate;

/// The keys that name a phone and an arrival. All others are skipped unread, as a gateway skips them.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Label<'a> {
    #[serde(borrow)]
    installation: Loose<'a>,
    #[serde(borrow)]
    topic: Loose<'a>,
    #[serde(borrow)]
    tid: Loose<'a>,
    #[serde(borrow)]
    received_at: Loose<'a>,
    #[serde(borrow)]
    created_at: Loose<'a>,
}

impl<'a> Label<'a> {
    /// Reads a line.
    pub(crate) fn read(line: &'a [u8]) -> Result<Self, Fate> {
        parse(line)
    }

    /// `installation`, else user and device out of `owntracks/user/device`, else `tid`.
    pub(crate) fn installation(&self) -> &str {
        let topic = || written(&self.topic).map(|topic| topic.trim_start_matches("owntracks/"));
        written(&self.installation).or_else(topic).or_else(|| written(&self.tid)).unwrap_or("phone")
    }

    /// `received_at`, else `created_at`, which some phones fill with anything: nothing is written down before it was `measured`. Else then.
    pub(crate) fn arrived(&self, measured: Millis) -> Millis {
        let created = || seconds(&self.created_at).ok().filter(|at| *at >= measured);
        seconds(&self.received_at).ok().or_else(created).unwrap_or(measured)
    }
}

fn written<'v>(value: &'v Loose<'_>) -> Option<&'v str> {
    value.text().map(str::trim).filter(|text| !text.is_empty())
}
