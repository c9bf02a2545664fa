//! Which seqs of the epoch are held, which will never come, and what an ack of a hub does to them. Pure: nothing here reads or writes.

use std::collections::BTreeMap;

use passage_protocol::{Ack, Gone, GoneReason, Seq, SeqRange, SeqSet};

/// How many seqs are reserved durably at a time.
pub const BLOCK: u64 = 1_000;
/// So many seqs are reserved ahead of need: when the disk refuses, events that wait in memory still get seqs of their own and can be sent.
pub const AHEAD: u64 = 4_096;
/// Most gone records that one ack is answered with; the rest is named again by the next ack.
pub const MAX_ANSWERS: usize = 200;

/// The accounts of one epoch. Every seq below `next` is in exactly one of three states: held, gone, or acked (the rest).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    epoch: String,
    next: Seq,
    reserved: Seq,
    held: SeqSet,
    gone: BTreeMap<Seq, Gone>,
}

/// What a verified ack asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AckEffect {
    /// Rows that a hub has stored: delete them.
    pub delete: Vec<SeqRange>,
    /// Rows that a hub misses and that are held: send them at once.
    pub resend: Vec<SeqRange>,
    /// What a hub misses and will never get, with the reasons.
    pub answer: Vec<Gone>,
    /// Gone records that a hub knows: forget them.
    pub told: Vec<SeqRange>,
    /// Events per second that the hub grants for the backlog.
    pub backlog_rate: u32,
}

/// What to do with an ack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It speaks of this epoch.
    Apply(AckEffect),
    /// It speaks of another epoch.
    OtherEpoch,
    /// The hub knows seqs that were never used here: this file is an old copy, and its epoch must not be used any more.
    Ahead,
}

impl Ledger {
    /// The accounts as they stand in a file. Seqs that were reserved but not used when the last run ended are `never-written`.
    pub fn open(epoch: String, next: Seq, reserved: Seq, held: SeqSet, gone: Vec<Gone>) -> Self {
        let mut ledger = Self { epoch, next, reserved, held, gone: gone.into_iter().map(|g| (g.range.from, g)).collect() };
        if let Some(range) = SeqRange::new(next, reserved) {
            ledger.add_gone(Gone { range, reason: GoneReason::NeverWritten });
            ledger.next = reserved + 1;
        }
        ledger
    }

    /// Id of the epoch.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The seq of the next event.
    pub fn next(&self) -> Seq {
        self.next
    }

    /// The last seq that is reserved durably.
    pub fn reserved(&self) -> Seq {
        self.reserved
    }

    /// The lowest seq that is held, or `next`.
    pub fn first(&self) -> Seq {
        self.held.ranges().first().map_or(self.next, |r| r.from)
    }

    /// What is held.
    pub fn held(&self) -> &SeqSet {
        &self.held
    }

    /// What will never come.
    pub fn gone(&self) -> impl Iterator<Item = &Gone> {
        self.gone.values()
    }

    /// The accounts of an outbox whose file cannot be opened yet: nothing can get a seq.
    pub fn unknown() -> Self {
        Self { epoch: String::new(), next: 1, reserved: 0, held: SeqSet::new(), gone: BTreeMap::new() }
    }

    /// False while the file was never opened.
    pub fn is_known(&self) -> bool {
        !self.epoch.is_empty()
    }

    /// The `reserved` that must be durable before `count` more events get their seqs.
    pub fn reserve_for(&self, count: u64) -> Option<Seq> {
        let wanted = self.next + count - 1 + AHEAD;
        (count > 0 && wanted > self.reserved).then(|| wanted.div_ceil(BLOCK) * BLOCK)
    }

    /// How many more events can get a seq that is reserved.
    pub fn room(&self) -> u64 {
        (self.reserved + 1).saturating_sub(self.next)
    }

