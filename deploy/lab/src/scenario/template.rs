//! Bytes with blanks to fill in, such as `020106 09ff4c00 {i16} {rnd:4}`.

use rand::Rng;

/// Advertising data in hex with placeholders: `{i16}` and `{i32}` the number of the instance, `{r16}` and `{r32}` the number of the rotation
/// (all big-endian), `{rnd:N}` N bytes that change at each rotation. Blanks are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Bytes(Vec<u8>),
    Instance16,
    Instance32,
    Rotation16,
    Rotation32,
    Random(usize),
}

impl Template {
    /// Reads a template. The error says what is wrong and what is right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            parts.push(Part::hex(before)?);
            let (name, after) = after.split_once('}').ok_or_else(|| format!("`{{{after}` has no `}}`"))?;
            parts.push(Part::placeholder(name)?);
            rest = after;
        }
        parts.push(Part::hex(rest)?);
        let template = Self { parts };
        match template.len() {
            len if len > super::MAX_DATA => Err(format!("{len} bytes do not fit one advert; {} do", super::MAX_DATA)),
            _ => Ok(template),
        }
    }

    /// Bytes that every filled-in template has.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes for an instance in a rotation. `random` feeds `{rnd:N}`.
    pub fn fill(&self, instance: u32, rotation: u64, random: &mut impl Rng) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        for part in &self.parts {
            match part {
                Part::Bytes(fixed) => bytes.extend(fixed),
                Part::Instance16 => bytes.extend(&instance.to_be_bytes()[2..]),
                Part::Instance32 => bytes.extend(instance.to_be_bytes()),
                Part::Rotation16 => bytes.extend(&rotation.to_be_bytes()[6..]),
                Part::Rotation32 => bytes.extend(&rotation.to_be_bytes()[4..]),
                Part::Random(n) => {
                    let from = bytes.len();
                    bytes.resize(from + n, 0);
                    random.fill_bytes(&mut bytes[from..]);
                }
            }
        }
        bytes
    }
}

impl Part {
    fn hex(text: &str) -> Result<Self, String> {
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        hex::decode(&digits).map(Self::Bytes).map_err(|e| format!("`{}` is not hex: {e}", text.trim()))
    }

    fn placeholder(name: &str) -> Result<Self, String> {
        Ok(match name {
            "i16" => Self::Instance16,
            "i32" => Self::Instance32,
            "r16" => Self::Rotation16,
            "r32" => Self::Rotation32,
            _ => match name.strip_prefix("rnd:").map(str::parse::<u8>) {
                Some(Ok(n)) => Self::Random(n.into()),
                _ => return Err(format!("`{{{name}}}` is no placeholder; there are i16, i32, r16, r32 and rnd:N")),
            },
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::Bytes(fixed) => fixed.len(),
            Self::Instance16 | Self::Rotation16 => 2,
            Self::Instance32 | Self::Rotation32 => 4,
            Self::Random(n) => *n,
        }
    }
}
