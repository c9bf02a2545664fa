//! Members, consents, links and touchpoints, on both engines.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use passage_config::{HubConfig, Secret, Site, Web};
use passage_hub::{
    api::Api,
    args,
    identity::{IdentifierKind, Key, Keyring, MemberId, Profile, Purpose, Resolver, import::import_crm, normalise::canonical},
    ingest::{Resolve, Who},
    notice::Notices,
    store::{self, Db, people},
    touchpoint::{import::import_touchpoints, table::ImportReport, till::import_tills},
};
use passage_protocol::{
    ChainKey, Clock, Denied, InstallationId, Millis, PositionSecret, PositionToken, StaticBeacon, Subject,
    rid::{day_of, window_at},
    sign::{Pinned, Signing},
};
use serde_json::{Value, json};
use shop::{config, day_of_november, friday, site, store_id};
use support::{both, both_fresh};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const WINDOW: i64 = 900_000;

/// A hub with its API on a free port.
struct Hub {
    db: Db,
    keyring: Keyring,
    config: Arc<HubConfig>,
    clock: Clock,
    resolver: Arc<Resolver>,
    signing: Signing,
    url: String,
    web: reqwest::Client,
    stop: CancellationToken,
}

impl Hub {
    async fn start(db: &Db) -> Self {
        Self::with(db, None).await
    }

    async fn with(db: &Db, position_secret: Option<PositionSecret>) -> Self {
        let clock = Clock::stepped(friday(9, 0));
        let config = Arc::new(HubConfig {
            api_tokens: [("shop-site".to_owned(), Secret("right".to_owned())), ("app".to_owned(), Secret("app-token".to_owned()))].into(),
            position_secret,
            web: Web { sites: vec!["https://maison.example.fr".to_owned()], ..Web::default() },
            ..config(two_companies())
        });
        let keyring = Keyring::from_secret(&[7; 32]);
        let (_, configs) = watch::channel(Arc::clone(&config));
        let resolver = Arc::new(Resolver::new(keyring.clone(), configs.clone()));
        let signing = Signing::from_bytes(&[9; 32]);
        let api = Api {
            db: db.clone(),
            keyring: keyring.clone(),
            config: configs,
            clock: clock.clone(),
            signing: signing.clone(),
            resolver: resolver.clone(),
            notices: Notices::default(),
            enrolments: Arc::default(),
            app_calls: Arc::default(),
        };
        let socket = Api::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (url, stop) = (format!("http://{}", socket.local_addr().unwrap()), CancellationToken::new());
        tokio::spawn(api.run(socket, stop.clone()));
        Self { db: db.clone(), keyring, config, clock, resolver, signing, url, web: reqwest::Client::new(), stop }
    }

    async fn crm(&self, file: &str) -> ImportReport {
        let report = import_crm(&self.db, &self.keyring, &self.config, file.as_bytes(), self.clock.now()).await.unwrap();
        self.resolver.refresh(&self.db, self.clock.now()).await.unwrap();
        report
    }

    async fn call(&self, method: reqwest::Method, path: &str, token: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = self.web.request(method, format!("{}{path}", self.url)).bearer_auth(token).body(body);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        if status >= 400 {
            assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
        }
        let text = response.text().await.unwrap();
        let value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        (status, value)
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(reqwest::Method::POST, path, "right", body.to_string()).await
    }

    async fn enrol(&self, crm_id: &str, purposes: &[&str]) -> (u16, Value) {
        let member = json!({ "kind": "crm_id", "value": crm_id });
        let body = json!({ "brand": "maison", "entity": "maison-sas", "member": member, "age": "adult", "wording": wording(), "purposes": purposes });
        self.post("/v1/app/installations", &body).await
    }

