//! A gateway is stolen from a shop, with its key and certificate. What its thief can do at the real mosquitto with the configuration that the hub
//! makes: nothing to other shops, and after the revocation nothing at all.

mod support;

use passage_hub::fleet::broker;
use passage_protocol::Topic;
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use support::{eventually, guarded::Fleet};

const OTHER: &str = "passage/v1/gateway/gw-other";
const OWN: &str = "passage/v1/gateway/gw-stolen";

async fn fleet() -> Fleet {
    let fleet = Fleet::start().await;
    fleet.enrol("gw-stolen").await;
    fleet.enrol("gw-other").await;
    fleet
}

#[tokio::test]
async fn it_hears_nothing_of_other_shops_and_takes_nothing_from_the_hubs() {
    let fleet = fleet().await;
    let mut hub = fleet.hub().await;
    hub.subscribe(&[&Topic::events_shared(fleet.share()), &Topic::hellos_shared(fleet.share())]).await;
    let mut thief = fleet.client("gw-stolen", "thief").await.unwrap();
    let (event, ack) = (format!("{OTHER}/event"), format!("{OTHER}/ack"));
    thief
        .subscribe(&[
            "#",
            "passage/v1/#",
            "passage/v1/gateway/+/event",
            &event,
            &ack,
            "$share/hub/passage/v1/gateway/+/event",
            "owntracks/#",
        ])
        .await;
    let mut other = fleet.client("gw-other", "other").await.unwrap();
    for n in 0..20 {
        assert!(other.publish(&event, &format!("secret {n}")).await);
        hub.hears(&format!("secret {n}")).await;
    }
    for what in ["ack", "site/manifest", "site/part/1/1", "command"] {
        assert!(hub.publish(&format!("{OTHER}/{what}"), "for the other").await, "the hub may write {what}");
    }
    assert!(hub.publish(&format!("{OWN}/ack"), "for it").await);
    thief.hears("for it").await;
    let heard = thief.all_heard(&format!("{OWN}/state")).await;
    assert!(heard.iter().all(|(topic, _)| topic.starts_with(OWN)), "the thief heard {heard:?}");
}

#[tokio::test]
async fn it_writes_nothing_in_the_name_of_others() {
    let fleet = fleet().await;
    let mut hub = fleet.hub().await;
    hub.subscribe(&["passage/v1/gateway/+/event", "passage/v1/gateway/+/hello", "passage/v1/gateway/+/state", "passage/v1/hub/+/state"])
        .await;
    let mut other = fleet.client("gw-other", "other").await.unwrap();
    other.subscribe(&[&format!("{OTHER}/#")]).await;
    let mut topics: Vec<String> = ["event", "state", "hello", "ack", "site/manifest", "site/part/1/1", "site/deny/1", "command"]
        .map(|t| format!("{OTHER}/{t}"))
        .into();
    topics.extend(["ack", "site/manifest", "site/deny/1", "command"].map(|t| format!("{OWN}/{t}")));
    topics.extend(
        ["passage/v1/hub/hub-1/state", "passage/v1/gateway/hub/event", "owntracks/i-01/phone", "passage/v1/anything"].map(str::to_owned),
    );
    for topic in topics {
        // mosquitto may end the connection of one who writes what he may not.
        let mut thief = fleet.client("gw-stolen", "thief").await.unwrap();
        assert!(!thief.publish(&topic, "forged").await, "the thief may write {topic}");
    }
    let mut thief = fleet.client("gw-stolen", "thief").await.unwrap();
    assert!(thief.publish(&format!("{OWN}/event"), "its own").await, "its own topic it may write");
    hub.hears("its own").await;
    assert!(hub.publish(&format!("{OTHER}/ack"), "true").await);
    other.hears("true").await;
    assert!(hub.heard.iter().chain(&other.heard).all(|(_, payload)| payload != b"forged"), "{:?} {:?}", hub.heard, other.heard);
}

