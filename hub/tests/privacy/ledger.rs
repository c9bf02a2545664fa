//! The record of consents: whoever states a consent, it is chained; a change of the past is named, and an erasure breaks nothing.

use passage_hub::{
    args,
    identity::{
        IdentifierKind, Keyring, MemberId, Purpose,
        consent::{APP, Proof, Statement},
        import::import_crm,
    },
    notice::Notices,
    sms::{inbound, msisdn::Msisdn, provider::Reply},
    store::{
        Db,
        people::{
            self,
            consent::{self, Parties},
            graph, ledger,
        },
    },
};
use passage_protocol::Millis;

use crate::{
    shop::{config, friday, site},
    support::{both, both_fresh},
};

const NOW: Millis = Millis(1_795_167_000_000);
const CRM: &str = "crm_id,phone,brand,entity,presence,match,sms\n\
                   C-1,06 39 98 00 01,maison,maison-sas,yes,yes,2026-05-31\n\
                   C-2,06 39 98 00 02,maison,maison-sas,yes,no,yes\n";

fn keyring() -> Keyring {
    Keyring::from_secret(&[7; 32])
}

async fn import(db: &Db, file: &str) {
    import_crm(db, &keyring(), &config(site()), file.as_bytes(), friday(9, 0)).await.unwrap();
}

async fn member(db: &Db, crm_id: &str) -> MemberId {
    let key = keyring().identifier(IdentifierKind::CrmId, crm_id);
    graph::holder(&mut db.begin_read().await.unwrap(), IdentifierKind::CrmId, &key).await.unwrap().unwrap()
}

async fn say(db: &Db, member: MemberId, entity: &str, said: &Statement, now: Millis) {
    let mut tx = db.begin().await.unwrap();
    people::changes(&mut tx).await.unwrap();
    let mut standing = consent::standing(&mut tx, member).await.unwrap();
    consent::say(&mut tx, Parties { member, brand: "maison", entity, source: APP }, said, now, &mut standing).await.unwrap();
    tx.commit().await.unwrap();
}

async fn verify(db: &Db) -> Vec<ledger::Verified> {
    ledger::verify(&mut db.begin_read().await.unwrap()).await.unwrap()
}

async fn broken(db: &Db) -> Vec<(i64, String)> {
    verify(db).await.into_iter().flat_map(|v| v.broken).map(|b| (b.entry.number, b.why)).collect()
}

