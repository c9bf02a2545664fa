//! What must hold for every value, against simple models.

use std::collections::BTreeSet;

use passage_protocol::{
    Ack, Envelope, Event, FenceId, GatewayId, Gone, GoneReason, Hello, Millis, Phase, PositionToken, Rid, SeqRange, SeqSet, Signal,
    StaticBeacon, Strength, Subject, Topic, WireError, Zone,
    ack::MAX_MISSING,
    sign::{Pinned, SignatureError, Signing},
    token::TokenError,
};
use proptest::{collection::vec, prelude::*};

fn key(n: u8) -> Signing {
    Signing::from_bytes(&[n; 32])
}

fn pinned() -> Pinned {
    Pinned::from_base64([key(1).public().as_str()]).unwrap()
}

fn ids() -> impl Strategy<Value = String> {
    "[a-z0-9-]{3,40}"
}

fn ranges() -> impl Strategy<Value = Vec<SeqRange>> {
    vec((1_u64..400, 0_u64..12).prop_map(|(from, more)| SeqRange { from, to: from + more }), 0..120)
}

fn model(ranges: &[SeqRange]) -> BTreeSet<u64> {
    ranges.iter().flat_map(|r| r.from..=r.to).collect()
}

fn topics() -> impl Strategy<Value = Topic> {
    (ids().prop_filter("reserved", |id| id != "hub"), 0..9, any::<(u64, u32)>()).prop_map(|(id, kind, (revision, part))| {
        let gateway: GatewayId = id.parse().unwrap();
        match kind {
            0 => Topic::Event(gateway),
            1 => Topic::State(gateway),
            2 => Topic::Hello(gateway),
            3 => Topic::Ack(gateway),
            4 => Topic::SiteManifest(gateway),
            5 => Topic::SitePart(gateway, revision, part),
            6 => Topic::Command(gateway),
            7 => Topic::SiteDeny(gateway, part),
            _ => Topic::HubState(id.parse().unwrap()),
        }
    })
}

fn subjects() -> impl Strategy<Value = Subject> {
    prop_oneof![
        (any::<[u8; 8]>(), 0_u8..16).prop_map(|(rid, hint)| Subject::Rid { rid: Rid(rid), hint }),
        ("[0-9a-f]{32}", any::<u16>(), any::<u16>()).prop_map(|(uuid, major, minor)| Subject::Beacon(StaticBeacon::IBeacon {
            uuid,
            major,
            minor
        })),
        ("[0-9a-f]{32}", any::<u16>(), any::<u16>()).prop_map(|(uuid, major, minor)| Subject::Beacon(StaticBeacon::AltBeacon {
            uuid,
            major,
            minor
        })),
        ("[0-9a-f]{20}", "[0-9a-f]{12}")
            .prop_map(|(namespace, instance)| Subject::Beacon(StaticBeacon::EddystoneUid { namespace, instance })),
        ids().prop_map(|id| Subject::Installation(id.parse().unwrap())),
    ]
}

fn strengths() -> impl Strategy<Value = Strength> {
    prop_oneof![
        any::<(i8, u32)>().prop_map(|(rssi, count)| Strength::Radio { rssi, count }),
        (0_f32..=1.0, 0_f32..10_000.0).prop_map(|(p, accuracy_m)| Strength::Position { p, accuracy_m }),
        Just(Strength::App),
    ]
}

