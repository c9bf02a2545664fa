//! `/q/CODE` on printed codes, `/r/CODE` in mails and ads, and the open pixel `/o/CODE.gif`. Where a code leads stands in the files of the campaigns and
//! nowhere else, so these are no open redirects.
//!
//! Who it was is kept only with consent: a member whose signed link it is and who grants `trackers`, or a visitor whose browser carries the cookie by
//! which the site's banner says that cookies are allowed. Of everybody else a total remains. Bots and prefetches are counted apart.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use passage_config::{Company, HubConfig, Link};

use crate::{
    api::{
        Problem,
        desk::Desk,
        identify::{self, ToMember},
    },
    identity::{IdentifierKind, Key, MemberId, Purpose, normalise::canonical},
    store::{StoreError, people, people::consent},
    touchpoint::{Detail, TouchKind, Touchpoint, member_link, tally::Counts},
};

/// The source of what redirects and pixels record.
const SOURCE: &str = "links";
/// Name of the cookie that is set with consent.
const COOKIE: &str = "passage";
/// 13 months, in seconds.
const COOKIE_LIFE: u32 = 396 * 86_400;
/// A transparent GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\0\0\0!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// One link that was followed, or one pixel that was loaded.
struct Arrival<'a> {
    code: &'a str,
    link: &'a Link,
    kind: TouchKind,
    member: Option<MemberId>,
}

impl Arrival<'_> {
    /// Whose advertising it is, as far as the campaign's file says so.
    fn company<'a>(&self, config: &'a HubConfig) -> Option<&'a Company> {
        config.site.campaigns.get(&self.link.campaign)?.company.as_ref()
    }
}

/// `GET /q/{code}`
pub(super) async fn scanned(state: State<Arc<Desk>>, path: Path<String>, method: Method, headers: HeaderMap) -> Result<Response, Problem> {
    followed(state, path, &method, &headers, TouchKind::Qr).await
}

/// `GET /r/{code}`
pub(super) async fn clicked(state: State<Arc<Desk>>, path: Path<String>, method: Method, headers: HeaderMap) -> Result<Response, Problem> {
    followed(state, path, &method, &headers, TouchKind::Click).await
}

