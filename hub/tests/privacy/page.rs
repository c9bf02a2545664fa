//! A member's own page: a link opens it, a forwarded one shows little and harms nobody, and what she asks for happens.

use std::sync::Arc;

use passage_config::{HubConfig, MemberPage as PageConfig, Secret};
use passage_hub::{
    api::Api,
    args,
    identity::{
        Keyring, MemberId, Resolver,
        import::import_crm,
        page::{self, Bound},
    },
    notice::Notices,
    store::{
        Db,
        people::{
            graph,
            page::{self as pages, MemberPage, Origin},
        },
    },
};
use passage_protocol::{Clock, Millis, sign::Signing};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    rights::{NUMBER, keyring, live},
    shop::{config, friday, site},
    support::both,
};

struct Hub {
    db: Db,
    url: String,
    clock: Clock,
    web: reqwest::Client,
    ana: MemberId,
    stop: CancellationToken,
}

impl Hub {
    async fn start(db: &Db) -> Self {
        let (ana, _) = live(db, &keyring()).await;
        let clock = Clock::stepped(friday(12, 0));
        let page = PageConfig { url: Some("https://hub.example.fr".to_owned()), ..PageConfig::default() };
        let tokens = [("app".to_owned(), Secret("app-token".to_owned()))];
        let config = Arc::new(HubConfig { page, api_tokens: tokens.into(), ..config(site()) });
        let (_, configs) = watch::channel(config);
        let resolver = Arc::new(Resolver::new(keyring(), configs.clone()));
        let signing = Signing::from_bytes(&[9; 32]);
        let api = Api {
            db: db.clone(),
            keyring: keyring(),
            config: configs,
            clock: clock.clone(),
            signing,
            resolver,
            notices: Notices::default(),
            enrolments: Default::default(),
            app_calls: Default::default(),
        };
        let socket = Api::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (url, stop) = (format!("http://{}", socket.local_addr().unwrap()), CancellationToken::new());
        tokio::spawn(api.run(socket, stop.clone()));
        Self { db: db.clone(), url, clock, web: reqwest::Client::new(), ana, stop }
    }

    fn bound(&self) -> Bound<'static> {
        Bound { member: self.ana, brand: "maison", entity: "maison-sas" }
    }

    /// A link as it leaves in an SMS.
    async fn link(&self, id: &str, expires_at: Millis) -> String {
        let (brand, entity) = ("maison".to_owned(), "maison-sas".to_owned());
        let message = Some(crate::rights::name_of("message", 0));
        let made = MemberPage { id: id.to_owned(), member: self.ana, brand, entity, origin: Origin::Sms, message, expires_at };
        let mut tx = self.db.begin().await.unwrap();
        pages::insert(&mut tx, &made, friday(11, 0)).await.unwrap();
        tx.commit().await.unwrap();
        page::token(&keyring(), id, &self.bound())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.web.get(format!("{}{path}", self.url)).header("accept-language", "en").send().await.unwrap();
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers()["x-robots-tag"], "noindex, nofollow");
        assert!(answer.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends a form; redirects are followed. Returns the address that answered, too.
    async fn post(&self, path: &str, form: &str) -> (u16, String, String) {
        let request = self.web.post(format!("{}{path}", self.url)).header("content-type", "application/x-www-form-urlencoded");
        let answer = request.header("accept-language", "en").body(form.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.url().path().to_owned(), answer.text().await.unwrap())
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
    }
}

const WITHDRAW_SMS: &str = "brand=maison&entity=maison-sas&purpose=sms";

