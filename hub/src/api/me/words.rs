//! The page in French and English.

use chrono::DateTime;
use chrono_tz::Tz;
use passage_config::Language;

/// All that the page says in one language.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) language: &'static str,
    pub(super) title: &'static str,
    pub(super) number: &'static str,
    pub(super) none: &'static str,
    pub(super) consents: &'static str,
    pub(super) consents_note: &'static str,
    pub(super) granted: &'static str,
    pub(super) withdrawn: &'static str,
    pub(super) withdraw: &'static str,
    pub(super) held: &'static str,
    pub(super) why: &'static str,
    pub(super) visits: &'static str,
    pub(super) messages: &'static str,
    pub(super) prove_title: &'static str,
    pub(super) prove: &'static str,
    pub(super) prove_button: &'static str,
    pub(super) export: &'static str,
    pub(super) erase: &'static str,
    pub(super) erase_title: &'static str,
    pub(super) erase_text: &'static str,
    pub(super) erase_sure: &'static str,
    pub(super) erased: &'static str,
    pub(super) back: &'static str,
    pub(super) no_page: &'static str,
    pub(super) too_many: &'static str,
    pub(super) not_proved: &'static str,
    pub(super) forwarded: &'static str,
    pub(super) was_in: &'static str,
    pub(super) was_near: &'static str,
    pub(super) allowed_sms: &'static str,
    pub(super) allowed_match: &'static str,
    pub(super) allowed_personalise: &'static str,
    pub(super) saw_campaign: &'static str,
    pub(super) looked_at: &'static str,
    pub(super) not_too_many: &'static str,
    /// In the order of [`crate::identity::Purpose::ALL`].
    pub(super) purposes: [&'static str; 7],
    /// Tables whose rows are counted, and what they are.
    pub(super) tables: &'static [(&'static str, &'static str)],
    day: &'static str,
    time: &'static str,
}

impl Words {
    /// The language of her browser, if it is one of ours; else the brand's; else French.
    pub(super) fn of(browser: &str, brand: Option<Language>) -> &'static Self {
        let mine = |tag: &str| match tag.trim().to_ascii_lowercase().split(['-', ';']).next() {
            Some("fr") => Some(&FRENCH),
            Some("en") => Some(&ENGLISH),
            _ => None,
        };
        browser.split(',').find_map(mine).unwrap_or(match brand {
            Some(Language::En) => &ENGLISH,
            Some(Language::Fr) | None => &FRENCH,
        })
    }

    pub(super) fn day(&self, at: DateTime<Tz>) -> String {
        at.format(self.day).to_string()
    }

    pub(super) fn time(&self, at: DateTime<Tz>) -> String {
        at.format(self.time).to_string()
    }
}

static FRENCH: Words = Words {
    language: "fr",
    title: "Vos données",
    number: "Votre numéro",
    none: "aucun",
    consents: "Ce que vous autorisez",
    consents_note: "Retirer une autorisation prend effet aussitôt et n'empêche pas de la redonner plus tard, dans l'application ou en boutique.",
    granted: "autorisé depuis le",
    withdrawn: "refusé depuis le",
    withdraw: "Retirer",
    held: "Ce que nous conservons",
    why: "Pourquoi vous avez reçu ce message",
    visits: "Vos passages",
    messages: "Vos messages",
    prove_title: "Voir, télécharger ou effacer vos données",
    prove: "Pour être sûrs que c'est bien vous, indiquez votre numéro de client ou de carte de fidélité.",
    prove_button: "Continuer",
    export: "Télécharger toutes vos données (JSON)",
    erase: "Effacer toutes vos données",
    erase_title: "Effacer toutes vos données ?",
    erase_text: "Vos passages, vos messages et tout ce qui vous désigne seront effacés de ce système. Cela ne peut pas être annulé. Seule reste une \
                 empreinte chiffrée de votre numéro, pour ne plus jamais vous écrire.",
    erase_sure: "Oui, tout effacer",
    erased: "Vos données sont effacées. Voici votre reçu :",
    back: "Retour",
    no_page: "Ce lien n'est pas ou n'est plus valable. Demandez-en un nouveau dans l'application ou en boutique.",
    too_many: "Trop de demandes. Réessayez dans une minute.",
    not_proved: "Cela demande votre numéro de client ou de carte de fidélité, et celui-ci n'est pas le bon. Après cinq essais, le lien ne s'ouvre plus.",
    forwarded: "Ce lien a pu être transmis : il ne montre donc ni votre numéro entier, ni vos passages.",
    was_in: "Vous étiez chez",
    was_near: "Vous passiez près de",
    allowed_sms: "Vous autorisez les offres par SMS et la détection en boutique.",
    allowed_match: "Vous autorisez le rapprochement de vos visites en ligne et en boutique.",
    allowed_personalise: "Vous autorisez que l'on vous parle d'articles que vous avez vus.",
    saw_campaign: "Vous aviez vu la campagne de cette offre.",
    looked_at: "Vous aviez regardé cet article plusieurs fois sans l'acheter.",
    not_too_many: "Vous n'aviez pas encore reçu trop de messages ce mois-ci.",
    purposes: [
        "être reconnue en boutique et à proximité",
        "rapprocher visites en ligne et en boutique",
        "offres par SMS",
        "articles vus ou achetés dans les offres",
        "conseil en boutique",
        "partage avec des plateformes publicitaires",
        "cookies et pixels",
    ],
    tables: &[
        ("visit", "passages en boutique"),
        ("event", "détections récentes"),
        ("message", "SMS"),
        ("decision", "offres examinées"),
        ("touchpoint", "contacts en ligne"),
        ("purchase", "tickets de caisse"),
        ("identifier", "identifiants (empreintes)"),
        ("installation", "applications"),
        ("ledger_entry", "preuves de consentement"),
    ],
    day: "%d/%m/%Y",
    time: "%d/%m/%Y à %H:%M",
};

