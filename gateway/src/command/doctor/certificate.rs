//! The encryption of the connection, and this gateway's certificate.

use passage_config::{GatewayConfig, Mqtt, Tls, TlsFiles};
use passage_protocol::{GatewayId, Millis, fleet::Machine};
use passage_transport::{Certificate, TlsError};

use super::finding::Finding;

const CHECK: &str = "certificate";
const ENROL: &str = "ask whoever runs the hub for a new invitation, and run `passage-gateway enroll TOKEN`";
const DAY: i64 = 86_400;

/// What the files say.
#[derive(Debug)]
pub(super) enum Facts {
    /// No TLS, or TLS without a certificate of our own.
    None,
    /// A file that cannot be used.
    Unusable(String),
    /// Our own.
    Own {
        certificate: Certificate,
        /// An authority of the file `ca` has issued it.
        is_ours: bool,
    },
}

/// Reads the files.
pub(super) fn gather(mqtt: &Mqtt) -> Facts {
    let Some(Tls::Files(files)) = &mqtt.tls else { return Facts::None };
    read(files).unwrap_or_else(|e| Facts::Unusable(e.to_string()))
}

fn read(files: &TlsFiles) -> Result<Facts, TlsError> {
    // Also finds a key that does not fit.
    passage_transport::from_files(files)?;
    let Some(own) = &files.own else { return Ok(Facts::None) };
    let authorities = passage_transport::certificates(&files.ca)?;
    let chain = passage_transport::certificates(&own.cert)?;
    let Some(leaf) = chain.first() else { return Ok(Facts::None) };
    let is_ours = chain.iter().any(|c| authorities.iter().any(|authority| Certificate::is_issued_by(c, authority)));
    Ok(match Certificate::read(leaf) {
        Ok(certificate) => Facts::Own { certificate, is_ours },
        Err(e) => Facts::Unusable(format!("{}: {e}", own.cert.display())),
    })
}

/// Judges them.
pub(super) fn judge(facts: &Facts, config: &GatewayConfig, now: Millis) -> Finding {
    judge_for(facts, &config.mqtt, &config.id, now.0.div_euclid(1_000))
}

fn judge_for(facts: &Facts, mqtt: &Mqtt, id: &GatewayId, now: i64) -> Finding {
    let is_local = mqtt.host == "localhost" || mqtt.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match facts {
        Facts::None if mqtt.tls.is_some() => Finding::ok(CHECK, "the connection is encrypted; the broker asks this gateway for none"),
        Facts::None if is_local => Finding::ok(CHECK, "none is needed for a broker on this machine"),
        Facts::None => Finding::warning(
            CHECK,
            "no TLS: whoever is in the network can read and forge what goes to the broker",
            "enrol this gateway (`passage-gateway enroll TOKEN`), or be sure that a VPN protects the way",
        ),
        Facts::Unusable(why) => Finding::wrong(CHECK, why.clone(), ENROL),
        Facts::Own { certificate, is_ours } => judge_own(certificate, *is_ours, id, now),
    }
}

fn judge_own(own: &Certificate, is_ours: bool, id: &GatewayId, now: i64) -> Finding {
    let left = own.not_after - now;
    if Machine::named(&own.name).is_none_or(|machine| machine.gateway != *id) {
        let mend = format!("write id = \"{}\" into gateway.toml, or enrol this machine as {id}", own.name);
        return Finding::wrong(CHECK, format!("it is that of \"{}\", but this gateway is \"{id}\"", own.name), mend);
    }
    if !is_ours {
        return Finding::wrong(CHECK, "the authority in `ca` has not issued it", ENROL);
    }
    if !own.is_client {
        return Finding::wrong(CHECK, "it may not speak for a client (extended key usage)", ENROL);
    }
    if left <= 0 {
        return Finding::wrong(CHECK, format!("it ended {} days ago, if the clock is right", -left / DAY), ENROL);
    }
    if now < own.not_before {
        return Finding::warning(CHECK, "it begins in the future: the clock of this machine is behind", "let a time server set the clock");
    }
    // Renewed after two thirds; a week later something keeps it from happening.
    if now > own.renew_at() + 7 * DAY {
        let mend = "look at the log of the gateway: the hub must be reachable at the address of the invitation";
        return Finding::warning(CHECK, format!("it ends in {} days and was not renewed", left / DAY), mend);
    }
    Finding::ok(CHECK, format!("of {id}, ends in {} days, is renewed before", left / DAY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::doctor::finding::State;

    const NOW: i64 = 1_795_165_200;

    fn own(name: &str, from: i64, to: i64) -> Certificate {
        let (name, serial) = (name.to_owned(), "1".to_owned());
        Certificate {
            name,
            uris: Vec::new(),
            serial,
            not_before: NOW + from * DAY,
            not_after: NOW + to * DAY,
            is_client: true,
            is_authority: false,
        }
    }

    #[test]
    fn each_trouble_with_a_certificate_is_told_apart() {
        let cases = [
            (own("gw-lyon", -10, 80), true, State::Ok, "ends in 80 days"),
            (own("gw-paris", -10, 80), true, State::Wrong, "that of \"gw-paris\""),
            (own("gw-lyon", -10, 80), false, State::Wrong, "has not issued it"),
            (Certificate { is_client: false, ..own("gw-lyon", -10, 80) }, true, State::Wrong, "client"),
            (own("gw-lyon", -93, -3), true, State::Wrong, "ended 3 days ago"),
            (own("gw-lyon", 1, 91), true, State::Warning, "the clock of this machine"),
            (own("gw-lyon", -70, 20), true, State::Warning, "not renewed"),
        ];
        for (certificate, is_ours, state, what) in cases {
            let finding = judge_for(&Facts::Own { certificate, is_ours }, &Mqtt::plain("broker", 8883), &"gw-lyon".parse().unwrap(), NOW);
            assert!(finding.state == state && finding.what.contains(what), "expected {state:?} {what}: {finding}");
        }
    }

    #[test]
    fn a_broker_elsewhere_without_tls_is_a_warning() {
        let judge = |host| judge_for(&Facts::None, &Mqtt::plain(host, 1883), &"gw-lyon".parse().unwrap(), NOW).state;
        assert_eq!(judge("broker.example.net"), State::Warning);
        assert_eq!(judge("127.0.0.1"), State::Ok);
    }
}
