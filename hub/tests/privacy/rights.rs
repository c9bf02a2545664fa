//! What a member may ask for: an access file that forgets no table, an erasure that leaves no byte, a restriction that is kept, and keys that change
//! under load.

use std::{collections::BTreeSet, path::Path};

use passage_hub::{
    args,
    identity::{
        IdentifierKind, Keyring, MemberId, Purpose,
        consent::{APP, PAGE, STOP, Statement},
        import::import_crm,
    },
    privacy::{
        erase::{DOMAIN, erase, restrict},
        export::access,
        inventory::{HELD, OTHER},
    },
    store::{
        Db,
        people::{self, consent, graph, installation, ledger},
        sealed, touchpoint,
    },
    touchpoint::import::import_touchpoints,
};
use passage_protocol::{
    ChainKey, Millis,
    sign::{Pinned, Signing},
};

use crate::{
    shop::{config, friday, site},
    support::{Fresh, both, both_fresh},
};

pub const NUMBER: &str = "+33639980001";
const MAIL: &str = "ana.martin@example.fr";
const CRM: &str = "crm_id,email,phone,loyalty_card,brand,entity,presence,match,sms\n\
                   C-1,ana.martin@example.fr,06 39 98 00 01,L-1,maison,maison-sas,yes,yes,2026-05-31\n\
                   C-2,eva@example.fr,06 39 98 00 02,L-2,maison,maison-sas,yes,yes,yes\n";

pub fn keyring() -> Keyring {
    Keyring::from_secret(&[7; 32])
}

async fn import(db: &Db, keyring: &Keyring, file: &str) -> passage_hub::touchpoint::table::ImportReport {
    import_crm(db, keyring, &config(site()), file.as_bytes(), friday(9, 0)).await.unwrap()
}

pub async fn member(db: &Db, keyring: &Keyring, crm_id: &str) -> Option<MemberId> {
    let key = keyring.identifier(IdentifierKind::CrmId, crm_id);
    graph::holder(&mut db.begin_read().await.unwrap(), IdentifierKind::CrmId, &key).await.unwrap()
}

/// The id of a row of the first or second member, in the form that its table has.
pub fn name_of(what: &str, n: usize) -> String {
    let first = match what {
        "visit" => 0x10_u128,
        "decision" => 0x20,
        "message" => 0x30,
        _ => return format!("{what}-{n}"),
    };
    uuid::Uuid::from_u128(first + n as u128).to_string()
}