    async fn phone(&self, crm_id: &str) -> Phone {
        let (status, answer) = self.enrol(crm_id, &["presence"]).await;
        assert_eq!(status, 201, "{answer}");
        let key = STANDARD.decode(answer["rid_key"].as_str().unwrap()).unwrap();
        Phone {
            id: answer["installation"].as_str().unwrap().parse().unwrap(),
            chain: ChainKey { day: answer["key_day"].as_i64().unwrap(), key: key.try_into().unwrap() },
            token: answer["position_token"].as_str().unwrap().to_owned(),
        }
    }

    async fn holder(&self, kind: IdentifierKind, value: &str) -> Option<MemberId> {
        people::graph::holder(&mut self.db.begin_read().await.unwrap(), kind, &self.key(kind, value)).await.unwrap()
    }

    fn key(&self, kind: IdentifierKind, value: &str) -> Key {
        self.keyring.identifier(kind, &canonical(kind, value, "FR").unwrap())
    }

    async fn member(&self, crm_id: &str) -> Option<MemberId> {
        let key = self.key(IdentifierKind::CrmId, crm_id);
        people::graph::holder(&mut self.db.begin_read().await.unwrap(), IdentifierKind::CrmId, &key).await.unwrap()
    }

    async fn profile(&self, crm_id: &str) -> Profile {
        let member = self.member(crm_id).await.unwrap();
        people::profile(&mut self.db.begin_read().await.unwrap(), member, "maison", "maison-sas").await.unwrap().unwrap()
    }

    async fn touches(&self, crm_id: &str) -> Vec<String> {
        let member = self.member(crm_id).await.unwrap();
        let mut tx = self.db.begin_read().await.unwrap();
        store::touchpoint::of_member(&mut tx, member, Millis(0)).await.unwrap().into_iter().map(|t| t.id).collect()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
    }

    fn resolve(&self, subject: &Subject, at: Millis) -> Option<MemberId> {
        self.resolver.resolve(subject, at, &store_id("lyon"))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Phone {
    id: InstallationId,
    chain: ChainKey,
    token: String,
}

impl Phone {
    /// What this phone advertises when its own clock shows `at`.
    fn advertises(&self, at: Millis) -> Subject {
        let (window, rid) = self.chain.rid_at(at).unwrap();
        Subject::Rid { rid, hint: u8::try_from(window.rem_euclid(16)).unwrap() }
    }
}

/// The brand and a franchisee of it, which is a company of its own.
fn two_companies() -> Site {
    let mut site = site();
    let brand = site.brands.get_mut("maison").unwrap();
    brand.entities.insert("maison-lille".to_owned(), "Maison Lille SARL".to_owned());
    site
}

const HEADER: &str = "crm_id,email,phone,loyalty_card,brand,entity,presence,match,sms,personalise\n";

fn crm_line(crm_id: &str, email: &str, phone: &str, consents: &str) -> String {
    format!("{crm_id},{email},{phone},L-{crm_id},maison,maison-sas,{consents}\n")
}

/// What she read before she agreed.
fn wording() -> Value {
    json!({ "id": "app-presence", "version": "2026-10", "language": "fr" })
}

fn touch(key: &str, cookie: &str) -> Value {
    json!({ "key": key, "at": "2026-11-18T10:12:00+01:00", "kind": "view", "campaign": "automne", "channel": "social", "sku": "coat-camel",
            "size": "42", "identifier_kind": "cookie", "identifier": format!("maison.example.fr/{cookie}") })
}

#[tokio::test]
async fn broken_crm_lines_are_named_and_never_stop_the_others() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let file = [
            HEADER,
            &crm_line("C1", "anne@example.fr", "06 39 98 00 01", "yes,yes,yes,yes"),
            &crm_line("", "x@example.fr", "", "yes,yes,yes,yes"),
            "C3,\"open,0639980003,L3,maison,maison-sas,yes,yes,yes,yes\n",
            "C4,d@example.fr,0639980004,L4,nobody,nobody,yes,yes,yes,yes\n",
            "C5,only,three\n",
            &crm_line("C6", "not an address", "36111", "yes,maybe,2026-05-31,no"),
            &crm_line("C7", "g@example.fr", "0639980007", "no,no,yes,no"),
            &crm_line("C8", "h@example.fr", "0140000008", "2099-01-01,oui,oui,"),
        ]
        .concat();
        let report = hub.crm(&file).await;
        assert_eq!((report.rows, report.stored, report.refused, report.not_kept), (8, 3, 4, 1), "{report}");
        let refused: Vec<u64> = report.faults.iter().map(|f| f.line).collect();
        assert_eq!(refused, [3, 4, 5, 6, 7, 7, 7, 9], "{report}");
        assert!(!report.to_string().contains('@') && !report.to_string().contains("063998"), "{report}");

        let anne = hub.profile("C1").await;
        assert!([Purpose::Presence, Purpose::Match, Purpose::Sms, Purpose::Personalise].iter().all(|p| anne.consents.allow(*p)));
        let to = anne.destination.unwrap();
        assert_eq!(hub.keyring.open_number(hub.member("C1").await.unwrap(), &to.sealed).unwrap(), b"+33639980001");
        assert_eq!(to.key, hub.keyring.identifier(IdentifierKind::Phone, "+33639980001"));

        let without_number = hub.profile("C6").await;
        assert!(without_number.destination.is_none() && without_number.consents.allow(Purpose::Sms));
        assert!(!without_number.consents.allow(Purpose::Match), "an unreadable consent is none");
        let landline = hub.profile("C8").await;
        assert!(landline.destination.is_none() && !landline.consents.allow(Purpose::Presence));
        assert!(hub.member("C7").await.is_none());
    })
    .await;
}

