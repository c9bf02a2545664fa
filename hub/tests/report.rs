//! What reports join and what they leave apart, on both engines.

#[path = "support/shop.rs"]
mod shop;
mod support;

use passage_hub::{
    args,
    attribution::Model,
    identity::MemberId,
    report::{
        Span,
        devices::{Owners, Switch, devices},
        street::street,
        summary,
    },
    store::Db,
};
use shop::{day_of_november, friday};
use support::both;

const MEMBER: MemberId = MemberId(77);
const FRANCHISE: &str = "maison-franchise";

/// A member who clicked on the autumn campaign and visited both shops, and bought in both. She allows `match` to the first one's company only.
async fn furnish(db: &Db) {
    let member = "INSERT INTO member (id, brand, created_at, version) VALUES ($1, 'maison', 0, 1)";
    db.execute(member, args![MEMBER.0]).await.unwrap();
    let consent =
        "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source) VALUES ($1, 'maison', $2, 'match', $3, 0, 'crm')";
    db.execute(consent, args![MEMBER.0, "maison-sas", true]).await.unwrap();
    db.execute(consent, args![MEMBER.0, FRANCHISE, false]).await.unwrap();
    let key = "INSERT INTO identifier (kind, key, member, since) VALUES ($1, $2, $3, 0)";
    db.execute(key, args!["cookie", &[1; 32], MEMBER.0]).await.unwrap();
    db.execute(key, args!["loyalty_card", &[2; 32], MEMBER.0]).await.unwrap();
    let touch = "INSERT INTO touchpoint (id, at, kind, campaign, identifier_kind, identifier, received_at) \
                 VALUES ('site/1', $1, 'click', 'automne', 'cookie', $2, $1)";
    db.execute(touch, args![day_of_november(18, 10, 0), &[1; 32]]).await.unwrap();
    for (id, store, hour) in [("v1", "lyon", 11), ("v2", "paris", 15)] {
        let visit = "INSERT INTO visit (id, member, store, start_at, end_at, dwell_ms, label, is_open, seen_from, seen_to, state, updated_at) \
                     VALUES ($1, $2, $3, $4, $4, 600000, 'qualified', 0, $4, $4, '{}', $4)";
        db.execute(visit, args![id, MEMBER.0, store, friday(hour, 0)]).await.unwrap();
        let ticket = "INSERT INTO purchase (store, ticket, at, identifier_kind, identifier, received_at) VALUES ($1, 'T-1', $2, 'loyalty_card', $3, $2)";
        db.execute(ticket, args![store, friday(hour, 20), &[2; 32]]).await.unwrap();
        let line = "INSERT INTO purchase_line (store, ticket, line, sku, cents) VALUES ($1, 'T-1', 1, 'coat-camel', 19900)";
        db.execute(line, args![store]).await.unwrap();
    }
}

#[tokio::test]
async fn without_match_to_the_company_of_a_shop_its_visits_stand_alone_and_its_tickets_are_nobodys() {
    both(async |db| {
        furnish(&db).await;
        let mut site = shop::site();
        site.stores.get_mut(&shop::store_id("paris")).unwrap().entity = FRANCHISE.to_owned();
        let config = passage_config::HubConfig { k: 1, ..shop::config(site) };
        let summary = summary(&db, &config, Span { from: friday(0, 0), to: friday(23, 0) }).await.unwrap();
        let sum = summary.conversions;
        assert_eq!((sum.visits, sum.direct_visits), (2, Some(1)));
        assert_eq!((sum.purchases, sum.cents), (1, Some(19_900)));
        for (model, table) in &summary.campaigns {
            let row = &table.rows[0];
            assert_eq!((row.campaign.as_str(), row.visits, row.purchases, row.cents), ("automne", 1.0, 1.0, 19_900.0), "{}", model.word());
        }
        assert_eq!(summary.campaigns.len(), Model::ALL.len());
        assert!(summary.to_string().contains("of which direct      1"), "{summary}");
    })
    .await;
}

/// A contact on a device, or the link that says whose the device is.
async fn device(db: &Db, kind: &str, key: u8, member: i64) {
    let sql = "INSERT INTO identifier (kind, key, member, since) VALUES ($1, $2, $3, 0)";
    db.execute(sql, args![kind, &[key; 32], member]).await.unwrap();
}

async fn contact(db: &Db, id: &str, kind: &str, key: u8, day: i64) {
    let sql = "INSERT INTO touchpoint (id, at, kind, identifier_kind, identifier, received_at) VALUES ($1, $2, 'page', $3, $4, $2)";
    db.execute(sql, args![id, day_of_november(day, 10, 0), kind, &[key; 32]]).await.unwrap();
}

