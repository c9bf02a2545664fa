//! When an app is answered: after the commit, and not at all in a stop.

use super::*;

#[tokio::test]
async fn a_location_on_any_path_reaches_the_decider_and_is_answered_after_the_commit() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    for (i, path) in ["/pub", "/owntracks", "/", "/owntracks/jane/s5"].into_iter().enumerate() {
        assert_eq!(bench.post(path, location(i64::try_from(i).unwrap()).to_string()).await, accepted());
    }
    assert_eq!(bench.counters.get(Fate::Fix), 4);
    let got = got.lock().unwrap();
    let Input::Fix(fix, _) = &got[0] else { panic!("no fix") };
    assert_eq!((fix.installation.as_str(), fix.at, fix.lat, fix.lon), (WHO, NOW, LAT, LON));
    assert_eq!((fix.accuracy_m, fix.speed_kmh, fix.away), (Some(12.0), None, None));
}

#[tokio::test]
async fn nothing_is_answered_before_the_commit_and_a_lost_commit_is_503() {
    let mut bench = Bench::start().await;
    let mut inputs = bench.inputs.take().unwrap();
    let answer = bench.post("/pub", location(0).to_string());
    let decider = async {
        let Some(Input::Fix(_, done)) = inputs.recv().await else { panic!("no fix") };
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        drop(done);
    };
    let ((status, _), ()) = tokio::join!(answer, decider);
    assert_eq!(status, 503);
    // It was not taken, so the same fix again is not a duplicate.
    let again = async {
        let Some(Input::Fix(_, done)) = inputs.recv().await else { panic!("no fix") };
        done.send(()).unwrap();
    };
    let (answer, ()) = tokio::join!(bench.post("/pub", location(0).to_string()), again);
    assert_eq!(answer, accepted());
}

#[tokio::test]
async fn a_full_queue_is_503_and_stores_nothing() {
    let bench = Bench::start().await;
    let waiting: Vec<_> = (0..2)
        .map(|i| {
            let request = bench.http.post(format!("{}/pub", bench.base)).basic_auth(WHO, Some(&bench.token));
            tokio::spawn(request.body(location(i).to_string()).send())
        })
        .collect();
    let queue = bench.inputs.as_ref().unwrap();
    while queue.len() < 2 {
        tokio::task::yield_now().await;
    }
    let (status, _) = bench.post("/pub", location(9).to_string()).await;
    assert_eq!(status, 503);
    assert_eq!(queue.len(), 2);
    assert_eq!(bench.counters.get(Fate::Busy), 1);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_server_ends_when_it_is_told_to() {
    let (sender, _inputs) = mpsc::channel(1);
    let parts = DeskParts {
        site: site(),
        rules: &GeofenceRules::default(),
        positions: &passage_config::Positions::default(),
        beacons: Arc::new(app::NoBeacons),
        group: None,
        denied: Arc::default(),
        inputs: sender,
        counters: Arc::default(),
    };
    let desk = Arc::new(Desk::new(parts));
    let server =
        Server { listen: "127.0.0.1:0".parse().unwrap(), pinned: Pinned::default(), clock: Clock::stepped(NOW), desk, patience: PATIENCE };
    let bound = server.bind().await.unwrap();
    let stop = CancellationToken::new();
    let (address, run) = (bound.local_addr(), tokio::spawn(bound.run(stop.clone())));
    assert!(tokio::net::TcpStream::connect(address).await.is_ok());
    stop.cancel();
    tokio::time::timeout(std::time::Duration::from_secs(10), run).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
