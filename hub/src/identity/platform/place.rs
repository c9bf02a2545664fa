//! Towns, postcodes and countries.

use super::{Form, Forms, person::without_punctuation};
use crate::identity::normalise::{Unusable, lower};

/// The two-letter codes of ISO 3166-1, and Kosovo's.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD \
    CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ \
    GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY \
    MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT \
    PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM \
    US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Google takes the town in clear and does not match by it; Meta without punctuation and blanks, hashed.
pub(super) fn city(text: &str) -> Result<Forms, Unusable> {
    let town = lower(text);
    let meta: String = without_punctuation(&town).split_whitespace().collect();
    if meta.is_empty() { Err(Unusable::Kind) } else { Ok(Forms::new(Form::clear(town), Form::hashed(meta))) }
}

/// Google takes it in clear and as it was written; Meta without blanks and dashes, of the United States the first five digits, hashed.
pub(super) fn postal_code(text: &str, region: &str) -> Result<Forms, Unusable> {
    let plain: String = lower(text).chars().filter(|c| c.is_alphanumeric()).collect();
    if plain.is_empty() {
        return Err(Unusable::Kind);
    }
    let digits = |part: &str, n: usize| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
    let zip_and_four = text.split_once(['-', ' ']).is_some_and(|(five, four)| digits(five, 5) && digits(four.trim_start(), 4));
    let meta = if zip_and_four || (region == "US" && digits(&plain, 9)) { &plain[..5] } else { plain.as_str() };
    Ok(Forms::new(Form::clear(text), Form::hashed(meta)))
}

/// Google takes the code in clear and large; Meta small and hashed.
pub(super) fn country(text: &str) -> Result<Forms, Unusable> {
    let code = text.to_ascii_uppercase();
    let known = code.len() == 2 && COUNTRIES.split_ascii_whitespace().any(|known| known == code);
    if known { Ok(Forms::new(Form::clear(code.clone()), Form::hashed(code.to_ascii_lowercase()))) } else { Err(Unusable::Kind) }
}
