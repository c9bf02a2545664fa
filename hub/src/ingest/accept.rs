//! What may come in: the checks of one payload, without any I/O.

use passage_config::model::Site;
use passage_protocol::{Envelope, Event, GatewayId, GatewayState, Gone, Hello, Millis, Topic};

/// Evidence may not be further ahead of the hub's time than this.
const FUTURE: i64 = 24 * 3_600_000;
/// An event that is sent so long after it happened comes from a backlog.
const OLD: Millis = Millis(2 * 60_000);

/// A payload that keeps the contract.
#[derive(Debug)]
pub(crate) enum Accepted {
    Hello(Hello),
    /// What a gateway says of itself; `None` when its word was taken off the broker.
    State(Option<GatewayState>),
    Envelope(Checked),
}

/// An envelope whose events have each been looked at.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) gateway: GatewayId,
    pub(crate) epoch: String,
    pub(crate) events: Vec<CheckedEvent>,
    pub(crate) gone: Vec<Gone>,
    /// Some of it happened long before it was sent: the gateway works off a backlog.
    pub(crate) backlog: bool,
}

/// An event and what is to be done with it.
#[derive(Debug)]
pub(crate) struct CheckedEvent {
    pub(crate) event: Event,
    /// Milliseconds to add to its times, not 0 only if its gateway does not trust its clock.
    pub(crate) shift: i64,
    /// Why it is put aside. It counts as stored, because sending it again would not mend it.
    pub(crate) refused: Option<&'static str>,
}

/// A payload that is put aside, with a reason that repeats no value of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) gateway: Option<GatewayId>,
    pub(crate) reason: String,
}

/// Checks a payload from `topic` that arrived at `now`.
pub(crate) fn accept(topic: &str, payload: &[u8], now: Millis, site: &Site) -> Result<Accepted, Refused> {
    let refuse = |gateway: Option<&GatewayId>, reason: &str| Refused { gateway: gateway.cloned(), reason: reason.to_owned() };
    match topic.parse() {
        Ok(Topic::Event(id)) => {
            let envelope = Envelope::from_slice(payload).map_err(|e| refuse(Some(&id), &e.to_string()))?;
            if envelope.gateway != id {
                return Err(refuse(Some(&id), "the envelope names another gateway than its topic"));
            }
            Ok(Accepted::Envelope(checked(envelope, now, site)))
        }
        Ok(Topic::Hello(id)) => {
            let hello = Hello::from_slice(payload).map_err(|e| refuse(Some(&id), &e.to_string()))?;
            if hello.gateway != id {
                return Err(refuse(Some(&id), "the hello names another gateway than its topic"));
            }
            Ok(Accepted::Hello(hello))
        }
        Ok(Topic::State(_)) if payload.is_empty() => Ok(Accepted::State(None)),
        Ok(Topic::State(id)) => {
            let state = GatewayState::from_slice(payload).map_err(|e| refuse(Some(&id), &e.to_string()))?;
            if state.gateway != id {
                return Err(refuse(Some(&id), "the state names another gateway than its topic"));
            }
            Ok(Accepted::State(Some(state)))
        }
        Ok(_) => Err(refuse(None, "a message on a topic that the hub does not read")),
        Err(e) => Err(refuse(None, &e.to_string())),
    }
}

fn checked(envelope: Envelope, now: Millis, site: &Site) -> Checked {
    let clock = GatewayClock { synced: envelope.synced, sent_at: envelope.sent_at, sent_mono: envelope.sent_mono };
    let backlog = envelope.events.iter().any(|event| envelope.sent_at.since(event.at) > OLD.0);
    let look = |event: Event| {
        let shift = clock.shift(&event, now);
        let ahead = |at: Millis| at.0.saturating_add(shift).saturating_sub(now.0) > FUTURE;
        let refused = if !site.stores.contains_key(&event.store) {
            Some("the event names a store that is not in the configuration")
        } else if ahead(event.at) || ahead(event.last) {
            Some("the event is more than 24 h ahead of the hub's clock")
        } else {
            None
        };
        CheckedEvent { event, shift, refused }
    };
    Checked {
        gateway: envelope.gateway,
        epoch: envelope.epoch,
        events: envelope.events.into_iter().map(look).collect(),
        gone: envelope.gone,
        backlog,
    }
}

