//! What one source may tell, and how it is read. Pure.

use std::time::Duration;

use passage_config::{Planned, Site, channel::Arrival};
use passage_protocol::Millis;

use crate::{
    identity::{IdentifierKind, Keyring},
    touchpoint::{
        Detail, TouchKind, Touchpoint,
        row::{RawTouch, cents, click_id, host, instant, keyed, text},
    },
};

/// How far a source's clock may be ahead.
const AHEAD: Duration = Duration::from_secs(3600);

/// Why a touchpoint was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A word that is counted.
    pub code: &'static str,
    /// For people; never repeats a value.
    pub reason: String,
}

impl Refusal {
    /// A refusal in words.
    pub fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// Reads what one source tells.
#[derive(Debug, Clone, Copy)]
pub struct Intake<'a> {
    source: &'a str,
    keyring: &'a Keyring,
    region: &'a str,
    site: &'a Site,
    now: Millis,
    /// `Some(None)`: there is a plan, and the source is not in it.
    plan: Option<Option<&'a Planned>>,
}

impl<'a> Intake<'a> {
    /// For what `source` tells at `now`; `region` is for phone numbers without a country code.
    pub fn new(source: &'a str, keyring: &'a Keyring, region: &'a str, site: &'a Site, now: Millis) -> Self {
        let plan = site.touch.plan.as_ref().map(|plan| plan.get(source));
        Self { source, keyring, region, site, now, plan }
    }

    /// The touchpoint, or why it is none.
    pub fn read(&self, raw: &RawTouch<'_>) -> Result<Touchpoint, Refusal> {
        let at = raw.at.ok_or_else(|| Refusal::new("at", "at is missing"))?;
        let at = instant(at).ok_or_else(|| Refusal::new("at", "at: write a time with its offset, such as 2026-11-18T10:12:00+01:00"))?;
        if at > self.now + AHEAD {
            return Err(Refusal::new("future", "at lies in the future"));
        }
        if let Some((field, unfit)) = raw.unfit() {
            return Err(Refusal::new(unfit.code(), format!("{field}: {unfit}")));
        }
        let kind = kind(raw)?;
        self.planned(raw, kind)?;
        let whose = keyed(raw.identifier_kind, raw.identifier, self.keyring, self.region);
        let whose = whose.map_err(|reason| Refusal::new("identifier", reason))?;
        let (identifier_kind, identifier) = whose.ok_or_else(|| Refusal::new("identifier", "identifier is missing"))?;
        let clear = |name, value| text(name, value).map_err(|reason| Refusal::new(name, reason));
        let key = match clear("key", raw.key)? {
            Some(key) => key,
            None => raw.contents(self.keyring),
        };
        let campaign = clear("campaign", raw.campaign)?;
        let detail = self.detail(raw)?;
        let channel = match clear("channel", raw.channel)? {
            Some(channel) => Some(channel),
            None => self.channel(raw, &detail, campaign.as_deref()),
        };
        let (sku, size) = (clear("sku", raw.sku)?, clear("size", raw.size)?);
        let id = [self.source, "/", &key].concat();
        Ok(Touchpoint { id, at, kind, campaign, channel, sku, size, identifier_kind, identifier, detail })
    }

    fn planned(&self, raw: &RawTouch<'_>, kind: TouchKind) -> Result<(), Refusal> {
        let Some(plan) = self.plan else { return Ok(()) };
        let Some(plan) = plan else { return Err(Refusal::new("source-not-planned", "the tracking plan does not name this source")) };
        if !plan.kinds.contains(kind.word()) {
            return Err(Refusal::new("kind-not-planned", format!("kind: the tracking plan does not let this source send {}", kind.word())));
        }
        let Some(fields) = &plan.fields else { return Ok(()) };
        match raw.told().find(|field| !fields.contains(*field)) {
            Some(field) => Err(Refusal::new("field-not-planned", format!("{field}: the tracking plan does not let this source send it"))),
            None => Ok(()),
        }
    }

    fn detail(&self, raw: &RawTouch<'_>) -> Result<Detail, Refusal> {
        let clear = |name, value| text(name, value).map_err(|reason| Refusal::new(name, reason));
        let store = clear("store", raw.store)?;
        if let Some(store) = store.as_deref().filter(|store| !self.site.stores.keys().any(|id| id.as_str() == *store)) {
            let known = store.len() <= 40 && store.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            let reason = if known { format!("store: there is no store {store}") } else { "store: not the id of a store".to_owned() };
            return Err(Refusal::new("store", reason));
        }
        // The same key as that of a link which names the order.
        let order = clear("order", raw.order)?.map(|number| self.keyring.identifier(IdentifierKind::Order, &number));
        Ok(Detail {
            source: clear("source", raw.source)?.or_else(|| raw.referrer.and_then(host)),
            medium: clear("medium", raw.medium)?,
            click_id: click_id(raw.click_id).map_err(|reason| Refusal::new("click_id", reason))?,
            category: clear("category", raw.category)?,
            store,
            variant: clear("variant", raw.variant)?,
            outcome: clear("outcome", raw.outcome)?,
            order,
            cents: cents(raw.cents).map_err(|reason| Refusal::new("cents", reason))?,
        })
    }

    /// By how she came; else the campaign's own.
    fn channel(&self, raw: &RawTouch<'_>, detail: &Detail, campaign: Option<&str>) -> Option<String> {
        let came = detail.source.is_some() || detail.medium.is_some() || detail.click_id.is_some();
        let arrival = || Arrival {
            source: raw.source,
            medium: detail.medium.as_deref(),
            referrer: if raw.source.is_some() { None } else { detail.source.as_deref() },
            click: detail.click_id.as_deref().and_then(|id| id.split_once('=')).map(|(name, _)| name),
            campaign,
        };
        let by_rule = if came { self.site.touch.channels.of(&arrival()) } else { None };
        by_rule.map(str::to_owned).or_else(|| self.site.campaigns.get(campaign?).map(|c| c.channel.clone()))
    }
}

fn kind(raw: &RawTouch<'_>) -> Result<TouchKind, Refusal> {
    let word = raw.kind.ok_or_else(|| Refusal::new("kind", "kind is missing"))?;
    let words = || TouchKind::ALL.iter().map(|k| k.word()).collect::<Vec<_>>().join(", ");
    word.parse().map_err(|()| Refusal::new("kind", format!("kind: write one of {}", words())))
}

#[cfg(test)]
mod tests;
