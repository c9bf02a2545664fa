//! What follows a member into the person that she turns out to be, on both engines, and merges by several processes at once.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use passage_hub::{
    args,
    identity::{
        AgeBand, IdentifierKind,
        IdentifierKind::{CrmId, Email, EmailSha256, LoyaltyCard, Phone, PhoneSha256},
        Keyring, MemberId, Purpose,
        graph::Rules,
        import::import_crm,
        normalise::canonical,
        platform::sha256,
    },
    privacy::{
        erase::restrict,
        export::{access, number_of},
    },
    store::{
        Db, Value, counter, people,
        people::graph,
        regular, replay,
        work::{self, Todo, TodoKind},
    },
    touchpoint::till::import_tills,
};
use passage_protocol::Millis;
use shop::{config, friday, site, store_id};
use support::{Fresh, both, postgres_only};

const NUMBER: &str = "+33639980001";

struct Hub {
    db: Db,
    keyring: Keyring,
    config: passage_config::HubConfig,
}

impl Hub {
    fn new(db: &Db) -> Self {
        Self { db: db.clone(), keyring: Keyring::from_secret(&[7; 32]), config: config(site()) }
    }

    async fn crm(&self, file: &str, at: Millis) {
        let report = import_crm(&self.db, &self.keyring, &self.config, file.as_bytes(), at).await.unwrap();
        assert_eq!(report.conflicts, 0, "{report}");
    }

    async fn holder(&self, kind: IdentifierKind, value: &str) -> Option<MemberId> {
        let key = self.keyring.identifier(kind, &canonical(kind, value, "FR").unwrap());
        graph::holder(&mut self.db.begin_read().await.unwrap(), kind, &key).await.unwrap()
    }

    async fn sql(&self, sql: &'static str, args: Vec<Value>) {
        self.db.execute(sql, args).await.unwrap();
    }

    async fn numbers(&self, sql: &'static str) -> Vec<i64> {
        self.db.fetch(sql, args![]).await.unwrap().iter().map(|row| row.int(0).unwrap()).collect()
    }

    /// Her number as it would be sent to, opened with the key of whom it was sealed for.
    async fn number(&self, member: MemberId) -> Option<String> {
        let mut tx = self.db.begin_read().await.unwrap();
        let to = people::profile(&mut tx, member, "maison", "maison-sas").await.unwrap().unwrap().destination?;
        let plain = self.keyring.open_number(to.owner, &to.sealed).expect("it opens for its owner");
        let shown = number_of(&mut tx, &self.keyring, member, "FR").await.unwrap().expect("her own page knows it too");
        assert_eq!(shown.expose().as_bytes(), plain);
        Some(String::from_utf8(plain).unwrap())
    }

    async fn age(&self, member: MemberId) -> Option<AgeBand> {
        people::age(&mut self.db.begin_read().await.unwrap(), member).await.unwrap()
    }

    async fn is_regular(&self, member: MemberId) -> bool {
        regular::get(&mut self.db.begin_read().await.unwrap(), member, &store_id("lyon"), friday(12, 0)).await.unwrap().is_some()
    }

    async fn heard(&self, member: MemberId) -> usize {
        replay::heard(&mut self.db.begin_read().await.unwrap(), member).await.unwrap().len()
    }
}

