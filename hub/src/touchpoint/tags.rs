//! Messages of site tags in the form that Segment's libraries send and many tools understand: `identify`, `track`, `page`, `screen`. Pure.
//!
//! `messageId` is the key, `anonymousId` a cookie of the site's domain, `userId` the customer number, `context.campaign` the utm parameters. Traits and
//! properties that no touchpoint has are not looked at.

use std::collections::BTreeMap;

use chrono::DateTime;
use passage_protocol::Millis;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::touchpoint::{
    Touchpoint,
    intake::{Intake, Refusal},
    row::{RawTouch, host},
};

/// One message. What it may hold besides is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Message {
    /// `track`, `page`, `screen`, `identify`; in the path when the message comes alone.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The library's own key.
    pub message_id: Option<String>,
    /// The visitor of the site.
    pub anonymous_id: Option<String>,
    /// The customer number, once she is known.
    pub user_id: Option<String>,
    /// What was tracked.
    pub event: Option<String>,
    /// When, by the sender's clock.
    pub timestamp: Option<String>,
    /// Older libraries' name for it.
    pub original_timestamp: Option<String>,
    /// When it was sent, by the same clock.
    pub sent_at: Option<String>,
    /// Page and campaign.
    pub context: Context,
    /// Of the event.
    pub properties: Map<String, Value>,
}

/// Where it happened.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The page.
    pub page: Page,
    /// The utm parameters.
    pub campaign: Campaign,
}

/// A page of the site.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Page {
    /// Its address.
    pub url: Option<String>,
    /// The page before.
    pub referrer: Option<String>,
}

/// The utm parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Campaign {
    /// utm_campaign
    pub name: Option<String>,
    /// utm_source
    pub source: Option<String>,
    /// utm_medium
    pub medium: Option<String>,
    /// utm_content
    pub content: Option<String>,
}

/// Names of events in Segment's specifications for shops, mails and tests, and the kinds that they are.
const EVENTS: [(&str, &str); 24] = [
    ("Product Viewed", "view"),
    ("Product Clicked", "view"),
    ("Product List Viewed", "page"),
    ("Products Searched", "page"),
    ("Product Added", "basket"),
    ("Cart Viewed", "basket"),
    ("Checkout Started", "basket"),
    ("Product Added to Wishlist", "engaged"),
    ("Product Shared", "engaged"),
    ("Cart Shared", "engaged"),
    ("Video Content Completed", "engaged"),
    ("Order Completed", "order"),
    ("Order Refunded", "return"),
    ("Order Cancelled", "return"),
    ("Product Reviewed", "review"),
    ("Promotion Viewed", "onsite_block"),
    ("Promotion Clicked", "click"),
    ("Experiment Viewed", "view"),
    ("Email Delivered", "send"),
    ("Email Opened", "open"),
    ("Email Link Clicked", "click"),
    ("Unsubscribed", "unsubscribe"),
    ("Push Notification Tapped", "click"),
    ("Deep Link Opened", "click"),
];

impl Message {
    /// The touchpoint that it tells of. `kind` is the word of the path, or the message's own; `domain` the site's, when the token has one; `own` are
    /// the names of events that the tracking plan adds.
    ///
    /// # Errors
    /// Why it is none.
    pub fn touchpoint(
        &self,
        kind: &str,
        domain: Option<&str>,
        own: &BTreeMap<String, String>,
        intake: &Intake<'_>,
        now: Millis,
    ) -> Result<Touchpoint, Refusal> {
        let kind = self.touch_kind(kind, own)?;
        let (identifier_kind, identifier) = self.identifier(domain)?;
        let at = self.at(now)?;
        let at = DateTime::from_timestamp_millis(at.0).map(|at| at.to_rfc3339());
        let own_host = self.context.page.url.as_deref().and_then(host);
        let referrer =
            self.context.page.referrer.as_deref().filter(|r| host(r).is_some_and(|from| !is_same_site(&from, own_host.as_deref())));
        let click_id = self.context.page.url.as_deref().and_then(click_id);
        let products = self.properties.get("products").and_then(Value::as_array);
        let single = products.filter(|all| all.len() == 1).and_then(|all| all[0].as_object()).unwrap_or(&self.properties);
        let [sku, product_id, size, category, variation, order, store] = [
            (single, "sku"),
            (single, "product_id"),
            (single, "size"),
            (single, "category"),
            (&self.properties, "variation_name"),
            (&self.properties, "order_id"),
            (&self.properties, "store"),
        ]
        .map(|(from, name)| told(from, name));
        let cents = if matches!(kind, "order" | "click_collect" | "return") { self.cents() } else { None };
        let campaign = &self.context.campaign;
        intake.read(&RawTouch {
            key: self.message_id.as_deref(),
            at: at.as_deref(),
            kind: Some(kind),
            campaign: campaign.name.as_deref(),
            source: campaign.source.as_deref(),
            medium: campaign.medium.as_deref(),
            referrer,
            click_id: click_id.as_deref(),
            sku: sku.as_deref().or(product_id.as_deref()),
            size: size.as_deref(),
            category: category.as_deref(),
            variant: variation.as_deref(),
            order: order.as_deref(),
            store: store.as_deref(),
            cents: cents.as_deref(),
            identifier_kind: Some(identifier_kind),
            identifier: Some(&identifier),
            ..RawTouch::default()
        })
    }

