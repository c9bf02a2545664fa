//! Links in mails that say whose mail it was: `CODE.MEMBER.SIGNATURE`. Without the hub's secret nobody makes one. Pure.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use crate::identity::{Keyring, MemberId};

/// Bytes of the signature that stand in a link.
const SIGNATURE: usize = 16;

/// What stands behind `/r/`, `/q/` or `/o/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// Code of the link.
    pub code: &'a str,
    /// Whose mail it was, when the signature is right.
    pub member: Option<MemberId>,
}

/// The text for a member's mail.
pub fn write(keyring: &Keyring, code: &str, member: MemberId) -> String {
    let who = member.code().replace('-', "");
    format!("{code}.{who}.{}", URL_SAFE_NO_PAD.encode(signature(keyring, code, &who)))
}

/// Reads what stands in the path. A wrong signature makes it a link of nobody.
pub fn read<'a>(keyring: &Keyring, text: &'a str) -> Scanned<'a> {
    let mut parts = text.split('.');
    let code = parts.next().unwrap_or_default();
    let signed = parts.next().zip(parts.next()).filter(|_| parts.next().is_none());
    let member = signed.and_then(|(who, given)| {
        let given = URL_SAFE_NO_PAD.decode(given).ok()?;
        let right = bool::from(signature(keyring, code, who).ct_eq(given.as_slice()));
        MemberId::from_code(who).filter(|_| right)
    });
    Scanned { code, member }
}

fn signature(keyring: &Keyring, code: &str, who: &str) -> [u8; SIGNATURE] {
    let whole = keyring.hash("mail link", &[code.as_bytes(), who.as_bytes()]);
    std::array::from_fn(|i| whole[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_tells_its_member_and_no_other_text_does() {
        let keyring = Keyring::from_secret(&[7; 32]);
        let link = write(&keyring, "coats-mail", MemberId(77));
        assert_eq!(read(&keyring, &link), Scanned { code: "coats-mail", member: Some(MemberId(77)) });
        assert_eq!(read(&keyring, "coats-mail"), Scanned { code: "coats-mail", member: None });
        let other = write(&keyring, "coats-mail", MemberId(78));
        let swapped = [link.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1].join(".");
        for wrong in [swapped, link.replace("coats-mail", "other-code"), format!("{link}.x"), format!("{link}A"), "a..".to_owned()] {
            assert_eq!(read(&keyring, &wrong).member, None, "{wrong}");
        }
        assert_eq!(read(&Keyring::from_secret(&[8; 32]), &link).member, None);
    }
}
