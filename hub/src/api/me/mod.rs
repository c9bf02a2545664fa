//! A member's own page, by a signed link: `/m/TOKEN`, and the same under `/v1/me/TOKEN`. Plain HTML, no script, nothing from elsewhere.
//!
//! | call | does |
//! |---|---|
//! | `GET /m/TOKEN` | shows what she allows, how much is known of her, and why she got the message with this link |
//! | `POST /m/TOKEN/withdraw` | withdraws one purpose |
//! | `POST /m/TOKEN/prove` | her customer or card number opens the whole page for 15 minutes |
//! | `POST /m/TOKEN/export` | everything as JSON; whole page only |
//! | `GET` and `POST /m/TOKEN/erase` | asks whether she means it, and erases; whole page only |
//! | `POST /v1/app/installations/{id}/page` | the app asks for a link to the whole page, for 15 minutes |
//!
//! A link in an SMS can be forwarded, so it is worth no more than the SMS: it shows her number masked, counts instead of visits, and the message that
//! it came with. It can withdraw, because saying no must be as easy as saying yes: whoever does it for her stops messages, which she can allow again,
//! and tells nobody anything. To see, take or erase what is known of her, she gives her customer or card number, which is in no SMS; five wrong ones
//! end the link. Nothing can be granted here.

mod act;
mod view;
mod words;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use passage_protocol::Millis;

use self::words::Words;
use crate::{
    api::{Api, Limiter, Pace},
    identity::page::{self, Bound},
    privacy::audit,
    store::{
        StoreError,
        people::{
            graph,
            page::{self as pages, MemberPage, Origin},
        },
    },
};

/// The pages and what they need.
#[derive(Debug, Clone)]
struct Me {
    api: Arc<Api>,
    calls: Arc<Limiter>,
    misses: Arc<Limiter>,
}

/// Calls of one link.
const OF_A_LINK: Pace = Pace { burst: 60.0, per_second: 1.0 };
/// Calls with links that open nothing, from everybody together: who guesses is slowed down, and nobody else is.
const MISSES: Pace = Pace { burst: 600.0, per_second: 10.0 };

/// All routes of the page.
pub(super) fn router(api: Arc<Api>) -> Router {
    let me = Me { api, calls: Arc::default(), misses: Arc::default() };
    let pages = |root: &str| {
        let path = |end: &str| format!("{root}/{{token}}{end}");
        Router::new()
            .route(&path(""), get(show))
            .route(&path("/withdraw"), post(act::withdraw))
            .route(&path("/prove"), post(act::prove))
            .route(&path("/export"), post(act::export))
            .route(&path("/erase"), get(act::ask).post(act::erase))
    };
    pages("/m")
        .merge(pages("/v1/me"))
        .route("/m/style.css", get(style))
        .route("/v1/app/installations/{id}/page", post(act::for_app))
        .layer(middleware::from_fn(guard))
        .with_state(me)
}

/// Refuses forms that another site sent, and sets the headers that keep a page and its address to itself.
async fn guard(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").and_then(|v| v.to_str().ok());
    let foreign = request.method() == axum::http::Method::POST && matches!(site, Some("cross-site" | "same-site"));
    let mut response = if foreign { StatusCode::FORBIDDEN.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    let fixed = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A link that was found to be good.
struct Opened {
    page: MemberPage,
    token: String,
    words: &'static Words,
    now: Millis,
}

impl Opened {
    /// True if whoever holds the link has shown that she is the member.
    fn is_whole(&self) -> bool {
        matches!(self.page.origin, Origin::App | Origin::Proved)
    }
}

/// Why there is no page.
enum Refused {
    /// Unknown, expired, revoked or not signed: the reader is told the same.
    NoPage(&'static Words),
    /// Too many calls.
    TooMany(&'static Words),
    /// The link alone is not enough for that.
    NotProved(&'static Words, String),
    /// The form lacks something or names something unknown.
    Form,
    /// The database.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[derive(Template)]
#[template(path = "me_note.html")]
struct Note<'a> {
    words: &'static Words,
    title: &'a str,
    text: &'a str,
    back: Option<&'a str>,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, words, text, back) = match &self {
            Self::NoPage(words) => (StatusCode::NOT_FOUND, *words, words.no_page, None),
            Self::TooMany(words) => (StatusCode::TOO_MANY_REQUESTS, *words, words.too_many, None),
            Self::NotProved(words, token) => (StatusCode::FORBIDDEN, *words, words.not_proved, Some(token.as_str())),
            Self::Form => return (StatusCode::BAD_REQUEST, "This form is not complete.").into_response(),
            Self::Store(error) => {
                tracing::warn!(%error, "a member's page could not be served");
                return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], "Try again in a moment.").into_response();
            }
        };
        let mut response = (status, html(&Note { words, title: words.title, text, back })).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}

fn html(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a member's page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Me {
    /// Opens the link, or says why not.
    async fn open(&self, headers: &HeaderMap, token: &str) -> Result<Opened, Refused> {
        let (api, now) = (&self.api, self.api.clock.now());
        let browser = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let words = Words::of(browser, None);
        let name = page::name_in(token).ok_or(Refused::NoPage(words))?;
        self.calls.take(name, OF_A_LINK).map_err(|_| Refused::TooMany(words))?;
        let mut tx = api.db.begin_read().await?;
        let found = pages::open(&mut tx, name, now).await?;
        let signed = |p: &MemberPage| {
            let bound = Bound { member: p.member, brand: &p.brand, entity: &p.entity };
            page::is_signed(&api.keyring, token, &bound)
        };
        match found.filter(signed) {
            Some(mut page) => {
                // The link was signed for whom she was then; since then two records may have turned out to be one person.
                page.member = graph::standing_for(&mut tx, page.member).await?;
                let words = Words::of(browser, api.config.borrow().page.languages.get(&page.brand).copied());
                Ok(Opened { page, token: token.to_owned(), words, now })
            }
            None if self.misses.take((), MISSES).is_ok() => Err(Refused::NoPage(words)),
            None => Err(Refused::TooMany(words)),
        }
    }
}

impl Me {
    /// Records that somebody with her link looks at what is known of her.
    async fn note(&self, action: &'static str, opened: &Opened) -> Result<(), StoreError> {
        audit::note(&self.api.db, audit::HERSELF, action, &[opened.page.member], opened.now).await
    }
}

async fn show(State(me): State<Me>, Path(token): Path<String>, headers: HeaderMap) -> Result<Response, Refused> {
    let opened = me.open(&headers, &token).await?;
    me.note("page", &opened).await?;
    Ok(html(&view::view(&me.api, &opened).await?))
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("templates/me.css"))
}
