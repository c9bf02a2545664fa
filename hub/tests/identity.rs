//! Who is who: merges, shared keys, hashes of partners and taken-back links, on both engines and under several hubs.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use passage_config::{Identity, Platform};
use passage_hub::{
    args,
    identity::{
        IdentifierKind::{self, Cookie, CrmId, Email, EmailSha256, LoyaltyCard, Phone},
        Key, Keyring, MemberId, Purpose,
        graph::{Refusal, Rules},
        import::import_crm,
        normalise::canonical,
        onboard::{self, Export, ExportError},
        platform::sha256,
    },
    privacy::erase::{erase, restrict},
    store::{
        Db, Tx,
        people::{
            self, consent,
            given::To,
            graph::{self, Attach, Claim},
        },
        touchpoint,
        work::{self, Todo, TodoKind},
    },
    touchpoint::{TouchKind, Touchpoint, table::ImportReport},
};
use passage_protocol::{Millis, sign::Signing};
use shop::{config, friday, site};
use support::{both, postgres_only};

struct Hub {
    db: Db,
    keyring: Keyring,
    config: passage_config::HubConfig,
    rules: Rules,
}

impl Hub {
    fn new(db: &Db) -> Self {
        let (keyring, config) = (Keyring::from_secret(&[7; 32]), config(site()));
        Self { db: db.clone(), rules: Rules::of(&config, &keyring), keyring, config }
    }

    async fn crm(&self, file: &str, at: Millis) -> ImportReport {
        import_crm(&self.db, &self.keyring, &self.config, file.as_bytes(), at).await.unwrap()
    }

    fn key(&self, kind: IdentifierKind, value: &str) -> Key {
        self.keyring.identifier(kind, &canonical(kind, value, "FR").unwrap())
    }

    async fn holder(&self, kind: IdentifierKind, value: &str) -> Option<MemberId> {
        graph::holder(&mut self.db.begin_read().await.unwrap(), kind, &self.key(kind, value)).await.unwrap()
    }

    async fn claim(&self, kind: IdentifierKind, value: &str, member: MemberId, at: Millis) -> Attach {
        let mut tx = self.db.begin().await.unwrap();
        people::changes(&mut tx).await.unwrap();
        let key = self.key(kind, value);
        let said = Claim { kind, key, member, source: "site", reason: "login", context: "", variant: None, at };
        let verdict = graph::claim(&mut tx, &self.rules, &said).await.unwrap();
        tx.commit().await.unwrap();
        verdict
    }

