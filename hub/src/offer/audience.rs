//! Who an offer is for, judged by what she did online before the trigger.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use passage_config::{Audience, Exposed, Product, Site, ViewedNotBought};
use passage_protocol::Millis;

use crate::{
    offer::local_day,
    touchpoint::{Purchase, TouchKind, Touchpoint},
};

/// What is known of a member's past. Only what she allowed to be joined is in it.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// By time.
    pub touchpoints: &'a [Touchpoint],
    /// By time.
    pub purchases: &'a [Purchase],
}

/// The product to speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// What.
    pub product: Product,
    /// The size that she looked at last.
    pub size: Option<String>,
    /// How often she looked.
    pub views: u32,
    /// On how many store-local days.
    pub days: u32,
}

/// True if the audience can only be judged by touchpoints, so that `match` is needed.
pub fn needs_touchpoints(audience: &Audience) -> bool {
    audience.exposed.is_some() || audience.viewed_not_bought.is_some()
}

/// How many exposures to the campaign lie in the look-back before `at`. Having been sent something is no exposure.
pub fn exposures(history: &History<'_>, exposed: &Exposed, at: Millis) -> u32 {
    let fits = |t: &&Touchpoint| {
        t.campaign.as_ref() == Some(&exposed.campaign) && t.kind.is_exposure() && at - exposed.within <= t.at && t.at <= at
    };
    u32::try_from(history.touchpoints.iter().filter(fits).count()).unwrap_or(u32::MAX)
}

#[derive(Default)]
struct Looks {
    views: u32,
    days: BTreeSet<chrono::NaiveDate>,
    last: Millis,
    size: Option<String>,
}

/// The product that she looked at most (then: last) among those that fit `rule` and that she has not bought in the look-back before `at`; `None`
/// without one. A product that the catalogue does not know is never spoken of, nor one of a sensitive category; a line with a negative amount is a
/// return, not a purchase.
pub fn viewed_not_bought(history: &History<'_>, rule: &ViewedNotBought, site: &Site, zone: Tz, at: Millis) -> Option<Pick> {
    let recent = |t: Millis| at - rule.within <= t && t <= at;
    let bought: BTreeSet<&str> =
        history.purchases.iter().filter(|p| recent(p.at)).flat_map(|p| p.lines.iter().filter(|l| l.1 >= 0).map(|l| l.0.as_str())).collect();
    let mut looks: BTreeMap<&str, Looks> = BTreeMap::new();
    for touch in history.touchpoints.iter().filter(|t| recent(t.at) && is_look(t.kind)) {
        let Some(sku) = touch.sku.as_deref() else { continue };
        let look = looks.entry(sku).or_default();
        look.views += 1;
        look.days.insert(local_day(touch.at, zone));
        if touch.at >= look.last {
            look.last = touch.at;
            look.size = touch.size.clone().or(look.size.take());
        }
    }
    let fits = |sku: &str, look: &Looks| {
        let product = site.products.get(sku).filter(|_| !site.is_sensitive(sku))?;
        let days = u32::try_from(look.days.len()).unwrap_or(u32::MAX);
        let enough = look.views >= rule.min_views && days >= rule.min_days;
        let wanted = rule.category.as_ref().is_none_or(|c| *c == product.category) && !bought.contains(sku);
        (enough && wanted).then(|| (look.last, Pick { product: product.clone(), size: look.size.clone(), views: look.views, days }))
    };
    let fitting = looks.iter().filter_map(|(sku, look)| fits(sku, look));
    fitting
        .max_by(|(a_last, a), (b_last, b)| (a.views, a_last, &b.product.sku).cmp(&(b.views, b_last, &a.product.sku)))
        .map(|(_, pick)| pick)
}

fn is_look(kind: TouchKind) -> bool {
    matches!(kind, TouchKind::View | TouchKind::Engaged | TouchKind::Click | TouchKind::Basket)
}
