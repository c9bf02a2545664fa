//! The numbering plans of the world: libphonenumber's descriptions of them, and its way of reading a number (`PhoneNumberUtil.parseHelper`).
//!
//! The crate that carries the descriptions matches the beginning of a number where libphonenumber matches all of it, and drops zeros that are part of
//! the number, so the reading is done here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{LazyLock, OnceLock},
};

use phonenumber::{
    Metadata,
    metadata::{DATABASE, Descriptor},
};
use regex::{Regex, RegexBuilder};

/// What a plan keeps a number for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Fixed lines, mobile phones, personal numbers, telephony over IP.
    Person,
    /// Free and dear lines, pagers, numbers of companies, voice mail.
    Service,
    /// No series of the plan fits.
    Unknown,
}

/// A number with its country code apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    /// Country code.
    pub code: u16,
    /// What follows it, with the zeros that belong to it.
    pub national: String,
}

impl Number {
    /// `+` and all digits.
    pub fn e164(&self) -> String {
        format!("+{}{}", self.code, self.national)
    }

    /// What its plan keeps it for.
    pub fn used_for(&self) -> Use {
        plan_of_number(self.code, &self.national).map_or(Use::Unknown, |plan| plan.used_for(&self.national))
    }

    /// True if a region of the country code has numbers of persons with this length.
    pub fn has_possible_length(&self) -> bool {
        let regions = || entries(self.code).iter().map(Entry::plan);
        // Where a zero is dialled before a national number, none begins with it.
        let zero = self.national.starts_with('0') && regions().any(|plan| plan.has_trunk_zero);
        !zero && regions().any(|plan| plan.lengths_of_persons.contains(&self.national.len()))
    }
}

/// What follows the plus, or what somebody in `region` dials before a country code; `00` is taken everywhere.
pub(super) fn abroad<'a>(dialled: &'a str, region: &str) -> Option<&'a str> {
    if let Some(rest) = dialled.strip_prefix('+') {
        return Some(rest.strip_prefix("00").unwrap_or(rest));
    }
    home(region).and_then(|plan| plan.without_exit_code(dialled)).or_else(|| dialled.strip_prefix("00"))
}

/// Reads a `+` with digits, or what somebody in `region` dials for a number of her country. `None` if it is no number of any plan.
pub(super) fn read(dialled: &str, region: &str) -> Option<Number> {
    let (plan, national) = match dialled.strip_prefix('+') {
        Some(rest) => split(rest)?,
        None => {
            let home = home(region)?;
            match home.without_own_code(dialled) {
                Some(rest) => (main_plan(home.code)?, rest),
                None => (home, dialled.to_owned()),
            }
        }
    };
    let stripped = plan.without_trunk(&national);
    let national = if plan.takes_length_of(&stripped) { stripped } else { national };
    (2..=17).contains(&national.len()).then_some(Number { code: plan.code, national })
}

fn home(region: &str) -> Option<&'static Plan> {
    let (code, place) = REGIONS.get(region)?;
    entries(*code).get(*place).map(Entry::plan)
}

/// The country code in front, and the rest.
fn split(digits: &str) -> Option<(&'static Plan, String)> {
    (1..=3).find_map(|n| Some((main_plan(digits.get(..n)?.parse().ok().filter(|_| !digits.starts_with('0'))?)?, digits[n..].to_owned())))
}

struct Entry {
    metadata: &'static Metadata,
    plan: OnceLock<Plan>,
}

impl Entry {
    /// Expressions are compiled when somebody needs the region.
    fn plan(&self) -> &Plan {
        self.plan.get_or_init(|| Plan::of(self.metadata))
    }
}

/// The regions of each country code, the main one first.
static PLANS: LazyLock<BTreeMap<u16, Vec<Entry>>> = LazyLock::new(|| {
    let regions = |code| Some((code, DATABASE.by_code(&code)?));
    let entry = |metadata| Entry { metadata, plan: OnceLock::new() };
    (1..1000).filter_map(regions).map(|(code, all)| (code, all.into_iter().map(entry).collect())).collect()
});

/// Country code and place in its list of each region.
static REGIONS: LazyLock<BTreeMap<&'static str, (u16, usize)>> = LazyLock::new(|| {
    let places = |(code, all): (&u16, &'static Vec<Entry>)| {
        let code = *code;
        all.iter().enumerate().map(move |(place, entry)| (entry.metadata.id(), (code, place)))
    };
    LazyLock::force(&PLANS).iter().flat_map(places).collect()
});

fn entries(code: u16) -> &'static [Entry] {
    PLANS.get(&code).map_or(&[], Vec::as_slice)
}

fn main_plan(code: u16) -> Option<&'static Plan> {
    entries(code).first().map(Entry::plan)
}

/// The region that a number belongs to.
fn plan_of_number(code: u16, national: &str) -> Option<&'static Plan> {
    let all = entries(code);
    if all.len() == 1 {
        return main_plan(code);
    }
    all.iter().map(Entry::plan).find(|plan| match &plan.leading {
        Some(leading) => leading.is_match(national),
        None => plan.used_for(national) != Use::Unknown,
    })
}

/// A series of numbers.
struct Series {
    pattern: Regex,
    lengths: Vec<usize>,
}

impl Series {
    fn of(descriptor: &Descriptor) -> Self {
        let lengths = descriptor.possible_length().iter().copied().map(usize::from).collect();
        Self { pattern: whole(descriptor.national_number().as_str()), lengths }
    }

