//! What ties a cookie or a ticket to a member, and what is stored of touchpoints.

use passage_hub::{
    identity::IdentifierKind,
    store,
    touchpoint::{import::import_touchpoints, till::import_tills},
};
use passage_protocol::Millis;
use serde_json::json;

use crate::{
    hub::{HEADER, Hub, crm_line, touch},
    shop::friday,
    support::both,
};

#[tokio::test]
async fn a_late_link_gives_the_past_of_a_cookie_to_its_member() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let file = [
            HEADER,
            &crm_line("C1", "anne@example.fr", "", "yes,yes,no,no"),
            &crm_line("C2", "b@example.fr", "", "yes,yes,no,no"),
            &crm_line("C3", "c@example.fr", "", "yes,no,no,no"),
        ];
        hub.crm(&file.concat()).await;
        let mut old = touch("k0", "abc");
        old["at"] = json!("2026-09-01T10:00:00+02:00");
        let (status, verdicts) = hub.post("/v1/touchpoints", &json!([touch("k1", "abc"), old, touch("k2", "other")])).await;
        assert_eq!((status, verdicts["stored"].as_i64()), (200, Some(3)), "{verdicts}");
        assert!(hub.touches("C1").await.is_empty());

        let link = |crm_id: &str| json!({ "cookie": "Maison.example.fr/abc", "crm_id": crm_id, "reason": "login" });
        assert_eq!(hub.post("/v1/identify", &link("C3")).await.0, 403, "no match");
        assert_eq!(hub.post("/v1/identify", &link("C1")).await, (200, json!({ "linked": true, "new": true })));
        assert_eq!(hub.post("/v1/identify", &link("C1")).await, (200, json!({ "linked": true, "new": false })));
        assert_eq!(hub.touches("C1").await, ["shop-site/k1"], "her touchpoints of the last 30 days, and no one else's");

        // Somebody else logs in on the same browser: it is hers from now on, and the past stays where it was.
        assert_eq!(hub.post("/v1/identify", &link("C2")).await, (200, json!({ "linked": true, "new": true })));
        assert!(hub.touches("C2").await.is_empty());
        assert_eq!(hub.touches("C1").await.len(), 1);
        assert_eq!(hub.count("SELECT COUNT(*) FROM conflict").await, 0);

        // A customer's address is another matter: two persons are never joined.
        let address = json!({ "identifier_kind": "email", "identifier": "anne@example.fr", "crm_id": "C2", "reason": "newsletter" });
        let (status, problem) = hub.post("/v1/identify", &address).await;
        assert_eq!((status, problem["code"].as_str()), (409, Some("two-crm-ids")));
        assert!(!problem.to_string().contains("anne"));
        assert!(hub.count("SELECT COUNT(*) FROM conflict").await >= 1);

        hub.crm(&[HEADER, &crm_line("C1", "anne@example.fr", "", "yes,no,no,no")].concat()).await;
        assert!(hub.touches("C1").await.is_empty(), "without match the visit stands alone");
    })
    .await;
}

#[tokio::test]
async fn a_cookie_is_tied_by_a_consent_to_the_company_that_asks_and_only_if_it_is_of_an_own_site() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        hub.crm(&[HEADER, &crm_line("C1", "anne@example.fr", "", "yes,yes,no,no")].concat()).await;
        let link = |cookie: &str, entity: &str| json!({ "cookie": cookie, "crm_id": "C1", "brand": "maison", "entity": entity });
        let links = "SELECT COUNT(*) FROM link WHERE kind = 'cookie'";
        let (status, problem) = hub.post("/v1/identify", &link("maison.example.fr/abc", "maison-lille")).await;
        assert_eq!((status, problem["code"].as_str()), (403, Some("match-not-granted")), "she said yes to another company");
        let (status, problem) = hub.post("/v1/identify", &link("maison.example.fr/abc", "nobody")).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("entity")));
        for foreign in ["ads.example.net/abc", "notmaison.example.fr/abc", "fr/abc"] {
            let (status, problem) = hub.post("/v1/identify", &link(foreign, "maison-sas")).await;
            assert_eq!(status, 400, "{foreign}: {problem}");
            assert!(!problem.to_string().contains("abc"), "{problem}");
        }
        let (_, problem) = hub.post("/v1/identify", &link("ads.example.net/abc", "maison-sas")).await;
        assert_eq!(problem["code"], "third-party-cookie");
        assert_eq!(hub.count(links).await, 0);
        assert_eq!(hub.post("/v1/identify", &link("shop.maison.example.fr/abc", "maison-sas")).await.0, 200);
        assert_eq!(hub.count(links).await, 1);
    })
    .await;
}

