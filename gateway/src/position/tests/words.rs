//! The app's own word over HTTP.

use super::*;

#[tokio::test]
async fn a_transition_of_one_of_our_regions_is_the_apps_own_word() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let near = Zone::Fence("rivoli-near".parse::<FenceId>().unwrap());
    let cases = [
        (json!({"desc": "paris-rivoli", "event": "enter"}), Zone::In, Phase::Enter),
        (json!({"desc": "-paris-rivoli", "event": "leave"}), Zone::In, Phase::Exit),
        (json!({"desc": "Rue de Rivoli", "rid": "rivoli-near", "event": "enter", "lat": 0, "lon": 0}), near, Phase::Enter),
    ];
    for (mut body, zone, phase) in cases {
        body["_type"] = json!("transition");
        body["tst"] = json!((NOW.secs() - 5).to_string());
        assert_eq!(bench.post("/owntracks", body.to_string()).await, accepted());
        let got = got.lock().unwrap();
        let Some(Input::App(event, _)) = got.last() else { panic!("no event for {body}") };
        let at = NOW - std::time::Duration::from_secs(5);
        let want = AppEvent { installation: WHO.parse().unwrap(), store: "paris-rivoli".parse().unwrap(), zone, phase, at, rssi: None };
        assert_eq!(*event, want);
    }
}

#[tokio::test]
async fn the_app_reports_an_enter_by_itself() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let url = format!("{}/v1/app/events", bench.base);
    let send = async |body: Value| bench.http.post(&url).bearer_auth(&bench.token).json(&body).send().await.unwrap();
    assert_eq!(send(json!({"store": "paris-rivoli", "phase": "enter"})).await.status(), 204);
    assert_eq!(send(json!({"store": "paris-rivoli", "phase": "exit", "at": NOW.0 - 1000, "geofence": "rivoli-near"})).await.status(), 204);
    {
        let got = got.lock().unwrap();
        let (Input::App(first, _), Input::App(second, _)) = (&got[0], &got[1]) else { panic!("no app events") };
        assert_eq!((first.phase, first.at, &first.zone), (Phase::Enter, NOW, &Zone::In));
        assert_eq!((second.phase, second.at.0), (Phase::Exit, NOW.0 - 1000));
        assert_eq!(second.zone, Zone::Fence("rivoli-near".parse().unwrap()));
    }
    let wrong = [
        json!({"store": "paris-rivoli", "phase": "dwell"}),
        json!({"store": "paris-rivoli", "phase": "enter", "lat": 1}),
        json!({"store": "paris-ouest", "phase": "enter"}),
        json!({"store": "paris-nord", "phase": "enter", "geofence": "rivoli-near"}),
        json!({"store": "paris-rivoli", "phase": "enter", "at": NOW.secs()}),
        json!("hello"),
    ];
    for body in wrong {
        let answer = send(body.clone()).await;
        assert_eq!(answer.status(), 400, "{body}");
        assert!(answer.json::<Value>().await.unwrap()["error"].is_string());
    }
    assert_eq!(got.lock().unwrap().len(), 2);
}
