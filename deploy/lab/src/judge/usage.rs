//! CPU and memory of the processes in the guest, from the samples that it takes of `/proc`.

use std::{collections::BTreeMap, time::Duration};

use passage_protocol::Millis;
use serde::Deserialize;

/// One sample of one process.
#[derive(Debug, Clone, Deserialize)]
pub struct Sample {
    /// Wall clock of the guest.
    pub t: Millis,
    /// Name of the program.
    pub name: String,
    /// Process id.
    pub pid: u32,
    /// User and system time since its start, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory.
    pub rss_kib: u64,
}

/// What one program used between its first and its last sample, over all its starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time.
    pub cpu: Duration,
    /// Resident memory at the first sample.
    pub first_kib: u64,
    /// Most resident memory.
    pub most_kib: u64,
    /// Resident memory at the last sample.
    pub last_kib: u64,
    /// Processes that had its name.
    pub starts: usize,
}

/// Usage by program.
pub fn by_program(samples: &[Sample]) -> BTreeMap<String, Usage> {
    let mut programs: BTreeMap<String, BTreeMap<u32, Vec<&Sample>>> = BTreeMap::new();
    for sample in samples {
        programs.entry(sample.name.clone()).or_default().entry(sample.pid).or_default().push(sample);
    }
    programs.into_iter().filter_map(|(name, processes)| Some((name, usage(&processes)?))).collect()
}

fn usage(processes: &BTreeMap<u32, Vec<&Sample>>) -> Option<Usage> {
    let cpu_ms: u64 = processes.values().filter_map(|samples| Some(samples.last()?.cpu_ms.saturating_sub(samples.first()?.cpu_ms))).sum();
    let all = || processes.values().flatten();
    Some(Usage {
        cpu: Duration::from_millis(cpu_ms),
        first_kib: all().min_by_key(|sample| sample.t)?.rss_kib,
        most_kib: all().map(|sample| sample.rss_kib).max()?,
        last_kib: all().max_by_key(|sample| sample.t)?.rss_kib,
        starts: processes.len(),
    })
}