static ENGLISH: Words = Words {
    language: "en",
    title: "Your data",
    number: "Your number",
    none: "none",
    consents: "What you allow",
    consents_note: "Taking back a permission counts at once; you can give it again later in the app or in the shop.",
    granted: "allowed since",
    withdrawn: "refused since",
    withdraw: "Take back",
    held: "What we keep",
    why: "Why you got this message",
    visits: "Your visits",
    messages: "Your messages",
    prove_title: "See, download or erase your data",
    prove: "So that we know it is you, give your customer number or the number of your loyalty card.",
    prove_button: "Continue",
    export: "Download all your data (JSON)",
    erase: "Erase all your data",
    erase_title: "Erase all your data?",
    erase_text: "Your visits, your messages and all that points to you will be erased from this system. It cannot be undone. Only a keyed fingerprint \
                 of your number stays, so that nobody writes to you again.",
    erase_sure: "Yes, erase everything",
    erased: "Your data is erased. This is your receipt:",
    back: "Back",
    no_page: "This link is not valid, or not any more. Ask for a new one in the app or in the shop.",
    too_many: "Too many requests. Try again in a minute.",
    not_proved: "This needs your customer number or the number of your loyalty card, and that was not it. After five tries the link opens nothing any more.",
    forwarded: "This link may have been forwarded, so it shows neither your whole number nor your visits.",
    was_in: "You were at",
    was_near: "You passed near",
    allowed_sms: "You allow offers by SMS, and being noticed in our shops.",
    allowed_match: "You allow us to join your visits online and in the shop.",
    allowed_personalise: "You allow us to speak of articles that you looked at.",
    saw_campaign: "You had seen the campaign of this offer.",
    looked_at: "You had looked at this article several times and not bought it.",
    not_too_many: "You had not had too many messages this month.",
    purposes: [
        "being noticed in and near our shops",
        "joining visits online and in the shop",
        "offers by SMS",
        "articles you saw or bought in offers",
        "advice in the shop",
        "sharing with advertising platforms",
        "cookies and pixels",
    ],
    tables: &[
        ("visit", "visits"),
        ("event", "recent detections"),
        ("message", "SMS"),
        ("decision", "offers considered"),
        ("touchpoint", "contacts online"),
        ("purchase", "till tickets"),
        ("identifier", "identifiers (fingerprints)"),
        ("installation", "apps"),
        ("ledger_entry", "proofs of consent"),
    ],
    day: "%-d %B %Y",
    time: "%-d %B %Y at %H:%M",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn her_browser_chooses_the_language_and_else_the_brand() {
        let language = |browser, brand| Words::of(browser, brand).language;
        assert_eq!(language("de-DE,en-GB;q=0.8,fr;q=0.5", None), "en");
        assert_eq!(language("FR-be", Some(Language::En)), "fr");
        assert_eq!((language("de", Some(Language::En)), language("", None)), ("en", "fr"));
    }
}
