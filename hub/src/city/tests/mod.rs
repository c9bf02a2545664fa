use super::*;

/// A town that is lived through in seconds.
const SMALL: &str = "members = 120\nshops = 6\nradio = { advert_every = \"5 s\" }\n";

fn town(more: &str, seed: u64) -> Report {
    let world = passage_config::read_world(&format!("{SMALL}{more}")).unwrap();
    live(&world, seed)
}

#[test]
fn visits_are_found_and_nothing_else_is_one() {
    for seed in [1, 2, 3] {
        let report = town("weeks = 2\npeople = { replays = 1 }\n", seed);
        assert!(report.all.took_place > 300, "seed {seed}\n{report}");
        assert!(report.all.precision() >= 0.98, "seed {seed}\n{report}");
        assert!(report.all.recall() >= 0.97, "seed {seed}\n{report}");
        assert!(report.all.dwell_error_s() <= 60.0, "seed {seed}\n{report}");
    }
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
