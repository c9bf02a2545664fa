//! Offers: when, for whom, what, and within which bounds.

use std::time::Duration;

use passage_protocol::StoreId;

use crate::hours::DayWindow;

/// When an offer is considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The visit has its first evidence in zone `in` or a geofence of kind `store`.
    Enter,
    /// The dwell of the visit reaches this.
    Dwell(Duration),
    /// The member entered a geofence of kind `nearby`.
    Near,
}

/// Who an offer is for; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    /// Was exposed to a campaign before.
    pub exposed: Option<Exposed>,
    /// Looked at a product again and again and did not buy it.
    pub viewed_not_bought: Option<ViewedNotBought>,
}

/// At least `at_least` exposures to `campaign` within `within` before the trigger.
#[derive(Debug, Clone)]
pub struct Exposed {
    /// Key of [`Site::campaigns`].
    pub campaign: String,
    /// Look-back.
    pub within: Duration,
    /// How many.
    pub at_least: u32,
}

/// Views of one sku on at least `min_days` store-local days, at least `min_views` in all, and no purchase of that sku.
#[derive(Debug, Clone)]
pub struct ViewedNotBought {
    /// Look-back.
    pub within: Duration,
    /// Views.
    pub min_views: u32,
    /// Different days.
    pub min_days: u32,
    /// Only products of this category.
    pub category: Option<String>,
}

/// An SMS that a marketer configured.
#[derive(Debug, Clone)]
pub struct Offer {
    /// File name without its ending.
    pub id: String,
    /// As people read it.
    pub name: String,
    /// Only live offers are evaluated.
    pub live: bool,
    /// Key of [`Site::brands`].
    pub brand: String,
    /// Where; never empty.
    pub stores: Vec<StoreId>,
    /// When.
    pub on: Trigger,
    /// For whom.
    pub audience: Audience,
    /// minijinja text. Variables: `store.name`, `product.name`, `product.size`, `product.price`, `brand`, `stop`. Checked at load.
    pub text: String,
    /// Replace characters outside GSM-7 by their nearest ones instead of paying for UCS-2.
    pub transliterate: bool,
    /// Refused when a rendering needs more parts.
    pub max_parts: u8,
    /// Highest wins when several offers fit one trigger; two live offers that could tie are refused at load.
    pub priority: u8,
    /// Share of members (0 to 1) that never get it and are compared.
    pub holdout: f64,
    /// Days and times in which it may be sent, inside the hard bounds.
    pub window: DayWindow,
    /// How long after the trigger bytes may still leave.
    pub deadline: Duration,
    /// How long the SMSC may try.
    pub validity: Duration,
    /// Credited campaign when a visit or purchase follows the SMS.
    pub campaign: Option<String>,
}

impl Offer {
    /// True if the text uses what the member viewed or bought, so that `personalise` is needed.
    pub fn is_personal(&self) -> bool {
        self.audience.viewed_not_bought.is_some() || self.text.contains("product.")
    }
}