fn zones() -> impl Strategy<Value = Zone> {
    prop_oneof![
        Just(Zone::In),
        Just(Zone::Front),
        ids().prop_filter("reserved", |id| id != "front").prop_map(|id| Zone::Fence(id.parse::<FenceId>().unwrap())),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let what = (
        prop_oneof![Just(Signal::Beacon), Just(Signal::Position), Just(Signal::App)],
        prop_oneof![Just(Phase::Enter), Just(Phase::Dwell), Just(Phase::Exit)],
    );
    let times = (0_i64..1 << 45, 0_i64..1 << 40, 0_i64..1 << 40, any::<i64>());
    (any::<u128>(), 1_u64..1 << 63, ids(), zones(), subjects(), what, times, strengths(), any::<(bool, bool)>()).prop_map(
        |(id, seq, store, zone, subject, (signal, phase), (first, stay, later, mono), strength, (initial, late))| Event {
            id: uuid::Uuid::from_u128(id),
            seq,
            store: store.parse().unwrap(),
            zone,
            subject,
            signal,
            phase,
            at: Millis(first + later),
            mono,
            first: Millis(first),
            last: Millis(first + stay),
            strength,
            initial,
            late,
        },
    )
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    let gone = (1_u64..1 << 40, 0_u64..1 << 40).prop_map(|(from, more)| Gone {
        range: SeqRange { from, to: from + more },
        reason: [GoneReason::Evicted, GoneReason::AckedBefore, GoneReason::NeverWritten, GoneReason::Undeliverable]
            [usize::try_from(from % 4).unwrap()],
    });
    (ids(), "[!-~]{1,40}", vec(events(), 1..20), vec(gone, 0..5), any::<bool>()).prop_map(|(id, epoch, events, gone, synced)| {
        let mut envelope = Envelope::new(id.parse().unwrap(), epoch, "boot".to_owned());
        envelope.events = events;
        envelope.gone = gone;
        envelope.synced = synced;
        envelope
    })
}

proptest! {
    #[test]
    fn a_topic_has_one_spelling(topic in topics()) {
        prop_assert_eq!(topic.to_string().parse::<Topic>(), Ok(topic));
    }

    #[test]
    fn a_text_that_reads_as_a_topic_is_its_spelling(text in "(passage/v1/(gateway|hub)/[a-z0-9+#/-]{0,44}/(event|state|ack|site/part/[0-9+]{1,21}/[0-9]{1,11})|\\PC{0,60})") {
        if let Ok(topic) = text.parse::<Topic>() {
            prop_assert_eq!(topic.to_string(), text);
        }
    }

    #[test]
    fn a_set_of_seqs_behaves_like_a_plain_set(added in ranges(), removed in ranges(), max in 0_u64..450) {
        let mut set: SeqSet = added.iter().copied().collect();
        removed.iter().for_each(|r| set.remove(*r));
        let gone = model(&removed);
        let model: BTreeSet<u64> = model(&added).difference(&gone).copied().collect();
        prop_assert_eq!(set.count(), u64::try_from(model.len()).unwrap());
        prop_assert_eq!(&set, &model.iter().copied().collect::<SeqSet>());
        prop_assert!((0..450).all(|seq| set.contains(seq) == model.contains(&seq)));
        for pair in set.ranges().windows(2) {
            prop_assert!(pair[0].to + 1 < pair[1].from);
        }
        let missing = self::model(&set.missing_up_to(max));
        prop_assert_eq!(missing, (1..=max).filter(|seq| !model.contains(seq)).collect::<BTreeSet<_>>());
    }

    #[test]
    fn the_ends_of_the_numbers_do_no_harm(a: u64, b: u64, c: u64, max: u64) {
        let ends = [0, 1, u64::MAX - 1, u64::MAX];
        for seq in ends.into_iter().chain([a, b, c]) {
            let mut set: SeqSet = [SeqRange::from((a, seq)), SeqRange::from((b, c))].into_iter().collect();
            for top in ends.into_iter().chain([max]) {
                let missing = set.missing_up_to(top);
                prop_assert!(missing.iter().all(|r| r.from <= r.to && r.to <= top && r.from >= 1 && !set.contains(r.from) && !set.contains(r.to)));
            }
            set.count();
            set.remove(SeqRange::from((seq, b)));
            prop_assert!(!set.contains(b) && !set.contains(seq));
        }
    }

    #[test]
    fn an_envelope_survives_the_wire(envelope in envelopes()) {
        let bytes = envelope.to_vec();
        prop_assert_eq!(Envelope::from_slice(&bytes).unwrap(), envelope);
    }

    #[test]
    fn malformed_payloads_are_refused_without_their_values(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(Envelope::from_slice(&bytes).is_err());
        prop_assert!(Hello::from_slice(&bytes).is_err());
        prop_assert!(Ack::from_slice(&bytes).is_err());
        let _ = PositionToken::from_text(&String::from_utf8_lossy(&bytes), &pinned(), Millis(0));
    }

    #[test]
    fn a_broken_envelope_is_refused_or_read_and_its_error_repeats_nothing(envelope in envelopes(), place: prop::sample::Index, byte: u8) {
        let mut bytes = envelope.to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Err(e) = Envelope::from_slice(&bytes) {
            let text = e.to_string();
            for event in &envelope.events {
                prop_assert!(!text.contains(&event.id.to_string()));
                if let Subject::Rid { rid, .. } = event.subject {
                    prop_assert!(!text.contains(&String::from(rid)));
                }
            }
        }
        prop_assert!(Envelope::from_slice(&bytes[..place]).is_err());
    }
}

proptest! {
    // Signatures are slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_tampered_ack_is_refused(max in 1_u64..1000, other in 0_u64..1000, from in 1_u64..1000) {
        let ack = Ack::signed("gateway".parse().unwrap(), "e".to_owned(), max, vec![SeqRange { from: 1, to: 1 }], 10, &key(1));
        let forged = [
            Ack { max: if other == max { max + 1 } else { other }, ..ack.clone() },
            Ack { missing: vec![], ..ack.clone() },
            Ack { missing: vec![SeqRange { from: from + 1, to: from + 1 }], ..ack.clone() },
            Ack { gateway: "gateway-2".parse().unwrap(), ..ack.clone() },
            Ack { epoch: "f".to_owned(), ..ack.clone() },
            Ack { backlog_rate: 11, ..ack.clone() },
        ];
        for ack in forged {
            prop_assert_eq!(ack.verify(&pinned()), Err(SignatureError::Wrong));
        }
        let stranger = Ack::signed("gateway".parse().unwrap(), "e".to_owned(), max, vec![], 10, &key(2));
        prop_assert_eq!(stranger.verify(&pinned()), Err(SignatureError::UnknownKey));
        let claimed = Ack { key: key(1).key_id(), ..stranger };
        prop_assert_eq!(claimed.verify(&pinned()), Err(SignatureError::Wrong));
        prop_assert_eq!(Ack { sig: "é".to_owned(), ..ack }.verify(&pinned()), Err(SignatureError::Malformed));
    }

    #[test]
    fn a_token_is_good_until_it_expires_and_for_its_signer_alone(expires in 1_i64..1 << 45, installation in ids(), flip in 0_usize..60) {
        let token = PositionToken { installation: installation.parse().unwrap(), expires: Millis(expires), purpose: "presence".to_owned() };
        let text = token.to_text(&key(1));
        prop_assert_eq!(PositionToken::from_text(&text, &pinned(), Millis(expires - 1)), Ok(token.clone()));
        prop_assert_eq!(PositionToken::from_text(&text, &pinned(), Millis(expires)), Err(TokenError::Expired));
        let stranger = PositionToken::from_text(&token.to_text(&key(2)), &pinned(), Millis(0));
        prop_assert_eq!(stranger, Err(TokenError::Signature(SignatureError::UnknownKey)));
        let mut bytes = text.into_bytes();
        bytes[flip] = if bytes[flip] == b'A' { b'B' } else { b'A' };
        prop_assert!(PositionToken::from_text(std::str::from_utf8(&bytes).unwrap(), &pinned(), Millis(0)).is_err());
        let other = PositionToken { purpose: "ads".to_owned(), ..token };
        prop_assert_eq!(PositionToken::from_text(&other.to_text(&key(1)), &pinned(), Millis(0)), Err(TokenError::Purpose));
    }

    #[test]
    fn an_ack_never_claims_more_than_is_stored(holes in ranges(), max in 0_u64..450) {
        let stored: BTreeSet<u64> = (1..=max).filter(|seq| !holes.iter().any(|h| h.contains(*seq))).collect();
        let ack = Ack::signed("gateway".parse().unwrap(), "e".to_owned(), max, holes.clone(), 10, &key(1));
        let said = model(&ack.stored());
        prop_assert!(said.is_subset(&stored));
        prop_assert!(ack.missing.len() <= MAX_MISSING && ack.max <= max);
        // Up to its own max it tells everything.
        prop_assert_eq!(said, stored.into_iter().filter(|seq| *seq <= ack.max).collect::<BTreeSet<_>>());
        prop_assert_eq!(ack.verify(&pinned()), Ok(()));
        prop_assert_eq!(Ack::from_slice(&ack.to_vec()).unwrap(), ack);
    }
}