#[tokio::test]
async fn what_a_company_without_her_consent_knows_of_her_is_not_joined() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        hub.crm(&[HEADER, &crm_line("C1", "anne@example.fr", "", "yes,yes,no,no")].concat()).await;
        let of_lille =
            "crm_id,email,phone,brand,entity,presence,match,sms\nC1,anne.petit@example.fr,06 39 98 00 09,maison,maison-lille,yes,no,no\n";
        hub.crm(of_lille).await;
        let kept = "SELECT COUNT(*) FROM identifier WHERE kind = 'email'";
        assert_eq!(hub.count(kept).await, 1, "hers with the company that may, and not the other one's");
        assert!(hub.holder(IdentifierKind::Email, "anne@example.fr").await.is_some());
        assert_eq!(hub.holder(IdentifierKind::Email, "anne.petit@example.fr").await, None);
        // When nobody may any more, nothing is left.
        hub.crm(&[HEADER, &crm_line("C1", "anne@example.fr", "", "yes,no,no,no")].concat()).await;
        assert_eq!(hub.count(kept).await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_touchpoint_call_gives_each_row_its_verdict() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let mut broken = touch("k2", "abc");
        broken["kind"] = json!("glance");
        let mut card = touch("k3", "abc");
        card["sku"] = json!("4111 1111 1111 1111");
        let mut extra = touch("k4", "abc");
        extra["last_name"] = json!("Durand");
        let mut future = touch("k5", "abc");
        future["at"] = json!("2026-11-20T18:00:00+01:00");
        let body = json!([touch("k1", "abc"), broken, card, extra, future, 7, touch("k1", "abc")]);
        let (status, verdicts) = hub.post("/v1/touchpoints", &body).await;
        assert_eq!(status, 200);
        let words: Vec<&str> = verdicts["rows"].as_array().unwrap().iter().map(|r| r["verdict"].as_str().unwrap()).collect();
        assert_eq!(words, ["stored", "refused", "refused", "refused", "refused", "refused", "duplicate"], "{verdicts}");
        assert_eq!(verdicts["rows"][0]["key"], "k1");
        assert!(!["glance", "4111", "Durand", "abc"].iter().any(|v| verdicts.to_string().contains(v)), "{verdicts}");

        let lines = format!("{}\n{{broken\n\n{}\n", touch("k1", "abc"), touch("k9", "abc"));
        let (status, verdicts) = hub.call(reqwest::Method::POST, "/v1/touchpoints", "right", lines).await;
        assert_eq!((status, &verdicts["stored"], &verdicts["duplicate"], &verdicts["refused"]), (200, &json!(1), &json!(1), &json!(1)));
    })
    .await;
}

#[tokio::test]
async fn callers_without_a_token_and_bodies_without_an_end_are_turned_away() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let post = reqwest::Method::POST;
        for path in ["/v1/touchpoints", "/v1/identify", "/v1/app/installations", "/v1/app/installations/i-abc/refresh"] {
            let (status, problem) = hub.call(post.clone(), path, "wrong", "[]").await;
            assert_eq!((status, problem["code"].as_str()), (401, Some("unauthorized")), "{path}");
        }
        let big = format!("[{}]", " ".repeat(1024 * 1024));
        assert_eq!(hub.call(post.clone(), "/v1/touchpoints", "right", big).await.0, 413);
        assert_eq!(hub.call(post.clone(), "/v1/touchpoints", "right", "[{").await.0, 400);
        assert_eq!(hub.call(post.clone(), "/v1/nothing", "right", "").await.0, 404);
        assert_eq!(hub.call(reqwest::Method::GET, "/v1/touchpoints", "right", "").await.0, 405);
        assert_eq!(hub.count("SELECT COUNT(*) FROM touchpoint").await, 0);
    })
    .await;
}