async fn followed(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    method: &Method,
    headers: &HeaderMap,
    kind: TouchKind,
) -> Result<Response, Problem> {
    let config = desk.config();
    let scanned = member_link::read(&desk.api.keyring, &text);
    let link = config.site.touch.links.get(scanned.code).ok_or_else(|| Problem::not_found("no campaign has this code"))?;
    let arrival = Arrival { code: scanned.code, link, kind, member: scanned.member };
    let cookie = if is_human(method, headers) {
        record(&desk, &config, &arrival, headers).await.unwrap_or_else(|problem| {
            // She came to see a page, not to wait for our database.
            tracing::warn!(code = problem.code, "a followed link could not be recorded");
            None
        })
    } else {
        not_human(&desk, kind);
        None
    };
    let mut response = StatusCode::FOUND.into_response();
    let answer = response.headers_mut();
    answer.insert(header::LOCATION, HeaderValue::from_str(&link.to).map_err(|_| Problem::not_found("this code leads nowhere"))?);
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        answer.insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `GET /o/{code}.gif`
pub(super) async fn opened(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let config = desk.config();
    let nothing = || Problem::not_found("there is nothing under this path");
    let text = text.strip_suffix(".gif").filter(|_| config.web.pixel).ok_or_else(nothing)?;
    let scanned = member_link::read(&desk.api.keyring, text);
    let link = config.site.touch.links.get(scanned.code).ok_or_else(nothing)?;
    if is_human(&method, &headers) {
        let arrival = Arrival { code: scanned.code, link, kind: TouchKind::Open, member: scanned.member };
        let member = member_key(&desk, &config, &arrival).await?;
        keep(&desk, &config, &arrival, member.map(|key| (IdentifierKind::CrmId, key))).await?;
    } else {
        not_human(&desk, TouchKind::Open);
    }
    let headers = [(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store, private")];
    Ok((headers, PIXEL).into_response())
}

/// Records an arrival; the answer is the cookie to set, if there is one.
async fn record(desk: &Desk, config: &HubConfig, arrival: &Arrival<'_>, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let member = member_key(desk, config, arrival).await?;
    let banner = config.web.consent_cookie.as_ref().is_some_and(|(name, value)| cookie_of(headers, name) == Some(value));
    let visitor = match &config.web.cookie_domain {
        Some(domain) if banner || member.is_some() => Some((domain, visitor_id(headers))),
        _ => None,
    };
    let cookie = visitor.as_ref().map(|(domain, id)| format!("{domain}/{id}"));
    let whose = match (&cookie, member) {
        (Some(cookie), _) => {
            let form =
                canonical(IdentifierKind::Cookie, cookie, &config.phone_region).map_err(|_| Problem::bad("identifier", "no cookie"))?;
            Some((IdentifierKind::Cookie, desk.api.keyring.identifier(IdentifierKind::Cookie, &form)))
        }
        (None, Some(key)) => Some((IdentifierKind::CrmId, key)),
        (None, None) => None,
    };
    keep(desk, config, arrival, whose).await?;
    if let (Some(cookie), Some(_), Some(member)) = (&cookie, member, arrival.member) {
        let company = arrival.company(config);
        let to = ToMember { kind: IdentifierKind::Cookie, value: cookie, member, company, reason: "mail", variant: None, source: SOURCE };
        identify::link_to(&desk.api, &to).await.or_else(|problem| if problem.status.is_server_error() { Err(problem) } else { Ok(()) })?;
    }
    let secure = if config.web.url.as_deref().is_some_and(|url| url.starts_with("http://")) { "" } else { "; Secure" };
    Ok(visitor.map(|(domain, id)| format!("{COOKIE}={id}; Domain={domain}; Path=/; Max-Age={COOKIE_LIFE}; SameSite=Lax{secure}")))
}

/// Her customer number, keyed, if she grants `trackers` to the company of the campaign. The link may be older than the day on which she turned out to be
/// another record too.
async fn member_key(desk: &Desk, config: &HubConfig, arrival: &Arrival<'_>) -> Result<Option<Key>, StoreError> {
    let Some(member) = arrival.member else { return Ok(None) };
    let mut tx = desk.api.db.begin_read().await?;
    let member = people::graph::standing_for(&mut tx, member).await?;
    if !consent::granted(&consent::standing(&mut tx, member).await?, arrival.company(config), Purpose::Trackers) {
        return Ok(None);
    }
    people::crm_key(&mut tx, member).await
}

/// A touchpoint of whom it was, or one more in the total.
async fn keep(desk: &Desk, config: &HubConfig, arrival: &Arrival<'_>, whose: Option<(IdentifierKind, Key)>) -> Result<(), Problem> {
    let now = desk.api.clock.now();
    let campaign = &arrival.link.campaign;
    let channel = config.site.campaigns.get(campaign).map(|c| c.channel.clone());
    let Some((identifier_kind, identifier)) = whose else {
        desk.tally.add_total(SOURCE, now, campaign, channel.as_deref().unwrap_or_default(), arrival.kind);
        return Ok(());
    };
    desk.spend(SOURCE, 1, config.web.rate)?;
    let touch = Touchpoint {
        id: format!("{SOURCE}/{}/{}", arrival.code, uuid::Uuid::now_v7().simple()),
        at: now,
        kind: arrival.kind,
        campaign: Some(campaign.clone()),
        channel,
        sku: None,
        size: None,
        identifier_kind,
        identifier,
        detail: Detail::default(),
    };
    desk.store(SOURCE, vec![Ok(touch)]).await.map(|_| ())
}

fn not_human(desk: &Desk, kind: TouchKind) {
    let mut counts = Counts::default();
    counts.not_human(kind);
    desk.tally.add(SOURCE, desk.api.clock.now(), counts);
}

/// False for what looks at links before people do: other methods than GET, prefetches, and programs that call themselves so.
fn is_human(method: &Method, headers: &HeaderMap) -> bool {
    const PROGRAMS: [&str; 16] = [
        "bot",
        "crawl",
        "spider",
        "slurp",
        "preview",
        "facebookexternalhit",
        "whatsapp",
        "telegram",
        "skype",
        "curl",
        "wget",
        "python",
        "okhttp",
        "java/",
        "go-http",
        "headless",
    ];
    let told = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let early = ["purpose", "sec-purpose", "x-purpose", "x-moz"]
        .iter()
        .any(|name| told(name).contains("prefetch") || told(name).contains("preview"));
    let agent = told("user-agent");
    *method == Method::GET && !early && !agent.is_empty() && !PROGRAMS.iter().any(|program| agent.contains(program))
}

fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, value)| value)
}

/// The id that she has already, or a new one.
fn visitor_id(headers: &HeaderMap) -> String {
    let known = cookie_of(headers, COOKIE).filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    known.map_or_else(|| hex::encode(rand::random::<[u8; 16]>()), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn programs_and_prefetches_are_told_from_people() {
        let phone = ("user-agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Safari/604.1");
        assert!(is_human(&Method::GET, &headers(&[phone])));
        assert!(!is_human(&Method::HEAD, &headers(&[phone])));
        assert!(!is_human(&Method::GET, &headers(&[phone, ("sec-purpose", "prefetch;prerender")])));
        assert!(!is_human(&Method::GET, &headers(&[])));
        for agent in ["facebookexternalhit/1.1", "Googlebot/2.1", "curl/8.1", "WhatsApp/2.23"] {
            assert!(!is_human(&Method::GET, &headers(&[("user-agent", agent)])), "{agent}");
        }
    }

    #[test]
    fn only_an_id_of_our_own_form_is_taken_from_a_cookie() {
        let own = "0123456789abcdef0123456789abcdef";
        assert_eq!(visitor_id(&headers(&[("cookie", &format!("a=b; {COOKIE}={own}"))])), own);
        let other = visitor_id(&headers(&[("cookie", "passage=<script>")]));
        assert!(other.len() == 32 && other != visitor_id(&headers(&[])));
    }
}
