//! Campaign -> visits -> purchases in euros, with the rows below k withheld.

use std::collections::{BTreeMap, BTreeSet};

use passage_config::HubConfig;
use passage_protocol::{Millis, StoreId};

use crate::{
    args,
    attribution::{self, Exposure, Model},
    identity::{MemberId, Purpose, consent::Standing},
    report::Span,
    store::{
        self, StoreError, Tx,
        people::consent::{allows, standing},
    },
    touchpoint::Purchase,
};

/// One conversion and the exposures that may be credited for it.
#[derive(Debug, Clone)]
pub struct Credited {
    member: MemberId,
    kind: Kind,
    path: Vec<Exposure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Visit,
    Purchase { cents: i64 },
}

/// How many conversions there were, and how many of them nothing preceded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conversions {
    /// Qualified visits, once per member, store and store-local day.
    pub visits: u64,
    /// ... of which no exposure was inside its window; `None` where it would tell what the withheld rows hold.
    pub direct_visits: Option<u64>,
    /// Purchases of members who allow that they are joined with the rest.
    pub purchases: u64,
    /// ... of which no exposure was inside its window; `None` where it would tell what the withheld rows hold.
    pub direct_purchases: Option<u64>,
    /// Cents of these purchases; `None` when fewer than k members bought.
    pub cents: Option<i64>,
}

/// What one campaign is credited with under one model.
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignRow {
    /// Its id.
    pub campaign: String,
    /// Different members with a credited conversion.
    pub members: u64,
    /// Credited visits.
    pub visits: f64,
    /// Credited purchases.
    pub purchases: f64,
    /// Credited cents.
    pub cents: f64,
}

/// Rows that may be shown, and how many may not because they are about too few members.
#[derive(Debug, Clone, PartialEq)]
pub struct Withheld<T> {
    /// Shown.
    pub rows: Vec<T>,
    /// Not shown.
    pub withheld: usize,
}

/// Finds all conversions of the span with their paths, on the snapshot of `tx`. Without `match` for the store's brand and entity a visit stands
/// alone and a ticket is nobody's.
pub(super) async fn credit(tx: &mut Tx, config: &HubConfig, span: Span) -> Result<Vec<Credited>, StoreError> {
    let visits = visits_by_member(tx, config, span).await?;
    let buyers = members_with_purchases(tx, span).await?;
    let members: BTreeSet<MemberId> = visits.keys().copied().chain(buyers).collect();
    let mut all = Vec::new();
    for member in members {
        let standing = standing(tx, member).await?;
        let touches = store::touchpoint::of_member(tx, member, span.from - longest_window(config)).await?;
        let path = |at| attribution::path(&touches, at, &config.windows);
        for (store, at) in visits.get(&member).into_iter().flatten() {
            let path = if may_join(config, &standing, store) { path(*at) } else { Vec::new() };
            all.push(Credited { member, kind: Kind::Visit, path });
        }
        for purchase in purchases_in(tx, member, span).await? {
            if may_join(config, &standing, purchase.store.as_str()) {
                all.push(Credited { member, kind: Kind::Purchase { cents: purchase.total_cents() }, path: path(purchase.at) });
            }
        }
    }
    Ok(all)
}

fn may_join(config: &HubConfig, standing: &[Standing], store: &str) -> bool {
    let store = store.parse::<StoreId>().ok().and_then(|id| config.site.stores.get(&id));
    store.is_some_and(|s| allows(standing, &s.brand, &s.entity, Purpose::Match))
}

/// Counts the conversions. What was direct is left out when it would tell what a withheld row holds: all conversions less the direct ones less the
/// shown rows are the withheld rows, which is only fit to be known if they are about `k` members together.
pub fn conversions(all: &[Credited], k: u32) -> Conversions {
    let enough = |members: &BTreeSet<MemberId>| members.len() >= usize::try_from(k).unwrap_or(usize::MAX);
    let told = Model::ALL.into_iter().all(|model| {
        let (withheld, _): (Vec<_>, Vec<_>) = by_campaign(all, model).into_values().partition(|(members, _)| !enough(members));
        withheld.is_empty() || enough(&withheld.into_iter().flat_map(|(members, _)| members).collect())
    });
    let is_visit = |c: &&Credited| c.kind == Kind::Visit;
    let direct = |visit: bool| told.then(|| all.iter().filter(|c| is_visit(c) == visit && c.path.is_empty()).count() as u64);
    let buyers: BTreeSet<MemberId> = all.iter().filter(|c| !is_visit(c)).map(|c| c.member).collect();
    let cents = |c: &Credited| if let Kind::Purchase { cents } = c.kind { cents } else { 0 };
    Conversions {
        visits: all.iter().filter(is_visit).count() as u64,
        direct_visits: direct(true),
        purchases: all.iter().filter(|c| !is_visit(c)).count() as u64,
        direct_purchases: direct(false),
        cents: enough(&buyers).then(|| all.iter().map(cents).sum()),
    }
}