#[tokio::test]
async fn importing_the_same_file_twice_changes_nothing_and_a_withdrawal_changes_everything() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let file = [HEADER, &crm_line("C1", "anne@example.fr", "0639980001", "yes,yes,2026-05-31,yes")].concat();
        assert_eq!(hub.crm(&file).await.stored, 1);
        let phone = hub.phone("C1").await;
        let now = hub.clock.now();
        assert_eq!(hub.resolve(&phone.advertises(now), now), hub.member("C1").await);
        hub.clock.set(friday(10, 0));
        assert_eq!(hub.crm(&file).await.unchanged, 1);
        assert_eq!(hub.count("SELECT COUNT(*) FROM ledger_entry").await, 4);

        hub.clock.set(friday(11, 0));
        let withdrawn = [HEADER, &crm_line("C1", "anne@example.fr", "0639980001", "no,no,no,no")].concat();
        assert_eq!(hub.crm(&withdrawn).await.stored, 1);
        let profile = hub.profile("C1").await;
        assert!(profile.consents.0.is_empty() && profile.destination.is_none());
        let now = hub.clock.now();
        assert_eq!(hub.resolve(&phone.advertises(now), now), None);
        assert_eq!(hub.count("SELECT COUNT(*) FROM identifier WHERE kind IN ('email', 'phone')").await, 0);
        assert_eq!(hub.count("SELECT COUNT(*) FROM installation WHERE chain_key IS NOT NULL").await, 0);
        assert_eq!(hub.count("SELECT COUNT(*) FROM ledger_entry").await, 8, "the log keeps what she said before");
        let denied = people::installation::denied(&mut db.begin_read().await.unwrap(), friday(11, 0), friday(11, 0)).await.unwrap();
        assert_eq!(denied, [Denied { installation: phone.id, until: None }]);
        assert_eq!(hub.crm(&withdrawn).await.unchanged, 1);
    })
    .await;
}