    fn has(&self, national: &str) -> bool {
        (self.lengths.is_empty() || self.lengths.contains(&national.len())) && self.pattern.is_match(national)
    }
}

/// The plan of one region.
struct Plan {
    code: u16,
    /// What every number of the region looks like.
    general: Regex,
    /// In the order in which libphonenumber asks.
    uses: Vec<(Use, Series)>,
    lengths: BTreeSet<usize>,
    /// Lengths that are dialled inside a town only.
    local_lengths: BTreeSet<usize>,
    lengths_of_persons: BTreeSet<usize>,
    /// What is dialled before a country code.
    exit_code: Option<Regex>,
    /// What is dialled before a national number, and what becomes of the number when it goes.
    trunk: Option<Regex>,
    rewrite: Option<String>,
    has_trunk_zero: bool,
    /// How numbers of this region begin, where others share its country code.
    leading: Option<Regex>,
}

impl Plan {
    fn of(m: &Metadata) -> Self {
        let d = m.descriptors();
        let services = [d.premium_rate(), d.toll_free(), d.shared_cost()].map(|s| (Use::Service, s));
        let lines = [d.voip(), d.personal_number()].map(|s| (Use::Person, s));
        let companies = [d.pager(), d.uan(), d.voicemail()].map(|s| (Use::Service, s));
        let phones = [d.fixed_line(), d.mobile()].map(|s| (Use::Person, s));
        let all = [&services[..], &lines, &companies, &phones].concat();
        let series = all.iter().filter_map(|(kind, s)| Some((*kind, (*s)?)));
        let lengths: BTreeSet<usize> = series.clone().flat_map(|(_, s)| s.possible_length()).copied().map(usize::from).collect();
        let local = series.clone().flat_map(|(_, s)| s.possible_local_length()).copied().map(usize::from);
        let of_persons = phones.iter().filter_map(|(_, s)| *s).flat_map(Descriptor::possible_length).copied().map(usize::from);
        let trunk = m.national_prefix_for_parsing().map(|re| re.as_str().to_owned()).or_else(|| m.national_prefix().map(str::to_owned));
        Self {
            code: m.country_code(),
            general: whole(d.general().national_number().as_str()),
            local_lengths: local.filter(|n| !lengths.contains(n)).collect(),
            lengths_of_persons: of_persons.collect(),
            uses: series.map(|(kind, s)| (kind, Series::of(s))).collect(),
            lengths,
            exit_code: m.international_prefix().map(|re| beginning(re.as_str())),
            trunk: trunk.map(|text| beginning(&text)),
            // `$1` of the descriptions, so that a digit behind it is not read as part of the group's number.
            rewrite: m.national_prefix_transform_rule().map(|rule| rule.replace("$1", "${1}").replace("$2", "${2}")),
            has_trunk_zero: m.national_prefix() == Some("0"),
            leading: m.leading_digits().map(|re| beginning(re.as_str())),
        }
    }

    fn used_for(&self, national: &str) -> Use {
        if !self.lengths.contains(&national.len()) || !self.general.is_match(national) {
            return Use::Unknown;
        }
        self.uses.iter().find(|(_, series)| series.has(national)).map_or(Use::Unknown, |(kind, _)| *kind)
    }

    /// What follows the exit code; no country code begins with a zero.
    fn without_exit_code<'a>(&self, dialled: &'a str) -> Option<&'a str> {
        let rest = &dialled[self.exit_code.as_ref()?.find(dialled)?.end()..];
        (!rest.starts_with('0')).then_some(rest)
    }

    /// What follows the region's own country code when it is there without a plus.
    fn without_own_code(&self, dialled: &str) -> Option<String> {
        let rest = self.without_trunk(dialled.strip_prefix(&self.code.to_string())?);
        let better = !self.general.is_match(dialled) && self.general.is_match(&rest);
        let too_long = !self.local_lengths.contains(&dialled.len()) && self.lengths.last().is_some_and(|longest| dialled.len() > *longest);
        (better || too_long).then_some(rest)
    }

    /// The number without the prefix that is dialled inside the country only.
    fn without_trunk(&self, national: &str) -> String {
        let Some((trunk, found)) = self.trunk.as_ref().and_then(|trunk| Some((trunk, trunk.captures(national)?))) else {
            return national.to_owned();
        };
        let last = if found.len() > 1 { found.get(found.len() - 1) } else { None };
        let stripped = match &self.rewrite {
            Some(rule) if last.is_some() || found.len() == 1 => trunk.replace(national, rule.as_str()).into_owned(),
            _ => national[found.get(0).map_or(0, |all| all.end())..].to_owned(),
        };
        // A number that is one already stays, if what is left is none.
        if self.general.is_match(national) && !self.general.is_match(&stripped) { national.to_owned() } else { stripped }
    }

    /// True if the length is one that a whole number can have, or more.
    fn takes_length_of(&self, national: &str) -> bool {
        let n = national.len();
        let longest = self.lengths.last().is_some_and(|longest| n > *longest);
        !self.local_lengths.contains(&n) && (longest || self.lengths.contains(&n))
    }
}

/// An expression of the descriptions that must match all of a text.
fn whole(pattern: &str) -> Regex {
    compiled(&format!("^(?:{pattern})$"))
}

/// One that must match its beginning.
fn beginning(pattern: &str) -> Regex {
    compiled(&format!("^(?:{pattern})"))
}

fn compiled(pattern: &str) -> Regex {
    RegexBuilder::new(pattern).ignore_whitespace(true).build().expect("the descriptions were compiled when the crate was built")
}
