use super::*;

fn answers(input: &[u8]) -> Vec<Value> {
    answers_of(input, &Reading::default())
}

fn answers_of(input: &[u8], reading: &Reading) -> Vec<Value> {
    let mut out = Vec::new();
    answer_all(input, &mut out, reading).unwrap();
    out.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[test]
fn every_line_is_answered_and_what_is_not_json_is_refused() {
    let input = "{\"kind\":\"phone\",\"input\":\"0639981234\",\"default_region\":\"fr\"}\n\
                 not json\n\n\
                 {\"kind\":\"phone\",\"input\":639981234}\n\
                 {\"kind\":\"shoe\",\"input\":\"42\"}\n\
                 {\"kind\":\"email\"}\n\
                 [1]\n\
                 {\"kind\":\"loyalty_card\",\"input\":\"l 12-3\"}";
    let answers = answers(input.as_bytes());
    assert_eq!(answers.len(), 7);
    assert_eq!(answers[0]["google"]["normalised"], "+33639981234");
    assert_eq!(answers[2]["meta"]["normalised"], "33639981234");
    assert_eq!(answers[6]["canonical"], "L123");
    for refused in [1, 3, 4, 5] {
        assert_eq!((&answers[refused]["reject"], &answers[refused]["google"]["reject"]), (&true.into(), &true.into()), "{refused}");
        assert!(answers[refused]["reason"].is_string());
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_stop_the_filter(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        let lines = bytes.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).count();
        proptest::prop_assert_eq!(answers(&bytes).len(), lines);
    }
}

#[test]
fn values_of_the_block_list_are_refused_however_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.toml");
    let site = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo");
    let text = format!(
        "site = \"{site}\"\nid = \"hub-1\"\ndatabase = \"sqlite:hub.db\"\nkey_file = \"hub.key\"\n[mqtt]\nhost = \"127.0.0.1\"\n\
         [identity.block]\nphone = [\"+33 1 99 00 12 34\"]\ncrm_id = [\"99999\"]\n"
    );
    std::fs::write(&file, text).unwrap();
    let config = load_hub(&file).unwrap_or_else(|e| panic!("{e}"));
    let input = "{\"kind\":\"phone\",\"input\":\"01.99.00.12.34\"}\n{\"kind\":\"phone\",\"input\":\"01.99.00.12.35\"}\n\
                 {\"kind\":\"crm_id\",\"input\":\"99999\"}\n{\"kind\":\"given_name\",\"input\":\"Anne\"}";
    let refused: Vec<bool> = answers_of(input.as_bytes(), &Reading::of(&config)).iter().map(|a| a["reject"] == true).collect();
    assert_eq!(refused, [true, false, true, false]);
}
