//! What a place of a person would look like in a file.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;

/// True if any file of a folder, the outbox's write-ahead log included, holds these bytes.
pub fn on_disk(dir: &Path, secret: &[u8]) -> bool {
    let files = std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.into_iter().any(|bytes| bytes.windows(secret.len()).any(|w| w == secret))
}

/// A place a few metres from another one, with digits of its own on both axes.
pub fn beside((lat, lon): (f64, f64)) -> (f64, f64) {
    (((lat + 0.000_02) * 1e4).round() / 1e4 + 0.000_013_7, ((lon + 0.000_02) * 1e4).round() / 1e4 + 0.000_017_9)
}

/// The ways in which programs write a coordinate down: text, floating point numbers of both sizes, whole numbers of 1e-5, 1e-6 and 1e-7 degrees.
pub fn forms(coordinate: f64) -> Vec<Vec<u8>> {
    let mut all = vec![format!("{coordinate:.4}").into_bytes(), format!("{coordinate:.5}").into_bytes()];
    all.extend([coordinate.to_be_bytes(), coordinate.to_le_bytes()].map(Vec::from));
    all.extend([coordinate.to_radians().to_be_bytes(), coordinate.to_radians().to_le_bytes()].map(Vec::from));
    #[expect(clippy::cast_possible_truncation, reason = "this form is what is looked for")]
    let single = coordinate as f32;
    all.extend([single.to_be_bytes(), single.to_le_bytes()].map(Vec::from));
    for scale in [1e5, 1e6, 1e7] {
        #[expect(clippy::cast_possible_truncation, reason = "at most 1.8e9")]
        for whole in [(coordinate * scale).round() as i32, (coordinate * scale).floor() as i32] {
            // Shorter ones stand in any file by chance.
            if whole.abs() >= 1 << 20 {
                all.extend([whole.to_be_bytes(), whole.to_le_bytes()].map(Vec::from));
                all.extend(Some(whole.to_string().into_bytes()).filter(|text| text.len() >= 8));
            }
        }
    }
    all
}

/// The first form of either axis that stands in a file of the folder.
pub fn found(dir: &Path, (lat, lon): (f64, f64)) -> Option<Vec<u8>> {
    forms(lat).into_iter().chain(forms(lon)).find(|form| on_disk(dir, form))
}

#[test]
fn each_form_of_a_coordinate_is_found() {
    let dir = tempfile::TempDir::new().unwrap();
    let (lat, lon) = beside((48.8577, 2.3606));
    assert!((lat - 48.8577).abs() < 2e-4 && (lon - 2.3606).abs() < 2e-4);
    for form in forms(lat).into_iter().chain(forms(lon)) {
        std::fs::write(dir.path().join("file"), [b"before", form.as_slice(), b"behind"].concat()).unwrap();
        assert!(found(dir.path(), (lat, lon)).is_some(), "{form:?}");
    }
    std::fs::write(dir.path().join("file"), b"nothing").unwrap();
    assert_eq!(found(dir.path(), (lat, lon)), None);
}