#[tokio::test]
async fn members_who_change_from_a_browser_to_another_device_are_counted_and_those_without_match_are_not() {
    both(async |db| {
        for (member, may) in [(1, true), (2, true), (3, false)] {
            db.execute("INSERT INTO member (id, brand, created_at, version) VALUES ($1, 'maison', 0, 1)", args![member]).await.unwrap();
            let consent =
                "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source) VALUES ($1, 'maison', 'm', 'match', $2, 0, 'crm')";
            db.execute(consent, args![member, may]).await.unwrap();
            let (browser, other) = (u8::try_from(10 * member).unwrap(), u8::try_from(10 * member + 1).unwrap());
            device(&db, "cookie", browser, member).await;
            device(&db, "device", other, member).await;
            contact(&db, &format!("a{member}"), "cookie", browser, 10).await;
            contact(&db, &format!("b{member}"), "cookie", browser, 11).await;
            contact(&db, &format!("c{member}"), "device", other, 12).await;
            // Too long afterwards to be the same thought.
            contact(&db, &format!("d{member}"), "cookie", browser, 20).await;
        }
        device(&db, "cookie", 12, 1).await;
        contact(&db, "e1", "cookie", 12, 21).await;
        // Nobody's.
        contact(&db, "n", "cookie", 99, 12).await;
        let config = passage_config::HubConfig { k: 1, ..shop::config(shop::site()) };
        let span = Span { from: day_of_november(1, 0, 0), to: day_of_november(28, 0, 0) };
        let told = devices(&db, &config, span).await.unwrap();
        assert_eq!(told.owners.rows, [Owners { devices: 2, members: 1 }, Owners { devices: 3, members: 1 }]);
        let switch = |from: &str, to: &str, times, members| Switch { from: from.to_owned(), to: to.to_owned(), times, members };
        assert_eq!(told.switches.rows, [switch("cookie", "device", 2, 2), switch("cookie", "cookie", 1, 1)]);
        assert_eq!(told.contacts, 9);
        let told = devices(&db, &passage_config::HubConfig { k: 2, ..config }, span).await.unwrap();
        assert_eq!((told.owners.withheld, told.switches.withheld, told.switches.rows.len()), (2, 1, 1));
        assert!(told.to_string().contains("rows withheld: 1; contacts of known members on a device: 9"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn posters_stand_beside_the_visits_of_their_store_and_take_no_credit() {
    both(async |db| {
        let poster = "INSERT INTO store_exposure (id, store, campaign, channel, starts, ends) VALUES ($1, $2, 'automne', 'street', $3, $4)";
        db.execute(poster, args!["a", "lyon", friday(10, 0), friday(14, 0)]).await.unwrap();
        db.execute(poster, args!["b", "paris", friday(10, 0), friday(20, 0)]).await.unwrap();
        db.execute(poster, args!["c", "lyon", day_of_november(27, 10, 0), day_of_november(28, 10, 0)]).await.unwrap();
        for (id, member, store, hour, label) in [
            ("v1", 1_i64, "lyon", 11, "qualified"),
            ("v2", 2, "lyon", 13, "qualified"),
            ("v3", 2, "lyon", 8, "qualified"),
            ("v4", 1, "lyon", 7, "qualified"),
            ("v5", 3, "lyon", 12, "passer-by"),
            ("v6", 3, "lyon", 15, "qualified"),
            ("v7", 1, "paris", 11, "qualified"),
        ] {
            let sql = "INSERT INTO visit (id, member, store, start_at, end_at, dwell_ms, label, is_open, seen_from, seen_to, state, updated_at) \
                       VALUES ($1, $2, $3, $4, $4, 0, $5, 0, $4, $4, '{}', $4)";
            db.execute(sql, args![id, member, store, friday(hour, 0), label]).await.unwrap();
        }
        let config = passage_config::HubConfig { k: 2, ..shop::config(shop::site()) };
        let span = Span { from: friday(0, 0), to: day_of_november(29, 0, 0) };
        let report = street(&db, &config, span, friday(16, 0)).await.unwrap();
        let lyon = &report.posters.rows[0];
        assert_eq!((lyon.visits, lyon.members, lyon.before), (2, 2, 2), "{report}");
        assert_eq!((report.posters.rows.len(), report.posters.withheld), (1, 1), "one member in Paris, and what is to come: {report}");
    })
    .await;
}