struct GatewayClock {
    synced: bool,
    sent_at: Millis,
    sent_mono: i64,
}

impl GatewayClock {
    /// How far an event's times are from the hub's. An unsynced gateway knows at least how long ago the event was: by its monotonic time, or, if
    /// that is of another boot, by its wall clock.
    fn shift(&self, event: &Event, now: Millis) -> i64 {
        if self.synced {
            return 0;
        }
        let mono_age = self.sent_mono.saturating_sub(event.mono);
        let age = if mono_age >= 0 { mono_age } else { self.sent_at.since(event.at).max(0) };
        now.0.saturating_sub(age).saturating_sub(event.at.0)
    }
}

#[cfg(test)]
mod tests {
    use passage_protocol::{Phase, Signal, Strength, Subject, Zone};
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = Millis(1_795_166_400_000);

    fn event(at: i64, mono: i64) -> Event {
        Event {
            id: uuid::Uuid::nil(),
            seq: 1,
            store: "lyon".parse().unwrap(),
            zone: Zone::In,
            subject: Subject::Installation("app".parse().unwrap()),
            signal: Signal::App,
            phase: Phase::Enter,
            at: Millis(at),
            mono,
            first: Millis(at),
            last: Millis(at),
            strength: Strength::App,
            initial: false,
            late: false,
        }
    }

    fn clock(synced: bool) -> GatewayClock {
        GatewayClock { synced, sent_at: Millis(70_000), sent_mono: 50_000 }
    }

    #[test]
    fn a_synced_gateway_is_believed() {
        assert_eq!(clock(true).shift(&event(1, 1), NOW), 0);
    }

    #[test]
    fn an_unsynced_gateway_is_corrected_by_its_monotonic_time() {
        // 20 s ago, whatever its wall clock says.
        let event = event(123, 30_000);
        assert_eq!(event.at.0 + clock(false).shift(&event, NOW), NOW.0 - 20_000);
    }

    #[test]
    fn an_event_of_an_earlier_boot_is_corrected_by_the_age_on_the_wall_clock() {
        let event = event(10_000, 90_000);
        assert_eq!(event.at.0 + clock(false).shift(&event, NOW), NOW.0 - 60_000);
    }

    proptest! {
        #[test]
        fn no_number_of_a_gateway_breaks_the_correction(at: i64, mono: i64, sent_at: i64, sent_mono: i64, now: i64, synced: bool) {
            GatewayClock { synced, sent_at: Millis(sent_at), sent_mono }.shift(&event(at, mono), Millis(now));
        }

        #[test]
        fn no_topic_and_no_payload_breaks_the_checks(topic in "(passage/v1/gateway/[a-z]{1,5}/(event|hello|ack)|\\PC{0,30})", payload: Vec<u8>) {
            prop_assert!(accept(&topic, &payload, NOW, &Site::default()).is_err());
        }
    }

    #[test]
    fn an_unknown_store_puts_only_its_event_aside() {
        let mut envelope = passage_protocol::Envelope::new("lyon-1".parse().unwrap(), "e".to_owned(), "b".to_owned());
        envelope.events = vec![event(NOW.0, 0)];
        let accepted = accept("passage/v1/gateway/lyon-1/event", &envelope.to_vec(), NOW, &Site::default());
        let Ok(Accepted::Envelope(checked)) = accepted else { panic!("{accepted:?}") };
        assert!(checked.events[0].refused.is_some_and(|reason| reason.contains("store")));
    }
}