fn longest_window(config: &HubConfig) -> std::time::Duration {
    let w = &config.windows;
    [w.click, w.engaged, w.view, w.qr_call, w.message].into_iter().max().unwrap_or_default()
}

/// Store and start of the first qualified visit per member, store and store-local day.
async fn visits_by_member(tx: &mut Tx, config: &HubConfig, span: Span) -> Result<BTreeMap<MemberId, Vec<(String, Millis)>>, StoreError> {
    let sql = "SELECT member, store, start_at FROM visit v WHERE label = 'qualified' AND start_at >= $1 AND start_at < $2 \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = v.member) ORDER BY start_at";
    let mut seen = BTreeSet::new();
    let mut found: BTreeMap<MemberId, Vec<(String, Millis)>> = BTreeMap::new();
    for row in tx.fetch(sql, args![span.from, span.to]).await? {
        let (member, store, at) = (MemberId(row.int(0)?), row.text(1)?, row.millis(2)?);
        if seen.insert((member, store.clone(), local_day(config, &store, at))) {
            found.entry(member).or_default().push((store, at));
        }
    }
    Ok(found)
}

/// Days since 1970 by the store's own calendar; of a store that is no longer configured, by UTC.
fn local_day(config: &HubConfig, store: &str, at: Millis) -> i64 {
    use chrono::{DateTime, Datelike};
    let zone = store.parse::<StoreId>().ok().and_then(|id| config.site.stores.get(&id).map(|s| s.timezone)).unwrap_or(chrono_tz::UTC);
    DateTime::from_timestamp_millis(at.0).map_or(0, |t| i64::from(t.with_timezone(&zone).date_naive().num_days_from_ce()))
}

async fn members_with_purchases(tx: &mut Tx, span: Span) -> Result<Vec<MemberId>, StoreError> {
    let sql = "SELECT DISTINCT i.member FROM purchase p JOIN identifier i ON i.kind = p.identifier_kind AND i.key = p.identifier \
               WHERE p.at >= $1 AND p.at < $2 AND i.member IS NOT NULL \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = i.member)";
    tx.fetch(sql, args![span.from, span.to]).await?.iter().map(|r| r.int(0).map(MemberId)).collect()
}

async fn purchases_in(tx: &mut Tx, member: MemberId, span: Span) -> Result<Vec<Purchase>, StoreError> {
    let found = store::touchpoint::purchases_of(tx, member, span.from).await?;
    Ok(found.into_iter().filter(|p| p.at >= span.from && p.at < span.to).collect())
}

/// The rows of all campaigns under `model`; those with fewer than `k` members are withheld.
pub fn campaigns(all: &[Credited], model: Model, k: u32) -> Withheld<CampaignRow> {
    let rows = by_campaign(all, model);
    let total = rows.len();
    let mut rows: Vec<CampaignRow> = rows.into_values().map(|(_, row)| row).filter(|r| r.members >= u64::from(k)).collect();
    rows.sort_by(|a, b| b.visits.total_cmp(&a.visits).then_with(|| a.campaign.cmp(&b.campaign)));
    Withheld { withheld: total - rows.len(), rows }
}

