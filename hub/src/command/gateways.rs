//! `passage-hub gateways`: the fleet at one glance, and the mend of a forked epoch.

use clap::Subcommand;
use passage_config::HubConfig;
use passage_protocol::{GatewayId, Millis, RadioCounters, SeqRange};

use crate::{
    report::text,
    store::{
        Db,
        gateway::{self, Gateway},
    },
};

/// The columns of a line.
pub const HEAD: [&str; 11] = ["gateway", "state", "heard", "epoch", "stored to", "missing", "gone", "backlog", "radio", "site", "flags"];
/// A healthy chip may be silent for 10.4 s.
const QUIET_MS: i64 = 11_000;
/// Missing ranges that a line names.
const RANGES: usize = 3;

#[derive(Debug, Subcommand)]
pub(super) enum Gateways {
    /// Let an epoch that two outboxes wrote get acks again. First stop the copy and delete its outbox: an ack deletes events in whichever outbox hears
    /// it.
    Release {
        /// The gateway.
        gateway: GatewayId,
        /// The epoch, as the list shows it.
        epoch: String,
    },
}

/// Lists, or does what was asked for.
pub(super) async fn gateways(db: &Db, config: &HubConfig, asked: Option<Gateways>) -> anyhow::Result<()> {
    match asked {
        None => print!("{}", list(&gateway::all(db).await?, config.clock.now())),
        Some(Gateways::Release { gateway, epoch }) => {
            let is_released = gateway::release(db, &gateway, &epoch).await?;
            anyhow::ensure!(is_released, "{gateway} has no forked epoch {epoch}. Mend: `passage-hub gateways` lists them");
            println!("epoch {epoch} of {gateway} gets acks again; what was put aside is listed by `passage-hub quarantine list`");
        }
    }
    Ok(())
}

/// One line for each gateway.
pub fn list(gateways: &[Gateway], now: Millis) -> String {
    let rows = gateways.iter().map(|g| cells(g, now)).collect::<Vec<_>>();
    let away = gateways.iter().filter(|g| g.state.as_ref().is_none_or(|s| !s.online)).count();
    let missing: u64 = gateways.iter().map(Gateway::missing).sum();
    format!("{}{} lines, {away} not online, {missing} events missing\n", text::table(&HEAD, &rows), gateways.len())
}

/// What the list and the console's page show of a gateway, as words.
pub fn cells(g: &Gateway, now: Millis) -> Vec<String> {
    let (state, epoch) = (g.state.as_ref(), g.epoch.as_ref());
    let mut flags: Vec<&str> = state.iter().flat_map(|s| &s.flags).map(String::as_str).collect();
    if epoch.is_some_and(|e| e.forked) {
        flags.push("FORKED");
    }
    let backlog = |s: &gateway::State| match s.backlog {
        0 => "0".to_owned(),
        n => format!("{n}, oldest {}", ago(s.oldest_ms)),
    };
    vec![
        g.gateway.to_string(),
        state.map_or("unheard", |s| if s.online { "online" } else { "offline" }).to_owned(),
        g.heard_at().map_or("-".to_owned(), |at| format!("{} ago", ago(now.since(at)))),
        epoch.map_or("-", |e| &e.id).to_owned(),
        epoch.map_or(0, |e| e.max).to_string(),
        epoch.map_or("0".to_owned(), |e| ranges(&e.missing)),
        epoch.map_or(0, |e| e.gone).to_string(),
        state.map_or("-".to_owned(), backlog),
        g.radio.as_ref().map_or("-".to_owned(), radio),
        state.map_or("-".to_owned(), |s| if s.site_revision == 0 { "own files".to_owned() } else { s.site_revision.to_string() }),
        if flags.is_empty() { "-".to_owned() } else { flags.join(" ") },
    ]
}