#[tokio::test]
async fn files_the_app_and_stop_write_one_chain_with_their_proof() {
    both(async |db| {
        import(&db, CRM).await;
        let ana = member(&db, "C-1").await;
        let proof =
            Proof { wording_id: "app-ads".to_owned(), wording_version: "3".to_owned(), language: "fr".to_owned(), ..Proof::default() };
        let said = Statement { proof, ..Statement::new(Purpose::Ads, true, "May we show you ads elsewhere?") };
        say(&db, ana, "maison-sas", &said, friday(10, 0)).await;
        let from = Msisdn::parse("+33639980001", "FR").unwrap();
        let reply = Reply { from: from.clone(), to: "36111".to_owned(), text: "STOP".to_owned() };
        inbound::handle(&db, &keyring(), &config(site()), &reply, friday(11, 0), &Notices::default()).await.unwrap();

        let found = verify(&db).await;
        assert_eq!((found.len(), found[0].head.length, found[0].erased, found[0].broken.len()), (1, 7, 0, 0));
        let shown = ledger::of_member(&mut db.begin_read().await.unwrap(), ana).await.unwrap();
        let told: Vec<_> = shown.iter().map(|s| (s.entry.public.purpose.as_str(), s.entry.public.granted)).collect();
        assert_eq!(told, [("presence", true), ("match", true), ("sms", true), ("ads", true), ("sms", false)]);
        let content = |i: usize| serde_json::from_str::<serde_json::Value>(shown[i].entry.content.as_deref().unwrap()).unwrap();
        let (sms, ads, stop) = (content(2), content(3), content(4));
        assert_eq!(
            (sms["at"].as_str(), sms["source"].as_str(), sms["method"].as_str()),
            (Some("2026-05-31T00:00:00.000Z"), Some("crm"), Some("file"))
        );
        assert_eq!(
            (ads["wording_id"].as_str(), ads["wording_version"].as_str(), ads["language"].as_str()),
            (Some("app-ads"), Some("3"), Some("fr"))
        );
        assert_eq!(shown[3].wording.as_deref(), Some("May we show you ads elsewhere?"));
        assert_eq!(
            (stop["source"].as_str(), stop["method"].as_str(), stop["device"].as_str()),
            (Some("stop"), Some("reply"), Some("36111"))
        );
        assert_eq!(stop["evidence"].as_str().unwrap().len(), 64);
        // Her number went with the last brand that might write to it; the STOP list has its keyed hash.
        assert!(people::at_destination(&mut db.begin_read().await.unwrap(), &from.key(&keyring())).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_change_of_the_past_is_named_and_an_erasure_is_none() {
    both(async |db| {
        import(&db, CRM).await;
        let ana = member(&db, "C-1").await;
        let end = verify(&db).await[0].clone();
        let noted = format!("maison/maison-sas/{}/{}", end.head.length, hex::encode(end.head.hash));
        let mut tx = db.begin().await.unwrap();
        assert_eq!(ledger::forget(&mut tx, ana).await.unwrap(), 3);
        tx.commit().await.unwrap();
        let after = verify(&db).await[0].clone();
        assert_eq!((after.head, after.erased, after.broken.len()), (end.head, 3, 0));
        assert!(ledger::passes_through(&mut db.begin_read().await.unwrap(), &noted).await.unwrap());

        for (change, back, number, why) in [
            ("UPDATE ledger_entry SET granted = 0 WHERE number = 4", "UPDATE ledger_entry SET granted = 1 WHERE number = 4", 4, "columns"),
            (
                "UPDATE ledger_entry SET content = REPLACE(content, 'crm', 'app') WHERE number = 5",
                "UPDATE ledger_entry SET content = REPLACE(content, 'app', 'crm') WHERE number = 5",
                5,
                "content",
            ),
            (
                "UPDATE consent_now SET granted = 0 WHERE purpose = 'sms'",
                "UPDATE consent_now SET granted = 1 WHERE purpose = 'sms'",
                5,
                "opposite",
            ),
            ("UPDATE ledger_chain SET length = 9", "UPDATE ledger_chain SET length = 5", 5, "ends"),
        ] {
            db.execute(change, args![]).await.unwrap();
            let found = broken(&db).await;
            assert!(found.iter().any(|(n, w)| *n == number && w.contains(why)), "{change}: {found:?}");
            db.execute(back, args![]).await.unwrap();
            assert!(broken(&db).await.is_empty(), "{back}");
        }
        db.execute("DELETE FROM ledger_entry WHERE number = 3", args![]).await.unwrap();
        assert!(broken(&db).await.iter().any(|(n, w)| *n == 4 && w.contains("missing")));
    })
    .await;
}

#[tokio::test]
async fn hubs_that_write_at_the_same_time_write_one_chain_for_each_entity() {
    both_fresh(async |fresh| {
        import(&fresh.db, CRM).await;
        let (ana, eva) = (member(&fresh.db, "C-1").await, member(&fresh.db, "C-2").await);
        let other = Db::open(&fresh.url).await.unwrap();
        let turn = async |db: &Db, member: MemberId| {
            for n in 0..20 {
                let entity = if n % 3 == 0 { "maison-sas" } else { "other" };
                say(db, member, entity, &Statement::new(Purpose::Advice, n / 3 % 2 == 0, "?"), NOW + std::time::Duration::from_secs(n))
                    .await;
            }
        };
        futures::join!(turn(&fresh.db, ana), turn(&other, eva), turn(&other, ana));
        other.close().await;
        let found = verify(&fresh.db).await;
        assert_eq!(found.iter().map(|v| v.entity.as_str()).collect::<Vec<_>>(), ["maison-sas", "other"]);
        assert!(found.iter().all(|v| v.broken.is_empty() && v.head.length > 8), "{found:?}");
    })
    .await;
}

#[tokio::test]
async fn what_an_older_version_recorded_is_taken_into_the_ledger_once() {
    both(async |db| {
        import(&db, CRM).await;
        let ana = member(&db, "C-1").await;
        let old = "INSERT INTO consent (member, brand, entity, purpose, granted, at, source, wording) VALUES ($1, 'maison', 'maison-sas', $2, 1, $3, 'crm', 'old')";
        for (n, purpose) in ["advice", "trackers"].into_iter().enumerate() {
            db.execute(old, args![ana.0, purpose, n as i64]).await.unwrap();
        }
        assert_eq!(ledger::adopt(&db, NOW).await.unwrap(), 2);
        assert_eq!(ledger::adopt(&db, NOW).await.unwrap(), 0);
        assert_eq!(verify(&db).await[0].head.length, 7);
        assert!(broken(&db).await.is_empty());
    })
    .await;
}
