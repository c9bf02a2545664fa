//! A member as the other stages see her.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::identity::Key;

/// A customer who opted in. The number says nothing without the hub's secret; people see [`MemberId::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub i64);

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl MemberId {
    /// Largest id plus one: ids have 40 bits, which are 8 characters.
    pub const LIMIT: i64 = 1 << 40;

    /// The number that belongs to a keyed `crm_id`.
    pub fn of(crm_id: &Key) -> Self {
        let mut bytes = [0; 8];
        bytes[3..].copy_from_slice(&crm_id.0[..5]);
        Self(i64::from_be_bytes(bytes).max(1))
    }

    /// The shard of the work table that holds this member's work.
    pub fn shard(self) -> i64 {
        self.0.rem_euclid(64)
    }

    /// What people see instead of a name, for example `K7Q2-M9XA`.
    pub fn code(self) -> String {
        let digit = |i: i64| char::from(CROCKFORD[usize::try_from((self.0 >> (5 * i)) & 31).unwrap_or(0)]);
        let text: String = (0..8).rev().map(digit).collect();
        format!("{}-{}", &text[..4], &text[4..])
    }

    /// Reads a code; `None` when it is not one.
    pub fn from_code(code: &str) -> Option<Self> {
        let digits: Vec<u8> = code.bytes().filter(|b| *b != b'-').map(|b| b.to_ascii_uppercase()).collect();
        if digits.len() != 8 {
            return None;
        }
        let value = |b: &u8| CROCKFORD.iter().position(|c| c == b).and_then(|p| i64::try_from(p).ok());
        digits.iter().try_fold(0_i64, |n, b| Some((n << 5) | value(b)?)).map(Self)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code())
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in files, on the wire and in the database.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl FromStr for $name {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($word => Ok(Self::$variant),)* _ => Err(()) }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What a member may consent to, by brand and entity.
    #[derive(serde::Serialize, serde::Deserialize)]
    Purpose {
        /// Being detected in and near shops.
        Presence = "presence",
        /// Joining online touchpoints with visits and purchases.
        Match = "match",
        /// Offers by SMS.
        Sms = "sms",
        /// Viewed or bought products in an offer.
        Personalise = "personalise",
        /// A hint on a seller's screen.
        Advice = "advice",
        /// Export of keys to ad platforms.
        Ads = "ads",
        /// Cookies and per-person pixels.
        Trackers = "trackers",
    }
}

words! {
    /// How old a member says she is. Bands only: a date of birth is never taken.
    AgeBand {
        /// A child: cannot enrol.
        Under15 = "under-15",
        /// May consent online in France, but is a minor.
        From15 = "15-17",
        /// Of age, and no more is known.
        Adult = "adult",
        /// 18 to 24.
        From18 = "18-24",
        /// 25 to 34.
        From25 = "25-34",
        /// 35 to 49.
        From35 = "35-49",
        /// 50 to 64.
        From50 = "50-64",
        /// 65 and more.
        From65 = "65-plus",
    }
}

words! {
    /// What an identifier is.
    IdentifierKind {
        /// The retailer's own number of the customer: the strongest key.
        CrmId = "crm_id",
        /// Loyalty card.
        LoyaltyCard = "loyalty_card",
        /// E-mail address.
        Email = "email",
        /// Phone number.
        Phone = "phone",
        /// SHA-256 of an e-mail address in Google's or Meta's form, as lower-case hex.
        EmailSha256 = "email_sha256",
        /// SHA-256 of a phone number, with or without its plus, as lower-case hex.
        PhoneSha256 = "phone_sha256",
        /// Cookie, with its domain in front: `example.fr/abc`.
        Cookie = "cookie",
        /// One app on one phone.
        Installation = "installation",
        /// The advertising id of a phone or tablet.
        Device = "device",
        /// Number of an order in a shop on the web or a marketplace.
        Order = "order",
        /// Id of one phone call, as the call tracker gives it.
        Call = "call",
        /// A person at the retailer said that two members are one.
        Operator = "operator",
        /// Registered card or fob, as [`passage_protocol::StaticBeacon::canonical`] spells it.
        Beacon = "beacon",
    }
}

/// The purposes granted now, for one member, brand and entity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consents(pub BTreeSet<Purpose>);

impl Consents {
    /// True if `purpose` is granted.
    pub fn allow(&self, purpose: Purpose) -> bool {
        self.0.contains(&purpose)
    }
}

/// Where SMS of a member go. The number itself is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Keyed HMAC of the number, [`Keyring::identifier`](crate::identity::Keyring::identifier) of kind `phone`.
    pub key: Key,
    /// The E.164 number, sealed for its owner.
    pub sealed: Vec<u8>,
    /// For whom it is sealed: after a merge perhaps a member who went into her.
    pub owner: MemberId,
}

/// What the offer and SMS stages need to know of a member for one brand and entity.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Who.
    pub member: MemberId,
    /// What is allowed now.
    pub consents: Consents,
    /// Where SMS go; `None` without a number.
    pub destination: Option<Destination>,
    /// The destination said STOP to this brand and entity.
    pub suppressed: bool,
}
