//! What the facts about the way to the hub mean.

use passage_config::Mqtt;
use passage_protocol::{GatewayId, Millis};

use super::{Facts, Fault};
use crate::{command::doctor::finding::Finding, uplink::link::Outcome};

/// A hub's clock may be so far ahead before it is told, in milliseconds.
const AHEAD_MS: i64 = 5_000;
const BEFORE: &str = "mend the lines above first";

/// Judges the connection.
pub(in crate::command::doctor) fn judge_broker(facts: &Facts, mqtt: &Mqtt) -> Finding {
    const CHECK: &str = "broker";
    let place = format!("{}:{}", mqtt.host, mqtt.port);
    match &facts.fault {
        None | Some(Fault::MayNotRead(_)) => Finding::ok(CHECK, format!("{place} lets this gateway in")),
        Some(Fault::Refused) => Finding::wrong(
            CHECK,
            format!("nothing listens at {place}"),
            "start the broker there (`systemctl start mosquitto`), or correct host and port in [mqtt] of gateway.toml",
        ),
        Some(Fault::TimedOut) => Finding::wrong(
            CHECK,
            format!("{place} does not answer"),
            "look whether the shop's network is up and lets this port out, and whether host in [mqtt] is right",
        ),
        Some(Fault::Network(why)) => Finding::wrong(
            CHECK,
            format!("{place} cannot be reached: {why}"),
            "correct host in [mqtt] of gateway.toml, or look at the network and its name server",
        ),
        Some(Fault::NotMqtt) => Finding::wrong(
            CHECK,
            format!("{place} is open but does not answer as an MQTT 5 broker"),
            "correct port in [mqtt]; mosquitto must be version 1.6 or later; a port for TLS or WebSockets answers only with `tls` or `transport`",
        ),
        Some(Fault::NotLetIn(why)) => Finding::wrong(
            CHECK,
            format!("{place} refuses this gateway: {why}"),
            "with a certificate: see the line above, and whether it was revoked; else give this gateway user and password at the broker and in [mqtt]",
        ),
    }
}

/// Judges what the broker lets us read and write.
pub(in crate::command::doctor) fn judge_rights(facts: &Facts, id: &GatewayId) -> Finding {
    const CHECK: &str = "topics";
    match (&facts.fault, &facts.hello) {
        (Some(Fault::MayNotRead(why)), _) => Finding::wrong(
            CHECK,
            format!("this gateway may not read its topics: {why}"),
            format!("let it read passage/v1/gateway/{id}/# and passage/v1/hub/+/state at the broker"),
        ),
        (Some(_), _) => Finding::wrong(CHECK, "unknown without a connection", BEFORE),
        (None, Some(Outcome::Refused)) => {
            Finding::wrong(CHECK, "this gateway may not write its topics", format!("let it write passage/v1/gateway/{id}/# at the broker"))
        }
        (None, Some(_)) => Finding::ok(CHECK, "may be read and written"),
        (None, None) if facts.said_hello => Finding::warning(CHECK, "the broker did not answer a message", "look at the log of the broker"),
        (None, None) => Finding::ok(CHECK, "may be read; writing is tried once there is an outbox"),
    }
}

/// Judges the hubs.
pub(in crate::command::doctor) fn judge_hub(facts: &Facts) -> Finding {
    const CHECK: &str = "hub";
    if facts.fault.is_some() {
        return Finding::wrong(CHECK, "unknown without a connection", BEFORE);
    }
    let names =
        |online: bool| facts.hubs.iter().filter(|hub| hub.online == online).map(|hub| hub.hub.to_string()).collect::<Vec<_>>().join(", ");
    match (facts.hubs.iter().any(|hub| hub.online), facts.hubs.is_empty()) {
        (true, _) => Finding::ok(CHECK, format!("{} is online", names(true))),
        (false, true) => Finding::wrong(
            CHECK,
            "no hub has ever been seen at this broker",
            "look whether [mqtt] names the same broker as hub.toml; events are kept until a hub has them",
        ),
        (false, false) => Finding::wrong(
            CHECK,
            format!("{} is offline", names(false)),
            "start the hub, or ask who runs it; events are kept until it is back",
        ),
    }
}

/// Judges the answer to the hello: whether it comes and whether it can be believed.
pub(in crate::command::doctor) fn judge_hub_key(facts: &Facts, keys: usize) -> Finding {
    const CHECK: &str = "hub keys";
    const COPY: &str = "copy the key that `passage-hub key` prints into `hub_keys` of gateway.toml";
    if keys == 0 {
        return Finding::wrong(CHECK, "`hub_keys` is empty: no ack can be believed, and the outbox only grows", COPY);
    }
    match facts.answer {
        Some((took, true)) => Finding::ok(CHECK, format!("a hub answered in {} ms, signed by a key of `hub_keys`", took.as_millis())),
        Some((_, false)) => Finding::wrong(CHECK, "a hub answers, but its key is not in `hub_keys`: its acks are not believed", COPY),
        None if facts.said_hello && facts.hubs.iter().any(|hub| hub.online) => Finding::warning(
            CHECK,
            "a hub is online but did not answer within 3 s",
            "look at the log of the hub; it may be busy or its disk full",
        ),
        None if facts.said_hello || facts.fault.is_some() => {
            Finding::warning(CHECK, format!("{keys} pinned, not tried without a hub"), BEFORE)
        }
        None => Finding::ok(CHECK, format!("{keys} pinned; tried once there is an outbox")),
    }
}

