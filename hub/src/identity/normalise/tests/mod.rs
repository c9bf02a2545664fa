use super::*;

#[derive(serde::Deserialize)]
struct Vector {
    kind: String,
    input: String,
    #[serde(default)]
    region: String,
    canonical: Option<String>,
}

#[test]
fn every_published_vector_gives_its_canonical_form() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../../tests/fixtures/normalisation.json")).unwrap();
    assert!(vectors.len() > 30);
    for v in vectors {
        let kind = if v.kind == "device_id" { IdentifierKind::Installation } else { v.kind.parse().unwrap() };
        assert_eq!(canonical(kind, &v.input, &v.region).ok(), v.canonical, "{} {:?}", v.kind, v.input);
    }
}

#[test]
fn decomposed_accents_give_the_same_key() {
    let forms = ["Rene\u{301}e@example.fr", "Ren\u{e9}e@example.fr", "\u{feff} RENÉE@example.fr\u{a0}"];
    assert!(forms.iter().all(|f| canonical(IdentifierKind::Email, f, "FR").as_deref() == Ok("renée@example.fr")));
}

#[test]
fn hashed_addresses_are_never_hashed_again() {
    assert_eq!(canonical(IdentifierKind::Email, "0123456789abcdef0123456789ABCDEF", "FR"), Err(Unusable::Hashed));
}

#[test]
fn invisible_characters_never_make_two_keys_of_one_address() {
    for text in ["\u{feff}\u{200b}anne@example.fr\u{200b}", "anne\u{200b}@exam\u{ad}ple.fr", "\u{2060}ANNE@example.fr\u{3000}"] {
        assert_eq!(canonical(IdentifierKind::Email, text, "FR").as_deref(), Ok("anne@example.fr"), "{text:?}");
    }
    for text in ["...@gmail.com", "Anne <anne@example.fr>", "mailto:anne@example.fr", "anne@example", "anne@.fr", "anne @example.fr"] {
        assert!(canonical(IdentifierKind::Email, text, "FR").is_err(), "{text}");
    }
    assert_eq!(canonical(IdentifierKind::Email, "Anne@EXÄMPLE.fr", "FR").as_deref(), Ok("anne@exämple.fr"));
}

#[test]
fn hashes_of_partners_come_in_hex_of_any_case_or_base64() {
    let hex = "734962a022bc2c240aef4e1792d6d4310b3d891909a0800876d72683bb309a21";
    let base64 = STANDARD.encode(hex::decode(hex).unwrap());
    for text in [hex, &hex.to_uppercase(), &base64] {
        assert_eq!(canonical(IdentifierKind::EmailSha256, text, "FR").as_deref(), Ok(hex), "{text}");
    }
    assert_eq!(canonical(IdentifierKind::PhoneSha256, NOTHING, "FR"), Err(Unusable::Placeholder));
    assert_eq!(canonical(IdentifierKind::PhoneSha256, "d41d8cd98f00b204e9800998ecf8427e", "FR"), Err(Unusable::Hash));
}

#[test]
fn cookies_keep_their_value_and_lose_the_case_of_their_domain() {
    assert_eq!(canonical(IdentifierKind::Cookie, ".Shop.Example.FR/GA1.2.Xy", "FR").as_deref(), Ok("shop.example.fr/GA1.2.Xy"));
    for bad in ["abc", "example/abc", "example.fr/", "example.fr/a b"] {
        assert_eq!(canonical(IdentifierKind::Cookie, bad, "FR"), Err(Unusable::Cookie), "{bad}");
    }
    assert_eq!(canonical(IdentifierKind::Cookie, "example.fr/undefined", "FR"), Err(Unusable::Placeholder));
}