#[tokio::test]
async fn a_member_who_consents_to_nothing_that_counts_leaves_no_byte() {
    both_fresh(async |fresh| {
        let hub = Hub::start(&fresh.db).await;
        let (crm_id, email, phone) = ("CRM-98765432", "claire.unseen@example.fr", "0639985432");
        let file =
            [HEADER, &crm_line(crm_id, email, phone, "no,no,yes,yes"), &crm_line("C2", "b@example.fr", "0639980002", "yes,yes,yes,yes")];
        let report = hub.crm(&file.concat()).await;
        assert_eq!((report.stored, report.not_kept), (1, 1));
        let (status, problem) = hub.enrol(crm_id, &["sms", "match"]).await;
        assert_eq!((status, problem["code"].as_str()), (403, Some("presence-not-granted")));
        assert!(!problem.to_string().contains(crm_id));
        let (status, _) = hub.post("/v1/identify", &json!({ "cookie": "maison.example.fr/unseen-cookie", "crm_id": crm_id })).await;
        assert_eq!(status, 403);

        let kinds = [
            (IdentifierKind::CrmId, crm_id),
            (IdentifierKind::Email, email),
            (IdentifierKind::Phone, phone),
            (IdentifierKind::LoyaltyCard, "L-CRM-98765432"),
            (IdentifierKind::Cookie, "maison.example.fr/unseen-cookie"),
        ];
        for (kind, value) in kinds {
            let key = hub.key(kind, value).0;
            for table in ["SELECT COUNT(*) FROM identifier WHERE key = $1", "SELECT COUNT(*) FROM link WHERE key = $1"] {
                assert_eq!(hub.db.fetch(table, args![&key]).await.unwrap()[0].int(0).unwrap(), 0);
            }
        }
        assert_eq!(hub.count("SELECT COUNT(*) FROM member").await, 1);
        if let Some(path) = fresh.url.strip_prefix("sqlite:") {
            let bytes: Vec<u8> = ["", "-wal"].iter().flat_map(|end| std::fs::read(format!("{path}{end}")).unwrap_or_default()).collect();
            let held = hub.key(IdentifierKind::Email, "b@example.fr").0;
            assert!(contains(&bytes, &held), "the key of the member who is kept is there, so the search works");
            for (kind, value) in kinds {
                assert!(!contains(&bytes, value.as_bytes()) && !contains(&bytes, &hub.key(kind, value).0), "{kind:?}");
            }
            for text in ["33639985432", "39985432", "b@example.fr", "639980002"] {
                assert!(!contains(&bytes, text.as_bytes()), "{text}");
            }
        }
    })
    .await;
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

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
async fn a_blank_cell_says_nothing_about_what_she_said_in_the_app() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let phone = hub.phone("C1").await;
        let blank = [HEADER, &crm_line("C1", "", "", ",,,")].concat();
        assert_eq!(hub.crm(&blank).await.refused, 0);
        assert!(hub.profile("C1").await.consents.allow(Purpose::Presence), "a blank cell says nothing");
        assert_eq!(hub.resolve(&Subject::Installation(phone.id), friday(9, 0)), hub.member("C1").await);
    })
    .await;
}

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

#[tokio::test]
async fn a_stopped_destination_stays_stopped_for_that_brand_and_entity() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        hub.crm(&[HEADER, &crm_line("C1", "", "0639980001", "yes,no,yes,no")].concat()).await;
        assert!(!hub.profile("C1").await.suppressed);
        let key = hub.key(IdentifierKind::Phone, "0639980001");
        for expected in [true, false] {
            let mut tx = db.begin().await.unwrap();
            assert_eq!(people::suppress(&mut tx, "maison", "maison-sas", &key, friday(9, 0), "stop").await.unwrap(), expected);
            tx.commit().await.unwrap();
        }
        assert!(hub.profile("C1").await.suppressed);
        let member = hub.member("C1").await.unwrap();
        let elsewhere = people::profile(&mut db.begin_read().await.unwrap(), member, "maison", "franchise").await.unwrap().unwrap();
        assert!(!elsewhere.suppressed && elsewhere.consents.0.is_empty());
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