    /// Notes that seqs up to `to` are reserved durably.
    pub fn set_reserved(&mut self, to: Seq) {
        self.reserved = self.reserved.max(to);
    }

    /// Gives the unused rest of the block back; only at a clean stop, when that fact is durable.
    pub fn release(&mut self) {
        self.reserved = self.next - 1;
    }

    /// Notes that `count` events got the next seqs and are durable.
    pub fn appended(&mut self, count: u64) {
        if let Some(range) = SeqRange::new(self.next, self.next + count - 1).filter(|_| count > 0) {
            self.held.insert(range);
            self.next = range.to + 1;
        }
    }

    /// Notes that rows were deleted because a hub stored them.
    pub fn deleted(&mut self, ranges: &[SeqRange]) {
        for range in ranges {
            self.held.remove(*range);
        }
    }

    /// Notes that rows were given up, and why.
    pub fn gave_up(&mut self, range: SeqRange, reason: GoneReason) -> Gone {
        self.held.remove(range);
        self.add_gone(Gone { range, reason })
    }

    /// Forgets gone records that a hub knows. Should it ask again, they count as acked before.
    pub fn forget_gone(&mut self, ranges: &[SeqRange]) {
        for range in ranges {
            self.gone.remove(&range.from);
        }
    }

    /// Judges an ack whose signature was verified. Nothing changes until [`Ledger::deleted`].
    pub fn judge(&self, ack: &Ack) -> Verdict {
        if ack.epoch != self.epoch {
            return Verdict::OtherEpoch;
        }
        if ack.max >= self.next {
            return Verdict::Ahead;
        }
        let mut effect = AckEffect { backlog_rate: ack.backlog_rate, ..AckEffect::default() };
        let stored = ack.stored();
        effect.delete = stored.iter().flat_map(|range| self.held.within(*range)).collect();
        effect.told = stored.iter().flat_map(|range| self.told_within(*range)).collect();
        for range in &ack.missing {
            let Some(range) = SeqRange::new(range.from.max(1), range.to.min(ack.max)) else { continue };
            effect.resend.extend(self.held.within(range));
            self.answer(range, &mut effect.answer);
        }
        effect.answer.truncate(MAX_ANSWERS);
        Verdict::Apply(effect)
    }

    /// Begins a new epoch, in which the held rows are numbered from 1.
    pub fn renumber(&mut self, epoch: String) {
        let count = self.held.count();
        *self = Self { epoch, next: 1, reserved: 0, held: SeqSet::new(), gone: BTreeMap::new() };
        self.set_reserved(count);
        self.appended(count);
    }

    /// Accounts for what of `range` is not held.
    fn answer(&self, range: SeqRange, out: &mut Vec<Gone>) {
        let mut rest = SeqSet::new();
        rest.insert(range);
        for held in self.held.within(range) {
            rest.remove(held);
        }
        for gone in self.gone_within(range) {
            for part in rest.within(gone.range).collect::<Vec<_>>() {
                out.push(Gone { range: part, reason: gone.reason });
                rest.remove(part);
            }
        }
        out.extend(rest.ranges().iter().map(|&range| Gone { range, reason: GoneReason::AckedBefore }));
    }

