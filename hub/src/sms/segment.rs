//! How many parts a text costs, and the bytes of each part.
//!
//! A text whose characters all stand in the GSM 7-bit alphabet (3GPP TS 23.038) has 160 septets in one part and 153 in each of several; any other
//! text is sent as UTF-16 with 70 and 67 units. An escape pair and a surrogate pair are never divided between two parts.

mod alphabet;

pub use alphabet::{decode, transliterate};

/// What the text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// GSM 7-bit default alphabet with its extension table; one octet per septet on the wire.
    Gsm7,
    /// UTF-16, big-endian.
    Ucs2,
}

impl Encoding {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm7",
            Self::Ucs2 => "ucs2",
        }
    }

    /// Units in a text of one part, and in each part of a longer one.
    fn limits(self) -> (usize, usize) {
        match self {
            Self::Gsm7 => (160, 153),
            Self::Ucs2 => (70, 67),
        }
    }

    /// Units (septets or UTF-16 units) that a character takes.
    fn units(self, c: char) -> usize {
        match self {
            Self::Gsm7 => alphabet::septets(c).map_or(1, |s| s.as_slice().len()),
            Self::Ucs2 => c.len_utf16(),
        }
    }

    /// Appends the bytes of a character.
    fn write(self, c: char, out: &mut Vec<u8>) {
        match self {
            Self::Gsm7 => {
                if let Some(septets) = alphabet::septets(c) {
                    out.extend_from_slice(septets.as_slice());
                }
            }
            Self::Ucs2 => out.extend(c.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes())),
        }
    }
}

/// A text divided into parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    /// What all parts are written in.
    pub encoding: Encoding,
    /// The text of each part; there is always at least one.
    pub parts: Vec<String>,
}

impl Segments {
    /// How many parts are billed.
    pub fn count(&self) -> u16 {
        u16::try_from(self.parts.len()).unwrap_or(u16::MAX)
    }

    /// The `short_message` of each part: with an 8-bit-reference user data header in front when there are several. A text of more than 255 parts
    /// gives an empty list: the header cannot number them.
    pub fn payloads(&self, reference: u8) -> Vec<Vec<u8>> {
        let Ok(total) = u8::try_from(self.parts.len()) else { return Vec::new() };
        let payload = |(number, part): (u8, &String)| {
            let mut out = if total > 1 { vec![5, 0, 3, reference, total, number] } else { Vec::new() };
            for c in part.chars() {
                self.encoding.write(c, &mut out);
            }
            out
        };
        (1..=total).zip(&self.parts).map(payload).collect()
    }
}

