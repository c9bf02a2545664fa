//! A hub with its API on a free port, and what the stories say to it.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use passage_config::{HubConfig, Secret, Site, Web};
use passage_hub::{
    api::Api,
    args,
    identity::{IdentifierKind, Key, Keyring, MemberId, Profile, Resolver, import::import_crm, normalise::canonical},
    notice::Notices,
    store::{self, Db, people},
    touchpoint::table::ImportReport,
};
use passage_protocol::{ChainKey, Clock, InstallationId, Millis, PositionSecret, Subject, sign::Signing};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::shop::{config, friday, site, store_id};

pub const WINDOW: i64 = 900_000;

/// A hub with its API on a free port.
pub struct Hub {
    pub db: Db,
    pub keyring: Keyring,
    pub config: Arc<HubConfig>,
    pub clock: Clock,
    pub resolver: Arc<Resolver>,
    pub signing: Signing,
    pub url: String,
    pub web: reqwest::Client,
    pub stop: CancellationToken,
}

impl Hub {
    pub async fn start(db: &Db) -> Self {
        Self::with(db, None).await
    }

    pub async fn with(db: &Db, position_secret: Option<PositionSecret>) -> Self {
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

    pub async fn crm(&self, file: &str) -> ImportReport {
        let report = import_crm(&self.db, &self.keyring, &self.config, file.as_bytes(), self.clock.now()).await.unwrap();
        self.resolver.refresh(&self.db, self.clock.now()).await.unwrap();
        report
    }

    pub async fn call(&self, method: reqwest::Method, path: &str, token: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
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

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(reqwest::Method::POST, path, "right", body.to_string()).await
    }

    pub async fn enrol(&self, crm_id: &str, purposes: &[&str]) -> (u16, Value) {
        let member = json!({ "kind": "crm_id", "value": crm_id });
        let body = json!({ "brand": "maison", "entity": "maison-sas", "member": member, "age": "adult", "wording": wording(), "purposes": purposes });
        self.post("/v1/app/installations", &body).await
    }

    pub async fn phone(&self, crm_id: &str) -> Phone {
        let (status, answer) = self.enrol(crm_id, &["presence"]).await;
        assert_eq!(status, 201, "{answer}");
        let key = STANDARD.decode(answer["rid_key"].as_str().unwrap()).unwrap();
        Phone {
            id: answer["installation"].as_str().unwrap().parse().unwrap(),
            chain: ChainKey { day: answer["key_day"].as_i64().unwrap(), key: key.try_into().unwrap() },
            token: answer["position_token"].as_str().unwrap().to_owned(),
        }
    }

    pub async fn holder(&self, kind: IdentifierKind, value: &str) -> Option<MemberId> {
        people::graph::holder(&mut self.db.begin_read().await.unwrap(), kind, &self.key(kind, value)).await.unwrap()
    }

    pub fn key(&self, kind: IdentifierKind, value: &str) -> Key {
        self.keyring.identifier(kind, &canonical(kind, value, "FR").unwrap())
    }

    pub async fn member(&self, crm_id: &str) -> Option<MemberId> {
        let key = self.key(IdentifierKind::CrmId, crm_id);
        people::graph::holder(&mut self.db.begin_read().await.unwrap(), IdentifierKind::CrmId, &key).await.unwrap()
    }

    pub async fn profile(&self, crm_id: &str) -> Profile {
        let member = self.member(crm_id).await.unwrap();
        people::profile(&mut self.db.begin_read().await.unwrap(), member, "maison", "maison-sas").await.unwrap().unwrap()
    }

    pub async fn touches(&self, crm_id: &str) -> Vec<String> {
        let member = self.member(crm_id).await.unwrap();
        let mut tx = self.db.begin_read().await.unwrap();
        store::touchpoint::of_member(&mut tx, member, Millis(0)).await.unwrap().into_iter().map(|t| t.id).collect()
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        self.db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
    }

    pub fn resolve(&self, subject: &Subject, at: Millis) -> Option<MemberId> {
        self.resolver.resolve(subject, at, &store_id("lyon"))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub struct Phone {
    pub id: InstallationId,
    pub chain: ChainKey,
    pub token: String,
}

impl Phone {
    /// What this phone advertises when its own clock shows `at`.
    pub fn advertises(&self, at: Millis) -> Subject {
        let (window, rid) = self.chain.rid_at(at).unwrap();
        Subject::Rid { rid, hint: u8::try_from(window.rem_euclid(16)).unwrap() }
    }
}

/// The brand and a franchisee of it, which is a company of its own.
pub fn two_companies() -> Site {
    let mut site = site();
    let brand = site.brands.get_mut("maison").unwrap();
    brand.entities.insert("maison-lille".to_owned(), "Maison Lille SARL".to_owned());
    site
}

pub const HEADER: &str = "crm_id,email,phone,loyalty_card,brand,entity,presence,match,sms,personalise\n";

pub fn crm_line(crm_id: &str, email: &str, phone: &str, consents: &str) -> String {
    format!("{crm_id},{email},{phone},L-{crm_id},maison,maison-sas,{consents}\n")
}

/// What she read before she agreed.
pub fn wording() -> Value {
    json!({ "id": "app-presence", "version": "2026-10", "language": "fr" })
}

pub fn touch(key: &str, cookie: &str) -> Value {
    json!({ "key": key, "at": "2026-11-18T10:12:00+01:00", "kind": "view", "campaign": "automne", "channel": "social", "sku": "coat-camel",
            "size": "42", "identifier_kind": "cookie", "identifier": format!("maison.example.fr/{cookie}") })
}
