//! Phones: enrolled, found by what they advertise, their tokens, their end.

use std::{sync::Arc, time::Duration};

use passage_hub::{
    identity::Resolver,
    ingest::{Resolve, Who},
    store::people,
};
use passage_protocol::{
    Denied, Millis, PositionSecret, PositionToken, StaticBeacon, Subject,
    rid::{day_of, window_at},
    sign::Pinned,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    hub::{Hub, WINDOW, wording},
    shop::{day_of_november, friday, store_id},
    support::both,
};

#[tokio::test]
async fn an_enrolled_phone_is_found_through_rotation_lateness_and_a_slow_clock() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let phone = hub.phone("C1").await;
        let anne = hub.member("C1").await;
        assert!(anne.is_some());
        for at in [friday(9, 0), friday(9, 20), friday(12, 0)] {
            hub.clock.set(at);
            hub.resolver.refresh(&db, at).await.unwrap();
            assert_eq!(hub.resolve(&phone.advertises(at), at), anne, "rotated");
            assert_eq!(hub.resolve(&phone.advertises(Millis(at.0 - WINDOW)), at), anne, "slow clock");
            assert_eq!(hub.resolve(&phone.advertises(Millis(at.0 + WINDOW)), at), anne, "fast clock");
        }
        assert_eq!(hub.resolve(&phone.advertises(friday(9, 0)), friday(12, 0)), None, "a replayed id");
        assert_eq!(hub.resolve(&Subject::Installation(phone.id.clone()), friday(12, 0)), anne);
        assert_eq!(hub.resolver.resolve(&phone.advertises(friday(12, 0)), friday(12, 0), &store_id("nowhere")), None);

        let late = day_of_november(22, 8, 0);
        hub.resolver.refresh(&db, late).await.unwrap();
        assert_eq!(hub.resolve(&phone.advertises(friday(9, 0)), friday(9, 0)), anne, "47 hours late");
        assert_eq!(hub.resolve(&phone.advertises(friday(9, 0)), day_of_november(22, 7, 59)), None);
    })
    .await;
}

#[tokio::test]
async fn stored_keys_roll_forward_so_that_old_ids_resolve_for_nobody() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let phone = hub.phone("C1").await;
        let later = day_of_november(28, 15, 0);
        hub.clock.set(later);
        hub.resolver.refresh(&db, later).await.unwrap();
        let oldest = day_of(window_at(Millis(later.0 - 48 * 3_600_000)));
        assert_eq!(hub.count("SELECT key_day FROM installation").await, oldest);

        let (_, configs) = watch::channel(Arc::clone(&hub.config));
        let other = Arc::new(Resolver::new(hub.keyring.clone(), configs));
        assert!(other.refresh(&db, later).await.unwrap());
        assert!(!other.refresh(&db, later).await.unwrap());
        for resolver in [&hub.resolver, &other] {
            assert_eq!(resolver.resolve(&phone.advertises(later), later, &store_id("lyon")), hub.member("C1").await);
            let old = day_of_november(25, 15, 0);
            assert_eq!(resolver.resolve(&phone.advertises(old), old, &store_id("lyon")), None);
        }
    })
    .await;
}

fn who_at(hub: &Hub, subject: &Subject) -> Who {
    Resolve::who(&*hub.resolver, subject, friday(9, 0), &store_id("lyon"))
}

