//! What an app may do once it has enrolled, and what a stolen database tells of last week, on both engines.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use passage_config::{AppRules, HubConfig, Secret};
use passage_hub::{
    api::Api,
    args,
    identity::{AgeBand, IdentifierKind, Keyring, MemberId, Resolver, normalise::canonical},
    notice::Notices,
    store::{
        Db,
        people::{self, installation},
    },
};
use passage_protocol::{ChainKey, Clock, InstallationId, Millis, Subject, rid::window_at, sign::Signing};
use reqwest::Method;
use serde_json::{Value, json};
use shop::{config, day_of_november, friday, site, store_id};
use support::{Fresh, both, both_fresh};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

struct Hub {
    db: Db,
    keyring: Keyring,
    clock: Clock,
    resolver: Arc<Resolver>,
    url: String,
    web: reqwest::Client,
    stop: CancellationToken,
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
    secret: String,
}

impl Phone {
    fn of(answer: &Value, secret: &str) -> Self {
        let key = STANDARD.decode(answer["rid_key"].as_str().unwrap()).unwrap();
        let text = |field: &str| answer[field].as_str().unwrap().to_owned();
        let chain = ChainKey { day: answer["key_day"].as_i64().unwrap(), key: key.try_into().unwrap() };
        Self { id: text("installation").parse().unwrap(), chain, token: text("position_token"), secret: secret.to_owned() }
    }

    fn advertises(&self, at: Millis) -> Subject {
        let (window, rid) = self.chain.rid_at(at).unwrap();
        Subject::Rid { rid, hint: u8::try_from(window.rem_euclid(16)).unwrap() }
    }
}

impl Hub {
    async fn start(db: &Db, presence_from: u8) -> Self {
        let clock = Clock::stepped(friday(9, 0));
        let api_tokens = [("app".to_owned(), Secret("brand-server".to_owned()))].into();
        let config = Arc::new(HubConfig { api_tokens, app: AppRules { presence_from }, ..config(site()) });
        let keyring = Keyring::from_secret(&[7; 32]);
        let (_, configs) = watch::channel(config);
        let resolver = Arc::new(Resolver::new(keyring.clone(), configs.clone()));
        let api = Api {
            db: db.clone(),
            keyring: keyring.clone(),
            config: configs,
            clock: clock.clone(),
            signing: Signing::from_bytes(&[9; 32]),
            resolver: resolver.clone(),
            notices: Notices::default(),
            enrolments: Arc::default(),
            app_calls: Arc::default(),
        };
        let socket = Api::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (url, stop) = (format!("http://{}/v1/app/installations", socket.local_addr().unwrap()), CancellationToken::new());
        tokio::spawn(api.run(socket, stop.clone()));
        Self { db: db.clone(), keyring, clock, resolver, url, web: reqwest::Client::new(), stop }
    }

    async fn call(&self, method: Method, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.web.request(method, format!("{}{path}", self.url)).bearer_auth(bearer).body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        assert_eq!(status == 429, answer.headers().contains_key("retry-after"), "{path}");
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// A call of the phone about itself.
    async fn says(&self, phone: &Phone, call: &str, bearer: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, &format!("/{}{call}", phone.id), bearer, &body).await
    }

    async fn enrol(&self, crm_id: &str, age: &str, purposes: &[&str]) -> (u16, Value) {
        let body = json!({
            "brand": "maison", "entity": "maison-sas", "member": { "kind": "crm_id", "value": crm_id }, "age": age, "purposes": purposes,
            "wording": { "id": "app-presence", "version": "3", "language": "fr" }, "client_time": self.clock.now().0 - 4_000,
        });
        self.call(Method::POST, "", "brand-server", &body).await
    }

    async fn phone(&self, crm_id: &str, purposes: &[&str]) -> Phone {
        let (status, answer) = self.enrol(crm_id, "25-34", purposes).await;
        assert_eq!((status, answer["offset"].as_i64()), (201, Some(4_000)), "{answer}");
        Phone::of(&answer, answer["app_secret"].as_str().unwrap())
    }

    async fn member(&self, crm_id: &str) -> Option<MemberId> {
        let key = self.keyring.identifier(IdentifierKind::CrmId, &canonical(IdentifierKind::CrmId, crm_id, "FR").unwrap());
        people::graph::holder(&mut self.db.begin_read().await.unwrap(), IdentifierKind::CrmId, &key).await.unwrap()
    }

    fn resolve(&self, phone: &Phone, at: Millis) -> Option<MemberId> {
        self.resolver.resolve(&phone.advertises(at), at, &store_id("lyon"))
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
    }
}

