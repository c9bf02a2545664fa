//! `channels.toml`: which channel an arrival belongs to. The rules of the site come first, then the pack that Passage brings (`src/channels.toml`).

use std::sync::OnceLock;

use crate::{
    collect::{Collector, mistake},
    reader::{Field, Reader},
    source::Source,
    tree::toml,
};

/// What is known of how somebody came. `None` is what nobody told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrival<'a> {
    /// The utm_source.
    pub source: Option<&'a str>,
    /// The utm_medium.
    pub medium: Option<&'a str>,
    /// Host of the page that she came from.
    pub referrer: Option<&'a str>,
    /// Name of the click id, such as `gclid`.
    pub click: Option<&'a str>,
    /// Campaign.
    pub campaign: Option<&'a str>,
}

/// The rules in their order.
#[derive(Debug, Clone, Default)]
pub struct Channels(Vec<Rule>);

#[derive(Debug, Clone, Default)]
struct Rule {
    channel: String,
    source: Vec<Pattern>,
    medium: Vec<Pattern>,
    referrer: Vec<Pattern>,
    click: Vec<Pattern>,
    campaign: Vec<Pattern>,
}

/// A text in lower case in which `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(String);

impl Channels {
    /// The channel of the first rule that fits; `None` when none does or nothing is known.
    pub fn of(&self, arrival: &Arrival<'_>) -> Option<&str> {
        let lower = |text: Option<&str>| text.map(str::to_lowercase).filter(|text| !text.is_empty());
        let referrer = lower(arrival.referrer);
        let known = Lower {
            source: lower(arrival.source).or_else(|| referrer.clone()),
            medium: lower(arrival.medium),
            referrer,
            click: lower(arrival.click),
            campaign: lower(arrival.campaign),
        };
        if known.is_empty() {
            return None;
        }
        self.0.iter().chain(pack()).find(|rule| rule.fits(&known)).map(|rule| rule.channel.as_str())
    }
}

struct Lower {
    source: Option<String>,
    medium: Option<String>,
    referrer: Option<String>,
    click: Option<String>,
    campaign: Option<String>,
}

impl Lower {
    fn is_empty(&self) -> bool {
        self.source.is_none() && self.medium.is_none() && self.referrer.is_none() && self.click.is_none() && self.campaign.is_none()
    }
}

impl Rule {
    fn fits(&self, known: &Lower) -> bool {
        let one = |patterns: &[Pattern], value: &Option<String>| {
            patterns.is_empty() || value.as_deref().is_some_and(|value| patterns.iter().any(|p| p.fits(value)))
        };
        one(&self.source, &known.source)
            && one(&self.medium, &known.medium)
            && one(&self.referrer, &known.referrer)
            && one(&self.click, &known.click)
            && one(&self.campaign, &known.campaign)
    }
}

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else { return self.0 == text };
        let Some(mut text) = text.strip_prefix(head) else { return false };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let tail = parts.pop().unwrap_or("");
        for part in parts {
            match text.find(part) {
                Some(at) => text = &text[at + part.len()..],
                None => return false,
            }
        }
        text.ends_with(tail)
    }
}

/// The pack that Passage brings.
fn pack() -> &'static [Rule] {
    static PACK: OnceLock<Vec<Rule>> = OnceLock::new();
    PACK.get_or_init(|| {
        let out = Collector::default();
        let source = Source::new("channels.toml".into(), include_str!("channels.toml").to_owned());
        let rules = toml::read(&source, &out).and_then(|tree| Some(read(Reader::root(&source, &out, &tree)?)));
        rules.map(|channels| channels.0).unwrap_or_default()
    })
}

/// Reads the rules of one file.
pub(crate) fn read(r: Reader<'_>) -> Channels {
    let rules = r.or("rule", Vec::new(), |f| Some(f.list()?.into_iter().filter_map(rule).collect()));
    r.done();
    Channels(rules)
}

