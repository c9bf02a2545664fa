//! Who is let in.

use super::*;

#[tokio::test]
async fn wrong_credentials_are_401_and_leave_no_trace() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let url = format!("{}/pub", bench.base);
    let body = location(0).to_string();
    let stale = token(NOW);
    let foreign =
        PositionToken { installation: WHO.parse().unwrap(), expires: NOW + std::time::Duration::from_secs(60), purpose: "presence".into() }
            .to_text(&Signing::from_bytes(&[4; 32]));
    let attempts = [
        bench.http.post(&url),
        bench.http.post(&url).basic_auth(WHO, Some("secret")),
        bench.http.post(&url).basic_auth("phone-of-bruno", Some(&bench.token)),
        bench.http.post(&url).basic_auth(WHO, Some(&stale)),
        bench.http.post(&url).bearer_auth(&foreign),
        bench.http.post(format!("{}/v1/app/events", bench.base)).bearer_auth("nonsense"),
    ];
    for attempt in attempts {
        let answer = attempt.body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(answer.headers().contains_key("www-authenticate"));
        assert!(!answer.text().await.unwrap().contains(WHO));
    }
    assert_eq!(bench.counters.get(Fate::Denied), 6);
    assert!(got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_ends_when_business_time_says_so() {
    let mut bench = Bench::start().await;
    bench.decide();
    assert_eq!(bench.post("/pub", location(0).to_string()).await.0, 200);
    bench.clock.set(NOW + std::time::Duration::from_secs(3600));
    assert_eq!(bench.post("/pub", location(1).to_string()).await.0, 401);
}
