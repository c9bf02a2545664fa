//! An SMS centre that we did not write: the server of the `smpp34` crate.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use passage_protocol::Clock;
use smpp34::{
    server::{ESME, SmppServerListener},
    *,
};

use super::{eventually, free_port};

/// One submit as it came over the wire.
#[derive(Debug, Clone)]
pub struct Submit {
    pub wall_ms: i64,
    pub esm_class: u8,
    pub data_coding: u8,
    pub validity: String,
    pub registered_delivery: u8,
    pub source: String,
    pub source_ton: u8,
    pub destination: String,
    pub bytes: Vec<u8>,
    pub id: String,
}

#[derive(Default)]
struct Desk {
    submits: Mutex<Vec<Submit>>,
    /// The bound hubs and the sessions that they are bound by: a hub that was killed may be noticed only after the next one has bound.
    bound: tokio::sync::Mutex<Vec<(String, Arc<ESME>)>>,
    next: AtomicU64,
    answers_after: Duration,
}

#[async_trait]
impl SmppServerListener for Desk {
    async fn on_bind_transceiver(&self, bind: bind_transceiver, _: &SmppConnectionInformation, _: &String) -> bind_transceiver_resp {
        bind.accept("desk".to_owned(), Some(0x34))
    }

    async fn on_submit_sm(&self, submit: submit_sm, _: &SmppConnectionInformation, _: &String) -> submit_sm_resp {
        let id = format!("m{}", self.next.fetch_add(1, Ordering::SeqCst) + 1);
        self.submits.lock().unwrap().push(Submit {
            wall_ms: Clock::System.now().0,
            esm_class: submit.esm_class,
            data_coding: submit.data_coding,
            validity: submit.validity_period.clone(),
            registered_delivery: submit.registered_delivery,
            source: submit.source_addr.clone(),
            source_ton: submit.source_addr_ton,
            destination: submit.destination_addr.clone(),
            bytes: submit.short_message.clone(),
            id: id.clone(),
        });
        tokio::time::sleep(self.answers_after).await;
        submit.accept(id)
    }

    async fn on_esme_bound(&self, esme: ESME, session: &String) {
        self.bound.lock().await.push((session.clone(), Arc::new(esme)));
    }

    async fn on_esme_unbound(&self, session: &String) {
        self.bound.lock().await.retain(|(bound, _)| bound != session);
    }
}

/// The running SMSC.
pub struct Smsc {
    pub port: u16,
    desk: Arc<Desk>,
    server: SmppServer,
}

impl Smsc {
    pub async fn start() -> Self {
        Self::slow(Duration::ZERO).await
    }

    /// One that thinks for a while before it answers a submit.
    pub async fn slow(answers_after: Duration) -> Self {
        let port = free_port();
        let desk = Arc::new(Desk { answers_after, ..Desk::default() });
        let mut server = SmppServer::new(Ipv4Addr::LOCALHOST.into(), port, desk.clone());
        server.start().await;
        assert!(server.is_alive(), "the SMS centre could not listen on port {port}");
        Self { port, desk, server }
    }

    /// All submits so far.
    pub fn submits(&self) -> Vec<Submit> {
        self.desk.submits.lock().unwrap().clone()
    }

    /// The first submit to a number, waited for.
    pub async fn submit_to(&self, number: &str, limit: Duration) -> Submit {
        eventually("an SMS to the member", limit, || async { self.submits().into_iter().find(|s| s.destination == number) }).await
    }

    /// Tells the hub that a message was delivered.
    pub async fn receipt(&self, submit: &Submit) {
        let text = format!("id:{} sub:001 dlvrd:001 submit date:2611201040 done date:2611201040 stat:DELIVRD err:000 text:", submit.id);
        self.deliver(&submit.destination, &submit.source, 0x04, &text).await;
    }

    /// The member answers; returns when the hub has said that it took the answer.
    pub async fn reply(&self, from: &str, to: &str, text: &str) {
        self.deliver(from, to, 0x00, text).await;
    }

    async fn deliver(&self, from: &str, to: &str, esm_class: u8, text: &str) {
        let bound = || async {
            let bound = self.desk.bound.lock().await;
            bound.last().map(|(_, esme)| esme.clone())
        };
        let esme = eventually("a bound hub", Duration::from_secs(60), bound).await;
        let sent = esme
            .deliver_sm()
            .source_addr_ton(1)
            .source_addr_npi(1)
            .source_addr(from)
            .destination_addr(to)
            .esm_class(esm_class)
            .short_message(text.as_bytes().to_vec())
            .send()
            .await;
        assert!(sent.is_ok(), "the hub did not answer a deliver_sm");
    }

    pub async fn stop(mut self) {
        self.server.stop().await;
    }
}