    fn told_within(&self, range: SeqRange) -> impl Iterator<Item = SeqRange> + '_ {
        self.gone.range(range.from..=range.to).map(|(_, gone)| gone.range).filter(move |told| told.to <= range.to)
    }

    fn gone_within(&self, range: SeqRange) -> Vec<Gone> {
        let before = self.gone.range(..range.from).next_back().map(|(_, g)| *g).filter(|g| g.range.to >= range.from);
        before.into_iter().chain(self.gone.range(range.from..=range.to).map(|(_, g)| *g)).collect()
    }

    /// Adds a record, joined with the one before it when both have the same reason.
    fn add_gone(&mut self, gone: Gone) -> Gone {
        let mut joined = gone;
        if let Some((&from, before)) = self.gone.range(..gone.range.from).next_back()
            && before.reason == gone.reason
            && before.range.to + 1 == gone.range.from
        {
            joined.range.from = from;
        }
        self.gone.insert(joined.range.from, joined);
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passage_protocol::sign::Signing;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ledger() -> Ledger {
        Ledger::open("e".into(), 1, 0, SeqSet::new(), Vec::new())
    }

    fn ack(max: Seq, missing: &[(Seq, Seq)]) -> Ack {
        let missing = missing.iter().map(|&(a, b)| SeqRange { from: a, to: b }).collect();
        Ack::signed("gw-1".parse().unwrap(), "e".into(), max, missing, 50, &Signing::from_bytes(&[1; 32]))
    }

    fn append(ledger: &mut Ledger, count: u64) {
        if let Some(to) = ledger.reserve_for(count) {
            ledger.set_reserved(to);
        }
        ledger.appended(count);
    }

    fn apply(ledger: &mut Ledger, ack: &Ack) -> AckEffect {
        let Verdict::Apply(effect) = ledger.judge(ack) else { panic!("not applied") };
        ledger.deleted(&effect.delete);
        ledger.forget_gone(&effect.told);
        effect
    }

    #[test]
    fn an_ack_deletes_what_is_stored_and_names_what_is_missing() {
        let mut l = ledger();
        append(&mut l, 10);
        let effect = apply(&mut l, &ack(8, &[(3, 4)]));
        assert_eq!(effect.resend, [SeqRange { from: 3, to: 4 }]);
        assert!(effect.answer.is_empty());
        assert_eq!(l.held().ranges(), [SeqRange { from: 3, to: 4 }, SeqRange { from: 9, to: 10 }]);
    }

    #[test]
    fn missing_seqs_that_were_deleted_are_answered_as_acked_before() {
        let mut l = ledger();
        append(&mut l, 5);
        apply(&mut l, &ack(5, &[]));
        let effect = apply(&mut l, &ack(5, &[(2, 3)]));
        assert_eq!(effect.answer, [Gone { range: SeqRange { from: 2, to: 3 }, reason: GoneReason::AckedBefore }]);
    }

    #[test]
    fn the_unused_rest_of_a_block_is_never_written() {
        let mut l = Ledger::open("e".into(), 8, 1_000, (1..8).collect(), Vec::new());
        assert_eq!(l.next(), 1_001);
        append(&mut l, 1);
        let effect = apply(&mut l, &ack(1_001, &[(6, 1_000)]));
        assert_eq!(effect.answer, [Gone { range: SeqRange { from: 8, to: 1_000 }, reason: GoneReason::NeverWritten }]);
        assert_eq!(effect.resend, [SeqRange { from: 6, to: 7 }]);
    }

    #[test]
    fn a_hub_that_knows_more_than_we_used_is_ahead() {
        let mut l = ledger();
        append(&mut l, 5);
        assert_eq!(l.judge(&ack(6, &[])), Verdict::Ahead);
        l.renumber("f".into());
        assert_eq!((l.first(), l.next()), (1, 6));
        assert_eq!(l.judge(&ack(5, &[])), Verdict::OtherEpoch);
    }

    #[test]
    fn a_gone_record_is_kept_until_a_hub_knows_all_of_it() {
        let mut l = Ledger::open("e".into(), 8, 1_000, SeqSet::new(), Vec::new());
        append(&mut l, 1);
        apply(&mut l, &ack(900, &[]));
        assert_eq!(l.gone().count(), 1);
        apply(&mut l, &ack(1_000, &[(10, 10)]));
        assert_eq!(l.gone().count(), 1);
        apply(&mut l, &ack(1_000, &[]));
        assert_eq!(l.gone().count(), 0);
        let effect = apply(&mut l, &ack(1_001, &[(10, 10)]));
        assert_eq!(effect.answer, [Gone { range: SeqRange { from: 10, to: 10 }, reason: GoneReason::AckedBefore }]);
    }

    #[test]
    fn more_seqs_are_reserved_than_memory_can_hold_events() {
        let mut l = ledger();
        append(&mut l, 1);
        assert!(l.room() >= AHEAD);
        append(&mut l, 900);
        assert!(l.room() >= AHEAD);
        assert_eq!(Ledger::unknown().room(), 0);
    }

    /// The model: what the hub has, and what happened to each seq.
    #[derive(Debug, Clone)]
    enum Step {
        Append(u64),
        Deliver(usize),
        Ack,
        Evict(u64),
        Crash,
        Stop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..40u64).prop_map(Step::Append),
            any::<usize>().prop_map(Step::Deliver),
            Just(Step::Ack),
            (1..5u64).prop_map(Step::Evict),
            Just(Step::Crash),
            Just(Step::Stop),
        ]
    }

    proptest! {
        #[test]
        fn every_seq_is_held_stored_or_accounted_for_and_none_is_used_twice(steps in prop::collection::vec(step(), 1..80)) {
            let mut l = ledger();
            let mut used = BTreeSet::new();
            let mut hub = BTreeSet::new();
            let mut told = SeqSet::new();
            for s in steps {
                match s {
                    Step::Append(n) => {
                        for seq in l.next()..l.next() + n {
                            prop_assert!(used.insert(seq), "seq {seq} used twice");
                        }
                        append(&mut l, n);
                        prop_assert!(l.reserved() >= l.next() - 1);
                    }
                    Step::Deliver(pick) => {
                        let held: Vec<Seq> = l.held().ranges().iter().flat_map(|r| r.from..=r.to).collect();
                        if !held.is_empty() {
                            hub.insert(held[pick % held.len()]);
                        }
                    }
                    Step::Ack => {
                        let mut stored = told.clone();
                        hub.iter().for_each(|&seq| stored.insert(SeqRange { from: seq, to: seq }));
                        let max = stored.ranges().last().map_or(0, |r| r.to);
                        let missing = stored.missing_up_to(max);
                        let effect = apply(&mut l, &Ack::signed("gw-1".parse().unwrap(), "e".into(), max, missing, 1, &Signing::from_bytes(&[1; 32])));
                        for r in &effect.delete {
                            for seq in r.from..=r.to {
                                prop_assert!(hub.contains(&seq) || told.contains(seq), "deleted {seq} that the hub does not have");
                            }
                        }
                        for g in &effect.answer {
                            prop_assert_ne!(g.reason, GoneReason::AckedBefore, "an honest hub never asks for what it acked");
                            told.insert(g.range);
                        }
                        for r in &effect.resend {
                            hub.extend(r.from..=r.to);
                        }
                    }
                    Step::Evict(n) => {
                        if let Some(r) = l.held().ranges().first().copied() {
                            l.gave_up(SeqRange { from: r.from, to: r.to.min(r.from + n - 1) }, GoneReason::Evicted);
                        }
                    }
                    Step::Crash => {
                        l = Ledger::open("e".into(), l.next(), l.reserved(), l.held().clone(), l.gone().copied().collect());
                    }
                    Step::Stop => {
                        l.release();
                        l = Ledger::open("e".into(), l.next(), l.reserved(), l.held().clone(), l.gone().copied().collect());
                    }
                }
                let gone: SeqSet = l.gone().map(|g| g.range).collect();
                let mut all = told.clone();
                for range in gone.ranges() {
                    prop_assert!(l.held().within(*range).next().is_none(), "{range:?} is held and gone");
                    all.insert(*range);
                }
                l.held().ranges().iter().for_each(|range| all.insert(*range));
                hub.iter().for_each(|&seq| all.insert(SeqRange { from: seq, to: seq }));
                prop_assert_eq!(all.missing_up_to(l.next() - 1), vec![], "seqs were lost");
            }
        }
    }
}