/// Who and what each campaign is credited with, small ones included.
fn by_campaign(all: &[Credited], model: Model) -> BTreeMap<String, (BTreeSet<MemberId>, CampaignRow)> {
    let mut rows: BTreeMap<String, (BTreeSet<MemberId>, CampaignRow)> = BTreeMap::new();
    for conversion in all {
        for (touch, share) in conversion.path.iter().zip(attribution::shares(&conversion.path, model)) {
            if share <= 0.0 {
                continue;
            }
            let empty = || CampaignRow { campaign: touch.campaign.clone(), members: 0, visits: 0.0, purchases: 0.0, cents: 0.0 };
            let (members, row) = rows.entry(touch.campaign.clone()).or_insert_with(|| (BTreeSet::new(), empty()));
            members.insert(conversion.member);
            row.members = members.len() as u64;
            match conversion.kind {
                Kind::Visit => row.visits += share,
                #[expect(clippy::cast_precision_loss, reason = "cents of one ticket are far below 2^52")]
                Kind::Purchase { cents } => {
                    row.purchases += share;
                    row.cents += share * cents as f64;
                }
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::touchpoint::TouchKind;

    fn conversion(member: i64, kind: Kind, campaigns: &[&str]) -> Credited {
        let touch = |(i, c): (usize, &&str)| Exposure {
            id: i.to_string(),
            at: Millis(i64::try_from(i).unwrap()),
            kind: TouchKind::Click,
            campaign: (*c).to_owned(),
        };
        Credited { member: MemberId(member), kind, path: campaigns.iter().enumerate().map(touch).collect() }
    }

    #[test]
    fn a_row_about_fewer_than_k_members_is_withheld_and_counted() {
        let mut all: Vec<Credited> = (0..20).map(|m| conversion(m, Kind::Visit, &["big"])).collect();
        all.extend((0..19).map(|m| conversion(m, Kind::Visit, &["small"])));
        all.extend((0..5).map(|_| conversion(1, Kind::Visit, &["small"])));
        let shown = campaigns(&all, Model::LastTouch, 20);
        assert_eq!(shown.rows.iter().map(|r| r.campaign.as_str()).collect::<Vec<_>>(), ["big"]);
        assert_eq!(shown.withheld, 1);
    }

    #[test]
    fn linear_credits_add_up_to_the_conversions() {
        let all = [
            conversion(1, Kind::Visit, &["a", "b"]),
            conversion(2, Kind::Purchase { cents: 1000 }, &["a", "b", "b", "c"]),
            conversion(3, Kind::Visit, &[]),
        ];
        let rows = campaigns(&all, Model::Linear, 0).rows;
        assert!((rows.iter().map(|r| r.visits).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!((rows.iter().map(|r| r.cents).sum::<f64>() - 1000.0).abs() < 1e-9);
        assert!((rows.iter().find(|r| r.campaign == "b").unwrap().cents - 500.0).abs() < 1e-9);
    }

    #[test]
    fn the_last_touch_takes_all() {
        let rows = campaigns(&[conversion(1, Kind::Purchase { cents: 28_900 }, &["a", "b"])], Model::LastTouch, 1).rows;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].campaign.as_str(), rows[0].members), ("b", 1));
        assert!((rows[0].cents - 28_900.0).abs() < 1e-9);
    }

    #[test]
    fn conversions_without_an_exposure_are_counted_as_direct() {
        let all = [conversion(1, Kind::Visit, &[]), conversion(1, Kind::Visit, &["a"]), conversion(1, Kind::Purchase { cents: 7 }, &[])];
        let expected = Conversions { visits: 2, direct_visits: Some(1), purchases: 1, direct_purchases: Some(1), cents: Some(7) };
        assert_eq!(conversions(&all, 1), expected);
    }

    #[test]
    fn a_withheld_row_cannot_be_read_off_the_totals() {
        let many = |from: i64, to: i64, campaign| (from..to).map(move |m| conversion(m, Kind::Visit, &[campaign]));
        let mut all: Vec<Credited> = many(0, 25, "big").chain(many(25, 30, "small")).collect();
        all.extend((0..4).map(|m| conversion(m, Kind::Purchase { cents: 100 }, &[])));
        let sum = conversions(&all, 20);
        assert_eq!((sum.visits, sum.direct_visits, sum.direct_purchases), (30, None, None), "30 - direct - 25 is the row of five members");
        assert_eq!((sum.purchases, sum.cents), (4, None), "four baskets are not told in euros");
        // Two withheld rows about 22 members together tell nothing about one of them.
        all.extend(many(30, 47, "other"));
        assert_eq!(conversions(&all, 20).direct_visits, Some(0));
    }
}
