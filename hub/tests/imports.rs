//! Files of other systems, read by the profiles that the demo ships: each with a fixture, on both engines. Every refused row is named with its line.

mod support;

use std::path::{Path, PathBuf};

use passage_config::{HubConfig, load_hub};
use passage_hub::{
    command::import::import_file,
    identity::Keyring,
    store::{self, Db},
    touchpoint::table::ImportReport,
};
use passage_protocol::{Clock, Millis};
use support::both;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The demo's configuration without its tracking plan, on the evening of 2026-11-20.
fn config() -> HubConfig {
    let mut config = load_hub(&here("../config/demo/hub.toml")).unwrap_or_else(|e| panic!("{e}"));
    let mut site = (*config.site).clone();
    site.touch.plan = None;
    config.site = site.into();
    config.clock = Clock::stepped(Millis(1_795_197_600_000));
    config
}

async fn import(db: &Db, config: &HubConfig, profile: &str) -> ImportReport {
    let file = here("tests/fixtures/profiles").join(format!("{profile}.csv"));
    let profile = &config.site.touch.profiles[profile];
    import_file(db, &Keyring::from_secret(&[7; 32]), config, &file, Some(profile), profile.rows).await.unwrap()
}

fn lines(report: &ImportReport) -> Vec<u64> {
    report.faults.iter().map(|fault| fault.line).collect()
}

#[tokio::test]
async fn every_profile_of_the_demo_has_its_fixture() {
    for profile in config().site.touch.profiles.keys() {
        assert!(here("tests/fixtures/profiles").join(format!("{profile}.csv")).exists(), "{profile}");
    }
}

#[tokio::test]
async fn hits_of_google_and_adobe_become_touchpoints_and_a_corrected_row_takes_the_place_of_the_first() {
    both(async |db| {
        let config = config();
        let ga4 = import(&db, &config, "ga4-events").await;
        assert_eq!((ga4.rows, ga4.stored, ga4.refused), (6, 3, 3), "{ga4}");
        assert_eq!(lines(&ga4), [4, 6, 7]);
        assert!(ga4.faults[0].reason.starts_with("kind:") && ga4.faults[1].reason.starts_with("at:"));
        assert_eq!(import(&db, &config, "ga4-events").await.unchanged, 3);

        let adobe = import(&db, &config, "adobe").await;
        assert_eq!((adobe.stored, adobe.corrected, adobe.refused), (3, 1, 1), "{adobe}");
        let sql = "SELECT sku, channel, kind FROM touchpoint WHERE id LIKE 'adobe/%' ORDER BY id";
        let rows = db.fetch(sql, vec![]).await.unwrap();
        assert_eq!(rows[2].opt_text(0).unwrap().as_deref(), Some("MA-COAT-03"), "late and corrected");
        assert_eq!(rows[0].opt_text(1).unwrap().as_deref(), Some("organic-search"));
    })
    .await;
}

#[tokio::test]
async fn a_parquet_file_of_another_writer_is_read_by_the_same_profile() {
    both(async |db| {
        let config = config();
        let profile = &config.site.touch.profiles["ga4-events"];
        let keyring = Keyring::from_secret(&[7; 32]);
        for (name, good) in [("ga4-events.parquet", true), ("ga4-events-zstd.parquet", false), ("ga4-events.csv", false)] {
            let from = here("tests/fixtures/profiles").join(name);
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("export.parquet");
            std::fs::copy(&from, &file).unwrap();
            match import_file(&db, &keyring, &config, &file, Some(profile), profile.rows).await {
                Ok(report) => {
                    assert_eq!((good, report.rows, report.stored, lines(&report)), (true, 4, 3, vec![4]), "{report}");
                    let at = db.fetch("SELECT at FROM touchpoint WHERE kind = 'view'", vec![]).await.unwrap()[0].int(0).unwrap();
                    assert_eq!(at, 1_795_000_330_000);
                }
                Err(error) => assert!(!good && error.to_string().contains("Snappy"), "{name}: {error}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn sums_of_platforms_are_taken_by_day_campaign_and_channel_and_only_once() {
    both(async |db| {
        let config = config();
        for _ in 0..2 {
            let google = import(&db, &config, "google-analytics").await;
            assert_eq!((google.rows, google.stored, google.refused), (5, 3, 2), "{google}");
            assert_eq!(lines(&google), [10, 11], "lines of the file, not of the table");
            let meta = import(&db, &config, "meta-ads").await;
            assert_eq!((meta.stored, lines(&meta)), (2, vec![4]));
            assert!(!meta.to_string().contains("anne"));
            assert_eq!(lines(&import(&db, &config, "google-ads").await), [5]);
        }
        let totals = store::tally::totals_since(&mut db.begin_read().await.unwrap(), 0).await.unwrap();
        let of = |source: &str, channel: &str, kind: &str| {
            totals.iter().filter(|t| (t.0.as_str(), t.2.as_str(), t.3.as_str()) == (source, channel, kind)).map(|t| t.4).sum::<i64>()
        };
        assert_eq!(of("google-analytics", "organic-search", "click"), 1_204);
        assert_eq!(of("google-analytics", "direct", "click"), 522);
        assert_eq!(of("meta", "paid-social", "view"), 36_352);
        assert_eq!((of("google-ads", "paid-search", "click"), of("google-ads", "display", "view")), (402, 40_112));
    })
    .await;
}

#[tokio::test]
async fn affiliates_customers_and_tickets_are_read_with_french_times_and_words() {
    both(async |db| {
        let config = config();
        let crm = import(&db, &config, "crm").await;
        assert_eq!((crm.stored, crm.not_kept, lines(&crm)), (1, 1, vec![4]), "{crm}");
        let affiliates = import(&db, &config, "affiliates").await;
        assert_eq!((affiliates.stored, lines(&affiliates)), (1, vec![3, 4]), "{affiliates}");
        let row = &db.fetch("SELECT at, channel, click_id FROM touchpoint", vec![]).await.unwrap()[0];
        assert_eq!(row.int(0).unwrap(), 1_794_945_900_000, "21:05 in Paris");
        assert_eq!((row.text(1).unwrap(), row.text(2).unwrap()), ("affiliate".to_owned(), "awc=8841_1".to_owned()));
        let tills = import(&db, &config, "tills").await;
        assert_eq!((tills.stored, lines(&tills)), (2, vec![4, 5]), "{tills}");
        assert_eq!(db.fetch("SELECT store FROM purchase", vec![]).await.unwrap()[0].text(0).unwrap(), "lyon-bellecour");
    })
    .await;
}

#[tokio::test]
async fn a_schedule_of_posters_becomes_exposures_of_a_store() {
    both(async |db| {
        let config = config();
        let street = import(&db, &config, "street").await;
        assert_eq!((street.stored, lines(&street)), (1, vec![3, 4]), "{street}");
        assert_eq!(import(&db, &config, "street").await.unchanged, 1);
        let noon = Millis(1_795_176_000_000);
        let mut tx = db.begin_read().await.unwrap();
        let seen = store::touchpoint::store_exposures(&mut tx, "lyon-bellecour", noon, Millis(noon.0 + 1)).await.unwrap();
        assert_eq!((seen.len(), seen[0].campaign.as_str(), seen[0].channel.as_str()), (1, "flyer-lyon", "street"));
        assert!(store::touchpoint::store_exposures(&mut tx, "paris-marais", noon, Millis(noon.0 + 1)).await.unwrap().is_empty());
    })
    .await;
}
