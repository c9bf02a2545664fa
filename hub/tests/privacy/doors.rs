//! What no cell of a CRM file may hold: numbers of payment cards and images.

use passage_hub::identity::{Purpose, crm, import::import_crm};

use crate::{
    rights::keyring,
    shop::{config, friday, site},
    support::both,
};

/// A line that is in order but for `column`.
fn file(column: &str, cell: &str) -> String {
    let usual = |name: &str| match name {
        "crm_id" => "K-100",
        "brand" => "maison",
        "entity" => "maison-sas",
        "match" => "yes",
        _ => "",
    };
    let columns: Vec<&str> = crm::COLUMNS.into_iter().chain(Purpose::ALL.iter().map(|p| p.word())).collect();
    let cells: Vec<&str> = columns.iter().map(|name| if *name == column { cell } else { usual(name) }).collect();
    format!("{}\n{}\n", columns.join(","), cells.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_column_of_a_crm_file_takes_the_number_of_a_card_or_an_image() {
    both(async |db| {
        let (config, keyring) = (config(site()), keyring());
        let face = format!("data:image/jpeg;base64,/9j/{}", "A".repeat(80));
        let columns = crm::COLUMNS.into_iter().chain(Purpose::ALL.iter().map(|p| p.word()));
        for column in columns {
            for (cell, code) in [
                ("4111111111111111", "payment-card"),
                ("4111 1111 1111 1111", "payment-card"),
                ("CB4111111111111111", "payment-card"),
                (face.as_str(), "image"),
            ] {
                let text = file(column, &format!("\"{cell}\""));
                let report = import_crm(&db, &keyring, &config, text.as_bytes(), friday(12, 0)).await.unwrap();
                assert_eq!(report.unfit.get(code), Some(&1), "{column} {code}: {report}");
                let told = report.to_string();
                assert!(!told.contains("4111") && !told.contains("/9j/"), "a report does not repeat the value: {told}");
                // What the line is about makes it useless; another broken cell costs only itself.
                let whole = ["crm_id", "context", "brand", "entity"].contains(&column);
                assert_eq!(report.refused, u64::from(whole), "{column}: {report}");
            }
        }
        let fine = file("context", "shop-fr").replace("K-100", "CB4111111111111112");
        let report = import_crm(&db, &keyring, &config, fine.as_bytes(), friday(12, 0)).await.unwrap();
        assert!(report.unfit.is_empty() && report.refused == 0, "{report}");
    })
    .await;
}
