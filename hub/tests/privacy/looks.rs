//! Whoever looks at what is known of a member is on record, with the real commands; what cannot be recorded is not shown.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use passage_hub::{
    args,
    identity::{Keyring, MemberId, import::import_crm},
    store::{Db, audit},
};
use passage_protocol::Millis;

use crate::{
    rights::{NUMBER, member},
    shop::{config, friday, site},
    support::{Fresh, both_fresh},
};

const MAIL: &str = "ana.martin@example.fr";

/// A folder with the configuration of a hub on a database.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(database: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo").canonicalize().unwrap();
        let text = format!(
            "id = \"hub-1\"\ndatabase = \"{database}\"\nkey_file = \"hub.key\"\nsite = \"{}\"\napi = \"127.0.0.1:0\"\nconsole = \"127.0.0.1:0\"\n\
             clock = \"system\"\n[mqtt]\nhost = \"127.0.0.1\"\nport = 1\n",
            demo.display()
        );
        std::fs::write(folder.path().join("hub.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, asked: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passage-hub"));
        let output = command.arg("--config").arg(self.path("hub.toml")).args(asked).env("RUST_LOG", "trace").output().unwrap();
        let mut log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        std::io::Write::write_all(&mut log, &output.stderr).unwrap();
        output
    }

    fn says(&self, asked: &[&str]) -> String {
        let output = self.run(asked);
        assert!(output.status.success(), "{asked:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

async fn looks(db: &Db) -> Vec<(String, MemberId)> {
    let found = audit::list(db, Millis(0), Millis(i64::MAX)).await.unwrap();
    found.into_iter().map(|(_, _, action, subject)| (action, subject)).collect()
}

#[tokio::test]
async fn every_look_at_a_member_is_on_record_by_her_number_alone() {
    both_fresh(async |fresh: &Fresh| {
        let (db, place) = (&fresh.db, Place::new(&fresh.url));
        let keyring = Keyring::load_or_create(&place.path("hub.key")).unwrap();
        let crm = format!("crm_id,email,phone,brand,entity,match,sms\nC-1,{MAIL},06 39 98 00 01,maison,maison-sas,yes,yes\n");
        import_crm(db, &keyring, &config(site()), crm.as_bytes(), friday(9, 0)).await.unwrap();
        let ana = member(db, &keyring, "C-1").await.unwrap();
        let (code, key, out) = (ana.code(), format!("email:{MAIL}"), place.path("out").display().to_string());

        let refused = place.run(&["member", "show", "0000-0001"]);
        assert!(!refused.status.success() && looks(db).await.is_empty(), "there is nobody to look at");
        let asked: [&[&str]; 8] = [
            &["member", "show", &code],
            &["member", "export", &code, &out],
            &["why", &code],
            &["identity", "explain", &key],
            &["ledger", "proof", &code],
            &["member", "restrict", &code, "--reason", "disputes her visits"],
            &["member", "restrict", &code, "--lift"],
            &["member", "erase", &code, "--yes"],
        ];
        for asked in asked {
            place.says(asked);
        }
        let names =
            ["member show", "member export", "why", "identity explain", "ledger proof", "member restrict", "member restrict --lift"];
        let expected: Vec<(String, MemberId)> = names.into_iter().chain(["member erase"]).map(|name| (name.to_owned(), ana)).collect();
        let mut found = looks(db).await;
        // Two commands may fall into one millisecond.
        found.sort();
        let mut sorted = expected.clone();
        sorted.sort();
        assert_eq!(found, sorted, "the record outlives the erasure");

        let report = place.says(&["report", "audit"]);
        assert!(report.contains("os:") && report.contains("8 looks at members") && report.matches(&code).count() == 8, "{report}");
        let rows = db.fetch("SELECT actor, action FROM audit", args![]).await.unwrap();
        let all: String = rows.iter().map(|row| row.text(0).unwrap() + &row.text(1).unwrap()).collect();
        for value in [MAIL, NUMBER, "06 39 98 00 01", "39980001", "disputes"] {
            assert!(!all.contains(value) && !report.contains(value), "{value} stands in the record");
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_shown() {
    both_fresh(async |fresh: &Fresh| {
        let (db, place) = (&fresh.db, Place::new(&fresh.url));
        let keyring = Keyring::load_or_create(&place.path("hub.key")).unwrap();
        let crm = "crm_id,brand,entity,match\nC-1,maison,maison-sas,yes\n";
        import_crm(db, &keyring, &config(site()), crm.as_bytes(), friday(9, 0)).await.unwrap();
        let code = member(db, &keyring, "C-1").await.unwrap().code();
        db.execute("ALTER TABLE audit RENAME TO lost", args![]).await.unwrap();
        let asked: [&[&str]; 5] = [
            &["member", "show", &code],
            &["member", "export", &code, "out"],
            &["why", &code],
            &["identity", "explain", &code],
            &["member", "erase", &code, "--yes"],
        ];
        for asked in asked {
            let output = place.run(asked);
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(!output.status.success() && told.is_empty(), "{asked:?}: {told}");
        }
        db.execute("ALTER TABLE lost RENAME TO audit", args![]).await.unwrap();
        assert!(member(db, &keyring, "C-1").await.is_some());
    })
    .await;
}

/// A person of two records, as two systems know her: a shop on the web that was first, and the tills. Each has a number of its own.
const TWO: [&str; 2] = [
    "crm_id,context,email,phone,loyalty_card,brand,entity,presence,match,sms,ads\n\
     W-1,web,ana.martin@example.fr,06 39 98 00 01,L-1,maison-aubrac,maison-aubrac,yes,yes,yes,yes\n",
    "crm_id,context,email,phone,loyalty_card,brand,entity,presence,match,sms,ads,wording_id,wording_version,language,consent_source,\
     consent_method,operator,device\n\
     T-1,till,ana.till@example.fr,07 56 78 12 34,L-1,maison-aubrac,maison-aubrac,yes,yes,yes,yes,card-form,2026-05,fr,till,signature,seller-12,till-3\n",
];

impl Place {
    /// Imports both records with the real command, and returns the one that stands for the person and the other one.
    async fn import_two(&self, db: &Db) -> (MemberId, MemberId) {
        let outside = tempfile::tempdir().unwrap();
        for (n, file) in TWO.iter().enumerate() {
            let path = outside.path().join(format!("{n}.csv"));
            std::fs::write(&path, file).unwrap();
            self.says(&["import", path.to_str().unwrap(), "--rows", "members"]);
        }
        let rows = db.fetch("SELECT merged_into, id FROM member WHERE merged_into IS NOT NULL", args![]).await.unwrap();
        assert_eq!(rows.len(), 1, "one card, one person");
        (MemberId(rows[0].int(0).unwrap()), MemberId(rows[0].int(1).unwrap()))
    }
}

#[tokio::test]
async fn either_code_of_a_merged_member_shows_all_of_her_and_what_proves_her_consents() {
    both_fresh(async |fresh: &Fresh| {
        let (db, place) = (&fresh.db, Place::new(&fresh.url));
        let (survivor, alias) = place.import_two(db).await;
        let visit = "INSERT INTO visit (id, member, store, start_at, end_at, dwell_ms, label, is_open, seen_from, seen_to, state, updated_at) \
                     VALUES ('018f4e2a-7c11-7d3e-9a52-3b1f0c6d8e40', $1, 'lyon-bellecour', $2, $2, 0, 'qualified', 0, $2, $2, '{}', $2)";
        db.execute(visit, args![survivor.0, friday(10, 0)]).await.unwrap();
        for code in [survivor.code(), alias.code()] {
            let proof: serde_json::Value = serde_json::from_str(&place.says(&["ledger", "proof", &code])).unwrap();
            let entries = proof["entries"].as_array().unwrap();
            assert_eq!(entries.len(), 8, "four purposes from each system: {proof}");
            let told = entries.iter().find(|e| e["said"]["operator"] == "seller-12" && e["purpose"] == "sms").unwrap();
            for (field, value) in [
                ("wording_id", "card-form"),
                ("wording_version", "2026-05"),
                ("language", "fr"),
                ("collected", "till"),
                ("method", "signature"),
                ("device", "till-3"),
                ("source", "crm"),
            ] {
                assert_eq!(told["said"][field], value, "{told}");
            }
            assert_eq!(told["wording"], "card-form 2026-05 fr");
            assert!(entries.iter().any(|e| e["wording"] == "as recorded in the CRM" && e["said"]["method"] == "file"), "{proof}");
            let why = place.says(&["why", &code]);
            assert!(why.contains(&format!("Member {survivor}")) && why.contains("018f4e2a-7c11-7d3e-9a52-3b1f0c6d8e40"), "{why}");
        }
        assert!(looks(db).await.iter().all(|(_, subject)| *subject == survivor), "looks are at the person");
    })
    .await;
}

/// Every file under a folder that holds some bytes.
fn holding(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
        } else if std::fs::read(&path).unwrap().windows(needle.len()).any(|w| w == needle) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn the_erasure_of_a_merged_member_leaves_no_byte_of_any_of_her_records_in_database_wal_outbox_and_logs() {
    let place = Place::new("sqlite:hub.db");
    let db = Db::open(&format!("sqlite:{}", place.path("hub.db").display())).await.unwrap();
    let (survivor, alias) = place.import_two(&db).await;
    let keyring = Keyring::load_or_create(&place.path("hub.key")).unwrap();
    // An SMS that waits in the outbox, for the number of the record that went into the other one.
    let (number, sealed) = ("+33756781234", keyring.seal_number(alias, "+33756781234"));
    let key = keyring.identifier(passage_hub::identity::IdentifierKind::Phone, number);
    let message = "INSERT INTO message (id, send_key, decision, member, sealed_for, brand, entity, offer, store, destination, sealed, text, sender, \
                   parts, encoding, trigger_at, deadline, validity_ms, state, planned_at) VALUES ('m', $1, 'd', $2, $3, 'maison-aubrac', \
                   'maison-aubrac', 'o', 'lyon-bellecour', $4, $5, 'Ana, come in', 's', 1, 'gsm', $6, $6, 0, 'planned', $6)";
    db.execute(message, args![vec![1_u8], survivor.0, alias.0, &key.0, sealed.clone(), friday(10, 0)]).await.unwrap();
    let mut sealed_values = vec![sealed];
    for sql in ["SELECT sealed FROM destination", "SELECT sealed FROM ad_key"] {
        sealed_values.extend(db.fetch(sql, args![]).await.unwrap().iter().map(|row| row.blob(0).unwrap()));
    }
    assert!(sealed_values.len() >= 6, "two addresses and two numbers for ad platforms, and where SMS go");
    assert!(sealed_values.iter().all(|value| !holding(place.folder.path(), value).is_empty()), "the search finds what there is");
    for asked in [&["member", "show"][..], &["why"], &["identity", "explain"], &["ledger", "proof"]] {
        place.says(&[asked, &[&alias.code()]].concat());
    }
    let receipt = place.says(&["member", "erase", &alias.code(), "--yes"]);
    let left = db
        .fetch("SELECT (SELECT COUNT(*) FROM member) + (SELECT COUNT(*) FROM message) + (SELECT COUNT(*) FROM link)", args![])
        .await
        .unwrap();
    assert_eq!(left[0].int(0).unwrap(), 0, "{receipt}");

    for plain in ["ana.martin@example.fr", "ana.till@example.fr", "639980001", "39 98 00 01", "756781234", "56 78 12 34", "Ana, come in"] {
        assert_eq!(holding(place.folder.path(), plain.as_bytes()), Vec::<PathBuf>::new(), "{plain}");
        assert!(!receipt.contains(plain));
    }
    for value in &sealed_values {
        assert_eq!(holding(place.folder.path(), value), Vec::<PathBuf>::new(), "a sealed value");
    }
    for (kind, value) in [("email", "ana.martin@example.fr"), ("email", "ana.till@example.fr")] {
        let key = keyring.identifier(kind.parse().unwrap(), value);
        assert_eq!(holding(place.folder.path(), &key.0), Vec::<PathBuf>::new(), "a keyed address");
    }
    db.close().await;
}
