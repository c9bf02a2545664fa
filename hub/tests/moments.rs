//! The moments at which a site says who somebody is: their words, the variants of a test, and cookies of other sites.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::sync::Arc;

use passage_config::{HubConfig, Identity, Secret};
use passage_hub::{
    api::Api,
    args,
    identity::{Keyring, Resolver, import::import_crm},
    notice::Notices,
    report::{
        Span,
        matching::matching,
        proportion::Share,
        variants::{Outcome, VariantRow, variants},
    },
    store::Db,
};
use passage_protocol::{Clock, sign::Signing};
use serde_json::{Value, json};
use shop::{config, day_of_november, friday, site};
use support::both;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

struct Hub {
    db: Db,
    config: Arc<HubConfig>,
    url: String,
    web: reqwest::Client,
    stop: CancellationToken,
}

impl Hub {
    /// With customers C1 to C6 who allow everything, and C7 who does not allow `match`.
    async fn start(db: &Db, k: u32) -> Self {
        let clock = Clock::stepped(friday(9, 0));
        let identity = Identity { sites: vec!["maison.example.fr".to_owned()], ..Identity::default() };
        let tokens = [("shop-site".to_owned(), Secret("right".to_owned()))];
        let config = Arc::new(HubConfig { k, identity, api_tokens: tokens.into(), ..config(site()) });
        let keyring = Keyring::from_secret(&[7; 32]);
        let mut file = "crm_id,loyalty_card,brand,entity,presence,match\n".to_owned();
        (1..=7).for_each(|n| file += &format!("C{n},L-{n},maison,maison-sas,yes,{}\n", if n == 7 { "no" } else { "yes" }));
        assert_eq!(import_crm(db, &keyring, &config, file.as_bytes(), day_of_november(2, 9, 0)).await.unwrap().stored, 7);
        let (_, configs) = watch::channel(Arc::clone(&config));
        let resolver = Arc::new(Resolver::new(keyring.clone(), configs.clone()));
        let api = Api {
            db: db.clone(),
            keyring,
            config: configs,
            clock,
            signing: Signing::from_bytes(&[9; 32]),
            resolver,
            notices: Notices::default(),
            enrolments: Arc::default(),
            app_calls: Arc::default(),
        };
        let socket = Api::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (url, stop) = (format!("http://{}", socket.local_addr().unwrap()), CancellationToken::new());
        tokio::spawn(api.run(socket, stop.clone()));
        Self { db: db.clone(), config, url, web: reqwest::Client::new(), stop }
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.web.post(format!("{}{path}", self.url)).bearer_auth("right").body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
    }

    /// Somebody sees a page of a test.
    async fn sees(&self, browser: &str, variant: &str, day: u32) {
        let at = format!("2026-11-{day:02}T10:00:00+01:00");
        let row = json!({ "key": format!("{browser}-{variant}-{day}"), "at": at, "kind": "page", "campaign": "automne", "variant": variant,
                          "identifier_kind": "cookie", "identifier": format!("maison.example.fr/{browser}") });
        let (status, verdicts) = self.post("/v1/touchpoints", json!([row])).await;
        assert_eq!((status, &verdicts["stored"]), (200, &json!(1)), "{verdicts}");
    }

    async fn visits(&self, crm_id: &str, label: &str) {
        let sql = "INSERT INTO visit (id, member, store, start_at, end_at, dwell_ms, label, is_open, seen_from, seen_to, state, updated_at) \
                   SELECT $1, m.member, 'lyon', $2, $2, 600000, $3, 0, $2, $2, '{}', $2 FROM link m WHERE m.kind = 'crm_id' AND m.key = $4";
        let key = Keyring::from_secret(&[7; 32]).identifier(passage_hub::identity::IdentifierKind::CrmId, crm_id);
        self.db.execute(sql, args![format!("v-{crm_id}-{label}"), day_of_november(19, 11, 0), label, &key.0]).await.unwrap();
    }
}

fn november() -> Span {
    Span { from: day_of_november(1, 0, 0), to: day_of_november(28, 0, 0) }
}

