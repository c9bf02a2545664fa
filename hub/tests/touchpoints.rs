//! What sites, tags, printed codes and partners tell of contacts with the brand, through the API, on both engines.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{collections::BTreeMap, io::Write as _, sync::Arc};

use flate2::{Compression, write::GzEncoder};
use hmac::{Hmac, KeyInit, Mac};
use passage_config::{Company, Grant, HubConfig, Link, Scope, Secret, Web, Webhook, WebhookKind};
use passage_hub::{
    api::Api,
    args,
    identity::{IdentifierKind, Keyring, MemberId, Resolver, import::import_crm, normalise::canonical},
    notice::Notices,
    store::{self, Db, people},
    touchpoint::{TouchKind, Touchpoint, member_link},
};
use passage_protocol::{Clock, Millis, sign::Signing};
use reqwest::{Method, Response, header, redirect::Policy};
use serde_json::{Value, json};
use shop::{config, friday, site};
use support::both;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A hub with its API on a free port.
struct Hub {
    db: Db,
    keyring: Keyring,
    config: Arc<HubConfig>,
    clock: Clock,
    url: String,
    web: reqwest::Client,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn web_config() -> Web {
    let grant = |may: &[Scope]| Grant { may: may.iter().copied().collect(), domain: Some("maison.example.fr".to_owned()) };
    let secret = Secret("a secret of the telephone system".to_owned());
    Web {
        url: Some("http://127.0.0.1".to_owned()),
        sites: vec!["https://maison.example.fr".to_owned()],
        pixel: true,
        cookie_domain: Some("maison.example.fr".to_owned()),
        consent_cookie: Some(("consent".to_owned(), "all".to_owned())),
        grants: [("tags".to_owned(), grant(&[Scope::Tags])), ("mailer".to_owned(), grant(&[Scope::Touchpoints]))].into(),
        webhooks: [
            ("calls".to_owned(), Webhook { kind: WebhookKind::Calls, secret: secret.clone() }),
            ("market".to_owned(), Webhook { kind: WebhookKind::Orders, secret }),
        ]
        .into(),
        ..Web::default()
    }
}

impl Hub {
    async fn start(db: &Db) -> Self {
        Self::with(db, web_config()).await
    }

    async fn with(db: &Db, web: Web) -> Self {
        Self::of(db, web, None).await
    }

    /// With a campaign of this company.
    async fn of_company(db: &Db, entity: &str) -> Self {
        let (brand, entity) = ("maison".to_owned(), entity.to_owned());
        Self::of(db, web_config(), Some(Company { brand, entity })).await
    }

    async fn of(db: &Db, web: Web, company: Option<Company>) -> Self {
        let mut site = site();
        site.campaigns.get_mut("automne").unwrap().company = company;
        let to = "https://maison.example.fr/manteaux?utm_campaign=automne".to_owned();
        site.touch.links = BTreeMap::from([("affiche".to_owned(), Link { campaign: "automne".to_owned(), to })]);
        site.touch.numbers = BTreeMap::from([("+33199000001".to_owned(), "automne".to_owned())]);
        let tokens = ["site", "tags", "mailer"].map(|name| (name.to_owned(), Secret(format!("{name}-token"))));
        let config = Arc::new(HubConfig { api_tokens: tokens.into(), web, ..config(site) });
        let clock = Clock::stepped(friday(9, 0));
        let keyring = Keyring::from_secret(&[7; 32]);
        let (_, configs) = watch::channel(Arc::clone(&config));
        let api = Api {
            db: db.clone(),
            keyring: keyring.clone(),
            config: configs.clone(),
            clock: clock.clone(),
            signing: Signing::from_bytes(&[9; 32]),
            resolver: Arc::new(Resolver::new(keyring.clone(), configs)),
            notices: Notices::default(),
            enrolments: Arc::default(),
            app_calls: Arc::default(),
        };
        let socket = Api::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (url, stop) = (format!("http://{}", socket.local_addr().unwrap()), CancellationToken::new());
        let task = tokio::spawn(api.run(socket, stop.clone()));
        let web = reqwest::Client::builder().redirect(Policy::none()).user_agent(BROWSER).build().unwrap();
        Self { db: db.clone(), keyring, config, clock, url, web, stop, task }
    }