/// The newsletter's reader has a number, an age, a job in the shop, a moment at the till and an id that was copied; the customer has a CRM number.
/// Their address shows that they are one.
async fn two_who_are_one(hub: &Hub) -> (MemberId, MemberId) {
    let reader = "email,phone,loyalty_card,brand,entity,presence,match,sms\n\
                  anne@example.fr,06 39 98 00 01,L1,maison,maison-sas,yes,yes,yes\n";
    hub.crm(reader, friday(9, 0)).await;
    let reader = hub.holder(Email, "anne@example.fr").await.unwrap();
    let band: AgeBand = "25-34".parse().unwrap();
    let mut tx = hub.db.begin().await.unwrap();
    people::set_age(&mut tx, reader, band, friday(9, 0)).await.unwrap();
    tx.commit().await.unwrap();
    let staff = "INSERT INTO regular (member, store, reason, since_at, until_at) VALUES ($1, 'lyon', 'staff-learned', 0, $2)";
    hub.sql(staff, args![reader.0, friday(20, 0)]).await;
    let heard = "INSERT INTO rid_heard (member, mark, store, first_at, last_at, sure) VALUES ($1, 7, 'lyon', $2, $2, 1)";
    hub.sql(heard, args![reader.0, friday(9, 0)]).await;
    let copied = "INSERT INTO replay (id, member, mark, store, other, from_at, to_at, at) VALUES ('r', $1, 7, 'lyon', 'paris', 0, 0, $2)";
    hub.sql(copied, args![reader.0, friday(9, 0)]).await;
    let till = "ticket,store,at,identifier_kind,identifier,sku,cents\n1,lyon,2026-11-20T09:30:00,loyalty_card,L1,coat,100\n";
    import_tills(&hub.db, &hub.keyring, "FR", &hub.config.site, till.as_bytes(), friday(9, 40)).await.unwrap();
    hub.crm("crm_id,brand,entity,presence,match,sms\nC1,maison,maison-sas,yes,yes,yes\n", friday(9, 50)).await;
    (reader, hub.holder(CrmId, "C1").await.unwrap())
}