#[tokio::test]
async fn with_its_secret_an_app_refreshes_for_as_long_as_it_lives_and_a_new_key_ends_the_old_one() {
    both(async |db| {
        let hub = Hub::start(&db, 18).await;
        let phone = hub.phone("C1", &["presence"]).await;
        // Two days in a drawer: the token has expired, the secret has not.
        let now = day_of_november(22, 9, 30);
        hub.clock.set(now);
        hub.resolver.refresh(&db, now).await.unwrap();
        assert_eq!(hub.says(&phone, "/refresh", &phone.token, Value::Null).await.0, 401);
        let (status, answer) = hub.says(&phone, "/refresh", &phone.secret, json!({ "client_time": now.0 })).await;
        assert_eq!((status, answer["offset"].as_i64(), answer["server_time"].as_i64()), (200, Some(0), Some(now.0)), "{answer}");
        let renewed = Phone::of(&answer, &phone.secret);
        assert_eq!(renewed.chain, phone.chain.for_day(renewed.chain.day).unwrap(), "the key of today, and of no day before");
        assert_eq!(hub.resolve(&renewed, now), hub.member("C1").await);

        let (status, answer) = hub.says(&phone, "/rotate", &phone.secret, Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        let rotated = Phone::of(&answer, &phone.secret);
        assert_eq!((hub.resolve(&renewed, now), hub.resolve(&rotated, now)), (None, hub.member("C1").await));
        assert_eq!(hub.says(&phone, "/refresh", &renewed.token, Value::Null).await.0, 200, "tokens of the same instant are as good");
        hub.clock.set(Millis(now.0 + 1));
        let (_, later) = hub.says(&phone, "/rotate", &phone.secret, Value::Null).await;
        assert_eq!(hub.says(&phone, "/refresh", &rotated.token, Value::Null).await.0, 401, "older ones were taken back");
        assert_eq!(hub.says(&phone, "/refresh", later["position_token"].as_str().unwrap(), Value::Null).await.0, 200);
        let other = hub.phone("C2", &["presence"]).await;
        for (bearer, id) in [(&other.secret, &phone), (&phone.secret, &other)] {
            assert_eq!(hub.says(id, "/rotate", bearer, Value::Null).await.0, 401, "a secret is good for its own installation");
        }
    })
    .await;
}

#[tokio::test]
async fn she_grants_and_withdraws_purposes_in_the_app_and_without_presence_nothing_of_the_phone_is_left() {
    both(async |db| {
        let hub = Hub::start(&db, 18).await;
        let phone = hub.phone("C1", &["presence"]).await;
        let wording = json!({ "id": "app-offers", "version": "1", "language": "fr" });
        let (status, problem) = hub.says(&phone, "/purposes", &phone.secret, json!({ "grant": ["sms"] })).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("wording")));
        let granted = json!({ "grant": ["sms", "match"], "wording": wording });
        let (status, answer) = hub.says(&phone, "/purposes", &phone.secret, granted).await;
        assert_eq!((status, &answer["granted"], &answer["ended"]), (200, &json!(["presence", "match", "sms"]), &json!(false)));
        let (status, answer) = hub.says(&phone, "/purposes", &phone.secret, json!({ "withdraw": ["sms"] })).await;
        assert_eq!((status, &answer["granted"]), (200, &json!(["presence", "match"])));
        let (status, answer) = hub.call(Method::GET, &format!("/{}", phone.id), &phone.secret, &Value::Null).await;
        assert_eq!((status, &answer["granted"]), (200, &json!(["presence", "match"])));

        let now = hub.clock.now();
        assert!(hub.resolve(&phone, now).is_some());
        let (status, answer) = hub.says(&phone, "/purposes", &phone.token, json!({ "withdraw": ["presence"] })).await;
        assert_eq!((status, &answer["ended"]), (200, &json!(true)));
        assert_eq!(hub.resolve(&phone, now), None);
        assert_eq!(hub.count("SELECT COUNT(*) FROM installation WHERE chain_key IS NOT NULL").await, 0);
        let denied = installation::denied(&mut db.begin_read().await.unwrap(), now, now).await.unwrap();
        assert_eq!(denied.len(), 1, "every gateway is told");
        assert_eq!(hub.says(&phone, "/refresh", &phone.secret, Value::Null).await.0, 404, "the app enrols again when she changes her mind");
    })
    .await;
}

#[tokio::test]
async fn an_age_is_a_band_and_minors_are_detected_only_where_the_brand_answers_for_it() {
    both(async |db| {
        let hub = Hub::start(&db, 18).await;
        for (age, code) in [("under-15", "too-young"), ("15-17", "minor"), ("2011-05-01", "age"), ("17", "age")] {
            let (_, problem) = hub.enrol("C1", age, &["presence"]).await;
            assert_eq!(problem["code"].as_str(), Some(code), "{age}: {problem}");
        }
        assert_eq!(hub.count("SELECT COUNT(*) FROM member").await, 0, "nothing was stored");
        let lenient = Hub::start(&db, 15).await;
        assert_eq!(lenient.enrol("C1", "under-15", &["presence"]).await.0, 403);
        assert_eq!(lenient.enrol("C1", "15-17", &["presence"]).await.0, 201);
        let member = hub.member("C1").await.unwrap();
        assert_eq!(people::age(&mut db.begin_read().await.unwrap(), member).await.unwrap(), Some(AgeBand::From15));
        assert_eq!(hub.enrol("C1", "18-24", &["presence"]).await.0, 201);
        assert_eq!(people::age(&mut db.begin_read().await.unwrap(), member).await.unwrap(), Some(AgeBand::From18), "she has grown up");
    })
    .await;
}

