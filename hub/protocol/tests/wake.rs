//! The wake beacon against vectors that were computed with another implementation of HMAC-SHA256.

use passage_protocol::{
    StoreId,
    wake::{WakeId, WakeKey, WakeMaster},
};
use proptest::prelude::*;

fn vectors() -> serde_json::Value {
    serde_json::from_slice(include_bytes!("vectors/wake.json")).unwrap()
}

#[test]
fn keys_ids_and_frames_match_the_vectors() {
    let vectors = vectors();
    let master = WakeMaster::from_text(vectors["master"].as_str().unwrap()).unwrap();
    let mut uuid = [0; 16];
    hex::decode_to_slice(vectors["uuid"].as_str().unwrap().replace('-', ""), &mut uuid).unwrap();
    for shop in vectors["stores"].as_array().unwrap() {
        let key = master.store_key(&shop["store"].as_str().unwrap().parse().unwrap());
        assert_eq!(key.to_text(), shop["key"].as_str().unwrap());
        for row in shop["ids"].as_array().unwrap() {
            let id = key.id(row["window"].as_i64().unwrap());
            assert_eq!((u64::from(id.major()), u64::from(id.minor())), (row["major"].as_u64().unwrap(), row["minor"].as_u64().unwrap()));
            assert_eq!(hex::encode(id.frame(&uuid, -59)), row["frame"].as_str().unwrap());
        }
    }
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let master = WakeMaster::from_bytes([65; 32]);
    let key = master.store_key(&"lyon-bellecour".parse().unwrap());
    assert_eq!(format!("{master:?} {key:?} {:?}", key.id(1)), "WakeMaster(..) WakeKey(..) WakeId(..)");
}

#[test]
fn texts_that_are_no_keys_are_refused() {
    for text in ["", "c2hvcnQ=", "not base64 at all", &"A".repeat(43)] {
        assert!(WakeKey::from_text(text).is_none() && WakeMaster::from_text(text).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn keys_and_ids_survive_their_text_forms(master: [u8; 32], store in "[a-z0-9-]{3,40}", window in 0_i64..=0xffff_ffff) {
        let master = WakeMaster::from_bytes(master);
        let store: StoreId = store.parse().unwrap();
        let key = master.store_key(&store);
        prop_assert_eq!(WakeMaster::from_text(&master.to_text()), Some(master.clone()));
        let as_in_a_file = format!(" {}\n", key.to_text());
        prop_assert_eq!(WakeKey::from_text(&as_in_a_file), Some(key.clone()));
        let id = key.id(window);
        prop_assert_eq!(WakeId::new(id.major(), id.minor()), id);
    }
}