/// Judges our clock by the hubs'. What is retained may be old, so only a hub that seems to be ahead says something.
pub(in crate::command::doctor) fn judge_hub_clock(facts: &Facts, now: Millis) -> Option<Finding> {
    let ahead = facts.hubs.iter().map(|hub| hub.at.since(now)).max().filter(|ahead| *ahead > AHEAD_MS)?;
    Some(Finding::wrong(
        "hub clock",
        format!("the clock of this machine is at least {} s behind that of a hub", ahead / 1000),
        "let a time server set both clocks; `timedatectl` shows whether one does",
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use passage_protocol::HubState;

    use super::*;
    use crate::command::doctor::finding::State;

    const NOW: Millis = Millis(1_795_165_200_000);

    fn mqtt(host: &str) -> Mqtt {
        Mqtt::plain(host, 1883)
    }

    fn hub(online: bool, at: Millis) -> HubState {
        HubState { v: passage_protocol::VERSION, hub: "hub-one".parse().unwrap(), boot: "b".into(), online, at, version: "1".into() }
    }

    fn fault(fault: Fault) -> Facts {
        Facts { fault: Some(fault), ..Facts::default() }
    }

    fn talked(hello: Option<Outcome>, answer: Option<bool>, hubs: Vec<HubState>) -> Facts {
        let answer = answer.map(|believed| (Duration::from_millis(12), believed));
        Facts { fault: None, hello, said_hello: true, hubs, answer }
    }

    fn expect(finding: &Finding, state: State, what: &str) {
        assert!(finding.state == state && finding.what.contains(what), "expected {state:?} {what}: {finding}");
        assert_eq!(finding.mend.is_some(), state != State::Ok, "{finding}");
    }

    #[test]
    fn each_way_not_to_reach_a_broker_is_told_apart() {
        let cases = [
            (Facts::default(), State::Ok, "lets this gateway in"),
            (fault(Fault::Refused), State::Wrong, "nothing listens at broker:1883"),
            (fault(Fault::TimedOut), State::Wrong, "does not answer"),
            (fault(Fault::Network("name unknown".into())), State::Wrong, "name unknown"),
            (fault(Fault::NotMqtt), State::Wrong, "MQTT 5"),
            (fault(Fault::NotLetIn("NotAuthorized".into())), State::Wrong, "NotAuthorized"),
            (fault(Fault::MayNotRead("no".into())), State::Ok, "in"),
        ];
        for (facts, state, what) in cases {
            expect(&judge_broker(&facts, &mqtt("broker")), state, what);
        }
    }

    #[test]
    fn what_may_be_read_and_written_is_told() {
        let cases = [
            (fault(Fault::MayNotRead("refused".into())), State::Wrong, "may not read"),
            (fault(Fault::Refused), State::Wrong, "unknown"),
            (talked(Some(Outcome::Refused), None, Vec::new()), State::Wrong, "may not write"),
            (talked(Some(Outcome::Nobody), None, Vec::new()), State::Ok, "read and written"),
            (talked(Some(Outcome::Taken), None, Vec::new()), State::Ok, "read and written"),
            (talked(None, None, Vec::new()), State::Warning, "did not answer"),
            (Facts::default(), State::Ok, "once there is an outbox"),
        ];
        for (facts, state, what) in cases {
            expect(&judge_rights(&facts, &"gw-lyon".parse().unwrap()), state, what);
        }
    }

    #[test]
    fn a_hub_must_be_online_and_sign_with_a_pinned_key() {
        let taken = Some(Outcome::Taken);
        let cases = [
            (fault(Fault::Refused), (State::Wrong, "unknown"), (State::Warning, "not tried")),
            (talked(taken, None, Vec::new()), (State::Wrong, "ever been seen"), (State::Warning, "not tried")),
            (talked(taken, None, vec![hub(false, NOW)]), (State::Wrong, "hub-one is offline"), (State::Warning, "not tried")),
            (talked(taken, None, vec![hub(true, NOW)]), (State::Ok, "hub-one is online"), (State::Warning, "within 3 s")),
            (talked(taken, Some(false), vec![hub(true, NOW)]), (State::Ok, "online"), (State::Wrong, "not in `hub_keys`")),
            (talked(taken, Some(true), vec![hub(true, NOW)]), (State::Ok, "online"), (State::Ok, "in 12 ms")),
        ];
        for (facts, (state, what), (key_state, key_what)) in cases {
            expect(&judge_hub(&facts), state, what);
            expect(&judge_hub_key(&facts, 1), key_state, key_what);
        }
        expect(&judge_hub_key(&Facts::default(), 1), State::Ok, "once there is an outbox");
        expect(&judge_hub_key(&Facts::default(), 0), State::Wrong, "empty");
    }

    #[test]
    fn a_clock_behind_the_hubs_is_told_and_an_old_state_is_not() {
        let facts = |at| talked(None, None, vec![hub(true, at)]);
        assert_eq!(judge_hub_clock(&facts(NOW + Duration::from_secs(5)), NOW), None);
        assert_eq!(judge_hub_clock(&facts(NOW - Duration::from_secs(900)), NOW), None);
        expect(&judge_hub_clock(&facts(NOW + Duration::from_secs(90)), NOW).unwrap(), State::Wrong, "at least 90 s behind");
    }
}
