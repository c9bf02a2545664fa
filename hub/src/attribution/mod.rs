//! Which exposures may take credit for a visit or a purchase, and how the credit is shared. Everything here is pure.
//!
//! The rules are those of causality first, window second: a touch counts when it came before the conversion and inside the window of its kind.
//! Exact repeats are one touch, the same campaign and kind within 30 minutes is one touch, and a click within 24 h of a view of the same campaign
//! absorbs the view. Credits of one conversion add up to 1, or to 0 when nothing preceded it (`direct`).

use std::time::Duration;

use passage_config::Windows;
use passage_protocol::Millis;

use crate::touchpoint::{TouchKind, Touchpoint};

const SESSION: Duration = Duration::from_secs(30 * 60);
const CLICK_ABSORBS: Duration = Duration::from_secs(24 * 3600);

/// How the credit of a conversion is shared among the touches of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// All to the last touch.
    LastTouch,
    /// The same share to each touch; repeats count each time.
    Linear,
}

impl Model {
    /// All models.
    pub const ALL: [Self; 2] = [Self::LastTouch, Self::Linear];

    /// As it stands in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::LastTouch => "last touch",
            Self::Linear => "linear",
        }
    }
}

/// One exposure that may take credit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// Id of the touchpoint.
    pub id: String,
    /// When.
    pub at: Millis,
    /// What.
    pub kind: TouchKind,
    /// Of which campaign.
    pub campaign: String,
}

/// How far back a touch of this kind may be credited; `None` for kinds that are no exposure.
pub fn window(kind: TouchKind, windows: &Windows) -> Option<Duration> {
    match kind {
        TouchKind::Click => Some(windows.click),
        TouchKind::Engaged => Some(windows.engaged),
        // Mail programs open mails by themselves, so an opened mail is worth no more than an ad that was seen.
        TouchKind::View | TouchKind::Open => Some(windows.view),
        TouchKind::Qr | TouchKind::Call => Some(windows.qr_call),
        TouchKind::OnsiteBlock => Some(windows.view),
        // No exposure: see `TouchKind::is_exposure`.
        _ => None,
    }
}

/// The path of a conversion at `at`: the exposures that may be credited, oldest first, ties by id.
pub fn path(touchpoints: &[Touchpoint], at: Millis, windows: &Windows) -> Vec<Exposure> {
    let mut found: Vec<Exposure> = touchpoints.iter().filter_map(|t| exposure(t, at, windows)).collect();
    found.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    found.dedup_by(|a, b| a.id == b.id);
    let sessions = one_per_session(found);
    without_absorbed_views(sessions)
}

fn exposure(touch: &Touchpoint, at: Millis, windows: &Windows) -> Option<Exposure> {
    let window = if is_click_in_message(touch) { windows.message } else { window(touch.kind, windows)? };
    let campaign = touch.campaign.clone()?;
    // In the same instant only a scan or a call can have led to the conversion.
    let before = touch.at < at || (touch.at == at && matches!(touch.kind, TouchKind::Qr | TouchKind::Call));
    (before && touch.at >= at - window).then(|| Exposure { id: touch.id.clone(), at: touch.at, kind: touch.kind, campaign })
}

/// A click in a mail or SMS, which has the window of messages.
fn is_click_in_message(touch: &Touchpoint) -> bool {
    touch.kind == TouchKind::Click && touch.channel.as_deref().is_some_and(|c| matches!(c, "email" | "e-mail" | "mail" | "sms"))
}

/// Keeps the first touch of each run of the same campaign and kind with gaps below 30 minutes.
fn one_per_session(touches: Vec<Exposure>) -> Vec<Exposure> {
    let mut kept: Vec<Exposure> = Vec::with_capacity(touches.len());
    let mut last_seen: Vec<(String, TouchKind, Millis)> = Vec::new();
    for touch in touches {
        match last_seen.iter_mut().find(|(c, k, _)| *c == touch.campaign && *k == touch.kind) {
            Some((_, _, last)) if touch.at <= *last + SESSION => *last = touch.at,
            Some((_, _, last)) => {
                *last = touch.at;
                kept.push(touch);
            }
            None => {
                last_seen.push((touch.campaign.clone(), touch.kind, touch.at));
                kept.push(touch);
            }
        }
    }
    kept
}

fn without_absorbed_views(touches: Vec<Exposure>) -> Vec<Exposure> {
    let absorbed = |view: &Exposure| {
        view.kind == TouchKind::View
            && touches.iter().any(|click| {
                click.kind == TouchKind::Click
                    && click.campaign == view.campaign
                    && click.at >= view.at
                    && click.at <= view.at + CLICK_ABSORBS
            })
    };
    touches.iter().filter(|t| !absorbed(t)).cloned().collect()
}

/// The share of each touch of the path, in its order. The shares add up to 1; an empty path has none.
pub fn shares(path: &[Exposure], model: Model) -> Vec<f64> {
    let n = path.len();
    #[expect(clippy::cast_precision_loss, reason = "a path has far fewer than 2^52 touches")]
    match model {
        Model::LastTouch => (0..n).map(|i| if i + 1 == n { 1.0 } else { 0.0 }).collect(),
        Model::Linear => vec![1.0 / n as f64; n],
    }
}

