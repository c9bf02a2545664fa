//! What one touchpoint says, whether it came by CSV or by the API. Pure.

use chrono::DateTime;
use passage_protocol::Millis;

use crate::{
    identity::{
        IdentifierKind, Keyring,
        normalise::{canonical, looks_like_card},
    },
    touchpoint::{TouchKind, Touchpoint},
};

/// A touchpoint as a source wrote it. `None` is a blank.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawTouch<'a> {
    /// The source's own key, so that a repetition is recognised. Without one the contents are the key.
    pub key: Option<&'a str>,
    /// Time with its offset, RFC 3339.
    pub at: Option<&'a str>,
    /// A word of [`TouchKind`].
    pub kind: Option<&'a str>,
    /// Campaign.
    pub campaign: Option<&'a str>,
    /// Channel.
    pub channel: Option<&'a str>,
    /// Product.
    pub sku: Option<&'a str>,
    /// Size of the product.
    pub size: Option<&'a str>,
    /// A word of [`IdentifierKind`].
    pub identifier_kind: Option<&'a str>,
    /// The identifier in clear. It is keyed here and goes no further.
    pub identifier: Option<&'a str>,
}

/// Longest text of any field, in characters.
const LONGEST: usize = 100;

impl RawTouch<'_> {
    /// The touchpoint, or why it is none; the reason never repeats a value. `source` is who sent it.
    pub fn read(&self, source: &str, keyring: &Keyring, region: &str) -> Result<Touchpoint, String> {
        let at = instant(self.at.ok_or("at is missing")?).ok_or("at: write a time with its offset, such as 2026-11-18T10:12:00+01:00")?;
        let kind: TouchKind = self.kind.ok_or("kind is missing")?.parse().map_err(|()| format!("kind: write {}", words()))?;
        let (identifier_kind, identifier) =
            keyed(self.identifier_kind, self.identifier, keyring, region)?.ok_or("identifier is missing")?;
        let key = match text("key", self.key)? {
            Some(key) => key,
            None => self.contents(keyring),
        };
        Ok(Touchpoint {
            id: format!("{source}/{key}"),
            at,
            kind,
            campaign: text("campaign", self.campaign)?,
            channel: text("channel", self.channel)?,
            sku: text("sku", self.sku)?,
            size: text("size", self.size)?,
            identifier_kind,
            identifier,
        })
    }

    /// A key made of all fields, for sources that have none.
    fn contents(&self, keyring: &Keyring) -> String {
        let fields = [self.at, self.kind, self.campaign, self.channel, self.sku, self.size, self.identifier_kind, self.identifier];
        let parts: Vec<&[u8]> = fields.iter().map(|f| f.unwrap_or_default().as_bytes()).collect();
        hex::encode(&keyring.hash("touchpoint contents", &parts)[..16])
    }
}

fn words() -> String {
    TouchKind::ALL.iter().map(|k| k.word()).collect::<Vec<_>>().join(", ")
}

/// The identifier in keyed form; `Ok(None)` when there is none.
pub(super) fn keyed(
    kind: Option<&str>,
    value: Option<&str>,
    keyring: &Keyring,
    region: &str,
) -> Result<Option<(IdentifierKind, crate::identity::Key)>, String> {
    let (kind, value) = match (kind, value) {
        (None, None) => return Ok(None),
        (Some(kind), Some(value)) => (kind, value),
        (None, Some(_)) => return Err("identifier_kind is missing".to_owned()),
        (Some(_), None) => return Ok(None),
    };
    let kind: IdentifierKind = kind.parse().map_err(|()| "identifier_kind is not known".to_owned())?;
    let form = canonical(kind, value, region).map_err(|e| format!("identifier: {e}"))?;
    Ok(Some((kind, keyring.identifier(kind, &form))))
}

/// A text that may be stored in clear: short, without control characters, and neither a payment card nor an e-mail address.
pub(crate) fn text(name: &'static str, value: Option<&str>) -> Result<Option<String>, String> {
    let Some(value) = value.map(str::trim).filter(|v| !v.is_empty()) else { return Ok(None) };
    if value.chars().count() > LONGEST || value.chars().any(char::is_control) {
        return Err(format!("{name}: longer than {LONGEST} characters, or with control characters"));
    }
    if looks_like_card(value) {
        return Err(format!("{name}: it looks like the number of a payment card"));
    }
    if value.contains('@') && value.contains('.') {
        return Err(format!("{name}: it looks like an e-mail address"));
    }
    Ok(Some(value.to_owned()))
}

/// A time with its offset.
pub(super) fn instant(text: &str) -> Option<Millis> {
    let at = DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis();
    // Nothing that could be of any use lies outside of these years.
    (946_684_800_000..4_102_444_800_000).contains(&at).then_some(Millis(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawTouch<'static> {
        RawTouch {
            key: Some("4711"),
            at: Some("2026-11-18T10:12:00+01:00"),
            kind: Some("view"),
            campaign: Some("winter"),
            channel: Some("paid-search"),
            sku: Some("COAT-1"),
            size: Some("42"),
            identifier_kind: Some("cookie"),
            identifier: Some("shop.example.fr/abc"),
        }
    }

    fn read(raw: &RawTouch<'_>) -> Result<Touchpoint, String> {
        raw.read("site", &Keyring::from_secret(&[7; 32]), "FR")
    }

    #[test]
    fn a_touchpoint_keeps_its_identifier_in_keyed_form() {
        let touch = read(&raw()).unwrap();
        assert_eq!((touch.id.as_str(), touch.at, touch.kind), ("site/4711", Millis(1_794_993_120_000), TouchKind::View));
        assert_eq!(touch.identifier, Keyring::from_secret(&[7; 32]).identifier(IdentifierKind::Cookie, "shop.example.fr/abc"));
    }

    #[test]
    fn without_a_key_the_contents_are_the_key() {
        let keyless = RawTouch { key: None, ..raw() };
        assert_eq!(read(&keyless).unwrap().id, read(&keyless).unwrap().id);
        assert_ne!(read(&keyless).unwrap().id, read(&RawTouch { size: Some("44"), ..keyless }).unwrap().id);
    }

    #[test]
    fn reasons_name_the_field_and_never_the_value() {
        let cases = [
            (RawTouch { at: Some("2026-11-18 10:12"), ..raw() }, "at:"),
            (RawTouch { kind: Some("glance"), ..raw() }, "kind:"),
            (RawTouch { identifier_kind: Some("iban"), ..raw() }, "identifier_kind"),
            (RawTouch { identifier: Some("nothing"), ..raw() }, "identifier:"),
            (RawTouch { identifier: None, ..raw() }, "identifier is missing"),
            (RawTouch { sku: Some("4111 1111 1111 1111"), ..raw() }, "sku:"),
            (RawTouch { campaign: Some("anne@example.fr"), ..raw() }, "campaign:"),
            (RawTouch { identifier_kind: Some("loyalty_card"), identifier: Some("5500000000000004"), ..raw() }, "payment card"),
        ];
        for (raw, expected) in cases {
            let reason = read(&raw).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
            assert!(
                !["2026", "glance", "iban", "nothing", "4111", "anne", "5500"]
                    .iter()
                    .any(|v| reason.replace("2026-11-18T", "").contains(v))
            );
        }
    }
}
