//! Every table of the database, and what of a member it holds. Access files and erasures are made from this list; a test compares it with the
//! database, so a new table has to say which it is.

/// How a member's rows are found, shown and erased. `$1` is the member.
#[derive(Debug, Clone, Copy)]
pub struct Holding {
    /// The table.
    pub table: &'static str,
    /// What it holds, for the member to read.
    pub about: &'static str,
    /// Selects her rows.
    pub find: &'static str,
    /// Erases them; `None` where another step of the erasure does it, or where a row must stay.
    pub erase: Option<&'static str>,
}

/// The keys that are hers now, and the strong ones that were and are nobody's now, with the time from which they count.
macro_rules! keys {
    () => {
        "(SELECT kind, key, since FROM identifier WHERE member = $1 UNION \
          SELECT l.kind, l.key, 0 FROM link l WHERE l.member = $1 AND l.kind IN ('crm_id', 'loyalty_card', 'email', 'phone') \
          AND NOT EXISTS (SELECT 1 FROM identifier o WHERE o.kind = l.kind AND o.key = l.key AND o.member <> $1))"
    };
}

/// The numbers that are or were hers, keyed.
macro_rules! numbers {
    () => {
        "(SELECT key FROM destination WHERE member = $1 UNION SELECT destination FROM message WHERE member = $1 \
          UNION SELECT key FROM link WHERE member = $1 AND kind = 'phone')"
    };
}

macro_rules! holding {
    ($table:literal, $about:literal, where $condition:expr) => {
        Holding {
            table: $table,
            about: $about,
            find: concat!("SELECT * FROM ", $table, " WHERE ", $condition),
            erase: Some(concat!("DELETE FROM ", $table, " WHERE ", $condition)),
        }
    };
    ($table:literal, $about:literal, kept $condition:expr) => {
        Holding { table: $table, about: $about, find: concat!("SELECT * FROM ", $table, " WHERE ", $condition), erase: None }
    };
    ($table:literal, $about:literal, where $condition:expr, erase $erase:expr) => {
        Holding { table: $table, about: $about, find: concat!("SELECT * FROM ", $table, " WHERE ", $condition), erase: Some($erase) }
    };
}