/// The campaign that the last credited exposure before `at` belongs to.
pub fn last_campaign(touchpoints: &[Touchpoint], at: Millis, windows: &Windows) -> Option<String> {
    path(touchpoints, at, windows).pop().map(|e| e.campaign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{IdentifierKind, Key};
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000;

    fn windows() -> Windows {
        let days = |d: u64| Duration::from_secs(d * 86_400);
        Windows { click: days(30), engaged: days(3), view: days(1), qr_call: days(30), message: days(7) }
    }

    fn touch(id: &str, at: i64, kind: TouchKind, campaign: &str) -> Touchpoint {
        Touchpoint {
            id: id.to_owned(),
            at: Millis(at),
            kind,
            campaign: (!campaign.is_empty()).then(|| campaign.to_owned()),
            channel: None,
            sku: None,
            size: None,
            identifier_kind: IdentifierKind::Cookie,
            identifier: Key([0; 32]),
            detail: crate::touchpoint::Detail::default(),
        }
    }

    fn ids(path: &[Exposure]) -> Vec<&str> {
        path.iter().map(|e| e.id.as_str()).collect()
    }

    #[test]
    fn a_touch_after_the_conversion_takes_no_credit() {
        let now = 100 * DAY;
        let touches = [touch("before", now - 1, TouchKind::Click, "a"), touch("after", now + 1, TouchKind::Click, "b")];
        assert_eq!(ids(&path(&touches, Millis(now), &windows())), ["before"]);
    }

    #[test]
    fn in_the_same_instant_only_a_scan_or_a_call_counts() {
        let now = 100 * DAY;
        let touches = [touch("click", now, TouchKind::Click, "a"), touch("qr", now, TouchKind::Qr, "b")];
        assert_eq!(ids(&path(&touches, Millis(now), &windows())), ["qr"]);
    }

    #[test]
    fn every_exposure_has_a_window_and_nothing_else_has() {
        assert!(TouchKind::ALL.iter().all(|kind| window(*kind, &windows()).is_some() == kind.is_exposure()));
    }

    #[test]
    fn each_kind_has_its_own_window_and_being_sent_something_has_none() {
        let now = 100 * DAY;
        let touches = [
            touch("click-29", now - 29 * DAY, TouchKind::Click, "a"),
            touch("click-31", now - 31 * DAY, TouchKind::Click, "b"),
            touch("view-2", now - 2 * DAY, TouchKind::View, "c"),
            touch("open-20-h", now - 20 * DAY / 24, TouchKind::Open, "d"),
            touch("open-2", now - 2 * DAY, TouchKind::Open, "d"),
            touch("sms", now - 1, TouchKind::Send, "d"),
            touch("basket", now - 1, TouchKind::Basket, "e"),
            touch("no-campaign", now - 1, TouchKind::Click, ""),
        ];
        assert_eq!(ids(&path(&touches, Millis(now), &windows())), ["click-29", "open-20-h"]);
        let in_mail = |days| Touchpoint { channel: Some("email".to_owned()), ..touch("mail", now - days * DAY, TouchKind::Click, "a") };
        assert_eq!(path(&[in_mail(6)], Millis(now), &windows()).len(), 1);
        assert!(path(&[in_mail(8)], Millis(now), &windows()).is_empty(), "a click in a mail counts for 7 days");
    }

    #[test]
    fn repeats_within_half_an_hour_are_one_touch_and_a_click_absorbs_the_view() {
        let now = 100 * DAY;
        let minute = 60_000;
        let touches = [
            touch("1", now - 300 * minute, TouchKind::Click, "a"),
            touch("2", now - 280 * minute, TouchKind::Click, "a"),
            touch("3", now - 255 * minute, TouchKind::Click, "a"),
            touch("4", now - 100 * minute, TouchKind::Click, "a"),
            touch("5", now - 110 * minute, TouchKind::View, "a"),
            touch("6", now - 110 * minute, TouchKind::View, "b"),
        ];
        assert_eq!(ids(&path(&touches, Millis(now), &windows())), ["1", "6", "4"]);
    }

    #[test]
    fn last_touch_and_linear_share_as_defined() {
        let now = 100 * DAY;
        let touches = [touch("1", now - 3 * DAY, TouchKind::Click, "a"), touch("2", now - 2 * DAY, TouchKind::Click, "b")];
        let path = path(&touches, Millis(now), &windows());
        assert_eq!(shares(&path, Model::LastTouch), [0.0, 1.0]);
        assert_eq!(shares(&path, Model::Linear), [0.5, 0.5]);
        assert!(shares(&[], Model::Linear).is_empty());
    }

    proptest! {
        #[test]
        fn credits_add_up_to_one_or_to_nothing(
            at in prop::collection::vec((0_i64..40, 0_usize..3, 0_usize..3), 0..30),
        ) {
            let now = 100 * DAY;
            let kinds = [TouchKind::Click, TouchKind::View, TouchKind::Qr];
            let touches: Vec<Touchpoint> = at.iter().enumerate()
                .map(|(i, (days, kind, campaign))| touch(&i.to_string(), now - days * DAY + 5, kinds[*kind], ["a", "b", "c"][*campaign]))
                .collect();
            let path = path(&touches, Millis(now), &windows());
            for model in Model::ALL {
                let sum: f64 = shares(&path, model).iter().sum();
                let expected = if path.is_empty() { 0.0 } else { 1.0 };
                prop_assert!((sum - expected).abs() < 1e-9);
            }
            prop_assert!(path.iter().all(|e| e.at < Millis(now)));
        }
    }
}