fn rule(f: Field<'_>) -> Option<Rule> {
    let place = f.clone();
    let r = f.table()?;
    let channel = r.need("channel", "channel = \"partner\"", |f| f.text().map(str::to_owned));
    let [source, medium, referrer, click, campaign] =
        ["source", "medium", "referrer", "click", "campaign"].map(|key| r.or(key, Vec::new(), patterns));
    r.done();
    if [&source, &medium, &referrer, &click, &campaign].iter().all(|patterns| patterns.is_empty()) {
        let mend = "add at least one of source, medium, referrer, click and campaign";
        return place.refuse(mistake("P006", "this rule would fit everything", "it says nothing of the arrival", mend));
    }
    Some(Rule { channel: channel?, source, medium, referrer, click, campaign })
}

fn patterns(f: Field<'_>) -> Option<Vec<Pattern>> {
    Some(f.texts()?.iter().filter_map(|f| f.text().map(|text| Pattern(text.to_lowercase()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel<'a>(channels: &'a Channels, arrival: Arrival<'_>) -> &'a str {
        channels.of(&arrival).unwrap_or("none")
    }

    #[test]
    fn the_pack_is_in_order_and_groups_as_google_analytics_does() {
        assert!(pack().len() > 30, "the pack is read without a mistake");
        let ours = Channels::default();
        let campaign = |source, medium| Arrival { source: Some(source), medium: Some(medium), ..Arrival::default() };
        for (source, medium, expected) in [
            ("(direct)", "(none)", "direct"),
            ("google", "cpc", "paid-search"),
            ("google", "organic", "organic-search"),
            ("Facebook", "paid-social", "paid-social"),
            ("facebook", "social", "organic-social"),
            ("youtube", "cpv-cpc", "paid-video"),
            ("youtube", "referral", "organic-video"),
            ("amazon.fr", "cpc", "paid-shopping"),
            ("dv360", "display", "display"),
            ("criteo", "retargeting", "retargeting"),
            ("some-network", "ppc", "paid-other"),
            ("la-lettre", "e-mail", "email"),
            ("awin", "affiliate", "affiliate"),
            ("lamode", "partner", "partner"),
            ("spotify", "audio", "audio"),
            ("maison", "sms", "sms"),
            ("app", "push", "push"),
            ("blog.example", "referral", "referral"),
        ] {
            assert_eq!(channel(&ours, campaign(source, medium)), expected, "{source} / {medium}");
        }
    }

    #[test]
    fn referrers_and_click_ids_tell_the_channel_too() {
        let ours = Channels::default();
        let referrer = |host| Arrival { referrer: Some(host), ..Arrival::default() };
        assert_eq!(channel(&ours, referrer("www.google.fr")), "organic-search");
        assert_eq!(channel(&ours, referrer("l.facebook.com")), "organic-social");
        assert_eq!(channel(&ours, referrer("blog.example")), "referral");
        assert_eq!(channel(&ours, Arrival { click: Some("gclid"), ..referrer("www.google.fr") }), "paid-search");
        assert_eq!(channel(&ours, Arrival::default()), "none");
    }

    #[test]
    fn rules_of_the_site_come_first_and_stars_stand_for_anything() {
        let own = Rule { channel: "press".to_owned(), referrer: vec![Pattern("*.journal.*".to_owned())], ..Rule::default() };
        let channels = Channels(vec![own]);
        assert_eq!(channel(&channels, Arrival { referrer: Some("mode.journal.fr"), ..Arrival::default() }), "press");
        for (pattern, text, fits) in [
            ("a*b*c", "axxbyyc", true),
            ("a*b", "ab", true),
            ("*a", "ba", true),
            ("*aa*", "a", false),
            ("ab*b", "ab", false),
            ("x", "xy", false),
        ] {
            assert_eq!(Pattern(pattern.to_owned()).fits(text), fits, "{pattern} {text}");
        }
    }
}