#[test]
fn beacons_have_one_spelling() {
    let text = "F7826DA6-4FA2-4E98-8024-BC5B71E0893E/7/42";
    assert_eq!(canonical(IdentifierKind::Beacon, text, "FR").as_deref(), Ok("f7826da64fa24e988024bc5b71e0893e/7/42"));
    let fob = "Eddystone:00112233445566778899/AABBCCDDEEFF";
    assert_eq!(canonical(IdentifierKind::Beacon, fob, "FR").as_deref(), Ok("eddystone:00112233445566778899/aabbccddeeff"));
    assert_eq!(canonical(IdentifierKind::Beacon, "f7826da6/7/42", "FR"), Err(Unusable::Beacon));
}

#[test]
fn payment_cards_are_refused_and_article_numbers_are_not() {
    for card in ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "4222222222222"] {
        assert!(is_card_number(card), "{card}");
        assert_eq!(canonical(IdentifierKind::LoyaltyCard, card, "FR"), Err(Unusable::Card));
    }
    for fine in ["4111111111111112", "3017620422003", "9250012345678901", "CRM-4111111111111111", "12345"] {
        assert!(!is_card_number(fine), "{fine}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_a_canonical_form_is_its_own(text in "\\PC{0,40}") {
        for kind in IdentifierKind::ALL {
            if let Ok(form) = canonical(*kind, &text, "FR") {
                proptest::prop_assert_eq!(canonical(*kind, &form, "FR"), Ok(form));
            }
        }
    }

    #[test]
    fn no_digits_panic_as_phone_numbers(text in "[+0-9 ().-]{0,20}") {
        if let Ok(form) = canonical(IdentifierKind::Phone, &text, "FR") {
            proptest::prop_assert_eq!(canonical(IdentifierKind::Phone, &form, "FR"), Ok(form));
        }
    }
}

#[test]
fn an_address_needs_a_domain_that_could_exist_and_a_mailbox_that_is_not_too_long() {
    let long = format!("{}@example.fr", "p".repeat(65));
    let label = format!("paul@{}.fr", "e".repeat(64));
    for raw in [
        "paul@example.fr'",
        "paul@example.fr/",
        "paul@example.fr?subject=x",
        "paul@example.fr…",
        "paul@*.fr",
        "paul@-a.fr",
        "paul@exa!mple.fr",
        "paul@example.123",
        &long,
        &label,
    ] {
        assert_eq!(canonical(IdentifierKind::Email, raw, "FR"), Err(Unusable::Email), "{raw}");
    }
    for raw in ["+paul@example.fr", "paul@exämple.fr", "paul@shop.example-1.fr", "paul@मेल.भारत"] {
        assert_eq!(canonical(IdentifierKind::Email, raw, "FR").as_deref(), Ok(raw), "{raw}");
    }
}

#[test]
fn a_tab_is_a_blank() {
    assert_eq!(canonical(IdentifierKind::Phone, "06\t39\t98\t12\t34", "FR").as_deref(), Ok("+33639981234"));
    assert_eq!(canonical(IdentifierKind::Email, "paul\t@example.fr", "FR"), Err(Unusable::Email));
}

#[test]
fn a_card_with_a_word_before_it_is_a_card() {
    for card in [
        "CB4111111111111111",
        "CB 4111 1111 1111 1111",
        "VISA4111111111111111",
        "4111111111111111X",
        "CRM-4111111111111111",
        "n°4111111111111111",
    ] {
        for kind in [IdentifierKind::CrmId, IdentifierKind::LoyaltyCard, IdentifierKind::Operator] {
            assert_eq!(canonical(kind, card, "FR"), Err(Unusable::Card), "{card}");
        }
    }
    assert_eq!(canonical(IdentifierKind::Email, "4111111111111111@example.fr", "FR"), Err(Unusable::Card));
    for fine in ["CB4111111111111112", "AB12345678", "L-2026-000123", "FR3017620422003", "f47ac10b-58cc-4372-a567-0e02b2c3d479"] {
        for kind in [IdentifierKind::CrmId, IdentifierKind::LoyaltyCard] {
            assert!(canonical(kind, fine, "FR").is_ok(), "{fine}");
        }
    }
}
