//! The AD structures of an advert: a length, a type, a value, and again.

/// AD type of manufacturer data: company id, little-endian, and its bytes.
pub const MANUFACTURER: u8 = 0xff;
/// AD type of service data under a 16-bit UUID.
pub const SERVICE_DATA_16: u8 = 0x16;
/// AD type of service data under a 128-bit UUID, which stands little-endian.
pub const SERVICE_DATA_128: u8 = 0x21;
/// AD type of the flags.
pub const FLAGS: u8 = 0x01;
/// AD type of some 16-bit service UUIDs, little-endian.
pub const SERVICE_UUIDS_16_SOME: u8 = 0x02;
/// AD type of all 16-bit service UUIDs, little-endian.
pub const SERVICE_UUIDS_16_ALL: u8 = 0x03;
/// AD type of some 128-bit service UUIDs, little-endian.
pub const SERVICE_UUIDS_128_SOME: u8 = 0x06;
/// AD type of all 128-bit service UUIDs, little-endian.
pub const SERVICE_UUIDS_128_ALL: u8 = 0x07;

/// Walks over the structures of `data` as (type, value). It ends at a zero length and at a structure that is longer than what is left.
pub fn structures(data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (kind, value, after) = first(rest)?;
        rest = after;
        Some((kind, value))
    })
}

/// The first structure of `data` as type and value, and what stands behind it.
#[inline]
pub fn first(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&length, tail) = data.split_first()?;
    let (structure, rest) = tail.split_at_checked(usize::from(length))?;
    let (&kind, value) = structure.split_first()?;
    Some((kind, value, rest))
}

/// Appends one structure. A value of more than 254 bytes does not fit and is left out.
pub fn push(data: &mut Vec<u8>, kind: u8, value: &[&[u8]]) {
    let length: usize = 1 + value.iter().map(|part| part.len()).sum::<usize>();
    if let Ok(length) = u8::try_from(length) {
        data.extend([length, kind]);
        data.extend(value.iter().copied().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_structure_that_is_cut_ends_the_walk_and_keeps_what_came_before() {
        let data = [2, FLAGS, 6, 5, MANUFACTURER, 0x4c, 0];
        assert_eq!(structures(&data).collect::<Vec<_>>(), vec![(FLAGS, &[6u8][..])]);
    }

    #[test]
    fn padding_with_zeros_ends_the_walk() {
        assert_eq!(structures(&[2, FLAGS, 6, 0, 0, 0, 2, FLAGS, 6]).count(), 1);
    }

    proptest! {
        #[test]
        fn what_is_pushed_is_walked(parts in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..6)) {
            let mut data = Vec::new();
            for (kind, value) in &parts {
                push(&mut data, *kind, &[value]);
            }
            let walked: Vec<_> = structures(&data).map(|(kind, value)| (kind, value.to_vec())).collect();
            prop_assert_eq!(walked, parts);
        }
    }
}