/// Tables with rows about a member, in the order in which they are erased: what is found through another table goes before it.
pub const HELD: &[Holding] = &[
    holding!("event", "that a phone or card of yours was noticed in or near a shop", where "member = $1"),
    holding!("visit", "your stays in and near shops", where "member = $1"),
    holding!("decision", "offers that were considered for you, and why you did or did not get them", where "member = $1"),
    holding!(
        "message_part",
        "what the operator reported about SMS to you",
        where "message IN (SELECT id FROM message WHERE member = $1)"
    ),
    holding!("receipt", "reports of the operator that wait for their SMS", where concat!("destination IN ", numbers!())),
    holding!("inbound", "that you answered an SMS, and with which word", where concat!("destination IN ", numbers!())),
    holding!("suppression", "that your number must not be written to; kept as a keyed hash", kept concat!("destination IN ", numbers!())),
    holding!("message", "SMS to you and their fate", where "member = $1"),
    holding!(
        "touchpoint",
        "your contacts with the brand online",
        where concat!(
            "id IN (SELECT t.id FROM ", keys!(), " k JOIN touchpoint t ON t.identifier_kind = k.kind AND t.identifier = k.key AND t.at >= k.since) \
             OR id IN (SELECT t.id FROM former_holder f JOIN touchpoint t ON t.identifier_kind = f.kind AND t.identifier = f.key \
             AND t.at >= f.since AND t.at <= f.until WHERE f.member = $1)"
        )
    ),
    holding!(
        "purchase_line",
        "articles on your till tickets; the lines stay for the books, without you",
        kept concat!(
            "EXISTS (SELECT 1 FROM ", keys!(), " k JOIN purchase p ON p.identifier_kind = k.kind AND p.identifier = k.key \
             WHERE p.store = purchase_line.store AND p.ticket = purchase_line.ticket)"
        )
    ),
    holding!(
        "purchase",
        "your till tickets; the sums stay for the books, without you",
        where concat!("(identifier_kind, identifier) IN (SELECT kind, key FROM ", keys!(), " k)"),
        erase concat!(
            "UPDATE purchase SET identifier_kind = NULL, identifier = NULL WHERE (identifier_kind, identifier) IN (SELECT kind, key FROM ",
            keys!(), " k)"
        )
    ),
    holding!("todo", "work about you that is due", where "member = $1"),
    holding!("parked_work", "work about you that failed and waits for a person", where "member = $1"),
    holding!("destination", "where SMS to you go", where "member = $1"),
    holding!("conflict", "keys that were said to be yours and somebody else's", where "member = $1 OR other = $1"),
    holding!("former_holder", "times in which a browser or device was yours", where "member = $1"),
    holding!("moved_row", "which of your visits and messages came from another record about you", where "origin = $1"),
    holding!("merge", "records that turned out to be about you too", where "member = $1 OR survivor = $1"),
    holding!("rid_heard", "where an id that your phone sends was heard; kept for 48 hours, to notice copies of it", where "member = $1"),
    holding!("replay", "that an id of your phone was copied and played again in another shop", where "member = $1"),
    holding!("regular", "that you work or live at a shop, so that your stays there are no visits", where "member = $1"),
    holding!(
        "counter_moment",
        "that somebody had a card or ticket of yours at a counter; waits for your visit",
        where concat!("member = $1 OR (identifier_kind, identifier) IN (SELECT kind, key FROM ", keys!(), " k)")
    ),
    holding!("member_segment", "what kind of customer the shop calls you", where "member = $1"),
    holding!("ad_key", "your address and number, sealed, for ad platforms that you allowed", where "member = $1"),
    holding!(
        "ad_given",
        "hashes of your address and number that an ad platform was given with your consent; kept as nobody's until it was told to take them out",
        kept "member = $1"
    ),
    holding!("link", "who said which keys are yours", where "member = $1"),
    holding!("identifier", "the keys by which you are recognised, as keyed hashes", where "member = $1"),
    holding!("installation", "the app on your phones", where "member = $1"),
    holding!("member_page", "links to your own page", where "member = $1"),
    holding!("consent_now", "what you allow now", where "member = $1"),
    holding!("consent", "what you said about consent, as an older version recorded it", where "member = $1"),
    holding!(
        "ledger_entry",
        "what you said about consent, with the proof; the entry stays as a hash that tells nothing",
        where "member = $1",
        erase "UPDATE ledger_entry SET member = NULL, salt = NULL, content = NULL WHERE member = $1"
    ),
    holding!("audit", "who looked at what is known of you, and when; kept for a year, also after an erasure", kept "subject = $1"),
    holding!("restriction", "that your data is kept but not used", where "member = $1"),
    holding!("member", "that you are a member", where "id = $1"),
];

/// Tables that hold nothing about a member, and why not.
pub const OTHER: &[(&str, &str)] = &[
    ("_sqlx_migrations", "versions of the tables"),
    ("barred", "keyed hashes of erased customer numbers, kept so that they stay erased"),
    ("config_revision", "what marketers wrote"),
    ("ended_installation", "names of erased apps, until no gateway can hold a token of theirs"),
    ("erased_member", "numbers of erased members for two days, until every hub has dropped them from memory"),
    ("erasure", "receipts, which name nobody"),
    ("event_key", "which events were stored: gateway, epoch and number"),
    ("exposure_total", "counts"),
    ("fleet_authority", "the certificate authority"),
    ("fleet_certificate", "certificates of gateways"),
    ("fleet_gateway", "gateways"),
    ("forgotten", "counts"),
    ("gateway_command", "commands to gateways"),
    ("gateway_radio", "counters of the radios of gateways"),
    ("gateway_state", "what gateways say of themselves"),
    ("gone", "events that a gateway gave up"),
    ("hub_key", "signing keys"),
    ("ledger_chain", "ends of chains"),
    ("people_version", "a counter"),
    ("progress", "how far each gateway has come"),
    ("quarantine", "payloads that could not be read, for 48 hours; nobody knows whom they are about"),
    ("shard", "locks"),
    ("shared_key", "keyed hashes of values that stood for too many members"),
    ("site_bundle", "what gateways get of the configuration"),
    ("site_rollback", "gateways that may go back to an older site"),
    ("store_exposure", "advertising in the street"),
    ("touchpoint_tally", "counts"),
    ("wording", "texts that members read, each once"),
];