    async fn visit(&self, id: &str, member: MemberId) {
        let sql = "INSERT INTO visit (id, member, store, start_at, end_at, dwell_ms, label, is_open, seen_from, seen_to, state, updated_at) \
                   VALUES ($1, $2, 'lyon', 0, 0, 0, 'qualified', 1, 0, 0, '{}', 0)";
        self.db.execute(sql, args![id, member.0]).await.unwrap();
        let mut tx = self.db.begin().await.unwrap();
        work::put(&mut tx, &Todo::new(member, friday(12, 0), TodoKind::Visit, id)).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn numbers(&self, sql: &'static str) -> Vec<i64> {
        self.db.fetch(sql, args![]).await.unwrap().iter().map(|row| row.int(0).unwrap()).collect()
    }

    async fn grants(&self, member: MemberId, purpose: Purpose) -> bool {
        let standing = consent::standing(&mut self.db.begin_read().await.unwrap(), member).await.unwrap();
        consent::any(&standing, purpose)
    }

    async fn touches(&self, member: MemberId) -> Vec<String> {
        let mut tx = self.db.begin_read().await.unwrap();
        touchpoint::of_member(&mut tx, member, Millis(0)).await.unwrap().into_iter().map(|t| t.id).collect()
    }

    async fn touch(&self, id: &str, kind: IdentifierKind, value: &str, at: Millis) {
        let touch = Touchpoint {
            id: id.to_owned(),
            at,
            kind: TouchKind::View,
            campaign: None,
            channel: None,
            sku: None,
            size: None,
            identifier_kind: kind,
            identifier: self.key(kind, value),
            detail: Default::default(),
        };
        let mut tx = self.db.begin().await.unwrap();
        touchpoint::insert(&mut tx, &[touch], at).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn the_newsletter_and_the_customer_become_one_person_and_can_be_told_apart_again() {
    both(async |db| {
        let hub = Hub::new(&db);
        let newsletter = "email,brand,entity,presence,match,sms\nAnne.Petit@example.fr,maison,maison-sas,yes,yes,no\n";
        assert_eq!(hub.crm(newsletter, friday(9, 0)).await.stored, 1);
        let reader = hub.holder(Email, "anne.petit@example.fr").await.unwrap();
        hub.visit("v-reader", reader).await;

        let crm = "crm_id,email,brand,entity,presence,match,sms,personalise\nC1,anne.petit@example.fr,maison,maison-sas,yes,yes,yes,yes\n";
        let report = hub.crm(crm, friday(10, 0)).await;
        assert_eq!((report.stored, report.conflicts), (1, 0), "{report}");
        let person = hub.holder(CrmId, "C1").await.unwrap();
        assert_ne!(person, reader);
        assert_eq!(hub.holder(Email, "anne.petit@example.fr").await, Some(person), "who has a CRM number stands for both");
        assert_eq!(hub.numbers("SELECT member FROM visit").await, [person.0]);
        assert_eq!(hub.numbers("SELECT shard FROM todo").await, [person.shard()]);
        assert!(hub.grants(person, Purpose::Personalise).await);
        let report = hub.crm(crm, friday(10, 5)).await;
        assert_eq!(report.conflicts, 0, "the same file again: {report}");
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM merge").await, [1]);

        let seen = graph::explain::person(&mut db.begin_read().await.unwrap(), reader).await.unwrap().unwrap();
        assert_eq!((seen.survivor, seen.members.len(), seen.merges.len(), seen.conflicts.len()), (person, 2, 1, 0));
        assert!(seen.links.iter().any(|l| l.kind == "email" && l.member == reader && l.source == "crm" && l.reason == "import"));

        // What either withdraws counts for both, also afterwards.
        hub.crm("email,brand,entity,personalise\nanne.petit@example.fr,maison,maison-sas,no\n", friday(11, 0)).await;
        assert!(!hub.grants(person, Purpose::Personalise).await);

        let link =
            hub.db.fetch("SELECT id FROM link WHERE kind = 'email' AND member = $1", args![person.0]).await.unwrap()[0].text(0).unwrap();
        let mut tx = db.begin().await.unwrap();
        people::changes(&mut tx).await.unwrap();
        assert!(graph::unlink(&mut tx, &hub.rules, &link, "operator", "typing error", friday(12, 0)).await.unwrap());
        assert!(!graph::unlink(&mut tx, &hub.rules, &link, "operator", "again", friday(12, 0)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(hub.numbers("SELECT member FROM visit").await, [reader.0], "her visit goes back with her");
        assert_eq!(hub.numbers("SELECT shard FROM todo").await, [reader.shard()]);
        assert_eq!(hub.holder(Email, "anne.petit@example.fr").await, Some(reader));
        assert_eq!(hub.holder(CrmId, "C1").await, Some(person));
        assert!(!hub.grants(reader, Purpose::Personalise).await && !hub.grants(person, Purpose::Personalise).await);
        assert!(hub.grants(person, Purpose::Match).await && hub.grants(reader, Purpose::Match).await);
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM merge WHERE undone_at IS NULL").await, [0]);
    })
    .await;
}

#[tokio::test]
async fn a_withdrawal_of_one_member_ends_it_for_the_person() {
    both(async |db| {
        let hub = Hub::new(&db);
        let first = "loyalty_card,brand,entity,presence,match,sms\nL1,maison,maison-sas,yes,yes,yes\n";
        hub.crm(first, friday(9, 0)).await;
        hub.crm("loyalty_card,brand,entity,sms\nL1,maison,maison-sas,no\n", friday(9, 30)).await;
        let crm = "crm_id,phone,loyalty_card,brand,entity,presence,match,sms\nC1,0639980001,L1,maison,maison-sas,yes,yes,yes\n";
        hub.crm(crm, friday(10, 0)).await;
        let person = hub.holder(CrmId, "C1").await.unwrap();
        assert_eq!(hub.holder(LoyaltyCard, "L1").await, Some(person));
        assert!(!hub.grants(person, Purpose::Sms).await);
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM destination").await, [0]);
    })
    .await;
}

#[tokio::test]
async fn a_shared_browser_changes_hands_and_what_lies_between_is_nobodys() {
    both(async |db| {
        let hub = Hub::new(&db);
        let file = "crm_id,brand,entity,presence,match\nC1,maison,maison-sas,yes,yes\nC2,maison,maison-sas,yes,yes\n";
        hub.crm(file, friday(8, 0)).await;
        let (anne, luc) = (hub.holder(CrmId, "C1").await.unwrap(), hub.holder(CrmId, "C2").await.unwrap());
        let cookie = "maison.example.fr/home";
        for (id, at) in
            [("t0", friday(8, 30)), ("t1", friday(9, 30)), ("t2", friday(10, 30)), ("t3", friday(11, 30)), ("t4", friday(13, 0))]
        {
            hub.touch(id, Cookie, cookie, at).await;
        }
        assert_eq!(hub.claim(Cookie, cookie, anne, friday(9, 0)).await, Attach::New);
        assert_eq!(hub.claim(Cookie, cookie, anne, friday(10, 0)).await, Attach::Already);
        assert_eq!(hub.claim(Cookie, cookie, luc, friday(11, 0)).await, Attach::New);
        assert_eq!(hub.touches(anne).await, ["t0", "t1"], "until she was seen last");
        assert_eq!(hub.touches(luc).await, ["t3", "t4"], "from his first login on");
        assert_eq!(hub.claim(Cookie, cookie, anne, friday(12, 0)).await, Attach::New);
        assert_eq!((hub.touches(anne).await, hub.touches(luc).await), (vec!["t0".into(), "t1".into(), "t4".into()], vec![]));
    })
    .await;
}

#[tokio::test]
async fn two_customers_stay_two_and_a_number_of_four_joins_nobody_for_good() {
    both(async |db| {
        let hub = Hub::new(&db);
        let mut file = "crm_id,phone,brand,entity,presence,match\n".to_owned();
        for n in 1..=3 {
            file += &format!("C{n},0639980001,maison,maison-sas,yes,yes\n");
        }
        let report = hub.crm(&file, friday(9, 0)).await;
        assert_eq!((report.stored, report.conflicts), (3, 2), "{report}");
        assert_eq!(hub.holder(Phone, "0639980001").await, hub.holder(CrmId, "C1").await);
        let report = hub.crm("crm_id,phone,brand,entity,presence,match\nC4,0639980001,maison,maison-sas,yes,yes\n", friday(10, 0)).await;
        assert_eq!(report.conflicts, 1, "{report}");
        assert_eq!(hub.holder(Phone, "0639980001").await, None, "four customers: it is nobody's");
        let reasons: BTreeSet<String> =
            db.fetch("SELECT DISTINCT reason FROM conflict", args![]).await.unwrap().iter().map(|r| r.text(0).unwrap()).collect();
        assert_eq!(reasons, [Refusal::Shared.word().to_owned()].into());
        assert_eq!(hub.crm(&file, friday(11, 0)).await.conflicts, 3, "and stays so");
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM shared_key WHERE kind = 'phone'").await, [1]);
    })
    .await;
}

#[tokio::test]
async fn a_hashed_file_of_either_platform_meets_the_same_person() {
    both(async |db| {
        let hub = Hub::new(&db);
        let file = "crm_id,email,phone,brand,entity,presence,match\nC1,Anne.Petit@gmail.com,06 39 98 00 01,maison,maison-sas,yes,yes\n";
        hub.crm(file, friday(9, 0)).await;
        let anne = hub.holder(CrmId, "C1").await;
        for form in ["annepetit@gmail.com", "anne.petit@gmail.com"] {
            assert_eq!(hub.holder(EmailSha256, &sha256(form).to_uppercase()).await, anne, "{form}");
        }
        for form in ["+33639980001", "33639980001"] {
            assert_eq!(hub.holder(IdentifierKind::PhoneSha256, &sha256(form)).await, anne, "{form}");
        }
        hub.touch("t1", EmailSha256, &sha256("annepetit@gmail.com"), friday(10, 0)).await;
        assert_eq!(hub.touches(anne.unwrap()).await, ["t1"]);
        hub.crm("crm_id,brand,entity,match\nC1,maison,maison-sas,no\n", friday(11, 0)).await;
        assert_eq!(hub.holder(EmailSha256, &sha256("annepetit@gmail.com")).await, None, "without match no hash is kept");
    })
    .await;
}

#[tokio::test]
async fn partners_learn_how_many_are_known_and_get_only_who_allows_it() {
    both(async |db| {
        let mut hub = Hub::new(&db);
        hub.config.identity = Identity { segments: [("VIP Gold".to_owned(), "vip".to_owned())].into(), ..Identity::default() };
        let mut file = "crm_id,email,phone,segment,brand,entity,presence,match,ads\n".to_owned();
        for n in 0..30 {
            let (segment, ads) = (if n < 25 { "vip gold|Nobody knows" } else { "" }, if n < 22 { "yes" } else { "no" });
            file += &format!("C{n},a.b{n}@gmail.com,06399800{n:02},{segment},maison,maison-sas,yes,yes,{ads}\n");
        }
        let report = hub.crm(&file, friday(9, 0)).await;
        assert_eq!((report.stored, report.unknown_segments), (30, 25), "{report}");

        let mut theirs = "email_sha256,phone_sha256\n".to_owned();
        (0..25).for_each(|n| theirs += &format!("{},\n", sha256(&format!("ab{n}@gmail.com"))));
        (25..30).for_each(|n| theirs += &format!(",{}\n", sha256(&format!("336399800{n:02}"))));
        theirs += "not a hash,\n,\n";
        let told = onboard::match_file(&db, &hub.keyring, &hub.config, theirs.as_bytes()).await.unwrap();
        assert_eq!((told.rows, told.matched, told.by_key["email_sha256"].0, told.by_key["phone_sha256"].0), (32, 30, 25, 5));
        assert_eq!(told.refused.values().sum::<u64>(), 1);
        let text = told.to_string();
        assert!(text.contains("by email_sha256: 25") && text.contains("by phone_sha256: withheld") && !text.contains("30"), "{text}");

        let asked = Export { partner: "shop-ads", brand: "maison", entity: "maison-sas", segment: Some("vip"), platform: Platform::Google };
        let mut out = Vec::new();
        assert_eq!(onboard::export(&db, &hub.keyring, asked, 20, friday(9, 30), &mut out).await.unwrap(), 22);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(&sha256("ab3@gmail.com")) && out.contains(&sha256("+33639980003")) && !out.contains(&sha256("33639980003")));
        assert!(!out.contains(&sha256("ab23@gmail.com")), "she does not grant `ads`");
        let meta = Export { platform: Platform::Meta, segment: None, ..asked };
        let mut out = Vec::new();
        onboard::export(&db, &hub.keyring, meta, 20, friday(9, 30), &mut out).await.unwrap();
        assert!(String::from_utf8(out).unwrap().contains(&sha256("a.b3@gmail.com")));

        let mut withdrawn = "crm_id,brand,entity,ads\n".to_owned();
        (0..5).for_each(|n| withdrawn += &format!("C{n},maison,maison-sas,no\n"));
        hub.crm(&withdrawn, friday(10, 0)).await;
        assert!(matches!(onboard::export(&db, &hub.keyring, asked, 20, friday(10, 0), Vec::new()).await, Err(ExportError::TooFew(20))));
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM ad_key").await, [34], "two keys of each of the 17 who are left");
    })
    .await;
}

/// What a partner has to take out, as the lines of its file.
async fn removals(hub: &Hub, partner: &str, since: Millis) -> Vec<String> {
    let mut out = Vec::new();
    let to = To { partner, brand: "maison", entity: "maison-sas" };
    let n = onboard::export_removed(&hub.db, &hub.keyring, to, since, &mut out).await.unwrap();
    let mut lines: Vec<String> = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.remove(0), "email_sha256,phone_sha256");
    assert_eq!(lines.len(), n);
    lines.sort();
    lines
}

#[tokio::test]
async fn partners_are_told_what_to_take_out_after_each_end_of_a_consent_and_nothing_that_they_never_had() {
    both(async |db| {
        let hub = Hub::new(&db);
        let line = |n: usize, ads: &str| format!("C{n},a.b{n}@gmail.com,06399800{n:02},maison,maison-sas,yes,yes,{ads}\n");
        let head = "crm_id,email,phone,brand,entity,presence,match,ads\n";
        let file = |all: std::ops::Range<usize>, ads: &str| head.to_owned() + &all.map(|n| line(n, ads)).collect::<String>();
        hub.crm(&file(0..25, "yes"), friday(9, 0)).await;
        let google = Export { partner: "shop-ads", brand: "maison", entity: "maison-sas", segment: None, platform: Platform::Google };
        assert_eq!(onboard::export(&db, &hub.keyring, google, 20, friday(9, 30), Vec::new()).await.unwrap(), 25);
        // One more came after the file had gone out.
        hub.crm(&file(25..26, "yes"), friday(9, 40)).await;
        assert!(removals(&hub, "shop-ads", Millis(0)).await.is_empty());

        hub.crm(&file(0..1, "no"), friday(10, 0)).await;
        hub.crm(&file(25..26, "no"), friday(10, 0)).await;
        let who = async |n: usize| hub.holder(CrmId, &format!("C{n}")).await.unwrap();
        assert!(restrict(&db, who(1).await, Some("disputes it"), friday(11, 0)).await.unwrap());
        erase(&db, &Signing::from_bytes(&[9; 32]), who(2).await, friday(12, 0)).await.unwrap().unwrap();
        let of = |n: usize| [format!("{},", sha256(&format!("ab{n}@gmail.com"))), format!(",{}", sha256(&format!("+336399800{n:02}")))];
        let sorted = |all: &[usize]| {
            let mut lines: Vec<String> = all.iter().flat_map(|n| of(*n)).collect();
            lines.sort();
            lines
        };
        assert_eq!(removals(&hub, "shop-ads", Millis(0)).await, sorted(&[0, 1, 2]));
        assert_eq!(removals(&hub, "shop-ads", friday(10, 30)).await, sorted(&[1, 2]), "since then");
        assert!(removals(&hub, "others", Millis(0)).await.is_empty(), "who was given nothing learns nothing");
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM ad_given WHERE member IS NULL").await, [2], "the erased one's are nobody's");

        // Who allows it again is in the next file, and not among the removals any more.
        hub.crm(&file(0..1, "2026-11-20T12:30:00+01:00"), friday(13, 0)).await;
        assert_eq!(onboard::export(&db, &hub.keyring, google, 20, friday(13, 30), Vec::new()).await.unwrap(), 23);
        assert_eq!(removals(&hub, "shop-ads", Millis(0)).await, sorted(&[1, 2]));
        let mut tx = db.begin().await.unwrap();
        assert_eq!(people::given::purge(&mut tx, friday(11, 30)).await.unwrap(), 2);
        tx.commit().await.unwrap();
        assert_eq!(removals(&hub, "shop-ads", Millis(0)).await, sorted(&[2]));
    })
    .await;
}

#[tokio::test]
async fn the_match_rate_tells_what_is_tied_by_week_store_and_key() {
    both(async |db| {
        let hub = Hub::new(&db);
        let mut file = "crm_id,email,loyalty_card,brand,entity,presence,match\n".to_owned();
        for n in 0..25 {
            let may = if n < 22 { "yes" } else { "no" };
            file += &format!("C{n},m{n}@example.fr,L{n},maison,maison-sas,yes,{may}\n");
        }
        hub.crm(&file, friday(9, 0)).await;
        for n in 0..25 {
            let member = hub.holder(CrmId, &format!("C{n}")).await.unwrap();
            hub.visit(&format!("v{n}"), member).await;
            let key = hub.key(LoyaltyCard, &format!("L{n}")).0;
            let sql =
                "INSERT INTO purchase (store, ticket, at, identifier_kind, identifier, received_at) VALUES ('lyon', $1, $2, $3, $4, 0)";
            db.execute(sql, args![format!("T{n}"), friday(12, 0), "loyalty_card", &key]).await.unwrap();
            db.execute(sql, args![format!("U{n}"), friday(12, 0), None::<&str>, None::<Vec<u8>>]).await.unwrap();
            let sql = "INSERT INTO touchpoint (id, at, kind, campaign, identifier_kind, identifier, received_at) \
                       VALUES ($1, $2, 'click', 'automne', 'email', $3, 0)";
            let key = hub.key(Email, &format!("m{n}@example.fr")).0;
            db.execute(sql, args![format!("x/{n}"), friday(11, 0), &key]).await.unwrap();
        }
        db.execute("UPDATE visit SET start_at = $1, end_at = $1", args![friday(12, 0)]).await.unwrap();
        let span = passage_hub::report::Span { from: friday(0, 0), to: friday(23, 0) };
        let found = passage_hub::report::matching::matching(&db, &hub.config, span).await.unwrap();
        let rows: Vec<_> = found.rows.rows.iter().map(|r| (r.what, r.store.as_str(), r.key.as_str(), r.all, r.matched)).collect();
        for expected in [
            ("visit", "lyon", "any", 25, 22),
            ("visit", "lyon", "email", 25, 22),
            ("order", "lyon", "loyalty_card", 25, 22),
            ("order", "lyon", "none", 25, 0),
            ("exposure", "-", "email", 25, 22),
        ] {
            assert!(rows.contains(&expected), "{expected:?} in {rows:?}");
        }
        assert!(found.rows.rows.iter().all(|r| r.week == "2026-W47"));
        assert_eq!(found.moments.rows[0].moment, "import");
        // Of a shop of another company nothing is tied: she allowed it to this one.
        let mut franchise = hub.config.clone();
        let mut site = (*franchise.site).clone();
        site.stores.get_mut(&shop::store_id("lyon")).unwrap().entity = "franchise".to_owned();
        franchise.site = Arc::new(site);
        let found = passage_hub::report::matching::matching(&db, &franchise, span).await.unwrap();
        let in_shops = found.rows.rows.iter().filter(|r| r.what != "exposure");
        assert!(in_shops.clone().count() == 3 && in_shops.clone().all(|r| r.matched == 0), "{:?}", found.rows.rows);
        let few = passage_config::HubConfig { k: 23, ..hub.config.clone() };
        let found = passage_hub::report::matching::matching(&db, &few, span).await.unwrap();
        assert!(found.rows.withheld > 0 && found.rows.rows.iter().all(|r| r.matched == 0));
    })
    .await;
}

/// Several hubs join members while others work on what is due for them.
#[tokio::test]
async fn merges_under_load_lose_no_work_and_leave_every_row_with_the_person() {
    postgres_only(async |fresh| {
        const PAIRS: i64 = 60;
        let hub = Hub::new(&fresh.db);
        let mut file = "loyalty_card,brand,entity,presence,match\n".to_owned();
        (0..PAIRS).for_each(|n| file += &format!("L{n},maison,maison-sas,yes,yes\n"));
        hub.crm(&file, friday(8, 0)).await;
        let mut crm = "crm_id,brand,entity,presence,match\n".to_owned();
        (0..PAIRS).for_each(|n| crm += &format!("C{n},maison,maison-sas,yes,yes\n"));
        hub.crm(&crm, friday(8, 0)).await;
        for n in 0..PAIRS {
            let member = hub.holder(LoyaltyCard, &format!("L{n}")).await.unwrap();
            hub.visit(&format!("v{n}"), member).await;
        }
        let hubs: Vec<Arc<Hub>> =
            futures::future::join_all((0..3).map(|_| async { Arc::new(Hub::new(&Db::open(&fresh.url).await.unwrap())) })).await;
        let merging = (0..PAIRS).map(|n| {
            let hub = Arc::clone(&hubs[usize::try_from(n).unwrap() % hubs.len()]);
            tokio::spawn(async move {
                let member = hub.holder(CrmId, &format!("C{n}")).await.unwrap();
                assert!(matches!(hub.claim(LoyaltyCard, &format!("L{n}"), member, friday(9, 0)).await, Attach::Merged(_)));
            })
        });
        let merging: Vec<_> = merging.collect();
        let working: Vec<_> = hubs.iter().map(|hub| tokio::spawn(work_off(Arc::clone(hub)))).collect();
        for task in merging.into_iter().chain(working) {
            task.await.unwrap();
        }
        // Whoever worked before the merge noted the member of then; the rows went with her.
        let strays = "SELECT COUNT(*) FROM visit v JOIN member m ON m.id = v.member WHERE m.merged_into IS NOT NULL";
        assert_eq!(hub.numbers(strays).await, [0]);
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM visit WHERE label = 'worked'").await, [PAIRS]);
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM todo").await, [0]);
        assert_eq!(hub.numbers("SELECT COUNT(*) FROM merge").await, [PAIRS]);
        let mut persons = BTreeMap::new();
        for n in 0..PAIRS {
            let (card, crm) = (hub.holder(LoyaltyCard, &format!("L{n}")).await, hub.holder(CrmId, &format!("C{n}")).await);
            assert_eq!(card, crm);
            assert!(persons.insert(card, n).is_none());
        }
        for hub in hubs {
            hub.db.close().await;
        }
    })
    .await;
}

/// Does what is due as a worker does, until nothing is left.
async fn work_off(hub: Arc<Hub>) {
    let now = friday(13, 0);
    loop {
        let due = work::due_shards(&hub.db, now).await.unwrap();
        if due.is_empty() {
            return;
        }
        for shard in due {
            let mut tx = hub.db.begin().await.unwrap();
            if work::lock_shard(&mut tx, shard).await.unwrap() {
                for todo in work::take(&mut tx, shard, now, 2).await.unwrap() {
                    do_it(&mut tx, &todo).await;
                }
                tx.commit().await.unwrap();
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn do_it(tx: &mut Tx, todo: &Todo) {
    if work::hand_over(tx, todo.member, std::slice::from_ref(todo)).await.unwrap() {
        return;
    }
    let sql = "UPDATE visit SET member = $2, label = 'worked' WHERE id = $1 AND label <> 'worked'";
    assert_eq!(tx.execute(sql, args![&todo.reference, todo.member.0]).await.unwrap(), 1, "each piece of work is done once");
    work::done(tx, todo).await.unwrap();
}
