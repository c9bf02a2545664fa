//! Our SMPP session against an SMSC written by somebody else, through a wire that can be cut.

#[path = "support/sms.rs"]
mod sms;
mod support;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use passage_config::model::{MessageIds, Secret, Smpp as SmppConfig, Sms};
use passage_hub::{
    sms::{
        MessageState, Provider,
        provider::{NotLocal, from_config},
        smpp::{Smpp, Times},
    },
    store::Db,
};
use passage_protocol::Clock;
use smpp34::{
    SmppConnectionInformation, SmppError, SmppServer, SmppServerListener, TlvTag, bind_transceiver, bind_transceiver_resp, server::ESME,
    submit_sm, submit_sm_resp,
};
use sms::{STOP_NUMBER, Shop};
use support::{Fresh, both, free_port, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How the SMSC brings receipts.
#[derive(Clone, Copy, PartialEq)]
enum Receipts {
    None,
    Tlv,
    Text,
}

struct Smsc {
    esme: Mutex<Option<Arc<ESME>>>,
    seen: Mutex<Vec<submit_sm>>,
    receipts: Receipts,
    throttle_first: AtomicUsize,
    next_id: AtomicUsize,
}

impl Smsc {
    fn new(receipts: Receipts) -> Arc<Self> {
        let (throttle_first, next_id) = (AtomicUsize::new(0), AtomicUsize::new(200));
        Arc::new(Self { esme: Mutex::default(), seen: Mutex::default(), receipts, throttle_first, next_id })
    }

    fn seen(&self) -> Vec<submit_sm> {
        self.seen.lock().unwrap().clone()
    }

    fn esme(&self) -> Arc<ESME> {
        self.esme.lock().unwrap().clone().expect("somebody is bound")
    }

    /// A phone writes; the status that our side answers with.
    async fn bring_reply(&self, from: &str, to: &str, data_coding: u8, text: &[u8]) -> u32 {
        let esme = self.esme();
        let answer =
            esme.deliver_sm().source_addr(from).source_addr_ton(1).destination_addr(to).data_coding(data_coding).short_message(text).send();
        answer.await.unwrap().command_status()
    }
}

#[async_trait]
impl SmppServerListener for Smsc {
    async fn on_bind_transceiver(&self, req: bind_transceiver, _: &SmppConnectionInformation, _: &String) -> bind_transceiver_resp {
        if (req.system_id.as_str(), req.password.as_str()) == ("passage", "secret") {
            req.accept("SMSC".to_owned(), Some(0x34))
        } else {
            req.reject(SmppError::ESME_RINVPASWD)
        }
    }

    async fn on_esme_bound(&self, esme: ESME, _: &String) {
        *self.esme.lock().unwrap() = Some(Arc::new(esme));
    }

    async fn on_submit_sm(&self, req: submit_sm, _: &SmppConnectionInformation, _: &String) -> submit_sm_resp {
        if self.throttle_first.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            return req.reject(SmppError::ESME_RTHROTTLED);
        }
        self.seen.lock().unwrap().push(req.clone());
        let id = self.next_id.fetch_add(1, Ordering::SeqCst);
        if self.receipts != Receipts::None {
            let (esme, how) = (self.esme(), self.receipts);
            let (from, to) = (req.destination_addr.clone(), req.source_addr.clone());
            tokio::spawn(async move {
                // The answer gives the id in hexadecimal, the receipt in decimal, as some SMSCs do.
                let pdu = esme.deliver_sm().source_addr(from).destination_addr(to).esm_class(0x04);
                let pdu = match how {
                    Receipts::Tlv => pdu
                        .short_message(b"id:0 stat:UNDELIV")
                        .tlv(TlvTag::ReceiptedMessageId, format!("{id}\0").into_bytes())
                        .tlv(TlvTag::MessageStateTlv, [2]),
                    _ => pdu.short_message(format!("id:{id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:Votre").into_bytes()),
                };
                let _ = pdu.send().await;
            });
        }
        req.accept(format!("{id:X}"))
    }

    async fn on_esme_unbound(&self, _: &String) {
        *self.esme.lock().unwrap() = None;
    }
}

