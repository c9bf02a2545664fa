use super::*;

#[test]
fn the_written_trunk_zero_is_never_dialled() {
    for text in [
        "+33 (0)6 39 98 12 34",
        "+330639981234",
        "0033 (0) 639981234",
        "\u{ff0b}33 6 39 98 12 34",
        "(+33) 6 39 98 12 34",
        "tel:+33639981234",
        "TEL:06 39 98 12 34",
        "33 0 639981234",
        "'0639981234",
        "639981234.0",
        "06\u{b7}39\u{b7}98\u{b7}12\u{b7}34",
        "\u{200e}06 39\u{200b}98 12 34",
        "\u{ff10}\u{ff16} \u{ff13}\u{ff19} \u{ff19}\u{ff18} \u{ff11}\u{ff12} \u{ff13}\u{ff14}",
    ] {
        assert_eq!(e164(text, "FR"), Ok("+33639981234".to_owned()), "{text}");
    }
}

#[test]
fn overseas_mobiles_get_the_code_of_their_island() {
    for (text, expected) in [("0690 12 34 56", "+590690123456"), ("+33 6 94 12 34 56", "+594694123456"), ("0697123456", "+596697123456")] {
        assert_eq!(e164(text, "FR"), Ok(expected.to_owned()));
    }
    assert_eq!(e164("0639 12 34 56", "YT"), Ok("+262639123456".to_owned()));
    assert_eq!(e164("0639 12 34 56", "FR"), Ok("+33639123456".to_owned()));
}

#[test]
fn services_and_placeholders_are_no_persons() {
    for text in
        ["0800 123 456", "36111", "0612345678", "06 66 66 66 66", "+33 8 99 12 34 56", "call me", "0123", "+999 123456789", "++33639981234"]
    {
        assert_eq!(e164(text, "FR"), Err(Unusable::Phone), "{text}");
    }
}

#[test]
fn only_mobiles_receive_sms() {
    assert!(may_receive_sms("+33639981234") && may_receive_sms("+262692123456") && may_receive_sms("+32470123456"));
    assert!(!may_receive_sms("+33140000000"));
}

#[test]
fn numbers_of_other_countries_follow_their_own_plan() {
    for (text, region, expected) in [
        ("07700 900123", "GB", "+447700900123"),
        ("+44 (0)7700 900123", "FR", "+447700900123"),
        ("+44 07700 900123", "FR", "+447700900123"),
        ("0470 12 34 56", "BE", "+32470123456"),
        ("+32 0470 12 34 56", "FR", "+32470123456"),
        ("06 698 12345", "IT", "+390669812345"),
        ("+39 (0)6 698 12345", "FR", "+390669812345"),
        ("079 123 45 67", "CH", "+41791234567"),
        ("621 123 456", "LU", "+352621123456"),
        ("612 34 56 78", "ES", "+34612345678"),
        ("0171 3920012", "DE", "+491713920012"),
        ("(650) 555-1212", "US", "+16505551212"),
        ("011 33 6 39 98 12 34", "US", "+33639981234"),
        ("0692 12 34 56", "RE", "+262692123456"),
    ] {
        assert_eq!(e164(text, region).as_deref(), Ok(expected), "{text} in {region}");
    }
}

#[test]
fn services_of_other_countries_and_repeated_digits_are_no_persons() {
    for (text, region) in [
        ("1 800 555 0199", "US"),
        ("0800 12345", "BE"),
        ("0909 879 0123", "GB"),
        ("911", "US"),
        ("+1 111 111 1111", "FR"),
        ("+32 000 00 00 00", "FR"),
        ("06 39 98 12 34", "XX"),
        ("199001234", "FR"),
    ] {
        assert_eq!(e164(text, region), Err(Unusable::Phone), "{text} in {region}");
    }
}

#[test]
fn numbers_overseas_get_the_code_of_their_territory_and_an_explicit_one_stands() {
    for (text, region, expected) in [
        ("0709 00 12 34", "FR", "+590709001234"),
        ("0709 10 12 34", "FR", "+596709101234"),
        ("0709 20 12 34", "FR", "+262709201234"),
        ("0709 30 12 34", "FR", "+594709301234"),
        ("0709 35 12 34", "FR", "+262709351234"),
        ("0263 00 12 34", "RE", "+262263001234"),
        ("590 20 12 34", "GP", "+590590201234"),
        ("262 16 12 34", "RE", "+262262161234"),
        ("0639 98 12 34", "YT", "+262639981234"),
        ("+33 6 39 98 12 34", "YT", "+33639981234"),
    ] {
        assert_eq!(e164(text, region).as_deref(), Ok(expected), "{text} in {region}");
    }
    assert_eq!(e164("590201234", "FR"), Err(Unusable::Phone), "nine digits are a local number only in their own territory");
}

