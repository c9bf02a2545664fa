//! The apps' own samples, and bytes that nobody sends.

use super::*;

#[test]
fn every_sample_of_the_apps_is_read_as_its_notice_says() {
    let samples: Value = serde_json::from_str(include_str!("../../../tests/fixtures/owntracks.json")).unwrap();
    let intake = intake();
    let who = WHO.parse().unwrap();
    let mut seen = BTreeMap::new();
    for sample in samples["samples"].as_array().unwrap().iter().chain(samples["hostile"].as_array().unwrap()) {
        let payload = &sample["payload"];
        // Read at the time at which it was sent.
        let now = Millis::from_secs(payload["tst"].as_i64().unwrap_or(1));
        let told = match intake.read(payload.to_string().as_bytes(), &who, now) {
            Ok(owntracks::Report::Fix(fix, _)) => {
                format!("fix {} {} {:?} {:?} {}", fix.lat, fix.lon, fix.accuracy_m, fix.speed_kmh, fix.at.secs())
            }
            Ok(other) => format!("{other:?}"),
            Err(fate) => fate.as_str().to_owned(),
        };
        seen.insert(sample["id"].as_str().unwrap().to_owned(), told);
    }
    let want = [
        ("android-location-mqtt", "fix 51 0 Some(5.0) Some(0.0) 1709037003"),
        ("android-location-extended-pretty", "fix 50.1 60.2 Some(10.0) Some(5.0) 123456789"),
        ("android-location-http", "fix 48.8566 2.3522 Some(15.0) None 1778266175"),
        ("ios-location-http", "fix 37 -122 Some(5.0) None 1736161169"),
        ("ios-location-beacon-trigger", "fix -25.762245 126.074502 Some(5.0) Some(79.0) 1721896446"),
        ("ping-same-fix", "ignored"),
        ("transition-circular", "unknown-region"),
        ("transition-android-location-trigger", "unknown-region"),
        ("transition-beacon", "unknown-region"),
        ("no-type", "poison"),
        ("zero-tst", "poison"),
    ];
    assert_eq!(seen, want.map(|(id, told)| (id.to_owned(), told.to_owned())).into());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        let _ = intake().read(&bytes, &WHO.parse().unwrap(), NOW);
    }

    #[test]
    fn any_values_in_the_known_keys_are_survived(tst in "\\PC{0,12}", lat in proptest::prelude::any::<f64>(), acc in "[-0-9.eE]{0,9}") {
        let body = json!({"_type": "location", "tst": tst, "lat": lat, "lon": lat, "acc": acc}).to_string();
        if let Ok(owntracks::Report::Fix(fix, _)) = intake().read(body.as_bytes(), &WHO.parse().unwrap(), NOW) {
            proptest::prop_assert!(fix.lat.abs() <= 90.0 && fix.accuracy_m.is_none_or(|a| a > 0.0));
        }
    }
}