/// The error of an envelope in which `from` is replaced by `to`.
fn error_with(from: &str, to: &str) -> String {
    let text = include_str!("golden/v1/envelope.json");
    assert!(text.contains(from), "the golden envelope has {from}");
    Envelope::from_slice(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string()
}

#[test]
fn broken_rules_are_named() {
    assert!(error_with(r#""v":1"#, r#""v":2"#).contains("version 2"));
    assert!(error_with(r#""seq":121"#, r#""seq":0"#).contains("count from 1"));
    assert!(error_with(r#""seq":121"#, r#""seq":9223372036854775808"#).contains("63 bits"));
    assert!(error_with(r#""hint":9"#, r#""hint":16"#).contains("4 bits"));
    assert!(error_with("e2c56db5", "E2C56DB5").contains("lower-case hex digits"));
    assert!(error_with(r#""p":0.875"#, r#""p":1e300"#).contains("finite"));
    assert!(error_with(r#""epoch":"9f3c21aa00b1c2d3""#, r#""epoch":"a\u0000b""#).contains("visible ASCII"));
    assert!(error_with(r#""first":1795166388000"#, r#""first":1795166400001"#).contains("first evidence"));
    assert!(error_with(r#""at":1795166400000"#, r#""at":-1"#).contains("1970"));
    assert!(error_with(r#""zone":"in""#, r#""zone":"IN/+""#).contains("wrong kind"));
    assert!(error_with(r#""store":"lyon""#, r#""store":"lyon","mac":"aa:bb""#).contains("unknown"));
    for (what, error) in [("secret", error_with(r#""store":"lyon""#, r#""store":"a secret""#)), ("mac", error_with("\"mono\"", "\"mac\""))]
    {
        assert!(!error.contains(what), "{error}");
    }
}

#[test]
fn size_and_count_are_bounded() {
    let mut envelope = Envelope::from_slice(include_bytes!("golden/v1/envelope.json")).unwrap();
    envelope.events = vec![envelope.events[3].clone(); 201];
    let many = envelope.to_vec();
    assert!(matches!(Envelope::from_slice(&many), Err(WireError::Contract(_) | WireError::TooLarge(_))));
    envelope.events.clear();
    assert!(matches!(Envelope::from_slice(&envelope.to_vec()), Err(WireError::Contract(_))));
    let blank = vec![b' '; passage_protocol::MAX_PAYLOAD + 1];
    assert!(matches!(Hello::from_slice(&blank), Err(WireError::TooLarge(65537))));
}

#[test]
fn a_hello_that_contradicts_itself_is_refused() {
    let hello = |first, next| Hello::new("gateway".parse().unwrap(), "e".to_owned(), first, next, "b".to_owned()).to_vec();
    assert!(Hello::from_slice(&hello(1, 1)).is_ok());
    for (first, next) in [(0, 1), (3, 2), (1, u64::MAX)] {
        assert!(Hello::from_slice(&hello(first, next)).is_err());
    }
}

#[test]
fn the_reserved_gateway_has_no_topics() {
    assert!("passage/v1/gateway/hub/event".parse::<Topic>().is_err());
    for bad in [
        "passage/v1/gateway/+/event",
        "passage/v1/gateway/a/event",
        "passage/v2/gateway/abc/event",
        "passage/v1/gateway/abc/site/part/01/0",
        "",
    ] {
        assert!(bad.parse::<Topic>().is_err(), "{bad}");
    }
}