    /// Somebody who lands on a page with utm parameters clicked on a campaign.
    fn touch_kind<'a>(&self, kind: &str, own: &'a BTreeMap<String, String>) -> Result<&'a str, Refusal> {
        match kind {
            "page" | "screen" if self.context.campaign.name.is_some() => Ok("click"),
            "page" | "screen" => Ok("page"),
            "track" => {
                let event = self.event.as_deref().ok_or_else(|| Refusal::new("event", "event is missing"))?;
                let known = || EVENTS.iter().find(|(name, _)| *name == event).map(|(_, kind)| *kind);
                let refusal = || Refusal::new("event-not-planned", "event: neither the tracking plan nor the common names know it");
                own.get(event).map(String::as_str).or_else(known).ok_or_else(refusal)
            }
            _ => Err(Refusal::new("type", "type: write track, page, screen or identify")),
        }
    }

    /// The cookie, so that all of a visit lies together; the customer number without one.
    fn identifier(&self, domain: Option<&str>) -> Result<(&'static str, String), Refusal> {
        match (&self.anonymous_id, &self.user_id) {
            (Some(_), _) => self.cookie(domain).map(|cookie| ("cookie", cookie)),
            (None, Some(user)) => Ok(("crm_id", user.clone())),
            (None, None) => Err(Refusal::new("identifier", "anonymousId or userId is missing")),
        }
    }

    /// The cookie with its domain in front.
    ///
    /// # Errors
    /// Without a visitor, or without a domain.
    pub fn cookie(&self, domain: Option<&str>) -> Result<String, Refusal> {
        let visitor = self.anonymous_id.as_deref().ok_or_else(|| Refusal::new("identifier", "anonymousId is missing"))?;
        let page = self.context.page.url.as_deref().and_then(host);
        let domain = domain.map(str::to_owned).or(page);
        let domain = domain.ok_or_else(|| {
            Refusal::new("identifier", "anonymousId is of no domain; tell context.page.url, or give the token its `domain` in hub.toml")
        })?;
        Ok(format!("{domain}/{visitor}"))
    }

    /// When it happened by the hub's clock: as long before now as it was before it was sent.
    fn at(&self, now: Millis) -> Result<Millis, Refusal> {
        let read =
            |text: &Option<String>| text.as_deref().and_then(|t| DateTime::parse_from_rfc3339(t).ok()).map(|at| at.timestamp_millis());
        let told = self.original_timestamp.is_some() || self.timestamp.is_some();
        match (read(&self.original_timestamp).or_else(|| read(&self.timestamp)), read(&self.sent_at)) {
            (Some(at), Some(sent)) => Ok(Millis(now.0.saturating_sub(sent.saturating_sub(at).max(0)))),
            (Some(at), None) => Ok(Millis(at)),
            (None, _) if told => Err(Refusal::new("at", "timestamp: write a time with its offset, such as 2026-11-18T10:12:00Z")),
            (None, _) => Ok(now),
        }
    }

    /// `total`, `revenue` or `value` in the currency's unit.
    fn cents(&self) -> Option<String> {
        let amount = ["total", "revenue", "value"].iter().find_map(|name| self.properties.get(*name))?;
        let amount = amount.as_f64().or_else(|| amount.as_str()?.trim().parse().ok())?;
        Some(format!("{:.0}", amount * 100.0))
    }
}

fn told(from: &Map<String, Value>, name: &str) -> Option<String> {
    match from.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// True if both are of one site: `shop.example.fr` and `example.fr`.
fn is_same_site(a: &str, b: Option<&str>) -> bool {
    b.is_some_and(|b| a == b || a.ends_with(&format!(".{b}")) || b.ends_with(&format!(".{a}")))
}

/// The click id of an ad platform in the address of a page.
fn click_id(address: &str) -> Option<String> {
    const NAMES: [&str; 14] = [
        "gclid",
        "gbraid",
        "wbraid",
        "dclid",
        "msclkid",
        "ttclid",
        "twclid",
        "li_fat_id",
        "epik",
        "rdt_cid",
        "awc",
        "irclickid",
        "cjevent",
        "fbclid",
    ];
    let query = address.split_once('?')?.1.split('#').next()?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, value)| NAMES.contains(&name.to_ascii_lowercase().as_str()) && !value.is_empty())
        .map(|(name, value)| format!("{}={value}", name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