#[tokio::test]
async fn a_registered_fob_stands_for_its_member() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let file = "crm_id;beacon;brand;entity;presence\nC1;F7826DA6-4FA2-4E98-8024-BC5B71E0893E/1/7;maison;maison-sas;oui\n\
                    C2;f7826da64fa24e988024bc5b71e0893e/1/7;maison;maison-sas;oui\n";
        let report = hub.crm(file).await;
        assert_eq!((report.stored, report.conflicts), (2, 1));
        let beacon =
            |minor| Subject::Beacon(StaticBeacon::IBeacon { uuid: "f7826da64fa24e988024bc5b71e0893e".to_owned(), major: 1, minor });
        assert_eq!(hub.resolve(&beacon(7), friday(9, 0)), hub.member("C1").await);
        assert_eq!(hub.resolve(&beacon(8), friday(9, 0)), None);
        assert_eq!((who_at(&hub, &beacon(7)), who_at(&hub, &beacon(8))), (Who::Member(hub.member("C1").await.unwrap()), Who::Unknown));
        // Without `presence` she is no stranger for whom events may wait: nothing of her is kept at all.
        hub.crm("crm_id;brand;entity;presence\nC1;maison;maison-sas;non\n").await;
        hub.resolver.refresh(&db, friday(9, 1)).await.unwrap();
        assert_eq!(who_at(&hub, &beacon(7)), Who::Refused);
    })
    .await;
}

#[tokio::test]
async fn tokens_are_renewed_by_their_own_app_and_end_with_the_installation() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let (phone, other) = (hub.phone("C1").await, hub.phone("C2").await);
        let pinned = Pinned::from_base64([hub.signing.public().as_str()]).unwrap();
        let token = PositionToken::from_text(&phone.token, &pinned, hub.clock.now()).unwrap();
        assert_eq!((&token.installation, token.expires), (&phone.id, hub.clock.now() + Duration::from_secs(86_400)));

        hub.clock.set(friday(20, 0));
        let (post, path) = (reqwest::Method::POST, format!("/v1/app/installations/{}/refresh", phone.id));
        let (status, renewed) = hub.call(post.clone(), &path, &phone.token, "").await;
        assert_eq!((status, renewed["token_expires"].as_i64()), (200, Some(friday(20, 0).0 + 86_400_000)));
        assert_eq!(hub.call(post.clone(), &path, &other.token, "").await.0, 401, "another phone's token");
        assert_eq!(hub.call(post.clone(), &path, "app-token", "").await.0, 200);

        let own = format!("/v1/app/installations/{}", phone.id);
        assert_eq!(hub.call(reqwest::Method::DELETE, &own, &other.token, "").await.0, 401);
        assert_eq!(hub.call(reqwest::Method::DELETE, &own, &phone.token, "").await.0, 204);
        assert_eq!(hub.call(reqwest::Method::DELETE, &own, &phone.token, "").await.0, 204);
        assert_eq!(hub.call(post.clone(), &path, &phone.token, "").await.0, 404);
        assert_eq!(hub.resolve(&Subject::Installation(phone.id.clone()), friday(20, 0)), None);
        assert_eq!(hub.resolve(&Subject::Installation(other.id.clone()), friday(20, 0)), hub.member("C2").await);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_may_be_in_wrong_hands_is_taken_back_with_all_older_ones() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let phone = hub.phone("C1").await;
        hub.clock.set(friday(12, 0));
        let (post, path) = (reqwest::Method::POST, format!("/v1/app/installations/{}/refresh", phone.id));
        let denied = async |now| people::installation::denied(&mut db.begin_read().await.unwrap(), now, now).await.unwrap();
        assert_eq!(hub.call(post.clone(), &path, "app-token", "{\"revoke\": 1}").await.0, 400);
        assert!(denied(friday(12, 0)).await.is_empty());
        let (status, renewed) = hub.call(post.clone(), &path, "app-token", "{\"revoke\": true}").await;
        let (token, expires) = (renewed["position_token"].as_str().unwrap(), renewed["token_expires"].as_i64().unwrap());
        assert_eq!((status, expires), (200, friday(12, 0).0 + 86_400_000));
        let entry = Denied { installation: phone.id.clone(), until: Some(Millis(expires)) };
        assert_eq!(denied(friday(12, 0)).await, [entry]);
        assert_eq!(denied(Millis(expires)).await, [], "by then all of them have expired by themselves");
        // The old token buys no new one, and ends nothing.
        assert_eq!(hub.call(post.clone(), &path, &phone.token, "").await.0, 401);
        assert_eq!(hub.call(reqwest::Method::DELETE, &format!("/v1/app/installations/{}", phone.id), &phone.token, "").await.0, 401);
        assert_eq!(hub.call(post.clone(), &path, token, "").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn an_enrolment_tells_the_key_of_encrypted_reports_when_the_hub_has_the_secret() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let (_, plain) = hub.enrol("C1", &["presence"]).await;
        assert!(plain.get("owntracks_key").is_none());
        let secret = PositionSecret::new("a secret of at least thirty-two characters");
        let hub = Hub::with(&db, secret.clone()).await;
        let (_, told) = hub.enrol("C1", &["presence"]).await;
        let id = told["installation"].as_str().unwrap().parse().unwrap();
        assert_eq!(told["owntracks_key"].as_str(), Some(secret.unwrap().owntracks_key(&id).as_str()));
    })
    .await;
}