#[tokio::test]
async fn a_link_shows_masked_values_and_withdraws_and_her_card_opens_the_rest() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let token = hub.link("AbCdEf12", friday(23, 0)).await;
        for root in ["/m", "/v1/me"] {
            let (status, text) = hub.get(&format!("{root}/{token}")).await;
            assert_eq!(status, 200);
            assert!(text.contains("+33 6 ** ** ** *1") || text.contains("+33 6 ** ** *"), "{text}");
            assert!(!text.contains(NUMBER) && !text.contains("Your visits") && text.contains("offers by SMS"), "{text}");
        }
        for closed in ["export", "erase"] {
            assert_eq!(hub.post(&format!("/m/{token}/{closed}"), "sure=yes").await.0, 403, "{closed}");
        }
        let (status, path, text) = hub.post(&format!("/m/{token}/withdraw"), WITHDRAW_SMS).await;
        assert_eq!((status, path), (200, format!("/m/{token}")));
        assert!(text.contains("refused since"), "{text}");
        assert_eq!(hub.count("SELECT COUNT(*) FROM consent_now WHERE purpose = 'sms' AND granted = 0 AND source = 'page'").await, 1);
        assert_eq!(hub.count("SELECT COUNT(*) FROM message WHERE state = 'suppressed' AND reason = 'no-sms'").await, 1);

        let (status, whole, text) = hub.post(&format!("/m/{token}/prove"), "number=L-1").await;
        assert_eq!(status, 200);
        assert!(whole != format!("/m/{token}") && text.contains("Your visits"), "{text}");
        let (status, _, file) = hub.post(&format!("{whole}/export"), "").await;
        let file: Value = serde_json::from_str(&file).unwrap();
        assert_eq!((status, file["member"].as_str()), (200, Some(hub.ana.code().as_str())));
        let (status, text) = hub.get(&format!("{whole}/erase")).await;
        assert!(status == 200 && text.contains("cannot be undone"));
        assert_eq!(hub.post(&format!("{whole}/erase"), "").await.0, 200);
        assert_eq!(hub.count("SELECT COUNT(*) FROM member").await, 2, "without the second step nothing is erased");
        let (status, _, text) = hub.post(&format!("{whole}/erase"), "sure=yes").await;
        assert!(status == 200 && text.contains("erased_at"), "{text}");
        assert_eq!(hub.count("SELECT COUNT(*) FROM member").await, 1);
        assert_eq!((hub.get(&whole).await.0, hub.get(&format!("/m/{token}")).await.0), (404, 404));
        let looks = passage_hub::store::audit::list(&db, friday(12, 0), friday(13, 0)).await.unwrap();
        let count = |what: &str| {
            looks.iter().filter(|(_, who, with, whom)| (who.as_str(), with.as_str(), *whom) == ("member", what, hub.ana)).count()
        };
        assert_eq!(["page", "page export", "page erase"].map(count), [4, 1, 1], "{looks:?}");
        hub.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_link_from_before_she_turned_out_to_be_another_record_too_withdraws_for_all_of_her() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let token = hub.link("AbCdEf12", friday(23, 0)).await;
        // The shop on the web had known her for longer, under a number of its own and the same address.
        let web = "crm_id,context,email,brand,entity,presence,match,sms\n\
                   W-9,web,ana.martin@example.fr,maison,maison-sas,yes,yes,yes\n";
        let report = import_crm(&db, &keyring(), &config(site()), web.as_bytes(), friday(8, 0)).await.unwrap();
        assert_eq!((report.stored, report.conflicts), (1, 0), "{report}");
        let person = graph::standing_for(&mut db.begin_read().await.unwrap(), hub.ana).await.unwrap();
        assert_ne!(person, hub.ana, "the older record stands for both");
        assert_eq!(hub.post(&format!("/m/{token}/withdraw"), WITHDRAW_SMS).await.0, 200);
        let granted =
            "SELECT granted FROM consent_now WHERE purpose = 'sms' AND brand = 'maison' AND entity = 'maison-sas' AND member = $1";
        assert_eq!(db.fetch(granted, args![person.0]).await.unwrap()[0].int(0).unwrap(), 0);
        assert_eq!(hub.count("SELECT COUNT(*) FROM message WHERE state = 'suppressed' AND reason = 'no-sms'").await, 1);
        hub.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn wrong_old_forged_and_foreign_calls_open_nothing() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let token = hub.link("AbCdEf12", friday(13, 0)).await;
        let other = page::token(&Keyring::from_secret(&[8; 32]), "AbCdEf12", &hub.bound());
        for wrong in [other.as_str(), "AbCdEf12AbCdEf12", "x", "AbCdEf99AbCdEf12", "..%2f..%2fetc", &token[..15]] {
            assert_eq!(hub.get(&format!("/m/{wrong}")).await.0, 404, "{wrong}");
        }
        // A form that another site sent.
        let request = hub.web.post(format!("{}/m/{token}/withdraw", hub.url)).header("sec-fetch-site", "cross-site");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(WITHDRAW_SMS);
        assert_eq!(request.send().await.unwrap().status(), 403);
        assert_eq!(hub.count("SELECT COUNT(*) FROM consent_now WHERE granted = 0").await, 0);
        // Somebody else's card is no proof, and five wrong numbers end the link.
        for number in ["L-2", "C-2", "06 39 98 00 01", "L-3", "L-4"] {
            assert_eq!(hub.post(&format!("/m/{token}/prove"), &format!("number={number}")).await.0, 403, "{number}");
        }
        assert_eq!(hub.post(&format!("/m/{token}/prove"), "number=L-1").await.0, 404);
        let token = hub.link("ZbCdEf12", friday(13, 0)).await;
        hub.clock.set(friday(13, 0));
        assert_eq!(hub.get(&format!("/m/{token}")).await.0, 404, "it has expired");
        hub.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn the_app_gets_a_link_to_the_whole_page() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let ask = |id: &str| hub.web.post(format!("{}/v1/app/installations/{id}/page", hub.url)).bearer_auth("app-token").send();
        let answer: Value = serde_json::from_str(&ask(&format!("i-{:032}", 0)).await.unwrap().text().await.unwrap()).unwrap();
        let path = answer["url"].as_str().unwrap().strip_prefix("https://hub.example.fr").unwrap().to_owned();
        let (status, text) = hub.get(&path).await;
        assert!(status == 200 && text.contains("Your visits") && text.contains("Download"), "{text}");
        assert!(!text.contains(NUMBER), "the number is masked on every page");
        assert_eq!(ask("i-nobody").await.unwrap().status(), 404);
        hub.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn images_and_card_numbers_are_refused_at_every_door_and_counted() {
    both(async |db| {
        let hub = Hub::start(&db).await;
        let picture: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let send = async |kind: &'static str, body: Vec<u8>| {
            let request =
                hub.web.post(format!("{}/v1/touchpoints", hub.url)).bearer_auth("app-token").header("content-type", kind).body(body);
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let (status, text) = send("image/png", picture.to_vec()).await;
        assert!(status == 415 && text.contains("\"image\""), "{text}");
        assert_eq!(send("application/json", picture.to_vec()).await.0, 415, "also when it says that it is something else");
        let row = |field: &str, value: &str| {
            serde_json::json!([{ "key": "k", "at": "2026-11-20T10:12:00+01:00", "kind": "click", "identifier_kind": "email",
                                 "identifier": "eva@example.fr", field: value }])
        };
        let face = format!("data:image/jpeg;base64,/9j/{}", "A".repeat(40));
        for (field, value, code) in
            [("sku", "4111 1111 1111 1111", "payment card"), ("campaign", face.as_str(), "image"), ("key", face.as_str(), "image")]
        {
            let (status, text) = send("application/json", row(field, value).to_string().into_bytes()).await;
            assert!(status == 200 && text.contains("\"refused\":1") && text.contains(code), "{text}");
            assert!(!text.contains("4111") && !text.contains("/9j/"), "a refusal does not repeat the value: {text}");
        }
        let file = format!(
            "at,kind,identifier_kind,identifier,key,sku,campaign\n\
             2026-11-18T10:12:00+01:00,click,email,eva@example.fr,a,4111111111111111,\n\
             2026-11-18T10:12:00+01:00,click,email,eva@example.fr,b,,\"{face}\"\n\
             2026-11-18T10:12:00+01:00,click,email,eva@example.fr,c,4006381333931,winter\n"
        );
        let config = config(site());
        let keyring = keyring();
        let report = passage_hub::touchpoint::import::import_touchpoints(&db, &keyring, &config, "csv", file.as_bytes(), friday(12, 0));
        let report = report.await.unwrap();
        assert_eq!((report.stored, report.refused), (1, 2), "{report}");
        assert_eq!((report.unfit["payment-card"], report.unfit["image"]), (1, 1), "{report}");
        hub.stop.cancel();
    })
    .await;
}
