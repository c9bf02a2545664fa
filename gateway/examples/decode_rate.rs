//! How many adverts a CPU second decodes. `deploy/bench/beacon/run` starts it beside other decoders, on the same file.
//!
//! usage: decode_rate ADVERTS.tsv [RUNS]
//!
//! Each line of the file: kind, address, address type, RSSI, AD bytes as hex, with tabs between. The hex is read before the clock starts. Prints
//! one JSON object.

use std::{collections::BTreeMap, fs, hint::black_box, time::Instant};

use anyhow::Context as _;
use passage_gateway::beacon::frame::{Eddystone, Frame, frames};

/// Passes over the file in one run, so that a run is much longer than the grain of the CPU clock.
const PASSES: u32 = 100;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().context("usage: decode_rate ADVERTS.tsv [RUNS]")?;
    let runs: usize = arguments.next().map_or(Ok(5), |runs| runs.parse())?;
    let text = fs::read_to_string(&file).with_context(|| file.clone())?;
    let adverts = text.lines().map(advert).collect::<anyhow::Result<Vec<_>>>()?;

    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for kind in adverts.iter().filter_map(|advert| kind(advert)) {
        *kinds.entry(kind).or_default() += 1;
    }
    let decoded: u32 = kinds.values().sum();
    let mut rates: Vec<f64> = (0..runs.max(1)).map(|_| rate(&adverts)).collect::<anyhow::Result<_>>()?;
    rates.sort_by(f64::total_cmp);
    let per_cpu_s = rates[rates.len() / 2];
    let share = f64::from(decoded) / f64::from(u32::try_from(adverts.len())?);
    println!(
        "{}",
        serde_json::json!({
            "peer": "passage", "n": adverts.len(), "decoded_frac": share, "decoded_by_kind": kinds, "unknown": adverts.len() - usize::try_from(decoded)?,
            "inputs_per_cpu_s_median": per_cpu_s.round(), "decoded_per_cpu_s_median": (per_cpu_s * share).round(),
        })
    );
    Ok(())
}

fn advert(line: &str) -> anyhow::Result<Vec<u8>> {
    let hex = line.split('\t').nth(4).context("a line needs five columns")?;
    Ok(hex::decode(hex)?)
}

/// What the first frame of an advert is; `None` for a stranger.
fn kind(advert: &[u8]) -> Option<&'static str> {
    frames(advert).find_map(|frame| match frame {
        Frame::IBeacon(_) => Some("ibeacon"),
        Frame::AltBeacon { .. } => Some("altbeacon"),
        Frame::Eddystone(Eddystone::Uid { .. }) => Some("eddystone-uid"),
        Frame::Eddystone(Eddystone::Tlm(_)) => Some("eddystone-tlm"),
        Frame::Eddystone(_) => Some("eddystone"),
        Frame::Battery(_) => Some("battery"),
        Frame::ServiceData { .. } | Frame::ServiceUuid(_) => None,
    })
}

/// Adverts per CPU second, every frame of each one made.
fn rate(adverts: &[Vec<u8>]) -> anyhow::Result<f64> {
    let begun = cpu_seconds()?;
    for _ in 0..PASSES {
        for advert in adverts {
            for frame in frames(black_box(advert)) {
                black_box(frame);
            }
        }
    }
    let spent = cpu_seconds()? - begun;
    Ok(f64::from(PASSES) * f64::from(u32::try_from(adverts.len())?) / spent)
}

/// CPU time of this thread where the kernel tells it, otherwise wall time.
fn cpu_seconds() -> anyhow::Result<f64> {
    thread_local!(static START: Instant = Instant::now());
    match fs::read_to_string("/proc/thread-self/schedstat") {
        Ok(text) => Ok(text.split(' ').next().unwrap_or_default().parse::<f64>()? / 1e9),
        Err(_) => Ok(START.with(Instant::elapsed).as_secs_f64()),
    }
}