#[tokio::test]
async fn enrolments_of_the_wrong_form_store_nothing() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let good = json!({ "brand": "maison", "entity": "maison-sas", "member": { "kind": "crm_id", "value": "C1" }, "age": "25-34",
                           "wording": wording(), "purposes": ["presence"] });
        let with = |field: &str, value: Value| {
            let mut body = good.clone();
            body[field] = value;
            body
        };
        let cases = [
            (with("brand", json!("nobody")), 400, "unknown-brand"),
            (with("member", json!({ "kind": "email", "value": "anne@example.fr" })), 400, "member-kind"),
            (with("member", json!({ "kind": "crm_id", "value": "null" })), 400, "member-value"),
            (with("member", json!({ "kind": "loyalty_card", "value": "L-1" })), 404, "member-unknown"),
            (with("wording", json!("May we?")), 400, "malformed"),
            (with("wording", json!({ "id": "", "version": "1", "language": "fr" })), 400, "wording"),
            (with("wording", json!(null)), 400, "wording"),
            (with("age", json!(null)), 400, "age"),
            (with("age", json!("1999-04-01")), 400, "age"),
            (with("age", json!("under-15")), 403, "too-young"),
            (with("age", json!("15-17")), 403, "minor"),
            (with("purposes", json!(["everything"])), 400, "purpose"),
            (with("name", json!("Anne")), 400, "malformed"),
        ];
        for (body, status, code) in cases {
            let (got, problem) = hub.post("/v1/app/installations", &body).await;
            assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
            assert!(!problem.to_string().to_lowercase().contains("anne"), "{problem}");
        }
        for sql in ["SELECT COUNT(*) FROM member", "SELECT COUNT(*) FROM ledger_entry", "SELECT COUNT(*) FROM installation"] {
            assert_eq!(hub.count(sql).await, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn the_eleventh_phone_ends_the_oldest() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let first = hub.phone("C1").await;
        for minute in 1..=10 {
            hub.clock.set(friday(9, minute));
            hub.phone("C1").await;
        }
        assert_eq!(hub.resolve(&Subject::Installation(first.id), friday(9, 10)), None);
        assert_eq!(hub.count("SELECT COUNT(*) FROM installation WHERE deleted_at IS NULL").await, 10);
    })
    .await;
}

#[tokio::test]
async fn enrolments_at_the_same_moment_lose_nothing() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let ids: Vec<String> = (0..20).map(|n| format!("M{n}")).collect();
        let enrolments = ids.iter().map(|id| hub.enrol(id, &["presence"]));
        let answers = futures::future::join_all(enrolments).await;
        assert!(answers.iter().all(|(status, _)| *status == 201), "{answers:?}");
        for (id, (_, answer)) in ids.iter().zip(&answers) {
            let subject = Subject::Installation(answer["installation"].as_str().unwrap().parse().unwrap());
            assert_eq!(hub.resolve(&subject, friday(9, 0)), hub.member(id).await);
        }
    })
    .await;
}