/// Two members who live: a phone, an event, a visit, a decision, an SMS with its part and an answer, touchpoints, tickets.
pub async fn live(db: &Db, keyring: &Keyring) -> (MemberId, MemberId) {
    import(db, keyring, CRM).await;
    let touches = format!("at,kind,identifier_kind,identifier,key\n2026-11-18T10:12:00+01:00,click,email,{MAIL},1\n");
    import_touchpoints(db, keyring, &config(site()), "csv", touches.as_bytes(), friday(9, 0)).await.unwrap();
    let (ana, eva) = (member(db, keyring, "C-1").await.unwrap(), member(db, keyring, "C-2").await.unwrap());
    for (n, who) in [ana, eva].into_iter().enumerate() {
        let name = |what: &str| name_of(what, n);
        let number = keyring.identifier(IdentifierKind::Phone, if n == 0 { NUMBER } else { "+33639980002" });
        let card = keyring.identifier(IdentifierKind::LoyaltyCard, if n == 0 { "L1" } else { "L2" });
        let sealed = keyring.seal_number(who, NUMBER);
        let rows = [
            (
                "INSERT INTO event (id, gateway, epoch, seq, store, zone, subject_kind, signal, phase, at, at_corrected, first_at, last_at, strength, \
                 initial, late, received_at, member) VALUES ($1, 'g', 'e', 1, 's', 'in', 'rid', 'beacon', 'enter', $2, $2, $2, $2, '{}', 0, 0, $2, $3)",
                args![name("event"), friday(10, 0), who.0],
            ),
            (
                "INSERT INTO visit (id, member, store, start_at, end_at, dwell_ms, label, is_open, seen_from, seen_to, state, updated_at) \
                 VALUES ($1, $3, 'lyon', $2, $2, 0, 'qualified', 0, $2, $2, '{}', $2)",
                args![name("visit"), friday(10, 0), who.0],
            ),
            (
                "INSERT INTO decision (id, member, brand, entity, offer, store, trigger_kind, at, result, reasons, config_revision) \
                 VALUES ($1, $3, 'maison', 'maison-sas', 'o', 'lyon', 'enter', $2, 'send', '[]', '')",
                args![name("decision"), friday(10, 0), who.0],
            ),
            (
                "INSERT INTO message (id, send_key, decision, member, brand, entity, offer, store, destination, sealed, text, sender, parts, \
                 encoding, trigger_at, deadline, validity_ms, state, planned_at) VALUES ($1, $2, $7, $4, 'maison', 'maison-sas', 'o', 'lyon', $5, $6, \
                 't', 's', 1, 'gsm', $3, $3, 0, 'planned', $3)",
                args![name("message"), name("key").into_bytes(), friday(10, 0), who.0, &number.0, sealed, name("decision")],
            ),
            ("INSERT INTO message_part (message, number, smsc_id, at) VALUES ($1, 1, 'x', $2)", args![name("message"), friday(10, 0)]),
            (
                "INSERT INTO inbound (id, destination, number, verb, at) VALUES ($1, $2, '36111', 'other', $3)",
                args![name("in"), &number.0, friday(10, 0)],
            ),
            (
                "INSERT INTO purchase (store, ticket, at, identifier_kind, identifier, received_at) VALUES ('s', $1, $2, 'loyalty_card', $3, $2)",
                args![name("ticket"), friday(11, 0), &card.0],
            ),
            ("INSERT INTO purchase_line (store, ticket, line, sku, cents) VALUES ('s', $1, 1, 'coat', 100)", args![name("ticket")]),
            (
                "INSERT INTO member_page (id, member, brand, entity, origin, made_at, expires_at) VALUES ($1, $2, 'maison', 'maison-sas', 'sms', 1, 2)",
                args![name("page"), who.0],
            ),
        ];
        for (sql, values) in rows {
            db.execute(sql, values).await.unwrap();
        }
        let id = format!("i-{n:032}").parse().unwrap();
        let phone = installation::Installation {
            id,
            member: who,
            brand: "maison".into(),
            entity: "maison-sas".into(),
            deleted_at: None,
            denied_until: None,
            secret: None,
        };
        let mut tx = db.begin().await.unwrap();
        installation::insert(&mut tx, keyring, &phone, &ChainKey { day: 20_777, key: [n as u8; 32] }, friday(9, 0)).await.unwrap();
        tx.commit().await.unwrap();
    }
    (ana, eva)
}

async fn rows(db: &Db, who: MemberId) -> Vec<(&'static str, usize)> {
    let mut tx = db.begin_read().await.unwrap();
    let mut all = Vec::new();
    for holding in HELD {
        let n = tx.fetch(holding.find, args![who.0]).await.unwrap().len();
        if n > 0 {
            all.push((holding.table, n));
        }
    }
    all
}

#[tokio::test]
async fn every_table_says_whether_it_holds_something_about_a_member() {
    both_fresh(async |fresh: &Fresh| {
        let sql = if fresh.is_postgres() {
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'public'"
        } else {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        };
        let there: BTreeSet<String> = fresh.db.fetch(sql, args![]).await.unwrap().iter().map(|row| row.text(0).unwrap()).collect();
        let listed: BTreeSet<String> = HELD.iter().map(|h| h.table).chain(OTHER.iter().map(|(t, _)| *t)).map(str::to_owned).collect();
        assert_eq!(
            there, listed,
            "hub/src/privacy/inventory.rs lists the tables of the database, those about members in HELD, all others in OTHER"
        );
    })
    .await;
}