/// A wire between us and the SMSC.
struct Wire {
    port: u16,
    deaf: Arc<AtomicBool>,
    cut: Arc<Mutex<CancellationToken>>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    async fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let deaf = Arc::new(AtomicBool::new(false));
        let cut = Arc::new(Mutex::new(CancellationToken::new()));
        let (is_deaf, cutter) = (deaf.clone(), cut.clone());
        let task = tokio::spawn(async move {
            while let Ok((ours, _)) = listener.accept().await {
                let Ok(theirs) = TcpStream::connect(("127.0.0.1", target)).await else { continue };
                let cut = cutter.lock().unwrap().clone();
                tokio::spawn(carry(ours, theirs, is_deaf.clone(), cut));
            }
        });
        Self { port, deaf, cut, task }
    }

    /// What the SMSC says does not reach us any more.
    fn deafen(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::SeqCst);
    }

    /// Cuts all connections; new ones work.
    fn cut(&self) {
        std::mem::take(&mut *self.cut.lock().unwrap()).cancel();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn carry(ours: TcpStream, theirs: TcpStream, deaf: Arc<AtomicBool>, cut: CancellationToken) {
    let (mut our_read, mut our_write) = ours.into_split();
    let (mut their_read, mut their_write) = theirs.into_split();
    let up = async { tokio::io::copy(&mut our_read, &mut their_write).await };
    let down = async {
        let mut buffer = vec![0; 4096];
        while let Ok(n @ 1..) = their_read.read(&mut buffer).await {
            if !deaf.load(Ordering::SeqCst) && our_write.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! { _ = up => {}, () = down => {}, () = cut.cancelled() => {} }
}

struct Bound {
    smsc: Arc<Smsc>,
    wire: Wire,
    shop: Shop,
    provider: Arc<Smpp>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
    server: SmppServer,
}

fn settings(port: u16) -> SmppConfig {
    SmppConfig {
        host: "127.0.0.1".to_owned(),
        port,
        system_id: "passage".to_owned(),
        password: Secret("secret".to_owned()),
        window: 10,
        rate: 200,
        message_ids: MessageIds::DecInReceipt,
    }
}

const TIMES: Times = Times {
    response: Duration::from_millis(800),
    enquire: Duration::from_millis(300),
    back_off: Duration::from_millis(50),
    back_off_most: Duration::from_millis(200),
};

async fn server(smsc: &Arc<Smsc>) -> (SmppServer, u16) {
    let port = free_port();
    let mut server = SmppServer::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port, smsc.clone());
    server.start().await;
    assert!(server.is_alive());
    (server, port)
}

/// An SMSC, a wire, and a hub that runs.
async fn bound(db: &Db, receipts: Receipts) -> Bound {
    let smsc = Smsc::new(receipts);
    let (server, port) = server(&smsc).await;
    let wire = Wire::to(port).await;
    let config = settings(wire.port);
    let shop = Shop::with(db, Sms::Smpp(config.clone()));
    let provider = Arc::new(Smpp::new(config, "FR").with_times(TIMES));
    let stop = CancellationToken::new();
    let sender = shop.sender(provider.clone());
    let token = stop.clone();
    let running = tokio::spawn(async move { sender.run(token).await.unwrap() });
    until("the hub is bound", async || provider.is_up() && smsc.esme.lock().unwrap().is_some()).await;
    Bound { smsc, wire, shop, provider, stop, running, server }
}

impl Bound {
    async fn reaches(&self, id: Uuid, state: MessageState) {
        until(state.word(), async || self.shop.state(id).await == state).await;
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.server.stop().await;
    }
}

#[tokio::test]
async fn a_message_is_accepted_and_its_receipt_by_tlv_settles_it() {
    both(async |db| {
        let bound = bound(&db, Receipts::Tlv).await;
        let id = bound.shop.planned(1).await;
        bound.reaches(id, MessageState::Delivered).await;
        let seen = bound.smsc.seen();
        assert_eq!(seen.len(), 1);
        let pdu = &seen[0];
        assert_eq!(pdu.esm_class, 0, "the default of the codec would be 0x08");
        assert_eq!((pdu.data_coding, pdu.registered_delivery, pdu.validity_period.as_str()), (0, 1, "000000003000000R"));
        assert_eq!((pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr.as_str()), (5, 0, "MAISON"));
        assert_eq!((pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr.as_str()), (1, 1, "33612300001"));
        assert_eq!((pdu.protocol_id, pdu.priority_flag, pdu.replace_if_present_flag, pdu.sm_default_msg_id), (0, 0, 0, 0));
        assert_eq!(pdu.short_message, b"Votre manteau vous attend en taille 42. STOP au 36111");
        assert!(pdu.tlvs.is_empty() && pdu.service_type.is_empty() && pdu.schedule_delivery_time.is_empty());
        bound.end().await;
    })
    .await;
}

#[tokio::test]
async fn texts_outside_the_alphabet_and_long_texts_are_read_rightly_by_the_smsc() {
    let fresh = Fresh::sqlite().await;
    let bound = bound(&fresh.db, Receipts::Text).await;
    bound.shop.member(1).await;
    let mut short = bound.shop.message(1);
    short.text = "Ça vous plaît ? 10 € 😀".to_owned();
    assert!(bound.shop.plan(&short).await);
    bound.reaches(short.id, MessageState::Delivered).await;
    bound.shop.member(2).await;
    let mut long = bound.shop.message(2);
    long.text = "Voilà ".repeat(40);
    assert!(bound.shop.plan(&long).await);
    bound.reaches(long.id, MessageState::Delivered).await;

    let seen = bound.smsc.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!((seen[0].data_coding, seen[0].esm_class), (8, 0));
    let units: Vec<u16> = seen[0].short_message.chunks(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
    assert_eq!(String::from_utf16(&units).unwrap(), short.text);
    for (number, part) in (1..).zip(&seen[1..]) {
        assert_eq!((part.data_coding, part.esm_class), (0, 0x40));
        assert_eq!(part.short_message[..3], [5, 0, 3]);
        assert_eq!(part.short_message[4..6], [2, number]);
    }
    assert_eq!(seen[1].short_message.len(), 6 + 153);
    assert_eq!(seen[1].short_message[3], seen[2].short_message[3], "one reference for both parts");
    bound.end().await;
    fresh.gone().await;
}

#[tokio::test]
async fn stop_is_in_force_when_the_smsc_hears_that_we_have_it() {
    both(async |db| {
        let bound = bound(&db, Receipts::None).await;
        bound.shop.member(1).await;
        let ucs2: Vec<u8> = "Arrêt !".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(bound.smsc.bring_reply("33612300001", STOP_NUMBER, 8, &ucs2).await, 0);
        // No waiting here: the answer is the promise.
        assert!(bound.shop.is_suppressed(1, "maison", "maison").await && bound.shop.is_suppressed(1, "maison", "franchise").await);
        let message = bound.shop.message(1);
        assert!(bound.shop.plan(&message).await);
        bound.reaches(message.id, MessageState::Suppressed).await;
        assert_eq!(bound.shop.fate(message.id).await.1.as_deref(), Some("no-sms"), "her STOP is on record as a withdrawal");

        bound.shop.member(2).await;
        assert_eq!(bound.smsc.bring_reply("33612300002", STOP_NUMBER, 0, b"merci").await, 0);
        assert!(!bound.shop.is_suppressed(2, "maison", "maison").await);
        // Senders that are no phones, and bytes that are no text, are confirmed and forgotten.
        assert_eq!(bound.smsc.bring_reply("INFO", STOP_NUMBER, 0, b"STOP").await, 0);
        assert_eq!(bound.smsc.bring_reply("33612300002", STOP_NUMBER, 8, &[0xD8]).await, 0);
        assert!(bound.smsc.seen().is_empty());
        bound.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_reply_that_cannot_be_stored_is_left_with_the_smsc() {
    let fresh = Fresh::sqlite().await;
    let bound = bound(&fresh.db, Receipts::None).await;
    bound.shop.member(1).await;
    fresh.db.execute("ALTER TABLE suppression RENAME TO away", vec![]).await.unwrap();
    assert_eq!(bound.smsc.bring_reply("33612300001", STOP_NUMBER, 0, b"STOP").await, 0x64);
    fresh.db.execute("ALTER TABLE away RENAME TO suppression", vec![]).await.unwrap();
    assert!(!bound.shop.is_suppressed(1, "maison", "maison").await);
    assert_eq!(bound.smsc.bring_reply("33612300001", STOP_NUMBER, 0, b"STOP").await, 0);
    assert!(bound.shop.is_suppressed(1, "maison", "maison").await);
    bound.end().await;
    fresh.gone().await;
}

#[tokio::test]
async fn a_throttled_message_is_tried_again_and_arrives_once() {
    let fresh = Fresh::sqlite().await;
    let bound = bound(&fresh.db, Receipts::Tlv).await;
    bound.smsc.throttle_first.store(1, Ordering::SeqCst);
    let id = bound.shop.planned(1).await;
    bound.reaches(id, MessageState::Delivered).await;
    assert_eq!(bound.smsc.seen().len(), 1);
    bound.end().await;
    fresh.gone().await;
}

#[tokio::test]
async fn a_link_cut_with_messages_in_flight_makes_them_unknown_and_repeats_none() {
    both(async |db| {
        let bound = bound(&db, Receipts::None).await;
        for n in 1..=5 {
            bound.shop.member(n).await;
        }
        // A deaf link is given up after about a second, so nothing that takes long may happen in it.
        bound.wire.deafen(true);
        let mut ids = Vec::new();
        for n in 1..=5 {
            let message = bound.shop.message(n);
            assert!(bound.shop.plan(&message).await);
            ids.push(message.id);
        }
        until("the SMSC took all five", async || bound.smsc.seen().len() == 5).await;
        bound.wire.cut();
        bound.wire.deafen(false);
        for id in &ids {
            bound.reaches(*id, MessageState::Unknown).await;
        }
        until("the link is back", async || bound.provider.is_up()).await;
        let later = bound.shop.planned(6).await;
        bound.reaches(later, MessageState::Accepted).await;
        assert_eq!(bound.smsc.seen().len(), 6, "none was repeated");
        bound.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_mute_smsc_makes_messages_unknown_and_is_left() {
    let fresh = Fresh::sqlite().await;
    let bound = bound(&fresh.db, Receipts::None).await;
    bound.wire.deafen(true);
    let id = bound.shop.planned(1).await;
    bound.reaches(id, MessageState::Unknown).await;
    until("the link is given up", async || !bound.provider.is_up()).await;
    bound.wire.deafen(false);
    until("the link is back", async || bound.provider.is_up()).await;
    assert_eq!(bound.smsc.seen().len(), 1);
    bound.end().await;
    fresh.gone().await;
}

#[tokio::test]
async fn without_a_link_messages_wait_and_end_with_their_deadline() {
    let fresh = Fresh::sqlite().await;
    let shop = Shop::new(&fresh.db);
    let provider = Arc::new(Smpp::new(settings(free_port()), "FR").with_times(TIMES));
    let stop = CancellationToken::new();
    let running = tokio::spawn(shop.sender(provider).run(stop.clone()));
    let id = shop.planned(1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shop.state(id).await, MessageState::Planned);
    shop.clock.set(shop.clock.now() + sms::minutes(11));
    until("it is expired", async || shop.state(id).await == MessageState::Expired).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    fresh.gone().await;
}

#[tokio::test]
async fn a_refused_login_is_not_a_link() {
    let smsc = Smsc::new(Receipts::None);
    let (mut server, port) = server(&smsc).await;
    let provider = Arc::new(Smpp::new(SmppConfig { password: Secret("wrong".to_owned()), ..settings(port) }, "FR").with_times(TIMES));
    let stop = CancellationToken::new();
    let (running, token) = (provider.clone(), stop.clone());
    let running = tokio::spawn(async move { running.run(token).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!provider.is_up());
    stop.cancel();
    running.await.unwrap();
    server.stop().await;
}

#[test]
fn on_a_played_clock_a_provider_outside_loopback_is_refused() {
    let far = Sms::Smpp(SmppConfig { host: "smsc.example.fr".to_owned(), ..settings(2775) });
    let played = Clock::stepped(sms::FRIDAY);
    assert_eq!(from_config(&far, "FR", &played).unwrap_err(), NotLocal { host: "smsc.example.fr".to_owned() });
    assert!(from_config(&far, "FR", &Clock::System).is_ok());
    assert!(from_config(&Sms::Smpp(settings(2775)), "FR", &played).is_ok());
    assert!(from_config(&Sms::Sandbox, "FR", &played).is_ok());
}
