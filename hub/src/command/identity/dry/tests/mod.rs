use passage_config::Identity;

use super::*;

const FILE: &str = include_str!("../../../../../tests/fixtures/adversarial.csv");

fn read(text: &str, identity: &Identity) -> Outcome {
    let keyring = Keyring::from_secret(&[5; 32]);
    outcome(text.as_bytes(), "FR", &keyring, &Rules::new(identity, "FR", &keyring)).unwrap()
}

#[test]
fn shared_phones_families_switchboards_bots_and_chains_join_nobody_who_is_not_one() {
    let out = read(FILE, &Identity::default());
    // Anne's three records and Luc's two contexts are one person each; nobody else is.
    assert_eq!((out.records, out.records - out.persons, out.largest), (97, 3, 3), "{out}");
    let refused: Vec<_> = out.refused.iter().map(|(why, n)| (*why, *n)).collect();
    assert_eq!(
        refused,
        [
            // the couple's phone, and the chain of addresses
            (Refusal::TwoCrmIds, 20),
            // the bot's cookies and the farm's addresses
            (Refusal::TooMany, 350 + 295),
            // the family's address and the switchboard
            (Refusal::Shared, 5 + 40),
            (Refusal::NoConsent, 1),
        ],
        "{out}"
    );
    assert_eq!(out.held.1, 11, "the tablet was in twelve hands");
    assert_eq!(out.unusable.values().sum::<usize>(), 30);
    assert!(!out.to_string().contains("example.fr"));
}

#[test]
fn the_lines_of_a_file_may_come_in_any_order() {
    let (head, body) = FILE.split_once('\n').unwrap();
    let mut lines: Vec<&str> = body.lines().collect();
    lines.reverse();
    let turned = format!("{head}\n{}", lines.join("\n"));
    assert_eq!(read(FILE, &Identity::default()), read(&turned, &Identity::default()));
}

#[test]
fn a_switchboard_on_the_block_list_is_refused_as_such() {
    let block = [("phone".to_owned(), vec!["+33 1 99 00 40 40".to_owned()])].into();
    let out = read(FILE, &Identity { block, ..Identity::default() });
    assert_eq!(out.refused.get(&Refusal::Blocked), Some(&40));
}
