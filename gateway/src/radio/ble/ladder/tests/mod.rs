use proptest::prelude::*;

use super::*;

const SILENCE: Duration = Duration::from_secs(15);
const GIVE_UP: Duration = Duration::from_secs(600);
const BUSY: Outcome = Outcome::InProgress { discovering: true };
const LEFT_OVER: Outcome = Outcome::InProgress { discovering: false };

fn ladder() -> Ladder {
    Ladder::new(Times { silence: SILENCE, give_up: GIVE_UP })
}

/// A radio in a test: answers the actions and keeps what was asked, with the second it was asked in.
struct Site {
    ladder: Ladder,
    now: Duration,
    asked: Vec<(u64, Action)>,
}

impl Site {
    fn new() -> Self {
        Self { ladder: ladder(), now: Duration::ZERO, asked: Vec::new() }
    }

    /// Lets time pass in steps of 250 ms, answering each action.
    fn run(&mut self, seconds: u64, answer: impl Fn(Action, Duration) -> Outcome) -> &mut Self {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            // Several in the same moment are allowed, without end they are not.
            for n in 0.. {
                let Some(action) = self.ladder.poll(self.now) else { break };
                assert!(n < 10, "{action:?} again and again at {:?}", self.now);
                self.asked.push((self.now.as_secs(), action));
                self.ladder.outcome(answer(action, self.now), self.now);
            }
            self.now += Duration::from_millis(250);
        }
        self
    }

    fn count(&self, action: Action) -> usize {
        self.asked.iter().filter(|(_, asked)| *asked == action).count()
    }
}

/// A healthy daemon.
fn healthy(_: Action, _: Duration) -> Outcome {
    Outcome::Done
}

#[test]
fn nothing_is_done_while_something_is_heard_every_ten_seconds() {
    let mut site = Site::new();
    for _ in 0..1000 {
        site.run(10, healthy);
        let now = site.now;
        site.ladder.heard(now);
    }
    assert_eq!(site.asked, []);
}

#[test]
fn the_rungs_are_taken_in_their_order_and_then_after_longer_and_longer_waits() {
    let mut site = Site::new();
    site.run(200, healthy);
    let expected = [
        (15, Action::Start),
        (30, Action::Session),
        (45, Action::Daemon),
        (48, Action::Start),
        (78, Action::Session),
        (138, Action::Start), // the daemon was restarted 93 s ago
        (198, Action::Session),
    ];
    assert_eq!(site.asked, expected);
    assert!(site.ladder.is_silent() && !site.ladder.is_wedged());
}

#[test]
fn a_closed_shop_never_ends_the_gateway_and_seldom_restarts_the_daemon() {
    let mut site = Site::new();
    site.run(7 * 86_400, healthy);
    assert_eq!(site.count(Action::GiveUp), 0);
    assert!((2..=14).contains(&site.count(Action::Daemon)), "{:?}", site.count(Action::Daemon));
    assert!(site.asked.len() < 700, "{} calls in a week", site.asked.len());
}

#[test]
fn a_site_with_a_phone_every_two_minutes_is_left_alone_once_that_is_known() {
    let mut site = Site::new();
    for _ in 0..2000 {
        site.run(120, healthy);
        let now = site.now;
        site.ladder.heard(now);
    }
    assert!(site.count(Action::Daemon) <= 1, "{}", site.count(Action::Daemon));
}

#[test]
fn a_scan_round_that_a_dead_daemon_left_behind_is_waited_out() {
    let mut site = Site::new();
    site.ladder.notice(Notice::DaemonGone, Duration::ZERO);
    site.ladder.notice(Notice::DaemonBack, Duration::ZERO);
    site.run(20, |_, now| if now < ROUND { LEFT_OVER } else { Outcome::Done });
    assert_eq!(site.count(Action::Stop) + site.count(Action::Daemon) + site.count(Action::Session), 0);
    assert_eq!(site.asked.last(), Some(&(11, Action::Start)));
}

#[test]
fn an_adapter_that_is_busy_for_longer_is_stopped_and_started() {
    let mut site = Site::new();
    site.ladder.notice(Notice::DaemonBack, Duration::ZERO);
    site.run(30, |action, _| if action == Action::Stop { Outcome::Failed } else { LEFT_OVER });
    let stop = site.asked.iter().position(|(_, action)| *action == Action::Stop).unwrap();
    assert_eq!(site.asked[stop].0, 26, "15 s of silence and 11 s of waiting");
    assert_eq!(site.asked[stop + 1].1, Action::Start);
}

#[test]
fn in_progress_on_start_and_on_stop_is_a_wedged_daemon_and_is_restarted_at_once() {
    let mut site = Site::new();
    site.run(16, |action, _| if action == Action::Daemon { Outcome::Done } else { BUSY });
    assert_eq!(site.asked, [(15, Action::Start), (15, Action::Stop), (15, Action::Daemon)]);
    assert!(site.ladder.is_wedged() && !site.ladder.is_denied());
    let now = site.now;
    site.ladder.notice(Notice::DaemonGone, now);
    site.ladder.notice(Notice::DaemonBack, now);
    site.run(2, healthy);
    let now = site.now;
    site.ladder.heard(now);
    assert!(!site.ladder.is_wedged() && !site.ladder.is_silent());
}

#[test]
fn a_wedge_that_may_not_be_mended_is_told_and_asked_for_later_and_later() {
    let mut site = Site::new();
    site.run(86_400, |action, _| if action == Action::Daemon { Outcome::Denied } else { BUSY });
    assert!(site.ladder.is_denied() && site.ladder.is_wedged());
    assert_eq!(site.count(Action::GiveUp), 0, "a new process cannot mend it");
    assert!((5..40).contains(&site.count(Action::Daemon)), "{}", site.count(Action::Daemon));
}

