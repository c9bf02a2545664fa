//! Joins the parts of a long advert.

use std::collections::VecDeque;

use passage_protocol::Millis;

use super::Advert;

/// Longest advert that the standard knows (Bluetooth Core 5.4, vol. 4, part E, 7.8.54).
pub(super) const LONGEST_ADVERT: usize = 1650;
/// So many adverts can be in parts at once; of more, the oldest is forgotten.
const AT_ONCE: usize = 8;
/// The parts of one advert follow each other much faster than this.
const WITHIN_MS: i64 = 1_000;

/// Tells which parts belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// HCI: address and advertising set.
    Set([u8; 6], u8),
    /// On the air: the advert's own id, because the following packets have no address.
    Air(u16),
}

/// One advert or a part of one. The bytes stay where they are in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub at: Millis,
    pub key: Key,
    pub address: [u8; 6],
    pub rssi: i8,
    pub data: &'a [u8],
    /// More parts of the same advert follow.
    pub more: bool,
}

/// Adverts of which a part is there.
#[derive(Debug, Default)]
pub(super) struct Parts {
    waiting: VecDeque<(Key, Advert)>,
}

impl Parts {
    /// The advert that this part completes. A truncated advert is handed on as far as it came.
    pub fn join(&mut self, part: Part<'_>) -> Option<Advert> {
        let mut advert = match self.take(part.key, part.at) {
            Some(begun) => Advert { at: part.at, rssi: part.rssi, ..begun },
            None => Advert { at: part.at, address: part.address, rssi: part.rssi, data: Vec::with_capacity(part.data.len()) },
        };
        let room = LONGEST_ADVERT - advert.data.len().min(LONGEST_ADVERT);
        advert.data.extend_from_slice(part.data.get(..room).unwrap_or(part.data));
        if !part.more || advert.data.len() >= LONGEST_ADVERT {
            return Some(advert);
        }
        if self.waiting.len() >= AT_ONCE {
            self.waiting.pop_front();
        }
        self.waiting.push_back((part.key, advert));
        None
    }

    /// The address of the advert whose parts have this key and arrived just now.
    pub fn begun(&self, key: Key, at: Millis) -> Option<[u8; 6]> {
        self.waiting.iter().find(|(of, advert)| *of == key && is_near(advert.at, at)).map(|(_, advert)| advert.address)
    }

    fn take(&mut self, key: Key, at: Millis) -> Option<Advert> {
        self.waiting.retain(|(_, advert)| is_near(advert.at, at));
        let index = self.waiting.iter().position(|(of, _)| *of == key)?;
        self.waiting.remove(index).map(|(_, advert)| advert)
    }
}

fn is_near(a: Millis, b: Millis) -> bool {
    a.since(b).abs() <= WITHIN_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(set: u8, data: &[u8], more: bool) -> Part<'_> {
        Part { at: Millis(5), key: Key::Set([1; 6], set), address: [1; 6], rssi: -60, data, more }
    }

    #[test]
    fn parts_of_several_adverts_are_told_apart_and_joined_in_order() {
        let mut parts = Parts::default();
        assert_eq!(parts.join(part(1, &[1, 2], true)), None);
        assert_eq!(parts.join(part(2, &[7], true)), None);
        assert_eq!(parts.join(part(1, &[3], true)), None);
        assert_eq!(parts.join(part(1, &[4], false)).unwrap().data, [1, 2, 3, 4]);
        assert_eq!(parts.join(part(2, &[8], false)).unwrap().data, [7, 8]);
        assert_eq!(parts.join(part(2, &[9], false)).unwrap().data, [9], "nothing is left over");
    }

    #[test]
    fn an_end_that_comes_much_later_belongs_to_another_advert() {
        let mut parts = Parts::default();
        assert_eq!(parts.join(part(1, &[1], true)), None);
        let late = Part { at: Millis(5 + WITHIN_MS + 1), ..part(1, &[2], false) };
        assert_eq!(parts.join(late).unwrap().data, [2]);
    }

    #[test]
    fn an_advert_that_never_ends_and_adverts_that_never_complete_take_bounded_memory() {
        let mut parts = Parts::default();
        let mut handed_on = 0;
        for _ in 0..100 {
            handed_on += usize::from(parts.join(part(1, &[0; 229], true)).is_some_and(|advert| advert.data.len() == LONGEST_ADVERT));
        }
        assert_eq!(handed_on, 12);
        for set in 0..=255 {
            assert_eq!(parts.join(part(set, &[1], true)).filter(|advert| set != 1 && !advert.data.is_empty()), None);
            assert!(parts.waiting.len() <= AT_ONCE);
        }
    }
}