/// `38.2/s, ours 1.1/s`, and what a person should know besides: a silence, a queue, what was dropped, how often it was brought back.
fn radio(radio: &RadioCounters) -> String {
    let per_second = |in_10s: u64| format!("{}.{}/s", in_10s / 10, in_10s % 10);
    let mut told = format!("{}, ours {}", per_second(radio.adverts_10s), per_second(radio.sightings_10s));
    let restarts = radio.restarts.scan.saturating_add(radio.restarts.connection).saturating_add(radio.restarts.daemon);
    let silent_ms = i64::try_from(radio.silent_ms).unwrap_or(i64::MAX);
    for (is_told, what) in [
        (silent_ms >= QUIET_MS, format!("silent for {}", ago(silent_ms))),
        (radio.queued > 0, format!("{} queued", radio.queued)),
        (radio.dropped > 0, format!("{} dropped", radio.dropped)),
        (restarts > 0, format!("restarted {restarts} times")),
    ] {
        if is_told {
            told = told + ", " + &what;
        }
    }
    told
}

/// `7 (12-15 40 44-45)`: how many, and the first of them.
fn ranges(missing: &[SeqRange]) -> String {
    let count: u64 = missing.iter().map(SeqRange::count).sum();
    if count == 0 {
        return "0".to_owned();
    }
    let one = |r: &SeqRange| if r.from == r.to { r.from.to_string() } else { format!("{}-{}", r.from, r.to) };
    let more = if missing.len() > RANGES { " .." } else { "" };
    format!("{count} ({}{more})", missing.iter().take(RANGES).map(one).collect::<Vec<_>>().join(" "))
}

/// A length of time in its largest unit.
fn ago(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use passage_protocol::RadioRestarts;

    use super::*;
    use crate::store::gateway::{Epoch, State};

    #[test]
    fn a_line_tells_what_is_missing_and_what_a_person_must_look_at() {
        let range = |from, to| SeqRange { from, to };
        let epoch = Epoch {
            id: "e1".to_owned(),
            max: 90,
            missing: vec![range(12, 15), range(40, 40), range(44, 45), range(50, 50)],
            gone: 2,
            forked: true,
            heard_at: Millis(0),
        };
        let state = State {
            online: false,
            version: "0.1.0".to_owned(),
            backlog: 12,
            oldest_ms: 300_000,
            site_revision: 0,
            flags: vec!["disk-full".to_owned()],
            heard_at: Millis(1_000),
        };
        let gateway = Gateway { gateway: "gw-lyon".parse().unwrap(), state: Some(state), radio: None, epoch: Some(epoch) };
        let cells = cells(&gateway, Millis(31_000));
        let expected = [
            "gw-lyon",
            "offline",
            "30 s ago",
            "e1",
            "90",
            "8 (12-15 40 44-45 ..)",
            "2",
            "12, oldest 5 min",
            "-",
            "own files",
            "disk-full FORKED",
        ];
        assert_eq!(cells, expected);
        assert!(list(&[gateway], Millis(31_000)).ends_with("1 lines, 1 not online, 8 events missing\n"));
    }

    #[test]
    fn a_radio_that_does_well_tells_its_rates_and_one_that_does_not_tells_why() {
        let well = RadioCounters {
            adverts: 9_000,
            adverts_10s: 382,
            sightings: 70,
            sightings_10s: 9,
            silent_ms: 10_400,
            queued: 0,
            dropped: 0,
            restarts: RadioRestarts::default(),
        };
        assert_eq!(radio(&well), "38.2/s, ours 0.9/s");
        let restarts = RadioRestarts { scan: 3, connection: 2, daemon: 1 };
        let badly = RadioCounters { adverts_10s: 0, sightings_10s: 0, silent_ms: 75_000, queued: 4_096, dropped: 17, restarts, ..well };
        assert_eq!(radio(&badly), "0.0/s, ours 0.0/s, silent for 75 s, 4096 queued, 17 dropped, restarted 6 times");
    }
}