#[test]
fn digits_of_any_script_and_the_signs_of_spreadsheets_are_read() {
    for text in ["०६३९९८१२३४", "𝟎𝟔𝟑𝟗𝟗𝟖𝟏𝟐𝟑𝟒", "๐๖๓๙๙๘๑๒๓๔", "06•39•98•12•34", "=\"0639981234\"", "\"0639981234\""]
    {
        assert_eq!(e164(text, "FR").as_deref(), Ok("+33639981234"), "{text}");
    }
}

#[test]
fn series_that_the_mainland_shares_with_an_island_are_the_islands_where_they_are_dialled() {
    for (text, region, expected) in [
        ("0976 20 12 34", "RE", "+262976201234"),
        ("0939 91 12 34", "RE", "+262939911234"),
        ("0947 90 12 34", "RE", "+262947901234"),
        ("0976 90 12 34", "YT", "+262976901234"),
        ("0976 01 23 45", "GP", "+590976012345"),
        ("0947 51 12 34", "BL", "+590947511234"),
        ("0939 60 12 34", "GF", "+594939601234"),
        ("0976 75 12 34", "MQ", "+596976751234"),
        ("0976 20 12 34", "FR", "+33976201234"),
        ("0939 91 12 34", "GP", "+33939911234"),
        ("+33 9 76 20 12 34", "RE", "+33976201234"),
        ("+262 976 20 12 34", "FR", "+262976201234"),
        ("+262 639 98 12 34", "FR", "+262639981234"),
        ("06 39 98 12 34", "RE", "+33639981234"),
    ] {
        assert_eq!(e164(text, region).as_deref(), Ok(expected), "{text} in {region}");
    }
}

#[test]
fn a_number_of_the_mainland_behind_an_islands_code_reaches_nobody() {
    for text in ["+590 1 42 68 53 00", "+262 1 42 68 53 00", "00596 (0)6 39 98 12 34", "590142685300", "+590 976 20 12 34"] {
        assert_eq!(e164(text, "FR"), Err(Unusable::Phone), "{text}");
    }
    assert_eq!(e164("+262 690 12 34 56", "FR").as_deref(), Ok("+590690123456"), "the series tells the island");
}

#[test]
fn st_pierre_and_miquelon_has_six_digits_of_its_own() {
    for (text, region) in [
        ("0508 55 12 34", "PM"),
        ("0508 55 12 34", "FR"),
        ("55 12 34", "PM"),
        ("055 12 34", "PM"),
        ("508 55 12 34", "PM"),
        ("+508 55 12 34", "FR"),
        ("+508 0508 55 12 34", "FR"),
        ("+33 5 08 55 12 34", "FR"),
    ] {
        assert_eq!(e164(text, region).as_deref(), Ok("+508551234"), "{text} in {region}");
    }
    assert_eq!(e164("0708 40 12 34", "FR").as_deref(), Ok("+508708401234"));
    assert_eq!(e164("06 39 98 12 34", "PM").as_deref(), Ok("+33639981234"));
}

#[test]
fn a_zero_that_belongs_to_the_number_decides_what_it_is() {
    for (text, region, expected) in [
        ("+37080123456", "FR", "+37080123456"),
        ("+78081234567", "FR", "+78081234567"),
        ("250123456", "RW", "+250250123456"),
        ("+39 06 698 12345", "FR", "+390669812345"),
        ("+378 0549 886377", "FR", "+3780549886377"),
        ("0549 886377", "SM", "+3780549886377"),
        ("+225 01 23 45 67 89", "FR", "+2250123456789"),
    ] {
        assert_eq!(e164(text, region).as_deref(), Ok(expected), "{text} in {region}");
    }
    for text in ["+227 08 123 456", "+227 09 123 456", "+676 0800 222"] {
        assert_eq!(e164(text, "FR"), Err(Unusable::Phone), "{text}");
    }
}

#[test]
fn what_is_dialled_before_a_country_code_depends_on_the_region() {
    for (text, region) in [("011 33 639981234", "US"), ("0011 33 639981234", "AU"), ("010 33 639981234", "JP"), ("+0033 639981234", "US")] {
        assert_eq!(e164(text, region).as_deref(), Ok("+33639981234"), "{text} in {region}");
    }
}
