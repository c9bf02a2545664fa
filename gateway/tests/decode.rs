//! `passage-gateway decode` as the shell runs it, over adverts of real beacons. The facts in `fixtures/adverts.json` are those of other
//! projects' tests and of the formats' specifications.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn decode(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_passage-gateway"))
        .arg("decode")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_advert_of_the_vectors_gives_exactly_its_keys() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("fixtures/adverts.json")).unwrap();
    assert!(vectors.len() > 25);
    let input: String = vectors.iter().map(|v| format!("{}\n", v["advert"].as_str().unwrap())).collect();
    let output = decode(&["-"], input.as_bytes());
    assert!(output.status.success(), "{output:?}");
    let decoded = lines(&output);
    assert_eq!(decoded.len(), vectors.len());
    for (mut line, vector) in decoded.into_iter().zip(vectors) {
        if let Some(beacon) = line.as_object_mut() {
            assert_eq!(beacon.remove("ours"), Some(Value::Bool(false)), "{}", vector["name"]);
        }
        assert_eq!(line, vector["expect"], "{}", vector["name"]);
    }
}

#[test]
fn what_is_no_hex_is_told_by_its_line_and_the_rest_is_decoded() {
    let output = decode(&[], b"020106\nzz\n0d 16 aafe 30e3 4549445f74657374\n\xff\xfe\n123\n0303aafe");
    assert_eq!(output.status.code(), Some(1));
    let decoded = lines(&output);
    assert_eq!((decoded.len(), &decoded[2]["eid"]), (6, &Value::from("4549445f74657374")), "one line for each");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(["line 2: ", "line 4: ", "line 5: ", "3 of 6 lines"].iter().all(|part| told.contains(part)), "{told}");
    assert!(!told.contains("zz"), "what was written is not repeated");
}

#[test]
fn the_site_says_which_beacons_are_ours() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo/gateway-lyon.toml");
    let card = "02 01 06 1aff 4c000215 2f9b6c1e8d474b0ab6a35d1e7c94f082 0001 03e9 c5";
    let stranger = "02 01 06 1aff 4c000215 2f9b6c1e8d474b0ab6a35d1e7c94f082 0001 03ea c5";
    let app = "1b21 241a7f8b5d3c0e9a584eb3749a1c2d6f 1c 0102030405060708 c5";
    let iphone = "1aff 4c000215 a3b14c9d5e27f80612cd7b 1c 0102030405060708 c5";
    let service = "1107 c5 0807060504030201 1c f1e7c4902b5d";
    let both = format!("{stranger} {app}");
    let output = decode(&[card, stranger, app, iphone, service, &both, "--config", config], b"");
    assert!(output.status.success(), "{output:?}");
    let decoded = lines(&output);
    let ours: Vec<_> = decoded.iter().map(|line| line["ours"].as_bool().unwrap()).collect();
    assert_eq!(ours, [true, false, true, true, true, true]);
    for (line, carrier) in decoded[2..].iter().zip(["service-data", "ibeacon", "service-uuid", "service-data"]) {
        let expected = serde_json::json!({
            "type": "rid", "carrier": carrier, "rid": "0102030405060708", "hint": 12, "power_1m": -59, "ours": true,
        });
        assert_eq!(line, &expected);
    }
    let without = decode(&[app, iphone, service], b"");
    let kinds: Vec<_> = lines(&without).iter().map(|line| line["type"].clone()).collect();
    assert_eq!(kinds, [Value::Null, Value::from("ibeacon"), Value::Null]);
}