    /// Stops the API, so that the counts are in the database.
    async fn stopped(self) -> Db {
        self.stop.cancel();
        self.task.await.unwrap();
        self.db
    }

    async fn post(&self, path: &str, token: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let response = self.web.post(format!("{}{path}", self.url)).bearer_auth(token).body(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn tag(&self, path: &str, body: Value) -> (u16, Value) {
        let response = self.web.post(format!("{}{path}", self.url)).basic_auth("tags-token", Some("")).body(body.to_string());
        let response = response.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.web.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn hook(&self, name: &str, stamp: i64, body: &Value) -> (u16, Value) {
        let (stamp, body) = (stamp.to_string(), body.to_string());
        let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(b"a secret of the telephone system").unwrap();
        mac.update(format!("{stamp}.{body}").as_bytes());
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let request = self.web.post(format!("{}/v1/webhooks/{name}", self.url));
        let request = request.header("X-Passage-Timestamp", stamp).header("X-Passage-Signature", signature).body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// A member who grants `match`, and `trackers` if asked.
    async fn member(&self, crm_id: &str, trackers: &str) -> MemberId {
        let file = format!(
            "crm_id,phone,email,brand,entity,match,trackers\n{crm_id},0639980001,anne@example.fr,maison,maison-sas,yes,{trackers}\n"
        );
        import_crm(&self.db, &self.keyring, &self.config, file.as_bytes(), self.clock.now()).await.unwrap();
        let key = self.keyring.identifier(IdentifierKind::CrmId, &canonical(IdentifierKind::CrmId, crm_id, "FR").unwrap());
        people::graph::holder(&mut self.db.begin_read().await.unwrap(), IdentifierKind::CrmId, &key).await.unwrap().unwrap()
    }

    async fn touches(&self, member: MemberId) -> Vec<Touchpoint> {
        store::touchpoint::of_member(&mut self.db.begin_read().await.unwrap(), member, Millis(0)).await.unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
    }
}

fn row(key: &str, kind: &str) -> Value {
    json!({ "key": key, "at": "2026-11-18T10:12:00+01:00", "kind": kind, "identifier_kind": "cookie", "identifier": "maison.example.fr/c1" })
}

async fn tally(db: &Db) -> Vec<(String, String, String, i64)> {
    store::tally::since(&mut db.begin_read().await.unwrap(), 0).await.unwrap()
}

#[tokio::test]
async fn thousands_of_rows_go_into_one_statement_and_each_has_its_verdict() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let mut rows: Vec<Value> = (0..2_500).map(|n| row(&format!("k{n:05}"), "view")).collect();
        rows.push(row("k00007", "view"));
        rows.push(row("odd", "glance"));
        let (status, answer) = hub.post("/v1/touchpoints", "site-token", Value::Array(rows.clone()).to_string()).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!((&answer["stored"], &answer["duplicate"], &answer["refused"]), (&json!(2_500), &json!(1), &json!(1)));
        assert_eq!(answer["rows"][2_500], json!({ "row": 2_501, "key": "k00007", "verdict": "duplicate" }));
        assert!(answer["rows"][2_501]["reason"].as_str().unwrap().starts_with("kind:"));

        let lines: Vec<String> = rows.iter().take(2_500).map(Value::to_string).collect();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(lines.join("\n").as_bytes()).unwrap();
        let again = hub.web.post(format!("{}/v1/touchpoints", hub.url)).bearer_auth("site-token").header("Content-Encoding", "gzip");
        let again: Value = again.body(packed.finish().unwrap()).send().await.unwrap().json().await.unwrap();
        assert_eq!((&again["stored"], &again["duplicate"]), (&json!(0), &json!(2_500)));
        assert_eq!(hub.count("SELECT COUNT(*) FROM touchpoint").await, 2_500);

        let db = hub.stopped().await;
        let told = |kind: &str, outcome: &str, n| ("site".to_owned(), kind.to_owned(), outcome.to_owned(), n);
        assert_eq!(tally(&db).await, [told("refused", "kind", 1), told("view", "duplicate", 2_501), told("view", "stored", 2_500)]);
    })
    .await;
}

#[tokio::test]
async fn everything_that_a_touchpoint_may_say_comes_back_as_it_was_said() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let member = hub.member("C1", "no").await;
        for (n, kind) in TouchKind::ALL.iter().enumerate() {
            let said = json!({ "key": n.to_string(), "at": "2026-11-18T10:12:00+01:00", "kind": kind.word(), "campaign": "automne", "source": "facebook",
                "medium": "cpc", "click_id": "fbclid=abc", "sku": "coat-camel", "size": "42", "category": "manteaux", "store": "lyon", "variant": "b",
                "outcome": "sold", "order": "FR-1", "cents": 19_900, "identifier_kind": "crm_id", "identifier": "C1" });
            let (_, answer) = hub.post("/v1/touchpoints", "site-token", said.to_string()).await;
            assert_eq!(answer["stored"], 1, "{answer}");
        }
        let all = hub.touches(member).await;
        assert_eq!(all.len(), TouchKind::ALL.len());
        let detail = &all[0].detail;
        assert_eq!(all[0].channel.as_deref(), Some("paid-social"));
        assert_eq!((detail.source.as_deref(), detail.medium.as_deref(), detail.click_id.as_deref()), (Some("facebook"), Some("cpc"), Some("fbclid=abc")));
        assert_eq!((detail.category.as_deref(), detail.store.as_deref(), detail.variant.as_deref()), (Some("manteaux"), Some("lyon"), Some("b")));
        assert_eq!((detail.outcome.as_deref(), detail.order, detail.cents), (Some("sold"), Some(hub.keyring.identifier(IdentifierKind::Order, "FR-1")), Some(19_900)));
    })
    .await;
}