/// Divides a text into parts.
pub fn segment(text: &str) -> Segments {
    let encoding = if text.chars().all(|c| alphabet::septets(c).is_some()) { Encoding::Gsm7 } else { Encoding::Ucs2 };
    let (alone, each) = encoding.limits();
    let total: usize = text.chars().map(|c| encoding.units(c)).sum();
    if total <= alone {
        return Segments { encoding, parts: vec![text.to_owned()] };
    }
    let mut parts = vec![String::new()];
    let mut room = each;
    for c in text.chars() {
        let units = encoding.units(c);
        if units > room {
            parts.push(String::new());
            room = each;
        }
        room -= units;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    Segments { encoding, parts }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cost(text: &str) -> (Encoding, usize) {
        let s = segment(text);
        (s.encoding, s.parts.len())
    }

    #[test]
    fn french_letters_fall_where_the_gsm_alphabet_puts_them() {
        for c in "éèàùÇñäöü€".chars() {
            assert_eq!(segment(&c.to_string()).encoding, Encoding::Gsm7, "{c}");
        }
        for c in "çêâîôûëïœ’«»…–".chars() {
            assert_eq!(segment(&c.to_string()).encoding, Encoding::Ucs2, "{c}");
        }
    }

    #[test]
    fn one_part_ends_at_160_septets_or_70_units() {
        assert_eq!(cost(&"a".repeat(160)), (Encoding::Gsm7, 1));
        assert_eq!(cost(&"a".repeat(161)), (Encoding::Gsm7, 2));
        assert_eq!(cost(&"a".repeat(306)), (Encoding::Gsm7, 2));
        assert_eq!(cost(&"a".repeat(307)), (Encoding::Gsm7, 3));
        assert_eq!(cost(&"ê".repeat(70)), (Encoding::Ucs2, 1));
        assert_eq!(cost(&"ê".repeat(71)), (Encoding::Ucs2, 2));
        assert_eq!(cost(&"ê".repeat(134)), (Encoding::Ucs2, 2));
        assert_eq!(cost(&"ê".repeat(135)), (Encoding::Ucs2, 3));
        assert_eq!(cost(""), (Encoding::Gsm7, 1));
    }

    #[test]
    fn the_euro_sign_costs_two_septets_and_is_never_divided() {
        assert_eq!(cost(&"€".repeat(80)), (Encoding::Gsm7, 1));
        assert_eq!(cost(&"€".repeat(81)), (Encoding::Gsm7, 2));
        let long = segment(&format!("{}€{}", "a".repeat(152), "b".repeat(20)));
        assert_eq!(long.parts[0].len(), 152);
        assert!(long.parts[1].starts_with('€'));
    }

    #[test]
    fn a_surrogate_pair_is_never_divided() {
        let long = segment(&format!("{}😀{}", "ê".repeat(66), "ê".repeat(20)));
        assert_eq!(long.parts[0].chars().count(), 66);
        assert!(long.parts[1].starts_with('😀'));
    }

    #[test]
    fn a_text_of_103_characters_doubles_its_price_with_one_cedilla() {
        let plain = "Bonjour, votre manteau vous attend en taille 42 au magasin de Lyon, venez essayer. STOP au 36111 merci.";
        assert_eq!(plain.chars().count(), 103);
        assert_eq!(cost(plain), (Encoding::Gsm7, 1));
        let cedilla = plain.replacen("essayer", "le voir ça", 1);
        assert_eq!(cost(&cedilla), (Encoding::Ucs2, 2));
        assert_eq!(cost(&transliterate(&cedilla)), (Encoding::Gsm7, 1));
    }

    #[test]
    fn several_parts_carry_a_header_that_numbers_them() {
        let parts = segment(&"é".repeat(200)).payloads(0xAB);
        assert_eq!(parts[0][..6], [5, 0, 3, 0xAB, 2, 1]);
        assert_eq!(parts[1][..6], [5, 0, 3, 0xAB, 2, 2]);
        assert!(parts[0][6..].iter().all(|b| *b == 0x05), "é is septet 5");
        assert_eq!(segment("a€").payloads(1), [vec![b'a', 0x1B, 0x65]]);
        assert_eq!(segment("ç").payloads(1), [vec![0x00, 0xE7]]);
    }

    #[test]
    fn transliteration_gives_what_a_reader_expects() {
        assert_eq!(transliterate("Ça, c’est « bientôt » l’œuvre… – île, Noël"), "Ça, c'est \"bientot\" l'oeuvre... - ile, Noel");
        assert_eq!(transliterate("déjà à 12 € chez Ñandú"), "déjà à 12 € chez Ñandu");
        assert_eq!(transliterate("12\u{a0}000\u{202f}€"), "12 000 €");
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z0-9 éèàùÇñ€\\[\\]{}^~|\\\\]{0,700}",
            "[a-zç’…😀🧥é€ ]{0,400}",
            proptest::collection::vec(any::<char>(), 0..300).prop_map(|v| v.into_iter().collect()),
        ]
    }

    proptest! {
        #[test]
        fn parts_join_to_the_text_and_each_fits(text in any_text()) {
            let s = segment(&text);
            prop_assert_eq!(s.parts.concat(), text);
            let (alone, each) = s.encoding.limits();
            let limit = if s.parts.len() == 1 { alone } else { each };
            for part in &s.parts {
                prop_assert!(part.chars().map(|c| s.encoding.units(c)).sum::<usize>() <= limit);
            }
            // No part but the last could have taken the next character.
            for pair in s.parts.windows(2) {
                let used: usize = pair[0].chars().map(|c| s.encoding.units(c)).sum();
                let next = pair[1].chars().next().map_or(0, |c| s.encoding.units(c));
                prop_assert!(used + next > each);
            }
        }

        #[test]
        fn no_payload_is_longer_than_140_octets_once_packed(text in any_text(), reference: u8) {
            let s = segment(&text);
            for payload in s.payloads(reference) {
                let header = if s.parts.len() > 1 { 6 } else { 0 };
                let packed = match s.encoding {
                    // The header is padded to a whole septet: 7 septets for 6 octets.
                    Encoding::Gsm7 => ((payload.len() - header + if header > 0 { 7 } else { 0 }) * 7).div_ceil(8),
                    Encoding::Ucs2 => payload.len(),
                };
                prop_assert!(packed <= 140, "{packed}");
            }
        }

        #[test]
        fn transliterating_twice_changes_nothing_more(text in any_text()) {
            let once = transliterate(&text);
            prop_assert_eq!(transliterate(&once), once);
        }
    }
}
