//! A provider that sends nothing: it keeps what was handed over, answers with a receipt, and plays replies in.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::sms::{
    Msisdn,
    provider::{Event, Fate, Inbox, Incoming, Outcome, Provider, Receipt, Reply, Submit, smsc_id},
    segment::segment,
};

/// Messages end here. Clones share what was sent.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sent: Mutex<Vec<Submit>>,
    inbox: Inbox,
}

impl Sandbox {
    /// Everything that was handed over so far.
    pub fn sent(&self) -> Vec<Submit> {
        self.inner.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Plays a reply in and waits until its effect is committed; false when it could not be.
    pub async fn reply(&self, from: Msisdn, to: &str, text: &str) -> bool {
        let reply = Reply { from, to: to.to_owned(), text: text.to_owned() };
        self.inner.inbox.put_when_free(Event::Reply(reply)).await.await.unwrap_or(false)
    }
}

#[async_trait]
impl Provider for Sandbox {
    fn is_local(&self) -> bool {
        true
    }

    fn window(&self) -> usize {
        8
    }

    fn is_up(&self) -> bool {
        true
    }

    async fn ready(&self) {}

    async fn submit(&self, submit: &Submit) -> Outcome {
        let parts = segment(&submit.text).count();
        self.inner.sent.lock().unwrap_or_else(PoisonError::into_inner).push(submit.clone());
        let ids: Vec<String> = (1..=parts).map(|part| format!("sandbox-{}-{part}", submit.id)).collect();
        for id in &ids {
            let receipt =
                Receipt { smsc_id: smsc_id(id), other_id: None, from: Some(submit.to.clone()), fate: Fate::Delivered, reason: None };
            self.inner.inbox.put_when_free(Event::Receipt(receipt)).await;
        }
        Outcome::Accepted { ids }
    }

    async fn next(&self) -> Option<Incoming> {
        self.inner.inbox.next().await
    }

    async fn try_next(&self) -> Option<Incoming> {
        self.inner.inbox.try_next().await
    }
}