#[test]
fn a_bus_that_stays_dead_ends_the_process_after_the_time_that_is_set() {
    let mut site = Site::new();
    site.ladder.notice(Notice::BusGone, Duration::ZERO);
    site.run(650, |_, _| Outcome::Failed);
    let (at, _) = *site.asked.iter().find(|(_, action)| *action == Action::GiveUp).unwrap();
    assert_eq!(at, 600);
    assert!(site.count(Action::Session) < 40, "it is not asked as fast as it refuses");
}

#[test]
fn a_missing_adapter_is_waited_for_and_started_the_moment_it_is_back() {
    let mut site = Site::new();
    site.ladder.notice(Notice::PoweredOff, Duration::ZERO);
    site.ladder.notice(Notice::AdapterGone, Duration::ZERO);
    site.run(3600, |_, _| Outcome::NoAdapter);
    assert_eq!(site.count(Action::GiveUp), 0);
    assert!(site.ladder.is_silent(), "a person should look");
    let now = site.now;
    site.ladder.notice(Notice::AdapterBack, now);
    assert_eq!(site.ladder.poll(now), Some(Action::Session));
}

#[test]
fn an_adapter_that_somebody_switched_off_is_switched_on_again_within_a_second() {
    let mut site = Site::new();
    site.ladder.notice(Notice::PoweredOff, Duration::ZERO);
    // What was on its way does not make it look alive.
    site.ladder.heard(Duration::from_millis(100));
    site.run(2, healthy);
    assert_eq!(site.asked, [(0, Action::Start)]);
    site.ladder.notice(Notice::PoweredOn, Duration::from_secs(2));
    assert_eq!(site.ladder.poll(Duration::from_secs(2)), None, "our own start has switched it on");
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Heard,
    Notice(Notice),
    Answer(Outcome),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Done), Just(BUSY), Just(LEFT_OVER), Just(Outcome::NoAdapter), Just(Outcome::Failed), Just(Outcome::Denied)]
}

fn step() -> impl Strategy<Value = Step> {
    let notice = prop_oneof![
        Just(Notice::PoweredOff),
        Just(Notice::PoweredOn),
        Just(Notice::AdapterGone),
        Just(Notice::AdapterBack),
        Just(Notice::DaemonGone),
        Just(Notice::DaemonBack),
        Just(Notice::BusGone),
        Just(Notice::Overrun),
    ];
    prop_oneof![(1u64..60_000).prop_map(Step::Wait), Just(Step::Heard), notice.prop_map(Step::Notice), outcome().prop_map(Step::Answer)]
}

/// Whatever has happened before.
fn after(history: &[Step]) -> Site {
    let mut site = Site::new();
    for step in history {
        match step {
            Step::Wait(ms) => {
                site.now += Duration::from_millis(*ms);
                if site.ladder.poll(site.now) == Some(Action::GiveUp) {
                    site = Site::new();
                }
            }
            Step::Heard => site.ladder.heard(site.now),
            Step::Notice(notice) => site.ladder.notice(*notice, site.now),
            Step::Answer(outcome) => site.ladder.outcome(*outcome, site.now),
        }
    }
    site.ladder.outcome(Outcome::Done, site.now);
    site
}

proptest! {
    // Hours are played in each case.
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_happened_the_next_try_comes_within_the_longest_wait(history in prop::collection::vec(step(), 0..60)) {
        let mut site = after(&history);
        let acts = site.ladder.poll(site.now + LONGEST_GAP).is_some();
        prop_assert!(acts);
        let now = site.now;
        if !matches!(site.ladder.next, Action::Daemon) {
            prop_assert!(site.ladder.due <= now + QUIET_WAIT * 4, "{:?} at {:?}, now {now:?}", site.ladder.next, site.ladder.due);
        }
    }

    #[test]
    fn one_action_at_a_time(history in prop::collection::vec(step(), 0..60), ms in 0u64..100_000_000) {
        let mut site = after(&history);
        let now = site.now + Duration::from_millis(ms);
        if site.ladder.poll(now).is_some() {
            prop_assert_eq!(site.ladder.poll(now + LONGEST_GAP), None);
        }
    }

    #[test]
    fn whatever_happened_a_radio_that_hears_again_is_left_alone_and_nothing_is_flagged(history in prop::collection::vec(step(), 0..60)) {
        let mut site = after(&history);
        site.now += Duration::from_secs(2);
        site.ladder.heard(site.now);
        site.asked.clear();
        prop_assert!(!site.ladder.is_silent() && !site.ladder.is_wedged() && !site.ladder.is_denied());
        site.run(14, healthy);
        prop_assert_eq!(&site.asked, &[]);
    }

    #[test]
    fn silence_alone_never_ends_the_process(history in prop::collection::vec(step(), 0..60)) {
        let mut site = after(&history);
        let now = site.now;
        site.ladder.heard(now + Duration::from_secs(2));
        site.now += Duration::from_secs(2);
        site.asked.clear();
        site.run(20_000, healthy);
        prop_assert_eq!(site.count(Action::GiveUp), 0);
    }

    #[test]
    fn calls_that_fail_for_ever_end_the_process_in_time(history in prop::collection::vec(step(), 0..60)) {
        let mut site = after(&history);
        site.asked.clear();
        let begun = site.now;
        site.run(8 * 3600, |_, _| Outcome::Failed);
        let end = site.asked.iter().find(|(_, action)| *action == Action::GiveUp).map(|(at, _)| *at);
        prop_assert!(end.is_some(), "{:?}", site.asked);
        prop_assert!(end.is_some_and(|at| at <= begun.as_secs() + 2 * 3600 + 600 + 60), "{end:?}");
    }
}
