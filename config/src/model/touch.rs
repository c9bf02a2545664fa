//! What sites, tags and partners may tell of contacts with the brand, and what follows from what they tell.

use std::collections::{BTreeMap, BTreeSet};

use super::{Profile, Secret};
use crate::channel::Channels;

/// Kinds of touchpoints that a tracking plan may name.
pub const TOUCH_KINDS: [&str; 21] = [
    "view",
    "engaged",
    "click",
    "open",
    "send",
    "unsubscribe",
    "qr",
    "call",
    "page",
    "basket",
    "order",
    "click_collect",
    "pickup",
    "return",
    "ticket",
    "support",
    "fitting",
    "assist",
    "review",
    "loyalty",
    "onsite_block",
];

/// Fields of a touchpoint that a tracking plan may name. `key`, `at`, `kind` and the identifier are always allowed.
pub const TOUCH_FIELDS: [&str; 14] = [
    "campaign", "channel", "source", "medium", "referrer", "click_id", "sku", "size", "category", "store", "variant", "outcome", "order",
    "cents",
];

/// What the site says of touchpoints.
#[derive(Debug, Clone, Default)]
pub struct TouchRules {
    /// What each source may send, by its name; `None`: everything.
    pub plan: Option<BTreeMap<String, Planned>>,
    /// Kinds of touchpoints by the names that the site's tags give to events, beside the common names.
    pub events: BTreeMap<String, String>,
    /// Categories of products that never leave: they are not in offers, exports or reports.
    pub sensitive: BTreeSet<String>,
    /// Which channel an arrival belongs to.
    pub channels: Channels,
    /// Where the codes of `/q/` and `/r/` lead, by code.
    pub links: BTreeMap<String, Link>,
    /// Campaigns by the telephone number that is shown with them, as digits with the plus in front.
    pub numbers: BTreeMap<String, String>,
    /// How files of other systems are read, by id.
    pub profiles: BTreeMap<String, Profile>,
}

impl TouchRules {
    /// The sensitive category that a name tells of, such as that of a segment: its words stand in the name, whatever is between and around them.
    pub fn sensitive_in(&self, name: &str) -> Option<&str> {
        let words = |text: &str| -> Vec<String> {
            text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
        };
        let told = words(name);
        let is_told = |category: &&String| {
            let category = words(category);
            !category.is_empty() && told.windows(category.len()).any(|part| *part == *category)
        };
        self.sensitive.iter().find(is_told).map(String::as_str)
    }
}

/// What one source may send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planned {
    /// Of [`TOUCH_KINDS`].
    pub kinds: BTreeSet<String>,
    /// Of [`TOUCH_FIELDS`]; `None`: all.
    pub fields: Option<BTreeSet<String>>,
}

/// A redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Key of [`super::Site::campaigns`].
    pub campaign: String,
    /// Where it leads: an absolute address with `https://` (or `http://` on this machine).
    pub to: String,
}

/// `[web]` of `hub.toml`: how web sites and tags reach this hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// The hub's API as the world reaches it, without a slash at the end; QR images and mail links begin with it.
    pub url: Option<String>,
    /// Origins whose pages may call the API from the browser.
    pub sites: Vec<String>,
    /// True if mails may carry open pixels.
    pub pixel: bool,
    /// Domain of the cookie that redirects set with consent; `None`: they set none.
    pub cookie_domain: Option<String>,
    /// Name and value of the cookie by which the site's banner says that cookies are allowed.
    pub consent_cookie: Option<(String, String)>,
    /// Touchpoints that one source may send in a second, on average.
    pub rate: u32,
    /// What API tokens may do, by the name of the token; who is not in here may do everything.
    pub grants: BTreeMap<String, Grant>,
    /// Signed calls from telephone and market-place systems, by name.
    pub webhooks: BTreeMap<String, Webhook>,
}

/// What the holder of an API token may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Which calls.
    pub may: BTreeSet<Scope>,
    /// Domain of the cookies that the holder speaks of; `None`: each page's own.
    pub domain: Option<String>,
}

/// One group of calls of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Enrolment of apps.
    App,
    /// `POST /v1/touchpoints`.
    Touchpoints,
    /// Saying whose cookie it is.
    Identify,
    /// The calls of site tags: track, page, batch.
    Tags,
}

impl Scope {
    /// All, with the words in files.
    pub const ALL: [(&'static str, Self); 4] =
        [("app", Self::App), ("touchpoints", Self::Touchpoints), ("identify", Self::Identify), ("tags", Self::Tags)];
}

/// A system that signs its calls with a common secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What it reports.
    pub kind: WebhookKind,
    /// Key of HMAC-SHA256 over the time stamp, a dot and the body.
    pub secret: Secret,
}

/// What a webhook reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookKind {
    /// Calls to the numbers of campaigns.
    Calls,
    /// Orders from a market place.
    Orders,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_of_a_sensitive_category_by_its_words() {
        let rules = TouchRules { sensitive: ["lingerie", "baby clothes"].map(str::to_owned).into(), ..TouchRules::default() };
        for name in ["Lingerie", "bought-lingerie-2026", "loves Baby_Clothes", "BABY CLOTHES"] {
            assert!(rules.sensitive_in(name).is_some(), "{name}");
        }
        for name in ["vip", "clothes for a baby", "lingeries", ""] {
            assert_eq!(rules.sensitive_in(name), None, "{name}");
        }
        assert_eq!(TouchRules::default().sensitive_in("lingerie"), None);
    }
}