#[tokio::test]
async fn a_token_may_make_the_calls_that_it_was_made_for() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let body = row("k", "view").to_string();
        assert_eq!(hub.post("/v1/touchpoints", "mailer-token", body.clone()).await.0, 200);
        let (status, problem) = hub.post("/v1/touchpoints", "tags-token", body).await;
        assert_eq!((status, &problem["code"]), (403, &json!("scope")));
        assert_eq!(hub.post("/v1/identify", "mailer-token", json!({ "cookie": "a.fr/b", "crm_id": "C1" }).to_string()).await.0, 403);
        assert_eq!(hub.post("/v1/app/installations", "mailer-token", "{}").await.0, 403);
        let tag = hub.web.post(format!("{}/v1/page", hub.url)).basic_auth("mailer-token", Some("")).body("{}").send().await.unwrap();
        assert_eq!(tag.status().as_u16(), 403);
    })
    .await;
}

#[tokio::test]
async fn a_source_that_sends_too_much_is_told_to_come_again() {
    both(async |db| {
        let hub = Hub::with(&db, Web { rate: 10, ..web_config() }).await;
        let many = |from: u32| Value::Array((from..from + 150).map(|n| row(&n.to_string(), "view")).collect()).to_string();
        assert_eq!(hub.post("/v1/touchpoints", "site-token", many(0)).await.0, 200);
        let (status, problem) = hub.post("/v1/touchpoints", "site-token", many(150)).await;
        assert_eq!((status, &problem["code"]), (429, &json!("too-many-rows")));
        assert_eq!(
            hub.post("/v1/touchpoints", "mailer-token", row("k", "view").to_string()).await.0,
            200,
            "another source is not held back"
        );
        assert_eq!(hub.count("SELECT COUNT(*) FROM touchpoint").await, 151);
    })
    .await;
}