#[tokio::test]
async fn the_access_file_holds_every_row_about_her_and_none_about_others() {
    both(async |db| {
        let (ana, eva) = live(&db, &keyring()).await;
        let found = access(&db, &keyring(), ana, "FR", friday(12, 0)).await.unwrap().unwrap();
        let json = found.json();
        assert_eq!(json["number"], NUMBER);
        for table in ["event", "visit", "decision", "message", "message_part", "inbound", "touchpoint", "purchase", "purchase_line", "link"]
        {
            let held = json["tables"][table]["rows"].as_array().unwrap();
            assert!(!held.is_empty(), "{table}");
            let text = serde_json::to_string(held).unwrap();
            assert!(!text.contains(&name_of(table, 1)) && !text.contains("ticket-1"), "{table} shows somebody else's row: {text}");
        }
        assert_eq!(json["tables"]["ledger_entry"]["rows"].as_array().unwrap().len(), 3);
        assert_eq!(json["proof_of_consent"]["entries"][0]["said"]["source"], "crm");
        assert!(!json.to_string().contains(&eva.code()) && !json.to_string().contains(&eva.0.to_string()));
        let folder = tempfile::tempdir().unwrap();
        found.write(&folder.path().join("ana")).unwrap();
        let csv = std::fs::read_to_string(folder.path().join("ana/purchase_line.csv")).unwrap();
        assert_eq!(csv, "store,ticket,line,sku,cents\ns,ticket-0,1,coat,100\n");
        assert!(access(&db, &keyring(), MemberId(1), "FR", friday(12, 0)).await.unwrap().is_none());
    })
    .await;
}

