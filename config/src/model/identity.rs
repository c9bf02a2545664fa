//! Who is who: which keys join people, and what never does.

use std::{collections::BTreeMap, time::Duration};

use super::Web;

/// How keys of one kind are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRule {
    /// Most keys of the kind that one person holds.
    pub limit: u32,
    /// True if a common key of the kind joins two members into one person; otherwise it only attaches to one.
    pub merge: bool,
    /// 1 is the strongest; by this key a match is reported when several are there.
    pub priority: u32,
}

/// The form in which a platform takes hashed keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Numbers with their plus, Gmail addresses without dots.
    Google,
    /// Numbers without plus, addresses as they are.
    Meta,
}

/// Somebody with whom keys are exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    /// May ask which of its keys are known (`match`).
    pub may_match: bool,
    /// May be given keys of members who consent to that (`ads`).
    pub may_have_ads: bool,
    /// In which form.
    pub platform: Platform,
}

/// `[identity]` of `hub.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// How keys of each kind are used.
    pub keys: BTreeMap<String, KeyRule>,
    /// Values that are nobody's, by kind: switchboards, the shops' own addresses.
    pub block: BTreeMap<String, Vec<String>>,
    /// A value that named more members than this joins nobody any more.
    pub shared_after: u32,
    /// Most keys of one person.
    pub component_cap: u32,
    /// How far back touchpoints of a cookie or device become hers when it is tied to her.
    pub retro: Duration,
    /// Domains of the brands' own sites; cookies of other domains are third-party ones. Empty: the sites that `[web]` names.
    pub sites: Vec<String>,
    /// Take third-party cookies too.
    pub third_party_cookies: bool,
    /// Labels of segments as CRM files write them, and what they are called here.
    pub segments: BTreeMap<String, String>,
    /// Partners by the name of their files, and of their token if they have one.
    pub partners: BTreeMap<String, Partner>,
}

/// (kind, limit, merge), the strongest first.
const KEYS: [(&str, u32, bool); 13] = [
    ("crm_id", 1, true),
    ("loyalty_card", 3, true),
    ("email", 5, true),
    ("phone", 4, true),
    // Two forms of each address or number.
    ("email_sha256", 10, true),
    ("phone_sha256", 8, true),
    // Installing the app again makes a new one each time.
    ("installation", 200, false),
    ("device", 10, false),
    ("cookie", 50, false),
    ("beacon", 3, false),
    // What she did, not what she is.
    ("order", 10_000, false),
    ("call", 10_000, false),
    ("operator", 100, true),
];

impl Default for Identity {
    fn default() -> Self {
        let rule = |(place, (kind, limit, merge)): (usize, (&str, u32, bool))| {
            (kind.to_owned(), KeyRule { limit, merge, priority: u32::try_from(place).unwrap_or(0) + 1 })
        };
        Self {
            keys: KEYS.into_iter().enumerate().map(rule).collect(),
            block: BTreeMap::new(),
            shared_after: 3,
            component_cap: 100,
            retro: Duration::from_secs(30 * 86_400),
            sites: Vec::new(),
            third_party_cookies: false,
            segments: BTreeMap::new(),
            partners: BTreeMap::new(),
        }
    }
}

impl Identity {
    /// What a label of a CRM file is called here; names that are used here already stay. `None` if nobody knows it.
    pub fn segment(&self, label: &str) -> Option<&str> {
        let same = |text: &str| text.to_lowercase() == label.trim().to_lowercase();
        let known = self.segments.iter().find(|(raw, _)| same(raw)).map(|(_, name)| name);
        known.or_else(|| self.segments.values().find(|name| same(name))).map(String::as_str)
    }

    /// The place of a kind among all; 1 is the strongest.
    pub fn priority(&self, kind: &str) -> u32 {
        self.keys.get(kind).map_or(u32::MAX, |rule| rule.priority)
    }

    /// The domains of the brands' own sites: those written here, or else those whose pages and cookies `[web]` speaks of.
    pub fn own_sites<'a>(&'a self, web: &'a Web) -> Vec<&'a str> {
        if !self.sites.is_empty() {
            return self.sites.iter().map(String::as_str).collect();
        }
        let host = |origin: &'a String| {
            let machine = origin.split_once("://").map_or(origin.as_str(), |(_, rest)| rest);
            let machine =
                machine.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(machine, |(name, _)| name);
            machine.strip_prefix("www.").unwrap_or(machine)
        };
        let of_tokens = web.grants.values().filter_map(|grant| grant.domain.as_deref());
        web.sites.iter().map(host).chain(web.cookie_domain.as_deref()).chain(of_tokens).collect()
    }

    /// True if a cookie of this domain may be tied to a person: of an own site, or of any where third-party cookies are taken.
    pub fn takes_cookies_of(&self, web: &Web, domain: &str) -> bool {
        let is_own = |site: &&str| domain == *site || domain.strip_suffix(site).is_some_and(|sub| sub.ends_with('.'));
        self.third_party_cookies || self.own_sites(web).iter().any(is_own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Grant;

    #[test]
    fn cookies_of_other_sites_are_refused_unless_they_are_asked_for() {
        let (mut identity, web) = (Identity::default(), Web::default());
        assert!(!identity.takes_cookies_of(&web, "maison.example"), "nobody said which sites are the brand's own");
        identity.sites = vec!["maison.example".to_owned()];
        assert!(identity.takes_cookies_of(&web, "maison.example") && identity.takes_cookies_of(&web, "www.maison.example"));
        assert!(!identity.takes_cookies_of(&web, "ads.example") && !identity.takes_cookies_of(&web, "notmaison.example"));
        identity.third_party_cookies = true;
        assert!(identity.takes_cookies_of(&web, "ads.example"));
    }

    #[test]
    fn the_own_sites_are_those_of_web_until_others_are_named() {
        let grant = Grant { domain: Some("app.example".to_owned()), ..Grant::default() };
        let web = Web {
            sites: vec!["https://www.maison.example".to_owned(), "http://127.0.0.1:8000".to_owned()],
            cookie_domain: Some("shop.example".to_owned()),
            grants: [("site".to_owned(), grant)].into(),
            ..Web::default()
        };
        let mut identity = Identity::default();
        assert_eq!(identity.own_sites(&web), ["maison.example", "127.0.0.1", "shop.example", "app.example"]);
        assert!(identity.takes_cookies_of(&web, "shop.maison.example") && !identity.takes_cookies_of(&web, "ads.example"));
        identity.sites = vec!["other.example".to_owned()];
        assert!(!identity.takes_cookies_of(&web, "maison.example"));
    }

    #[test]
    fn labels_of_segments_get_one_name_however_they_are_written() {
        let identity = Identity { segments: [("VIP Gold".to_owned(), "vip".to_owned())].into(), ..Identity::default() };
        assert_eq!(["vip gold", "VIP", "Other"].map(|label| identity.segment(label)), [Some("vip"), Some("vip"), None]);
    }
}
