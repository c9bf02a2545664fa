//! The GSM 7-bit alphabet of 3GPP TS 23.038 and the nearest characters for those that it lacks.

use unicode_normalization::UnicodeNormalization as _;

/// Septet of a character: its place in this text. `\u{1b}` marks the escape and is no character.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Characters that need the escape septet in front.
const EXTENDED: [(char, u8); 10] =
    [('\u{c}', 0x0A), ('^', 0x14), ('{', 0x28), ('}', 0x29), ('\\', 0x2F), ('[', 0x3C), ('~', 0x3D), (']', 0x3E), ('|', 0x40), ('€', 0x65)];

const ESCAPE: u8 = 0x1B;

/// One septet, or the escape and one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Septets([u8; 2], bool);

impl Septets {
    pub(super) fn as_slice(&self) -> &[u8] {
        if self.1 { &self.0 } else { &self.0[1..] }
    }
}

/// The septets of a character; `None` when the alphabet lacks it.
pub(super) fn septets(c: char) -> Option<Septets> {
    // Most of ASCII has its own place.
    if c.is_ascii_alphanumeric() {
        return u8::try_from(c).ok().map(|b| Septets([0, b], false));
    }
    if c == '\u{1b}' {
        return None;
    }
    if let Some(place) = BASIC.chars().position(|b| b == c) {
        return u8::try_from(place).ok().map(|b| Septets([0, b], false));
    }
    EXTENDED.iter().find(|(e, _)| *e == c).map(|(_, b)| Septets([ESCAPE, *b], true))
}

/// Reads GSM septets, one per octet, as text. An unknown escape gives the basic character, as the standard asks.
pub fn decode(septets: &[u8]) -> String {
    let basic = |b: u8| BASIC.chars().nth(usize::from(b & 0x7F)).unwrap_or(' ');
    let mut out = String::new();
    let mut escaped = false;
    for &b in septets {
        if b == ESCAPE && !escaped {
            escaped = true;
        } else if escaped {
            escaped = false;
            out.push(EXTENDED.iter().find(|(_, e)| *e == b).map_or_else(|| basic(b), |(c, _)| *c));
        } else {
            out.push(basic(b));
        }
    }
    out
}

/// Replaces what the GSM alphabet lacks by the nearest that it has; what has no near one stays and makes the text UCS-2.
pub fn transliterate(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // French quotes carry a space on the inner side.
            '«' => {
                out.push('"');
                chars.next_if(|next| next.is_whitespace() && *next != '\n');
            }
            '»' => {
                if out.ends_with([' ', '\u{a0}', '\u{202f}']) {
                    out.pop();
                }
                out.push('"');
            }
            c if septets(c).is_some() => out.push(c),
            c => match nearest(c) {
                Some(text) => out.push_str(text),
                None => push_base(c, &mut out),
            },
        }
    }
    out
}

fn nearest(c: char) -> Option<&'static str> {
    Some(match c {
        '’' | '‘' | '‚' | '‛' | '′' | '`' | '´' | 'ʼ' => "'",
        '“' | '”' | '„' | '‟' | '″' => "\"",
        '‹' => "<",
        '›' => ">",
        '…' => "...",
        '–' | '—' | '−' | '‐' | '‑' | '‒' => "-",
        '\u{a0}' | '\u{202f}' | '\u{2009}' | '\u{2007}' | '\u{2002}' | '\u{2003}' | '\t' => " ",
        '\u{ad}' | '\u{200b}' | '\u{feff}' => "",
        'œ' => "oe",
        'Œ' => "OE",
        '•' | '·' => "-",
        '×' => "x",
        '©' => "(c)",
        '®' => "(R)",
        '™' => "TM",
        '°' => "o",
        '½' => "1/2",
        '¼' => "1/4",
        '¾' => "3/4",
        'ð' => "d",
        'Ð' => "D",
        'þ' => "th",
        'Þ' => "Th",
        'ł' => "l",
        'Ł' => "L",
        'đ' => "d",
        'Đ' => "D",
        'ı' => "i",
        _ => return None,
    })
}

/// `ê` is `e` with a mark: the mark goes, when the alphabet has the letter.
fn push_base(c: char, out: &mut String) {
    let mut parts = std::iter::once(c).nfd();
    match (parts.next(), parts.next()) {
        (Some(base), Some(_)) if septets(base).is_some() => out.push(base),
        _ => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_its_128_places() {
        assert_eq!(BASIC.chars().count(), 128);
        let at = |c| septets(c).map(|s| s.as_slice().to_vec());
        assert_eq!(at('@'), Some(vec![0x00]));
        assert_eq!(at('à'), Some(vec![0x7F]));
        assert_eq!(at('A'), Some(vec![0x41]));
        assert_eq!(at('_'), Some(vec![0x11]));
        assert_eq!(at('§'), Some(vec![0x5F]));
        assert_eq!(at('\u{1b}'), None);
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        let text: String = BASIC.chars().filter(|c| *c != '\u{1b}').chain(EXTENDED.iter().map(|(c, _)| *c)).collect();
        let bytes: Vec<u8> = text.chars().flat_map(|c| septets(c).map(|s| s.as_slice().to_vec()).unwrap_or_default()).collect();
        assert_eq!(decode(&bytes), text);
    }
}
