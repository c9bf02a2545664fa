//! What members write back. STOP takes effect before the provider hears that we have it.

use std::str::FromStr;

use passage_config::model::{Brand, HubConfig};
use passage_protocol::Millis;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use crate::{
    identity::{
        Keyring, MemberId, Purpose,
        consent::{Proof, STOP, Statement},
        member::words,
    },
    notice::{Notice, Notices, What},
    sms::{provider::Reply, receipt},
    store::{
        Db, StoreError, Tx, message,
        people::{
            self,
            consent::{self, Parties},
        },
    },
};

words! {
    /// What a reply asks for.
    Verb {
        /// No more offers.
        Stop = "stop",
        /// Something that we do not understand.
        Other = "other",
    }
}

impl Verb {
    /// Reads a reply: its first word decides, whatever its case, accents and punctuation, and whatever number is glued to it (`STOP36111`).
    pub fn of(text: &str) -> Self {
        let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_uppercase).collect();
        // `STOP,merci` is two words and `S.T.O.P.` is one, so both readings are tried.
        let parted = plain.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or_default();
        let glued: String = plain.split_whitespace().next().unwrap_or_default().chars().filter(|c| c.is_alphanumeric()).collect();
        let is_stop = |word: &str| matches!(word.trim_end_matches(char::is_numeric), "STOP" | "ARRET" | "STOPSMS" | "UNSUBSCRIBE");
        if is_stop(parted) || is_stop(&glued) { Self::Stop } else { Self::Other }
    }
}

/// Takes a reply. STOP suppresses the destination for the brands of the number that it went to and for all of their entities, cancels what is
/// planned, and is recorded as the withdrawal of `sms` by each member who has that number, in one transaction. A STOP to a number that no brand has counts for all brands: better one offer too few. Other words change nothing.
///
/// # Errors
/// The database; the provider must then keep the reply and bring it again.
pub async fn handle(
    db: &Db,
    keyring: &Keyring,
    config: &HubConfig,
    reply: &Reply,
    now: Millis,
    notices: &Notices,
) -> Result<Verb, StoreError> {
    let verb = Verb::of(&reply.text);
    let destination = reply.from.key(keyring);
    let mut tx = db.begin().await?;
    let mut cancelled = Vec::new();
    if verb == Verb::Stop {
        let version = people::changes(&mut tx).await?;
        let members = people::at_destination(&mut tx, &destination).await?;
        for (brand, entity) in spoken_to(config, &reply.to) {
            people::suppress(&mut tx, brand, entity, &destination, now, "stop").await?;
            cancelled.extend(message::cancel(&mut tx, brand, entity, &destination, now).await?);
        }
        for member in members {
            withdraw(&mut tx, keyring, config, reply, member, now).await?;
            people::touch(&mut tx, member, version).await?;
        }
    }
    message::log_inbound(&mut tx, &destination, &reply.to, verb.word(), now).await?;
    let member = message::member_of(&mut tx, &destination).await?;
    tx.commit().await?;
    if verb == Verb::Stop {
        notices.tell(Notice { at: now, store: None, member, what: What::Stop });
    }
    receipt::tell(notices, now, cancelled);
    Ok(verb)
}

/// Puts on record that a member withdrew `sms` from whom the reply went to. The evidence is a keyed digest of the reply.
async fn withdraw(
    tx: &mut Tx,
    keyring: &Keyring,
    config: &HubConfig,
    reply: &Reply,
    member: MemberId,
    now: Millis,
) -> Result<(), StoreError> {
    let evidence = hex::encode(keyring.hash("consent in a reply", &[reply.to.as_bytes(), reply.text.as_bytes()]));
    let proof = Proof { method: "reply".to_owned(), device: reply.to.clone(), evidence, ..Proof::default() };
    let said = Statement { proof, ..Statement::new(Purpose::Sms, false, "") };
    let mut standing = consent::standing(tx, member).await?;
    for (brand, entity) in spoken_to(config, &reply.to) {
        let by = Parties { member, brand, entity, source: STOP };
        consent::say(tx, by, &said, now, &mut standing).await?;
    }
    Ok(())
}

/// The brands and entities behind a number.
fn spoken_to<'a>(config: &'a HubConfig, number: &str) -> Vec<(&'a str, &'a str)> {
    let digits = number.trim_start_matches('+');
    let brands = &config.site.brands;
    let mine = |b: &&Brand| b.sender.stop_number == digits || b.sender.name == number;
    let known = brands.values().any(|b| mine(&b));
    let pairs = |b: &'a Brand| b.entities.keys().map(|e| (b.id.as_str(), e.as_str()));
    brands.values().filter(|b| !known || mine(b)).flat_map(pairs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_is_understood_in_every_dress() {
        for text in
            ["STOP", "stop", " Stop ! ", "Arrêt.", "ARRET", "stopsms", "Unsubscribe", "«STOP»", "STOP svp", "ｓｔｏｐ", "arre\u{302}t"]
        {
            assert_eq!(Verb::of(text), Verb::Stop, "{text}");
        }
        for text in ["STOP,merci", "STOP-SMS", "STOP36111", "stop/fin", "S.T.O.P."] {
            assert_eq!(Verb::of(text), Verb::Stop, "{text}");
        }
        for text in ["", "CONTACT", "non stop", "stopper", "merci", "!!!"] {
            assert_eq!(Verb::of(text), Verb::Other, "{text}");
        }
    }
}