#[tokio::test]
async fn a_foreign_client_id_gives_no_foreign_right_and_pushes_nobody_out() {
    let fleet = fleet().await;
    let mut hub = fleet.hub().await;
    hub.subscribe(&["passage/v1/gateway/+/event"]).await;
    // As gateways and hubs really connect: what follows their name is drawn anew for each connection.
    let mut other = fleet.client("gw-other", "gw-other-5d0c9e1f2a3b4c5d").await.unwrap();
    for id in ["gw-other", "gw-other-0000000000000000", "passage-hub-hub-1", "hub", "hub:hub-1", "+", "#", "gw-other/event", "a/../b"] {
        let Ok(mut thief) = fleet.client("gw-stolen", id).await else { continue };
        assert!(!thief.publish(&format!("{OTHER}/event"), "forged").await, "client id {id}");
    }
    assert!(other.publish(&format!("{OTHER}/event"), "still here").await, "it was pushed out");
    hub.hears("still here").await;
    assert!(hub.heard.iter().all(|(_, payload)| payload != b"forged"));
}

#[tokio::test]
async fn nobody_comes_in_without_a_certificate_of_the_fleet() {
    let fleet = fleet().await;
    let rogue_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut rogue = CertificateParams::default();
    rogue.distinguished_name.push(DnType::CommonName, "Passage fleet");
    rogue.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let rogue = Issuer::new(rogue, rogue_key);
    for name in ["gw-other", "hub", "hub:hub-1", "+", "#", "gw-other/event"] {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        fleet.keep("forged", &params.signed_by(&key, &rogue).unwrap().pem(), &key.serialize_pem());
        let refused = fleet.client("forged", name).await;
        assert!(refused.is_err(), "a forged certificate of {name} was taken");
    }
    let nothing = passage_transport::options(&fleet.mqtt(None), "gw-other", None).unwrap();
    let (_client, mut events) = rumqttc::v5::AsyncClient::new(nothing, 1);
    assert!(events.poll().await.is_err(), "somebody without a certificate came in");
    // The authority issues for a gateway's id alone, and these are none.
    for name in ["hub", "hub:hub-1", "+", "#", "gw/other", "gw other", "GW-OTHER"] {
        assert!(passage_protocol::GatewayId::checked(name).is_err(), "{name}");
    }
    assert!(fleet.client("gw-other", "gw-other").await.is_ok(), "and the true one comes in");
}

#[tokio::test]
async fn a_revoked_one_loses_its_rights_on_reload_and_its_way_in_on_restart() {
    let mut fleet = fleet().await;
    let mut hub = fleet.hub().await;
    hub.subscribe(&["passage/v1/gateway/+/event"]).await;
    let mut thief = fleet.client("gw-stolen", "thief").await.unwrap();
    thief.subscribe(&[&format!("{OWN}/ack")]).await;
    assert!(thief.publish(&format!("{OWN}/event"), "before").await);
    hub.hears("before").await;

    fleet.revoke("gw-stolen").await;
    assert!(std::fs::read_to_string(fleet.broker.folder.join(broker::ACL)).unwrap().contains("user gw-stolen\ntopic deny #"));
    fleet.broker.reload();
    let (topic, limit) = (format!("{OWN}/event"), std::time::Duration::from_secs(60));
    let refused = async |n: usize| match fleet.client("gw-stolen", &format!("thief-{n}")).await {
        Ok(mut thief) => !thief.publish(&topic, "after").await,
        Err(_) => true,
    };
    let mut n = 0;
    eventually("the reload", limit, || {
        n += 1;
        let refused = &refused;
        async move { refused(n).await.then_some(()) }
    })
    .await;
    hub.heard.clear();
    assert!(!thief.publish(&topic, "on the old connection").await, "a connection that stood kept its right");
    let mut other = fleet.client("gw-other", "other").await.unwrap();
    assert!(other.publish(&format!("{OTHER}/event"), "the other shop").await);
    hub.hears("the other shop").await;
    assert!(hub.heard.iter().all(|(topic, _)| topic.starts_with(OTHER)), "{:?}", hub.heard);

    fleet.broker.restart();
    assert!(fleet.client("gw-stolen", "thief").await.is_err(), "a revoked certificate came in");
    assert!(fleet.client("gw-other", "other").await.is_ok());
}
