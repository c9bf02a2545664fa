//! The console's pages on both engines: what they show, and what they never show.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt;
use passage_hub::{
    args,
    console::Console,
    identity::MemberId,
    store::{self, Db},
};
use passage_protocol::{Clock, Millis};
use tokio::sync::watch;
use tower::ServiceExt;

use shop::friday;
use support::both;

const SEALED: &[u8] = b"sealed-number";

async fn furnished(db: &Db) -> Console {
    let at = friday(15, 0);
    let member = MemberId(424_242);
    let visit = "INSERT INTO visit (id, member, store, start_at, end_at, dwell_ms, label, is_open, seen_from, seen_to, state, updated_at) \
                 VALUES ('018f4e2a-7c11-7d3e-9a52-3b1f0c6d8e40', $1, 'lyon-bellecour', $2, $2, 185000, 'qualified', 1, $2, $2, '{}', $2)";
    db.execute(visit, args![member.0, at]).await.unwrap();
    let message = "INSERT INTO message (id, send_key, decision, member, brand, entity, offer, store, destination, sealed, text, sender, parts, \
                   encoding, trigger_at, deadline, validity_ms, state, reason, planned_at) VALUES ('m1', $1, 'd1', $2, 'b', 'e', 'coat', \
                   'lyon-bellecour', $1, $3, 'Bonjour <script>', 'MAISON', 1, 'gsm7', $4, $4, 1, 'unknown', 'link-cut', $4)";
    db.execute(message, args![&[7; 32], member.0, SEALED, at]).await.unwrap();
    let (_, config) = watch::channel(Arc::new(shop::config(shop::site())));
    Console { db: db.clone(), config, clock: Clock::stepped(at) }
}

async fn get(console: &Console, path: &str, host: &str) -> (StatusCode, String, String) {
    let request = Request::builder().uri(path).header("host", host).body(Body::empty()).unwrap();
    let answer = console.clone().router().oneshot(request).await.unwrap();
    let policy = answer.headers().get("content-security-policy").map_or("", |v| v.to_str().unwrap()).to_owned();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, policy, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn visits_and_messages_stand_on_their_pages_with_codes_instead_of_names() {
    both(async |db| {
        let console = furnished(&db).await;
        let code = MemberId(424_242).code();
        for (path, words) in [("/visits", vec!["3 min 05 s", "qualified", "15:00:00"]), ("/messages", vec!["unknown (link-cut)", "coat"])] {
            let (status, policy, page) = get(&console, path, "127.0.0.1:8081").await;
            assert_eq!(status, StatusCode::OK);
            assert!(policy.contains("default-src 'none'"), "{path} has no content policy");
            assert!(page.contains(&code), "{path} does not show the member's code");
            for word in words {
                assert!(page.contains(word), "{path} does not show {word}");
            }
            assert!(!page.contains("sealed-number") && !page.contains("<script>"), "{path} shows what it must not");
        }
    })
    .await;
}

#[tokio::test]
async fn the_overview_counts_what_there_is_and_every_page_answers() {
    both(async |db| {
        let console = furnished(&db).await;
        let (_, _, page) = get(&console, "/", "localhost:8081").await;
        assert!(page.contains("<td>qualified</td><td class=\"n\">1</td>"), "{page}");
        for path in ["/decisions", "/decisions/0000-CY9J", "/gateways", "/replays", "/style.css"] {
            assert_eq!(get(&console, path, "localhost").await.0, StatusCode::OK, "{path}");
        }
        let looks = store::audit::list(&db, Millis(0), Millis(i64::MAX)).await.unwrap();
        let found: Vec<_> = looks.iter().map(|(_, who, with, whom)| (who.as_str(), with.as_str(), whom.code())).collect();
        assert_eq!(found, [("console", "console decisions", "0000-CY9J".to_owned())], "lists of a day are of nobody in particular");
        // A code from before she turned out to be another record too leads to her page.
        let alias = MemberId(7);
        let members = "INSERT INTO member (id, brand, created_at, version, merged_into) VALUES ($1, 'b', 0, 0, $2)";
        for (id, into) in [(424_242, None), (alias.0, Some(424_242))] {
            db.execute(members, args![id, into]).await.unwrap();
        }
        assert_eq!(get(&console, &format!("/decisions/{alias}"), "localhost").await.0, StatusCode::OK);
        let looks = store::audit::list(&db, Millis(0), Millis(i64::MAX)).await.unwrap();
        assert!(looks.len() == 2 && looks.iter().all(|look| look.3 == MemberId(424_242)), "{looks:?}");
        assert_eq!(get(&console, "/decisions/nobody", "localhost").await.0, StatusCode::NOT_FOUND, "not the decisions about everybody");
    })
    .await;
}

#[tokio::test]
async fn a_foreign_host_name_gets_nothing() {
    both(async |db| {
        let console = furnished(&db).await;
        let (status, _, page) = get(&console, "/visits", "shop.example:8081").await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
        assert!(!page.contains(&MemberId(424_242).code()));
    })
    .await;
}

#[tokio::test]
async fn a_reader_who_never_ends_her_request_does_not_hold_up_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(&format!("sqlite:{}", folder.path().join("hub.db").display())).await.unwrap();
    let console = furnished(&db).await;
    let socket = Console::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut reader = tokio::net::TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut reader, b"GET / HTTP/1.1\r\nHost: localh").await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(console.run(socket, stop.clone()));
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    stop.cancel();
    tokio::time::timeout(std::time::Duration::from_secs(10), running).await.expect("the console ends").unwrap().unwrap();
}
