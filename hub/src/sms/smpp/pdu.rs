//! Our messages as PDUs, and what the SMSC delivers as events. Pure.

use passage_config::model::{MessageIds, Smpp};
use rusmpp::{
    pdus::{BindTransceiver, DeliverSm, SubmitSm},
    tlvs::TlvValue,
    types::{COctetString, EmptyOrFullCOctetString, OctetString},
    values::{DataCoding, EsmClass, InterfaceVersion, MessageState, Npi, RegisteredDelivery, Ton},
};

use crate::sms::{
    Msisdn, Submit,
    provider::{Event, Fate, Receipt, Reply, smsc_id},
    segment::{self, Encoding},
};

/// UDH indicator of `esm_class`.
const UDHI: u8 = 0x40;

/// The login, or `None` when a field does not fit into SMPP (8 characters of password, 15 of system id, ASCII).
pub fn bind(config: &Smpp) -> Option<BindTransceiver> {
    let bind = BindTransceiver::builder()
        .system_id(COctetString::from_string(config.system_id.clone()).ok()?)
        .password(COctetString::from_string(config.password.0.clone()).ok()?)
        .system_type(COctetString::empty())
        .interface_version(InterfaceVersion::Smpp3_4)
        .addr_ton(Ton::Unknown)
        .addr_npi(Npi::Unknown)
        .address_range(COctetString::empty())
        .build();
    Some(bind)
}

/// The PDUs of a message, one per part; `None` when it does not fit into SMPP (a sender that is not ASCII, more than 255 parts).
pub fn submits(submit: &Submit) -> Option<Vec<SubmitSm>> {
    let segments = segment::segment(&submit.text);
    let payloads = segments.payloads(submit.id.as_bytes()[15]);
    if payloads.is_empty() {
        return None;
    }
    // The codec's default of esm_class goes out as 0x08, "delivery acknowledgement".
    let esm_class = EsmClass::from(if payloads.len() > 1 { UDHI } else { 0 });
    let data_coding = match segments.encoding {
        Encoding::Gsm7 => DataCoding::McSpecific,
        Encoding::Ucs2 => DataCoding::Ucs2,
    };
    let (source_ton, source_npi) = source(&submit.from);
    let one = |payload: Vec<u8>| {
        let pdu = SubmitSm::builder()
            .source_addr_ton(source_ton)
            .source_addr_npi(source_npi)
            .source_addr(COctetString::from_string(submit.from.clone()).ok()?)
            .dest_addr_ton(Ton::International)
            .dest_addr_npi(Npi::Isdn)
            .destination_addr(COctetString::from_string(submit.to.expose().trim_start_matches('+').to_owned()).ok()?)
            .esm_class(esm_class)
            .validity_period(EmptyOrFullCOctetString::from_string(validity(submit.validity_ms)).ok()?)
            .registered_delivery(RegisteredDelivery::from(1))
            .data_coding(data_coding)
            .short_message(OctetString::from_vec(payload).ok()?)
            .build();
        Some(pdu)
    };
    payloads.into_iter().map(one).collect()
}

/// Alphanumeric senders and short codes are not phone numbers.
fn source(sender: &str) -> (Ton, Npi) {
    if sender.bytes().any(|b| b.is_ascii_alphabetic()) {
        (Ton::Alphanumeric, Npi::Unknown)
    } else if sender.len() <= 6 {
        (Ton::NetworkSpecific, Npi::Unknown)
    } else {
        (Ton::International, Npi::Isdn)
    }
}

/// Relative form of SMPP 3.4, 7.1.1: `YYMMDDhhmmsstnnR`. At least a second, at most 31 days less a second.
fn validity(ms: i64) -> String {
    let s = (ms / 1000).clamp(1, 31 * 86_400 - 1);
    format!("0000{:02}{:02}{:02}{:02}000R", s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60)
}

/// How often a refusal is final: throttled, queue full, and errors of the SMSC itself may pass.
pub fn is_retryable(code: u32) -> bool {
    is_throttle(code) || matches!(code, 0x04 | 0x08 | 0x64)
}

/// The SMSC had too much.
pub fn is_throttle(code: u32) -> bool {
    matches!(code, 0x58 | 0x14)
}

/// What the SMSC brings; `None` for a receipt without a final state, and for what cannot be understood.
pub fn delivered(pdu: &DeliverSm, ids: MessageIds, region: &str) -> Option<Event> {
    let from = Msisdn::parse(pdu.source_addr.as_str(), region);
    let esm_class = u8::from(pdu.esm_class);
    let body = body(pdu);
    let mut named = None;
    let mut state = None;
    for value in pdu.tlvs().iter().filter_map(|tlv| tlv.value()) {
        match value {
            TlvValue::ReceiptedMessageId(id) => named = Some(id.as_str().to_owned()),
            TlvValue::MessageState(s) => state = Some(*s),
            _ => {}
        }
    }
    if esm_class & 0x3C == 0x04 || named.is_some() {
        let text = String::from_utf8_lossy(body);
        return receipt(&text, named, state, from, ids).map(Event::Receipt);
    }
    if esm_class & 0x3C != 0 {
        return None;
    }
    let text = decode(pdu.data_coding, without_header(body, esm_class));
    Some(Event::Reply(Reply { from: from?, to: pdu.destination_addr.as_str().to_owned(), text }))
}

fn body(pdu: &DeliverSm) -> &[u8] {
    let payload = pdu.tlvs().iter().find_map(|tlv| match tlv.value() {
        Some(TlvValue::MessagePayload(payload)) => Some(payload.value.as_ref()),
        _ => None,
    });
    payload.unwrap_or_else(|| pdu.short_message().as_ref())
}

