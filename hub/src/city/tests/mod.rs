use super::*;

/// A town that is lived through in seconds.
const SMALL: &str = "members = 120\nshops = 6\nradio = { advert_every = \"5 s\" }\n";

fn town(more: &str, seed: u64) -> Report {
    let world = passage_config::read_world(&format!("{SMALL}{more}")).unwrap();
    live(&world, seed)
}

/// A small town has some hundred visits, so one wrong visit is a third of a percent: the bars are for three towns together.
#[test]
fn visits_are_found_and_nothing_else_is_one() {
    let towns = [1, 2, 3].map(|seed| town("weeks = 2\npeople = { replays = 1 }\n", seed).all);
    let sum = |of: fn(&Tally) -> usize| dice::real(i64::try_from(towns.iter().map(of).sum::<usize>()).unwrap());
    assert!(sum(|t| t.took_place) > 900.0, "{towns:?}");
    let (right, wrong) = (sum(|t| t.right), sum(|t| t.wrong));
    assert!(right / (right + wrong) >= 0.98, "precision {}", right / (right + wrong));
    let recall = sum(|t| t.heard_found) / sum(|t| t.could_be_heard);
    assert!(recall >= 0.97, "recall {recall}");
    assert!(towns.iter().all(|t| t.dwell_error_s() <= 60.0));
}

#[test]
fn the_same_seed_is_the_same_city() {
    let (one, again, other) = (town("weeks = 1\n", 7), town("weeks = 1\n", 7), town("weeks = 1\n", 8));
    assert_eq!(one, again);
    assert_ne!(one, other);
}

#[test]
fn what_cannot_be_heard_is_not_invented() {
    let deaf = "weeks = 2\nphones = { off = 1 }\ncounter = { buys = 0, pickups = 0 }\npeople = { replays = 0 }\n";
    let report = town(deaf, 1);
    assert_eq!((report.all.right, report.all.wrong, report.all.could_be_heard), (0, 0, 0));
    assert!(report.all.took_place > 300);
}
