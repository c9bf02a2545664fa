//! Where a message may go from where it is. Pure.

use std::time::Duration;

use crate::sms::{MessageState, Outcome, provider::Fate};

/// Most times that one message is handed to a provider.
pub const MAX_TRIES: u32 = 5;

/// What happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A sender gives it back before any byte left, or its lease is over.
    Release,
    /// The last checks are passed; bytes may leave once this is committed.
    Write,
    /// The provider took it.
    Accept,
    /// It is known that the provider did not take it; it may be tried again.
    Retry,
    /// It is known that the provider did not take it and will not.
    Fail,
    /// Nobody knows: no answer, or a crash after `writing`.
    Lose,
    /// Forbidden.
    Suppress,
    /// Too late.
    Expire,
    /// A receipt tells how it ended.
    Receipt(Fate),
}

/// The state after `step`; `None` when the step does not apply and nothing may change.
pub fn next(state: MessageState, step: Step) -> Option<MessageState> {
    use MessageState as S;
    Some(match (state, step) {
        (S::Claimed, Step::Release) | (S::Writing, Step::Retry) => S::Planned,
        (S::Claimed, Step::Write) => S::Writing,
        // An answer may still come after the message was given up as unknown.
        (S::Writing | S::Unknown, Step::Accept) => S::Accepted,
        (S::Writing | S::Unknown | S::Claimed, Step::Fail) => S::Failed,
        (S::Writing, Step::Lose) => S::Unknown,
        (S::Planned | S::Claimed, Step::Suppress) => S::Suppressed,
        (S::Planned | S::Claimed, Step::Expire) => S::Expired,
        (S::Accepted | S::Unknown, Step::Receipt(fate)) => match fate {
            Fate::Delivered => S::Delivered,
            Fate::Failed => S::Failed,
            Fate::Expired => S::Expired,
        },
        _ => return None,
    })
}

/// What an outcome means for a message in `writing` that was tried `attempts` times, with the reason that is recorded.
pub fn after(outcome: &Outcome, attempts: u32) -> (Step, Option<String>) {
    let again = if attempts < MAX_TRIES { Step::Retry } else { Step::Fail };
    match outcome {
        Outcome::Accepted { .. } => (Step::Accept, None),
        Outcome::Refused { code, retryable: true } => (again, Some(format!("refused {code:#04x}"))),
        Outcome::Refused { code, retryable: false } => (Step::Fail, Some(format!("refused {code:#04x}"))),
        Outcome::NotSent => (again, Some("not sent".to_owned())),
        Outcome::Unknown => (Step::Lose, Some("no answer".to_owned())),
    }
}

/// Wait before try `attempts + 1`: 1, 2, 4 ... seconds with full jitter, `random` in 0..1.
pub fn wait(attempts: u32, random: f64) -> Duration {
    let ceiling = f64::from(1_u32 << attempts.saturating_sub(1).min(10));
    Duration::from_secs_f64(ceiling * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Release),
            Just(Step::Write),
            Just(Step::Accept),
            Just(Step::Retry),
            Just(Step::Fail),
            Just(Step::Lose),
            Just(Step::Suppress),
            Just(Step::Expire),
            Just(Step::Receipt(Fate::Delivered)),
            Just(Step::Receipt(Fate::Failed)),
            Just(Step::Receipt(Fate::Expired)),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_an_unknown_message_is_never_written_again(steps in proptest::collection::vec(any_step(), 1..60)) {
            let mut state = MessageState::Claimed;
            let mut lost = false;
            for step in steps {
                let Some(to) = next(state, step) else { continue };
                lost |= to == MessageState::Unknown;
                prop_assert!(!lost || !matches!(to, MessageState::Planned | MessageState::Claimed | MessageState::Writing));
                state = if to == MessageState::Planned { MessageState::Claimed } else { to };
            }
        }

        #[test]
        fn what_has_ended_stays_ended(step in any_step()) {
            for state in [MessageState::Delivered, MessageState::Failed, MessageState::Expired, MessageState::Suppressed] {
                prop_assert_eq!(next(state, step), None);
            }
        }
    }

    #[test]
    fn only_outcomes_that_are_known_to_be_not_accepted_are_tried_again() {
        assert_eq!(after(&Outcome::NotSent, 1).0, Step::Retry);
        assert_eq!(after(&Outcome::Refused { code: 0x58, retryable: true }, 4).0, Step::Retry);
        assert_eq!(after(&Outcome::Refused { code: 0x58, retryable: true }, 5).0, Step::Fail);
        assert_eq!(after(&Outcome::Refused { code: 0x0B, retryable: false }, 1), (Step::Fail, Some("refused 0x0b".into())));
        assert_eq!(after(&Outcome::Unknown, 1).0, Step::Lose);
    }

    #[test]
    fn waits_double_and_jitter_reaches_down_to_zero() {
        assert_eq!(wait(1, 1.0), Duration::from_secs(1));
        assert_eq!(wait(3, 1.0), Duration::from_secs(4));
        assert_eq!(wait(3, 0.0), Duration::ZERO);
    }
}