#[tokio::test]
async fn number_age_job_moments_and_replays_follow_her_and_go_back_when_the_link_is_taken_back() {
    both(async |db| {
        let hub = Hub::new(&db);
        let (reader, person) = two_who_are_one(&hub).await;
        assert_eq!((hub.number(person).await, hub.age(person).await, hub.is_regular(person).await), (None, None, false));
        assert_eq!(hub.numbers("SELECT member FROM counter_moment").await, [reader.0]);

        hub.crm("crm_id,email,brand,entity\nC1,anne@example.fr,maison,maison-sas\n", friday(10, 0)).await;
        assert_eq!(hub.holder(Email, "anne@example.fr").await, Some(person));
        assert_eq!(hub.number(person).await.as_deref(), Some(NUMBER));
        assert_eq!(hub.age(person).await.map(AgeBand::word), Some("25-34"));
        assert!(hub.is_regular(person).await);
        assert_eq!((hub.heard(person).await, hub.heard(reader).await), (1, 0));
        assert_eq!(hub.numbers("SELECT member FROM replay").await, [person.0]);
        assert_eq!(hub.numbers("SELECT member FROM counter_moment").await, [person.0]);
        assert_eq!(hub.numbers("SELECT member FROM todo WHERE kind = 'counter'").await, [person.0]);
        // A STOP from that number is hers.
        let key = hub.keyring.identifier(IdentifierKind::Phone, NUMBER);
        assert_eq!(people::at_destination(&mut db.begin_read().await.unwrap(), &key).await.unwrap(), [person]);

        let sql = "SELECT id FROM link WHERE kind = 'email' AND member = $1";
        let link = db.fetch(sql, args![person.0]).await.unwrap()[0].text(0).unwrap();
        let mut tx = db.begin().await.unwrap();
        people::changes(&mut tx).await.unwrap();
        let rules = Rules::of(&hub.config, &hub.keyring);
        assert!(graph::unlink(&mut tx, &rules, &link, "operator", "typing error", friday(11, 0)).await.unwrap());
        assert_eq!(counter::assign(&mut tx, friday(11, 0)).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!((hub.number(person).await, hub.age(person).await, hub.is_regular(person).await), (None, None, false));
        assert_eq!((hub.number(reader).await.as_deref(), hub.is_regular(reader).await), (Some(NUMBER), true));
        assert_eq!(hub.holder(LoyaltyCard, "L1").await, Some(reader));
        for sql in ["SELECT member FROM counter_moment", "SELECT member FROM todo WHERE kind = 'counter'", "SELECT member FROM replay"] {
            assert_eq!(hub.numbers(sql).await, [reader.0], "{sql}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_withdraws_sms_after_a_merge_has_no_number_in_any_record() {
    both(async |db| {
        let hub = Hub::new(&db);
        let (_, person) = two_who_are_one(&hub).await;
        hub.crm("crm_id,email,brand,entity\nC1,anne@example.fr,maison,maison-sas\n", friday(10, 0)).await;
        assert!(hub.number(person).await.is_some());
        hub.crm("crm_id,brand,entity,sms\nC1,maison,maison-sas,no\n", friday(11, 0)).await;
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM destination").await, [0]);
    })
    .await;
}

#[tokio::test]
async fn who_is_restricted_or_asks_for_her_file_is_a_person_and_not_one_record_of_her() {
    both(async |db| {
        let hub = Hub::new(&db);
        let ads = "email,brand,entity,match,ads\nanne@example.fr,maison,maison-sas,yes,yes\n";
        let (reader, person) = two_who_are_one(&hub).await;
        hub.crm(ads, friday(9, 55)).await;
        hub.crm("crm_id,email,brand,entity\nC1,anne@example.fr,maison,maison-sas\n", friday(10, 0)).await;
        let allowed = async || {
            let profile = people::profile(&mut db.begin_read().await.unwrap(), person, "maison", "maison-sas").await.unwrap();
            profile.unwrap().consents.allow(Purpose::Sms)
        };
        assert!(allowed().await);
        assert!(restrict(&db, reader, Some("disputes her visits"), friday(10, 1)).await.unwrap());
        assert!(!allowed().await, "asked for under the code of her older record");
        assert!(restrict(&db, reader, None, friday(10, 2)).await.unwrap());
        assert!(allowed().await);

        let entries = hub.numbers("SELECT COUNT(*) FROM ledger_entry").await[0];
        for code in [reader, person] {
            let file = access(&db, &hub.keyring, code, "FR", friday(10, 3)).await.unwrap().unwrap().json();
            let rows = |table: &str| file["tables"][table]["rows"].as_array().unwrap().len();
            assert_eq!(file["member"], person.code());
            assert_eq!(i64::try_from(rows("ledger_entry")).unwrap(), entries, "all that she ever said");
            assert_eq!(file["proof_of_consent"]["entries"].as_array().unwrap().len(), rows("ledger_entry"));
            assert!(rows("merge") > 0 && rows("link") > 2, "{file}");
            assert!(file["tables"]["ad_key"].to_string().contains("anne@example.fr"), "the address that is kept for ad platforms: {file}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_address_or_a_number_is_no_name_of_a_crm_and_is_not_stored_as_one() {
    both(async |db| {
        let hub = Hub::new(&db);
        for context in ["4111111111111111", "anne@example.fr", "0639980001", "Anne Martin", &"x".repeat(41)] {
            let file = format!("crm_id,context,brand,entity,match\nC9,{context},maison,maison-sas,yes\n");
            let report = import_crm(&db, &hub.keyring, &hub.config, file.as_bytes(), friday(9, 0)).await.unwrap();
            assert_eq!(report.refused, 1, "{context}: {report}");
            assert!(!report.to_string().contains(context), "a refusal does not repeat it: {report}");
        }
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM link").await, [0]);
        hub.crm("crm_id,context,brand,entity,match\nC9,Shop-FR_2,maison,maison-sas,yes\n", friday(9, 0)).await;
        assert_eq!(db.fetch("SELECT DISTINCT context FROM link", args![]).await.unwrap()[0].text(0).unwrap(), "shop-fr_2");
    })
    .await;
}

#[tokio::test]
async fn a_blocked_value_joins_nobody_in_any_of_its_forms() {
    both(async |db| {
        let mut hub = Hub::new(&db);
        let block = [("email", "Contact.Shop@gmail.com"), ("phone", "01 99 00 40 40")]
            .map(|(kind, value)| (kind.to_owned(), vec![value.to_owned()]));
        hub.config.identity.block = block.into();
        let mails = ["contactshop@gmail.com", "contact.shop@gmail.com"].map(sha256);
        let numbers = ["+33199004040", "33199004040"].map(sha256);
        let mut file = "crm_id,email,phone,email_sha256,phone_sha256,brand,entity,presence,match\n".to_owned();
        file += "C1,contact.shop@gmail.com,01 99 00 40 40,,,maison,maison-sas,yes,yes\n";
        for (n, (mail, number)) in mails.iter().zip(&numbers).enumerate() {
            file += &format!("C{},,,{mail},{number},maison,maison-sas,yes,yes\n", n + 2);
        }
        let report = import_crm(&db, &hub.keyring, &hub.config, file.as_bytes(), friday(9, 0)).await.unwrap();
        assert_eq!(report.stored, 3, "{report}");
        for hash in &mails {
            assert_eq!(hub.holder(EmailSha256, hash).await, None);
        }
        for hash in &numbers {
            assert_eq!(hub.holder(PhoneSha256, hash).await, None);
        }
        assert_eq!((hub.holder(Email, "contact.shop@gmail.com").await, hub.holder(Phone, "0199004040").await), (None, None));
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM member WHERE merged_into IS NULL").await, [3]);
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM conflict WHERE reason <> 'blocked'").await, [0]);
        assert_eq!(hub.numbers("SELECT COUNT(DISTINCT member) FROM conflict WHERE reason = 'blocked'").await, [3]);
    })
    .await;
}

#[test]
fn the_rules_can_be_tried_where_there_is_no_hub() {
    let links = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adversarial.csv");
    let folder = tempfile::tempdir().unwrap();
    let asked = |file: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passage-hub"));
        command.current_dir(folder.path()).env_remove("PASSAGE_HUB_CONFIG").args(["identity", "try"]).arg(file).output().unwrap()
    };
    let output = asked(&links);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("records are") && told.contains("links refused"), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is stored");
    let output = asked(Path::new("nothing.csv"));
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("nothing.csv"));
}

/// A process that is killed when the test is over.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The folder of one hub: the demo's site, this database, the key that all hubs share.
fn folder(at: &Path, n: usize, database: &str) -> PathBuf {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo");
    let hub = at.join(format!("hub-{n}"));
    std::fs::create_dir(&hub).unwrap();
    let key = at.join("hub.key");
    let text = format!(
        "id = \"hub-{n}\"\ndatabase = \"{database}\"\nkey_file = \"{}\"\nsite = \"{}\"\napi = \"127.0.0.1:0\"\nconsole = \"127.0.0.1:0\"\n\
         clock = \"system\"\n[mqtt]\nhost = \"127.0.0.1\"\nport = 1\n",
        key.display(),
        demo.canonicalize().unwrap().display()
    );
    let file = hub.join("hub.toml");
    std::fs::write(&file, text).unwrap();
    file
}

fn start(config: &Path, what: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_passage-hub"));
    let log = std::fs::OpenOptions::new().create(true).append(true).open(config.with_extension("log")).unwrap();
    command.arg("--config").arg(config).args(what).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Process(command.spawn().unwrap())
}

async fn one(fresh: &Fresh, sql: &'static str) -> i64 {
    fresh.db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
}

/// Four imports say at once, each in its own order, that cards and customers are one, while two hubs work on what the cards' phones told.
#[tokio::test]
async fn merges_by_several_processes_under_load_lose_no_work_and_join_each_pair_once() {
    postgres_only(async |fresh| {
        const PAIRS: usize = 60;
        let at = tempfile::tempdir().unwrap();
        let configs: Vec<PathBuf> = (0..4).map(|n| folder(at.path(), n, &fresh.url)).collect();
        let file = |n: usize, head: &str, line: &dyn Fn(usize) -> String| {
            let path = at.path().join(format!("{n}.csv"));
            let lines: Vec<String> = (0..PAIRS).map(|i| line((i + n * 17) % PAIRS)).collect();
            std::fs::write(&path, format!("{head}\n{}\n", lines.join("\n"))).unwrap();
            path
        };
        let cards = file(9, "loyalty_card,brand,entity,presence,match", &|i| format!("L{i},maison-aubrac,maison-aubrac,yes,yes"));
        let mut first = start(&configs[0], &["import", cards.to_str().unwrap(), "--rows", "members"]);
        assert!(first.0.wait().unwrap().success(), "{}", std::fs::read_to_string(configs[0].with_extension("log")).unwrap());
        // An event of each card's phone that no hub has looked at.
        for row in fresh.db.fetch("SELECT id FROM member", args![]).await.unwrap() {
            let member = MemberId(row.int(0).unwrap());
            let (id, noon) = (format!("event-{}", member.0), friday(12, 0));
            let sql = "INSERT INTO event (id, gateway, epoch, seq, store, zone, subject_kind, signal, phase, at, at_corrected, first_at, last_at, \
                       strength, initial, late, received_at, member) VALUES ($1, 'gw-1', 'e', $2, 'lyon-bellecour', 'in', 'rid', 'beacon', 'exit', \
                       $3, $3, $4, $3, '{\"radio\":{\"rssi\":-60,\"count\":9}}', 0, 0, $3, $5)";
            fresh.db.execute(sql, args![&id, member.0 % 1_000_000, noon, noon - Duration::from_secs(600), member.0]).await.unwrap();
            let mut tx = fresh.db.begin().await.unwrap();
            work::put(&mut tx, &Todo::new(member, noon, TodoKind::Event, id)).await.unwrap();
            tx.commit().await.unwrap();
        }
        let said: Vec<PathBuf> = (0..4)
            .map(|n| {
                let line = |i| format!("C{i},L{i},maison-aubrac,maison-aubrac,yes,yes");
                file(n, "crm_id,loyalty_card,brand,entity,presence,match", &line)
            })
            .collect();
        let hubs: Vec<Process> = configs[..2].iter().map(|config| start(config, &["run"])).collect();
        let imports: Vec<Process> =
            configs.iter().zip(&said).map(|(config, file)| start(config, &["import", file.to_str().unwrap(), "--rows", "members"])).collect();
        for mut import in imports {
            let status = tokio::task::spawn_blocking(move || import.0.wait().unwrap()).await.unwrap();
            let logs: Vec<String> = configs.iter().map(|c| std::fs::read_to_string(c.with_extension("log")).unwrap()).collect();
            assert!(status.success(), "{logs:?}");
        }
        let until = Instant::now() + Duration::from_secs(90);
        while one(fresh, "SELECT COUNT(*) FROM todo").await > 0 {
            assert!(Instant::now() < until, "work is left");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        drop(hubs);
        let pairs = i64::try_from(PAIRS).unwrap();
        assert_eq!(one(fresh, "SELECT COUNT(*) FROM member WHERE merged_into IS NULL").await, pairs);
        assert_eq!(one(fresh, "SELECT COUNT(*) FROM member WHERE merged_into IS NOT NULL").await, pairs);
        assert_eq!(one(fresh, "SELECT COUNT(*) FROM merge WHERE undone_at IS NULL").await, pairs);
        assert_eq!(one(fresh, "SELECT COUNT(*) FROM conflict").await, 0);
        assert_eq!(one(fresh, "SELECT COUNT(*) FROM parked_work").await, 0);
        let both = "SELECT COUNT(*) FROM identifier c JOIN identifier l ON l.member = c.member AND l.kind = 'loyalty_card' WHERE c.kind = 'crm_id'";
        assert_eq!(one(fresh, both).await, pairs);
        let strays = "SELECT COUNT(*) FROM visit v JOIN member m ON m.id = v.member WHERE m.merged_into IS NOT NULL";
        assert_eq!(one(fresh, strays).await, 0);
        assert_eq!(one(fresh, "SELECT COUNT(*) FROM visit").await, pairs, "each told once");
    })
    .await;
}