fn without_header(body: &[u8], esm_class: u8) -> &[u8] {
    match body.first() {
        Some(&length) if esm_class & UDHI != 0 => body.get(1 + usize::from(length)..).unwrap_or_default(),
        _ => body,
    }
}

fn decode(coding: DataCoding, body: &[u8]) -> String {
    match coding {
        DataCoding::McSpecific => segment::decode(body),
        DataCoding::Ucs2 => {
            let units = body.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        DataCoding::Latin1 => body.iter().map(|b| char::from(*b)).collect(),
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}

/// The TLVs first, then the text, whose form is only a custom: `id:... stat:... err:... text:...`.
fn receipt(text: &str, named: Option<String>, state: Option<MessageState>, from: Option<Msisdn>, ids: MessageIds) -> Option<Receipt> {
    let id = named.filter(|id| !id.is_empty()).or_else(|| field(text, "id:"))?;
    let fate = match state {
        Some(state) => fate_of(state),
        None => fate_in_text(&field(text, "stat:")?),
    }?;
    let reason = field(text, "err:").filter(|e| !e.bytes().all(|b| b == b'0'));
    Some(Receipt { smsc_id: smsc_id(&id), other_id: other_reading(&id, ids), from, fate, reason: reason.map(|e| format!("err {e}")) })
}

fn field(text: &str, name: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    // What stands after `text:` are the first words of the message.
    let fields = lower.find("text:").map_or(text, |end| &text[..end]);
    let at = lower.get(..fields.len())?.match_indices(name).find(|(at, _)| *at == 0 || lower.as_bytes()[at - 1] == b' ')?.0;
    let value: String = fields[at + name.len()..].chars().take_while(|c| !c.is_whitespace()).take(64).collect();
    (!value.is_empty()).then_some(value)
}

fn fate_of(state: MessageState) -> Option<Fate> {
    match state {
        MessageState::Delivered => Some(Fate::Delivered),
        MessageState::Expired => Some(Fate::Expired),
        MessageState::Deleted | MessageState::Undeliverable | MessageState::Rejected => Some(Fate::Failed),
        _ => None,
    }
}

fn fate_in_text(stat: &str) -> Option<Fate> {
    match stat.to_ascii_uppercase().as_str() {
        "DELIVRD" => Some(Fate::Delivered),
        "EXPIRED" => Some(Fate::Expired),
        "DELETED" | "UNDELIV" | "REJECTD" => Some(Fate::Failed),
        _ => None,
    }
}

fn other_reading(id: &str, ids: MessageIds) -> Option<String> {
    match ids {
        MessageIds::AsIs => None,
        MessageIds::HexInReceipt => u128::from_str_radix(id.trim(), 16).ok().map(|n| n.to_string()),
        MessageIds::DecInReceipt => id.trim().parse::<u128>().ok().map(|n| format!("{n:x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_is_written_in_the_relative_form() {
        assert_eq!(validity(30 * 60_000), "000000003000000R");
        assert_eq!(validity(26 * 3_600_000 + 61_000), "000001020101000R");
        assert_eq!(validity(0), "000000000001000R");
        assert_eq!(validity(i64::MAX), "000030235959000R");
    }

    #[test]
    fn a_sender_with_a_letter_is_alphanumeric_and_five_digits_are_a_short_code() {
        assert_eq!(source("MAISON"), (Ton::Alphanumeric, Npi::Unknown));
        assert_eq!(source("36111"), (Ton::NetworkSpecific, Npi::Unknown));
        assert_eq!(source("33700000000"), (Ton::International, Npi::Isdn));
    }

    #[test]
    fn receipts_are_read_from_tlvs_first_and_from_any_customary_text() {
        let text = "id:0A1 sub:001 dlvrd:001 submit date:2611201500 done date:2611201501 stat:DELIVRD err:000 text:stat:UNDELIV id:9";
        let r = receipt(text, None, None, None, MessageIds::AsIs).unwrap();
        assert_eq!((r.smsc_id.as_str(), r.fate, r.reason), ("a1", Fate::Delivered, None));
        let r = receipt("id:7 stat:UNDELIV err:027", Some("ff".into()), Some(MessageState::Expired), None, MessageIds::AsIs).unwrap();
        assert_eq!((r.smsc_id.as_str(), r.fate, r.reason.as_deref()), ("ff", Fate::Expired, Some("err 027")));
        for text in ["", "id:", "stat:DELIVRD", "id:5 stat:ENROUTE", "id:5 stat:ACCEPTD", "é:é", "id:é stat:"] {
            assert!(receipt(text, None, None, None, MessageIds::AsIs).is_none(), "{text}");
        }
    }

    #[test]
    fn ids_in_another_base_are_read_in_both() {
        assert_eq!(other_reading("FF", MessageIds::HexInReceipt).as_deref(), Some("255"));
        assert_eq!(other_reading("0255", MessageIds::DecInReceipt).as_deref(), Some("ff"));
        assert_eq!(other_reading("x", MessageIds::DecInReceipt), None);
        assert_eq!(other_reading("255", MessageIds::AsIs), None);
    }

    proptest::proptest! {
        #[test]
        fn no_receipt_text_panics(text in "(id:|stat:|text:| |[a-zé0-9]|DELIVRD){0,30}") {
            let _ = receipt(&text, None, None, None, MessageIds::HexInReceipt);
        }
    }
}