#[tokio::test]
async fn tags_of_a_site_point_at_the_hub_and_a_login_brings_the_past_of_the_cookie() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let member = hub.member("C1", "no").await;
        let context = json!({ "page": { "url": "https://www.maison.example.fr/", "referrer": "https://www.google.fr/" } });
        let page = json!({ "messageId": "m1", "anonymousId": "v1", "timestamp": "2026-11-20T07:00:00Z", "context": context });
        assert_eq!(hub.tag("/v1/page", page.clone()).await, (200, json!({ "success": true })));
        assert_eq!(hub.tag("/v1/page", page).await.0, 200);
        let browser = json!({ "writeKey": "tags-token", "messageId": "m2", "anonymousId": "v1", "event": "Product Viewed",
                              "timestamp": "2026-11-20T07:01:00Z", "properties": { "sku": "coat-camel" } });
        let response = hub.web.post(format!("{}/v1/t", hub.url)).body(browser.to_string()).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "the library in the browser has no header");
        let batch = json!({ "batch": [
            { "type": "track", "messageId": "m3", "anonymousId": "v1", "event": "Horn Blown" },
            { "type": "identify", "messageId": "m4", "anonymousId": "v1", "userId": "C1", "traits": { "email": "anne@example.fr" } },
            { "type": "identify", "messageId": "m5", "anonymousId": "v2", "userId": "nobody" },
        ] });
        assert_eq!(hub.tag("/v1/batch", batch).await.0, 200);
        let touches = hub.touches(member).await;
        assert_eq!(
            touches.iter().map(|t| (t.id.as_str(), t.kind)).collect::<Vec<_>>(),
            [("tags/m1", TouchKind::Page), ("tags/m2", TouchKind::View)]
        );
        assert_eq!(touches[0].channel.as_deref(), Some("organic-search"));
        assert_eq!(hub.count("SELECT COUNT(*) FROM identifier WHERE kind = 'cookie'").await, 1);
        let unknown = hub.web.post(format!("{}/v1/page", hub.url)).basic_auth("wrong", Some("")).body("{}").send().await.unwrap();
        assert_eq!(unknown.status().as_u16(), 401);
        let db = hub.stopped().await;
        assert!(tally(&db).await.contains(&("tags".to_owned(), "refused".to_owned(), "event-not-planned".to_owned(), 1)));
    })
    .await;
}

#[tokio::test]
async fn only_the_sites_of_the_configuration_may_call_from_a_browser() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let ask = async |origin: &str| {
            let request = hub.web.request(Method::OPTIONS, format!("{}/v1/track", hub.url)).header("Origin", origin);
            request.header("Access-Control-Request-Method", "POST").send().await.unwrap()
        };
        let own = ask("https://maison.example.fr").await;
        assert_eq!(own.headers()["access-control-allow-origin"], "https://maison.example.fr");
        assert!(own.headers()["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
        assert!(ask("https://elsewhere.example").await.headers().get("access-control-allow-origin").is_none());
    })
    .await;
}