/// Every byte that the database has on the disk.
fn holds(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if std::fs::read(&path).unwrap().windows(needle.len()).any(|w| w == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// The tables, indexes and new segments of the WAL of a PostgreSQL database that hold some bytes; `None` if this user may not look into its files.
async fn held_by_server(db: &Db, since: &str, needle: &[u8]) -> Option<Vec<String>> {
    let may = db
        .fetch("SELECT CASE WHEN rolsuper THEN CAST(1 AS BIGINT) ELSE 0 END FROM pg_roles WHERE rolname = current_user", args![])
        .await
        .unwrap();
    if may[0].int(0).unwrap() == 0 {
        return None;
    }
    db.execute("CHECKPOINT", args![]).await.unwrap();
    let sql = "SELECT c.relname::text FROM pg_class c WHERE c.relkind IN ('r', 'i', 't') AND pg_relation_filepath(c.oid) IS NOT NULL \
               AND position($1::bytea IN pg_read_binary_file(pg_relation_filepath(c.oid), 0, 1000000000, true)) > 0 \
               UNION ALL SELECT 'WAL ' || w.name FROM pg_ls_waldir() w \
               WHERE w.name >= $2 AND w.name <= pg_walfile_name(pg_current_wal_lsn()) AND length(w.name) = 24 \
               AND position($1::bytea IN pg_read_binary_file('pg_wal/' || w.name, 0, 1000000000, true)) > 0";
    let found = db.fetch(sql, args![needle, since]).await.unwrap();
    Some(found.iter().map(|row| row.text(0).unwrap()).collect())
}

#[tokio::test]
async fn an_erasure_leaves_no_row_and_no_byte_and_nothing_brings_her_back() {
    both_fresh(async |fresh: &Fresh| {
        let db = &fresh.db;
        let wal = if fresh.is_postgres() {
            db.fetch("SELECT pg_walfile_name(pg_current_wal_lsn())", args![]).await.unwrap()[0].text(0).unwrap()
        } else {
            String::new()
        };
        let (ana, eva) = live(db, &keyring()).await;
        let (others, signing) = (rows(db, eva).await, Signing::from_bytes(&[9; 32]));
        let key = keyring().identifier(IdentifierKind::Phone, NUMBER);
        let mail = keyring().identifier(IdentifierKind::Email, MAIL);
        let sealed: Vec<u8> = db.fetch("SELECT sealed FROM destination WHERE member = $1", args![ana.0]).await.unwrap()[0].blob(0).unwrap();

        let signed = erase(db, &signing, ana, friday(13, 0)).await.unwrap().unwrap();
        let public = signing.public();
        let pinned = Pinned::from_base64([public.as_str()]).unwrap();
        pinned.verify(DOMAIN, signed.receipt.as_bytes(), &signed.key_id, &signed.signature).unwrap();
        assert!(!signed.receipt.contains(&ana.code()) && signed.receipt.contains("\"visit\":1"), "{}", signed.receipt);
        assert_eq!(rows(db, ana).await, []);
        assert_eq!(rows(db, eva).await, others);
        assert!(ledger::verify(&mut db.begin_read().await.unwrap()).await.unwrap().iter().all(|v| v.broken.is_empty() && v.erased == 3));
        // The till keeps its sums, the STOP list the keyed hash.
        let sums = db.fetch("SELECT COUNT(*), SUM(cents) FROM purchase_line", args![]).await.unwrap()[0].int(0).unwrap();
        assert_eq!(sums, 2);
        let kept = db.fetch("SELECT reason FROM suppression WHERE destination = $1", args![&key.0]).await.unwrap();
        assert_eq!(kept[0].text(0).unwrap(), "erased");

        // Gateways go on refusing her phone; last night's file does not bring her back, a later consent does.
        let denied = installation::denied(&mut db.begin_read().await.unwrap(), friday(9, 0), friday(13, 0)).await.unwrap();
        assert_eq!(denied.len(), 1);
        let again = import(db, &keyring(), CRM).await;
        assert_eq!((again.not_kept, member(db, &keyring(), "C-1").await), (1, None));
        assert!(erase(db, &signing, ana, friday(13, 0)).await.unwrap().is_none());

        if !fresh.is_postgres() {
            let folder = Path::new(fresh.url.strip_prefix("sqlite:").unwrap()).parent().unwrap();
            for (what, needle) in
                [("number", NUMBER.as_bytes()), ("e-mail", MAIL.as_bytes()), ("sealed number", &sealed), ("keyed e-mail", &mail.0)]
            {
                assert_eq!(holds(folder, needle), [""; 0], "{what}");
            }
        } else if let Some(sealed) = held_by_server(db, &wal, &sealed).await {
            // What was written before stays in the WAL and in dead rows for a while, sealed; in clear it never was there. (A page of the WAL may end
            // in the middle of it.)
            assert!(!sealed.is_empty(), "the search finds what there is");
            for (what, needle) in [("number", NUMBER.as_bytes()), ("e-mail", MAIL.as_bytes())] {
                assert_eq!(held_by_server(db, &wal, needle).await.unwrap(), [""; 0], "{what}");
            }
        }
        let later = "crm_id,brand,entity,presence\nC-1,maison,maison-sas,2027-01-05\n";
        import_crm(db, &keyring(), &config(site()), later.as_bytes(), friday(9, 0) + std::time::Duration::from_secs(90 * 86_400))
            .await
            .unwrap();
        assert!(member(db, &keyring(), "C-1").await.is_some());
    })
    .await;
}

#[tokio::test]
async fn restricted_data_is_kept_and_not_used_until_the_restriction_is_lifted() {
    both(async |db| {
        let (ana, _) = live(&db, &keyring()).await;
        let before = rows(&db, ana).await;
        let may = async || {
            let mut tx = db.begin_read().await.unwrap();
            let profile = people::profile(&mut tx, ana, "maison", "maison-sas").await.unwrap().unwrap();
            let changed = people::changed_since(&mut tx, &keyring(), 0).await.unwrap();
            (profile.consents.allow(Purpose::Sms), changed.presence.iter().any(|(member, _, _)| *member == ana))
        };
        assert_eq!(may().await, (true, true));
        assert!(restrict(&db, ana, Some("disputes her visits"), friday(12, 0)).await.unwrap());
        assert_eq!(may().await, (false, false));
        let planned = db.fetch("SELECT state, reason FROM message WHERE member = $1", args![ana.0]).await.unwrap();
        assert_eq!((planned[0].text(0).unwrap().as_str(), planned[0].text(1).unwrap().as_str()), ("suppressed", "restricted"));
        let after: Vec<_> = rows(&db, ana).await.into_iter().filter(|(table, _)| *table != "restriction").collect();
        assert_eq!(after, before);
        assert!(restrict(&db, ana, None, friday(12, 0)).await.unwrap());
        assert_eq!(may().await, (true, true));
        assert!(!restrict(&db, MemberId(1), Some("x"), friday(12, 0)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn keys_are_rotated_while_hubs_write_and_read() {
    both(async |db| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.key");
        let (one, other) = (Keyring::load_or_create(&file).unwrap(), Keyring::load_or_create(&file).unwrap());
        let (ana, _) = live(&db, &one).await;
        let old = one.seal_keys()[0].id;
        let many: Vec<String> =
            (10..900).map(|n| format!("D-{n},06 39 98 {:02} {:02},maison,maison-sas,yes,yes\n", n / 100, n % 100)).collect();
        let many = format!("crm_id,phone,brand,entity,presence,sms\n{}", many.concat());
        let write = async { import(&db, &other, &many).await };
        let rotate = async {
            one.add_key().unwrap();
            one.activate_newest(1).unwrap();
            sealed::rotate(&db, &one).await.unwrap()
        };
        let (written, rotated) = futures::join!(write, rotate);
        assert_eq!((written.stored, rotated.iter().map(|r| r.unreadable).sum::<u64>()), (890, 0));
        // The other process still sealed with the key that it knew; a second round finds what came in meanwhile.
        other.reload().unwrap();
        sealed::rotate(&db, &one).await.unwrap();
        assert!(sealed::count(&db).await.unwrap().iter().all(|(_, id, _)| *id != old));
        one.retire_key(old).unwrap();
        other.reload().unwrap();
        let found = access(&db, &other, ana, "FR", friday(12, 0)).await.unwrap().unwrap();
        assert_eq!(found.number.unwrap().expose(), NUMBER);
        let all = db.fetch("SELECT member, sealed FROM destination", args![]).await.unwrap();
        assert_eq!(all.len(), 892);
        assert!(all.iter().all(|row| other.open_number(MemberId(row.int(0).unwrap()), &row.blob(1).unwrap()).is_ok()));
        assert_eq!(people::changed_since(&mut db.begin_read().await.unwrap(), &other, 0).await.unwrap().installations.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_stop_holds_until_a_later_consent_that_can_be_shown() {
    both(async |db| {
        import(&db, &keyring(), CRM).await;
        let who = [member(&db, &keyring(), "C-1").await.unwrap(), member(&db, &keyring(), "C-2").await.unwrap()];
        let say = async |member, source, granted, now| {
            let mut tx = db.begin().await.unwrap();
            people::changes(&mut tx).await.unwrap();
            let mut standing = consent::standing(&mut tx, member).await.unwrap();
            let by = consent::Parties { member, brand: "maison", entity: "maison-sas", source };
            consent::say(&mut tx, by, &Statement::new(Purpose::Sms, granted, "text"), now, &mut standing).await.unwrap();
            tx.commit().await.unwrap();
        };
        for (who, number) in who.iter().zip([NUMBER, "+33639980002"]) {
            let key = keyring().identifier(IdentifierKind::Phone, number);
            let mut tx = db.begin().await.unwrap();
            assert!(people::suppress(&mut tx, "maison", "maison-sas", &key, friday(10, 0), "stop").await.unwrap());
            tx.commit().await.unwrap();
            say(*who, STOP, false, friday(10, 0)).await;
        }
        let stopped = async || db.fetch("SELECT COUNT(*) FROM suppression", args![]).await.unwrap()[0].int(0).unwrap();
        let file = async |when: &str, now| {
            let file = format!(
                "crm_id,phone,brand,entity,sms\nC-1,06 39 98 00 01,maison,maison-sas,{when}\nC-2,06 39 98 00 02,maison,maison-sas,yes\n"
            );
            import_crm(&db, &keyring(), &config(site()), file.as_bytes(), now).await.unwrap();
        };
        file("2026-05-31", friday(11, 0)).await;
        assert_eq!(stopped().await, 2, "last night's file knows of no STOP");
        file("yes", friday(11, 30)).await;
        assert_eq!(stopped().await, 2, "a yes without a date proves nothing");
        // She asks for offers again, in the app; her number comes with the next file.
        say(who[1], APP, true, friday(12, 0)).await;
        assert_eq!(stopped().await, 2);
        file("yes", friday(12, 30)).await;
        assert_eq!(stopped().await, 1);
        // The other one signs at the till on Saturday.
        file("2026-11-21", friday(12, 0) + std::time::Duration::from_secs(2 * 86_400)).await;
        assert_eq!(stopped().await, 0);
        for member in who {
            let profile = people::profile(&mut db.begin_read().await.unwrap(), member, "maison", "maison-sas").await.unwrap().unwrap();
            assert!(profile.destination.is_some() && !profile.suppressed && profile.consents.allow(Purpose::Sms));
        }
    })
    .await;
}

#[tokio::test]
async fn each_withdrawal_ends_what_it_permitted_in_the_transaction_that_records_it() {
    both(async |db| {
        let (ana, eva) = live(&db, &keyring()).await;
        let ads = "crm_id,email,phone,brand,entity,ads\nC-1,ana.martin@example.fr,06 39 98 00 01,maison,maison-sas,yes\n\
                   C-2,eva@example.fr,06 39 98 00 02,maison,maison-sas,yes\n";
        import(&db, &keyring(), ads).await;
        let count = async |sql: &'static str, who: MemberId| db.fetch(sql, args![who.0]).await.unwrap()[0].int(0).unwrap();
        let touches = async |who| touchpoint::of_member(&mut db.begin_read().await.unwrap(), who, Millis(0)).await.unwrap().len();
        assert_eq!(touches(ana).await, 1);
        for (purpose, permitted) in [
            (Purpose::Ads, "SELECT COUNT(*) FROM ad_key WHERE member = $1"),
            (
                Purpose::Match,
                "SELECT COUNT(*) FROM identifier WHERE member = $1 AND kind IN ('email', 'phone', 'email_sha256', 'phone_sha256')",
            ),
            (Purpose::Presence, "SELECT COUNT(*) FROM installation WHERE member = $1 AND deleted_at IS NULL"),
            (Purpose::Sms, "SELECT COUNT(*) FROM destination WHERE member = $1"),
        ] {
            assert!(count(permitted, ana).await > 0, "{purpose:?}");
            let mut tx = db.begin().await.unwrap();
            people::changes(&mut tx).await.unwrap();
            let mut standing = consent::standing(&mut tx, ana).await.unwrap();
            let by = consent::Parties { member: ana, brand: "maison", entity: "maison-sas", source: PAGE };
            consent::say(&mut tx, by, &Statement::new(purpose, false, "text"), friday(12, 0), &mut standing).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(count(permitted, ana).await, 0, "{purpose:?}");
            assert!(count(permitted, eva).await > 0, "{purpose:?}: hers alone");
        }
        assert_eq!(touches(ana).await, 0, "what she did online is joined with nothing");
        let kept = "SELECT COUNT(*) FROM identifier WHERE member = $1 AND kind IN ('crm_id', 'loyalty_card')";
        assert_eq!(count(kept, ana).await, 2, "customer number and card stand for the contract");
        let denied = installation::denied(&mut db.begin_read().await.unwrap(), friday(9, 0), friday(12, 0)).await.unwrap();
        assert_eq!(denied.len(), 1, "gateways refuse her phone");
        let planned = db.fetch("SELECT reason FROM message WHERE member = $1", args![ana.0]).await.unwrap();
        assert_eq!(planned[0].opt_text(0).unwrap().as_deref(), Some("no-presence"));
        let planned = db.fetch("SELECT state FROM message WHERE member = $1", args![eva.0]).await.unwrap();
        assert_eq!(planned[0].text(0).unwrap(), "planned");
    })
    .await;
}
