//! Members and their consents, from CRM files.

use passage_hub::{
    args,
    identity::{IdentifierKind, Purpose},
    store::people,
};
use passage_protocol::{Denied, Subject};
use serde_json::json;

use crate::{
    hub::{HEADER, Hub, crm_line},
    shop::friday,
    support::{both, both_fresh},
};

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