#[tokio::test]
async fn a_login_without_a_password_is_a_moment_of_its_own() {
    both(async |db| {
        let hub = Hub::start(&db, 1).await;
        for (crm_id, reason) in [("C1", "passwordless"), ("C2", "passwordless"), ("C3", "login")] {
            let link = json!({ "cookie": format!("maison.example.fr/{crm_id}"), "crm_id": crm_id, "reason": reason });
            assert_eq!(hub.post("/v1/identify", link).await, (200, json!({ "linked": true, "new": true })));
        }
        let told = matching(&db, &hub.config, november()).await.unwrap();
        let moment = |word: &str| told.moments.rows.iter().find(|m| m.moment == word).map(|m| (m.links, m.members));
        assert_eq!((moment("passwordless"), moment("login")), (Some((2, 2)), Some((1, 1))), "{told}");
        let wrong = json!({ "cookie": "maison.example.fr/x", "crm_id": "C1", "reason": "Pass word" });
        assert_eq!(hub.post("/v1/identify", wrong).await.1["code"], "reason");
        hub.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_cookie_of_another_site_ties_nothing() {
    both(async |db| {
        let hub = Hub::start(&db, 1).await;
        let links = "SELECT COUNT(*) FROM link WHERE kind = 'cookie'";
        for domain in ["ads.example", "notmaison.example.fr", "example.fr"] {
            let (status, problem) = hub.post("/v1/identify", json!({ "cookie": format!("{domain}/abc"), "crm_id": "C1" })).await;
            assert_eq!((status, problem["code"].as_str()), (400, Some("third-party-cookie")), "{problem}");
            assert!(!problem.to_string().contains("abc"), "{problem}");
        }
        assert_eq!((hub.count(links).await, hub.count("SELECT COUNT(*) FROM identifier WHERE kind = 'cookie'").await), (0, 0));
        assert_eq!(hub.post("/v1/identify", json!({ "cookie": "www.maison.example.fr/abc", "crm_id": "C1" })).await.0, 200);
        assert_eq!(hub.count(links).await, 1);
        hub.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn the_variants_of_a_test_are_compared_with_intervals() {
    both(async |db| {
        let hub = Hub::start(&db, 1).await;
        // Two of three who saw `a` and three of four who saw `b` log in; C1 saw `b` later too, and counts for `a`.
        for (n, variant) in [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "b"), (6, "b"), (7, "b")] {
            hub.sees(&format!("browser-{n}"), variant, 18).await;
        }
        hub.sees("browser-1", "b", 19).await;
        for n in [1, 2, 4, 5, 6, 7] {
            let link = json!({ "cookie": format!("maison.example.fr/browser-{n}"), "crm_id": format!("C{n}"), "variant": "form-2" });
            // C7 allows nothing to be joined.
            assert_eq!(hub.post("/v1/identify", link).await.0, if n == 7 { 403 } else { 200 }, "C{n}");
        }
        for (crm_id, label) in [("C1", "qualified"), ("C2", "passer-by"), ("C4", "qualified"), ("C5", "qualified"), ("C7", "qualified")] {
            hub.visits(crm_id, label).await;
        }
        let order = json!([{ "key": "o-1", "at": "2026-11-19T10:00:00+01:00", "kind": "order", "cents": 1990, "identifier_kind": "cookie",
                             "identifier": "maison.example.fr/browser-6" }]);
        assert_eq!(hub.post("/v1/touchpoints", order).await.1["stored"], 1);

        let told = variants(&db, &hub.config, november()).await.unwrap();
        let find = |campaign: &str, variant: &str, outcome| -> &VariantRow {
            let is = |row: &&VariantRow| row.campaign == campaign && row.variant == variant && row.outcome == outcome;
            told.rows.rows.iter().find(is).unwrap_or_else(|| panic!("{campaign} {variant} {outcome:?} in {told}"))
        };
        let share = |variant, outcome| find("automne", variant, outcome).share;
        assert_eq!(
            (share("a", Outcome::Identified), share("b", Outcome::Identified)),
            (Share { yes: 2, of: 3 }, Share { yes: 3, of: 4 }),
            "{told}"
        );
        assert_eq!(
            (share("a", Outcome::Visited), share("b", Outcome::Visited)),
            (Share { yes: 1, of: 2 }, Share { yes: 2, of: 3 }),
            "{told}"
        );
        assert_eq!(
            (share("a", Outcome::Ordered), share("b", Outcome::Ordered)),
            (Share { yes: 0, of: 2 }, Share { yes: 1, of: 3 }),
            "{told}"
        );
        let difference = find("automne", "b", Outcome::Visited).difference.unwrap();
        assert_eq!(difference, Share { yes: 2, of: 3 }.minus(Share { yes: 1, of: 2 }));
        assert!(difference.low < 0.0 && !difference.leaves_out_zero(), "five members prove nothing");
        assert_eq!(find("automne", "a", Outcome::Visited).difference, None);
        assert_eq!(find("-", "form-2", Outcome::Identified).share, Share { yes: 5, of: 5 }, "a variant of the form itself");
        assert!(told.to_string().contains("points more than the first variant"), "{told}");

        let few = HubConfig { k: 4, ..(*hub.config).clone() };
        let told = variants(&db, &few, november()).await.unwrap();
        assert!(told.rows.rows.iter().all(|row| row.campaign == "-"), "fewer than four members saw each variant: {told}");
        let card = json!({ "cookie": "maison.example.fr/x", "crm_id": "C1", "variant": "4111 1111 1111 1111" });
        assert_eq!(hub.post("/v1/identify", card).await.1["code"], "variant");
        hub.stop.cancel();
    })
    .await;
}