#[tokio::test]
async fn touchpoint_files_are_taken_line_by_line_and_only_once() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        hub.crm(&[HEADER, &crm_line("C1", "anne@example.fr", "", "yes,yes,no,no")].concat()).await;
        let file = "at,kind,campaign,channel,sku,size,identifier_kind,identifier,key\n\
                    2026-11-18T10:00:00+01:00,click,automne,email,,,email,Anne@Example.fr,m1\n\
                    yesterday,click,automne,email,,,email,anne@example.fr,m2\n\
                    2026-11-18T10:00:00+01:00,click,automne,email,,,loyalty_card,4111111111111111,m3\n\
                    2026-11-19T10:00:00+01:00,view,,,coat-camel,42,crm_id,C1,\n";
        let import = async || import_touchpoints(&db, &hub.keyring, &hub.config, "mailer", file.as_bytes(), hub.clock.now()).await.unwrap();
        let report = import().await;
        assert_eq!((report.rows, report.stored, report.refused), (4, 2, 2), "{report}");
        assert_eq!(report.faults.iter().map(|f| f.line).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(import().await.unchanged, 2);
        assert_eq!(hub.touches("C1").await.len(), 2);
        assert_eq!(hub.touches("C1").await[0], "mailer/m1");
    })
    .await;
}

#[tokio::test]
async fn till_files_make_tickets_of_their_lines_and_only_once() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        hub.crm(&[HEADER, &crm_line("C1", "anne@example.fr", "", "yes,yes,no,no")].concat()).await;
        let file = "ticket;store;at;identifier_kind;identifier;sku;cents\n\
                    T1;lyon;2026-11-20T15:30:00;loyalty_card;L-C1;coat-camel;19900\n\
                    T1;lyon;2026-11-20T15:30:00;loyalty_card;L-C1;scarf;19.99\n\
                    T1;lyon;2026-11-20T15:30:00;loyalty_card;L-C1;scarf;3900\n\
                    T1;lyon;2026-11-20T16:00:00;loyalty_card;L-OTHER;scarf;3900\n\
                    T2;nowhere;2026-11-20T15:30:00;;;scarf;3900\n\
                    T3;paris;2026-11-20T15:30:00+01:00;;;scarf;-3900\n\
                    T3;paris;2026-11-20T15:30:00+01:00;;;scarf;9223372036854775807\n";
        let import = async || import_tills(&db, &hub.keyring, "FR", &hub.config.site, file.as_bytes(), hub.clock.now()).await.unwrap();
        let report = import().await;
        assert_eq!((report.rows, report.stored, report.refused), (7, 3, 4), "{report}");
        assert_eq!(import().await.unchanged, 3);
        let mended = file.replace("19.99", "1999");
        let again = import_tills(&db, &hub.keyring, "FR", &hub.config.site, mended.as_bytes(), hub.clock.now()).await.unwrap();
        assert_eq!((again.stored, again.unchanged), (1, 3), "{again}");

        let member = hub.member("C1").await.unwrap();
        let bought = store::touchpoint::purchases_of(&mut db.begin_read().await.unwrap(), member, Millis(0)).await.unwrap();
        assert_eq!(bought.len(), 1);
        assert_eq!((bought[0].at, bought[0].total_cents()), (friday(15, 30), 25_799));
        assert_eq!(bought[0].lines[1], ("scarf".to_owned(), 1999));
        assert_eq!(hub.count("SELECT COUNT(*) FROM purchase WHERE identifier IS NULL").await, 1);
    })
    .await;
}