#[tokio::test]
async fn one_installation_cannot_keep_the_hub_busy_and_a_large_body_is_not_read() {
    both(async |db| {
        let hub = Hub::start(&db, 18).await;
        let phone = hub.phone("C1", &["presence"]).await;
        let mut refused = 0;
        for _ in 0..60 {
            let (status, _) = hub.says(&phone, "/refresh", &phone.secret, Value::Null).await;
            refused += u32::from(status == 429);
        }
        assert!(refused > 0, "sixty calls in a row are too many");
        let other = hub.phone("C2", &["presence"]).await;
        assert_eq!(hub.says(&other, "/refresh", &other.secret, Value::Null).await.0, 200, "others are not held up");
        let (status, problem) = hub.says(&other, "/purposes", &other.secret, json!({ "withdraw": ["x".repeat(20_000)] })).await;
        assert_eq!((status, problem["code"].as_str()), (413, Some("too-large")));
    })
    .await;
}

/// The whole database as somebody takes it: SQLite's files, or every value that pg_dump would write.
async fn dump(fresh: &Fresh) -> Vec<Vec<u8>> {
    if let Some(path) = fresh.url.strip_prefix("sqlite:") {
        return ["", "-wal"].iter().map(|end| std::fs::read(format!("{path}{end}")).unwrap_or_default()).collect();
    }
    // What comes after the question mark is for sqlx.
    let url = fresh.url.split('?').next().unwrap_or_default();
    let out = tokio::process::Command::new("pg_dump").arg(url).output().await.expect("pg_dump of PostgreSQL is on this machine");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    vec![out.stdout]
}

/// Every place in the dump where the sealed chain key of an installation may begin, in bytes: raw in SQLite's files, hex in a dump of PostgreSQL.
fn candidates(dump: &[Vec<u8>], key_id: &[u8]) -> Vec<Vec<u8>> {
    const SEALED: usize = 4 + 24 + 32 + 16;
    let hex_id = hex::encode(key_id);
    let mut out = Vec::new();
    for bytes in dump {
        out.extend(bytes.windows(SEALED).filter(|w| w.starts_with(key_id)).map(<[u8]>::to_vec));
        let text = bytes.windows(2 * SEALED).filter(|w| w.starts_with(hex_id.as_bytes()));
        out.extend(text.filter_map(|w| hex::decode(w).ok()));
    }
    out
}

#[tokio::test]
async fn the_database_and_the_key_file_of_today_resolve_no_id_of_last_week() {
    both_fresh(async |fresh| {
        let hub = Hub::start(&fresh.db, 18).await;
        let phone = hub.phone("C1", &["presence"]).await;
        // The hub runs for eight days.
        for day in 21..=28 {
            let now = day_of_november(day, 9, 0);
            hub.clock.set(now);
            hub.resolver.refresh(&fresh.db, now).await.unwrap();
        }
        let today = window_at(hub.clock.now());
        let dump = dump(fresh).await;
        let key_id = &hub.keyring.seal("any", b"")[..4];
        let sealed = candidates(&dump, key_id);
        let context = format!("installation {}", phone.id);
        let keys: Vec<[u8; 32]> = sealed.iter().filter_map(|s| hub.keyring.open(&context, s).ok()?.try_into().ok()).collect();
        assert!(!keys.is_empty(), "the thief finds the key that is kept, so the search works");

        // He does not know the day of a key, so he tries each of them for every window.
        let resolves = |window: i64| {
            let (_, true_id) = phone.chain.rid_at(Millis::from_secs(window * 900)).unwrap();
            let steps = |key: &[u8; 32]| {
                std::iter::successors(Some(*key), |k| Some(passage_protocol::rid::next_key(k))).take(12).collect::<Vec<_>>()
            };
            keys.iter().flat_map(steps).any(|key| passage_protocol::rid::rid_of(&key, window) == true_id)
        };
        assert!(resolves(today) && resolves(today - 96), "today's and yesterday's ids are found: {} keys", keys.len());
        let last_week = today - 8 * 96..today - 3 * 96;
        let found: Vec<i64> = last_week.clone().filter(|window| resolves(*window)).collect();
        assert!(found.is_empty(), "windows of last week that a thief resolves: {found:?}");
        for window in last_week {
            let (_, rid) = phone.chain.rid_at(Millis::from_secs(window * 900)).unwrap();
            let text = hex::encode(rid.0);
            let in_clear = |d: &Vec<u8>| d.windows(8).any(|w| w == rid.0) || d.windows(16).any(|w| w == text.as_bytes());
            assert!(window % 97 != 0 || !dump.iter().any(in_clear), "an id stands in clear");
        }
    })
    .await;
}