#[tokio::test]
async fn webhooks_are_taken_only_signed_fresh_and_once() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let member = hub.member("C1", "no").await;
        let now = hub.clock.now().0 / 1000;
        let call = json!({ "id": "call-1", "at": "2026-11-20T08:50:00+01:00", "to": "+33 1 99 00 00 01", "from": "06 39 98 00 01", "outcome": "order",
                           "order": "FR-1" });
        assert_eq!(hub.hook("calls", now, &call).await, (200, json!({ "stored": 1, "duplicate": 0, "refused": [] })));
        assert_eq!(hub.hook("calls", now, &call).await.1["duplicate"], 1);
        let touch = &hub.touches(member).await[0];
        assert_eq!((touch.kind, touch.campaign.as_deref(), touch.detail.outcome.as_deref()), (TouchKind::Call, Some("automne"), Some("order")));
        for (n, to) in ["0033199000001", "01 99 00 00 01", "+33 (0)1.99.00.00.01"].into_iter().enumerate() {
            let call = json!({ "id": format!("as-dialled-{n}"), "at": "2026-11-20T08:50:00+01:00", "to": to, "from": "06 39 98 00 01" });
            assert_eq!(hub.hook("calls", now, &call).await.1["stored"], 1, "{to}");
        }
        let mut hidden = json!({ "id": "hidden", "at": "2026-11-20T08:50:00+01:00", "to": "+33 1 99 00 00 01" });
        assert_eq!(hub.hook("calls", now, &hidden).await.1["counted"], 1);
        hidden["from"] = json!("Anonymous");
        let stored = hub.count("SELECT COUNT(*) FROM touchpoint").await;
        let answer = hub.hook("calls", now, &json!([hidden, call])).await.1;
        assert_eq!((&answer["counted"], &answer["duplicate"], &answer["refused"]), (&json!(1), &json!(1), &json!([])));
        assert_eq!(hub.count("SELECT COUNT(*) FROM touchpoint").await, stored, "nobody in particular");
        hidden["to"] = json!("+33 1 11");
        assert!(hub.hook("calls", now, &hidden).await.1["refused"][0].as_str().unwrap().contains("of no campaign"));
        assert_eq!(hub.hook("calls", now - 400, &call).await.0, 401, "too old");
        assert_eq!(hub.hook("nothing", now, &call).await.0, 401);
        let unsigned = hub.web.post(format!("{}/v1/webhooks/calls", hub.url)).body(call.to_string()).send().await.unwrap();
        assert_eq!(unsigned.status().as_u16(), 401);
        let (_, elsewhere) = hub.hook("calls", now, &json!({ "id": "2", "at": "2026-11-20T08:50:00+01:00", "to": "+33 1 11", "from": "0639980001" })).await;
        assert!(elsewhere["refused"][0].as_str().unwrap().contains("of no campaign"));
        let order = json!({ "key": "m-1", "at": "2026-11-20T08:00:00+01:00", "order": "MK-1", "cents": 4_900, "source": "amazon.fr",
                            "identifier_kind": "email", "identifier": "anne@example.fr" });
        assert_eq!(hub.hook("market", now, &order).await.1["stored"], 1);
        let of_her = hub.touches(member).await;
        let order = of_her.iter().find(|t| t.kind == TouchKind::Order).unwrap();
        assert_eq!((order.detail.cents, order.channel.as_deref()), (Some(4_900), Some("organic-shopping")));
        let db = hub.stopped().await;
        let totals = store::tally::totals_since(&mut db.begin_read().await.unwrap(), 0).await.unwrap();
        assert_eq!(totals.iter().map(|t| (t.0.as_str(), t.1.as_str(), t.3.as_str(), t.4)).collect::<Vec<_>>(), [("calls", "automne", "call", 2)]);
    })
    .await;
}

#[tokio::test]
async fn a_code_leads_where_its_file_says_and_without_consent_a_total_remains() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let answer = hub.get("/q/affiche?to=https://evil.example&url=//evil.example", &[]).await;
        assert_eq!(answer.status().as_u16(), 302);
        assert_eq!(answer.headers()[header::LOCATION], "https://maison.example.fr/manteaux?utm_campaign=automne");
        assert!(answer.headers().get(header::SET_COOKIE).is_none(), "no cookie without consent");
        for odd in ["/q/nothing", "/q/https:%2F%2Fevil.example", "/r/..%2f", "/o/affiche"] {
            assert_eq!(hub.get(odd, &[]).await.status().as_u16(), 404, "{odd}");
        }
        assert_eq!(hub.get("/r/affiche", &[("user-agent", "Googlebot/2.1")]).await.status().as_u16(), 302);
        assert_eq!(hub.count("SELECT COUNT(*) FROM touchpoint").await, 0);

        let yes = hub.get("/q/affiche", &[("cookie", "consent=all")]).await;
        let cookie = yes.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.contains("Domain=maison.example.fr") && cookie.contains("SameSite=Lax"), "{cookie}");
        let id = cookie.split([';', '=']).nth(1).unwrap().to_owned();
        hub.get("/q/affiche", &[("cookie", &format!("consent=all; passage={id}"))]).await;
        let rows = hub.db.fetch("SELECT kind, campaign, identifier FROM touchpoint", args![]).await.unwrap();
        let key = hub.keyring.identifier(IdentifierKind::Cookie, &format!("maison.example.fr/{id}"));
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|r| r.text(0).unwrap() == "qr" && r.text(1).unwrap() == "automne" && r.bytes32(2).unwrap() == key.0));

        let db = hub.stopped().await;
        let totals = store::tally::totals_since(&mut db.begin_read().await.unwrap(), 0).await.unwrap();
        assert_eq!(totals, [("links".to_owned(), "automne".to_owned(), "social".to_owned(), "qr".to_owned(), 1)]);
        assert!(tally(&db).await.contains(&("links".to_owned(), "click".to_owned(), "bot or prefetch".to_owned(), 1)));
    })
    .await;
}

#[tokio::test]
async fn a_signed_link_in_a_mail_is_hers_only_while_she_grants_trackers() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let member = hub.member("C1", "yes").await;
        let text = member_link::write(&hub.keyring, "affiche", member);
        let pixel = hub.get(&format!("/o/{text}.gif"), &[]).await;
        assert_eq!(
            (pixel.status().as_u16(), &pixel.headers()[header::CONTENT_TYPE]),
            (200, &header::HeaderValue::from_static("image/gif"))
        );
        assert_eq!(hub.touches(member).await[0].kind, TouchKind::Open);
        let clicked = hub.get(&format!("/r/{text}"), &[]).await;
        assert!(clicked.headers().contains_key(header::SET_COOKIE));
        assert_eq!(hub.touches(member).await.len(), 2, "the cookie of the click is hers");
        assert_eq!(hub.count("SELECT COUNT(*) FROM link WHERE reason = 'mail'").await, 1);

        hub.clock.set(friday(10, 0));
        hub.member("C1", "no").await;
        hub.get(&format!("/o/{text}.gif"), &[]).await;
        assert!(hub.get(&format!("/r/{text}"), &[]).await.headers().get(header::SET_COOKIE).is_none());
        assert_eq!(hub.touches(member).await.len(), 2, "without consent a total remains");
        hub.get(&format!("/r/{}", text.replace("affiche.", "affiche.A")), &[]).await;
        let db = hub.stopped().await;
        let totals = store::tally::totals_since(&mut db.begin_read().await.unwrap(), 0).await.unwrap();
        assert_eq!(totals.iter().map(|t| (t.3.as_str(), t.4)).collect::<Vec<_>>(), [("click", 2), ("open", 1)]);
    })
    .await;
}

#[tokio::test]
async fn a_link_of_a_company_knows_her_only_by_her_consent_to_that_company() {
    both(async |db| {
        for (entity, known) in [("maison-lille", 0), ("maison-sas", 2)] {
            let hub = Hub::of_company(&db, entity).await;
            let member = hub.member("C1", "yes").await;
            let text = member_link::write(&hub.keyring, "affiche", member);
            assert_eq!(hub.get(&format!("/o/{text}.gif"), &[]).await.status().as_u16(), 200);
            let clicked = hub.get(&format!("/r/{text}"), &[]).await;
            assert_eq!(clicked.headers().contains_key(header::SET_COOKIE), known > 0, "{entity}");
            assert_eq!(hub.touches(member).await.len(), known, "{entity}");
            hub.stopped().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_older_link_knows_her_after_she_turned_out_to_be_another_record_too() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let file = "crm_id,context,email,brand,entity,match,trackers\nW-1,web,anne@example.fr,maison,maison-sas,yes,yes\n";
        import_crm(&hub.db, &hub.keyring, &hub.config, file.as_bytes(), friday(8, 0)).await.unwrap();
        let key = hub.keyring.identifier(IdentifierKind::CrmId, &canonical(IdentifierKind::CrmId, "W-1", "FR").unwrap());
        let web = people::graph::holder(&mut db.begin_read().await.unwrap(), IdentifierKind::CrmId, &key).await.unwrap().unwrap();
        let till = hub.member("C1", "yes").await;
        assert_eq!(till, web, "one address, one person");
        // Both records sent mails once; whichever went into the other one, its links lead to her.
        for row in db.fetch("SELECT id FROM member", args![]).await.unwrap() {
            let text = member_link::write(&hub.keyring, "affiche", MemberId(row.int(0).unwrap()));
            assert_eq!(hub.get(&format!("/o/{text}.gif"), &[]).await.status().as_u16(), 200);
        }
        let opened = hub.touches(web).await;
        assert_eq!(opened.iter().filter(|t| t.kind == TouchKind::Open).count(), 2);
        hub.stopped().await;
    })
    .await;
}
