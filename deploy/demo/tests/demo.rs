//! The demo as a newcomer starts it: the story it tells, on both brokers; edited and broken files; a real phone's way in.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use passage_hub::identity::{IdentifierKind, Keyring, MemberId};
use tempfile::TempDir;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/demo");
const CAST: [&str; 10] = ["C-00001", "C-00002", "C-00003", "C-00004", "C-00005", "C-00006", "C-00007", "C-00008", "C-00009", "C-00010"];
/// She did not consent to be noticed.
const UNSEEN: &str = "C-00005";
/// So many others go out in the shortened day.
const OTHERS: usize = 30;

// --- a copy of the files --------------------------------------------------------------------------------------------------------------------

fn copy_of_the_files() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(Path::new(FILES), copy.path());
    // Tests run side by side.
    edit(&copy.path().join("hub.toml"), "127.0.0.1:8081", "127.0.0.1:0");
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Replaces a text that must be there, at once, as editors do.
fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} does not say {from}", file.display());
    let beside = file.with_extension("new");
    fs::write(&beside, text.replace(from, to)).unwrap();
    fs::rename(beside, file).unwrap();
}

/// Leaves the cast, the strangers and the first of the others in the day.
fn shorten(files: &Path) {
    let day = files.join("data/day.csv");
    let text = fs::read_to_string(&day).unwrap();
    let (mut kept, mut others) = (String::new(), 0);
    for (i, line) in text.lines().enumerate() {
        let who = line.split(',').nth(1).unwrap();
        let in_story = i == 0 || who.is_empty() || CAST.contains(&who);
        others += usize::from(!in_story);
        if in_story || others <= OTHERS {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    fs::write(day, kept).unwrap();
    edit(&files.join("hub.toml"), "k = 20", "k = 5");
}

/// Members as the CRM has them: each row as its columns.
fn members(files: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(files.join("data/members.csv")).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// The code of a member in the demo, whose secret is public.
fn code(crm_id: &str) -> String {
    let keyring = Keyring::from_secret(b"the demo has no secret to keep:)");
    MemberId::of(&keyring.identifier(IdentifierKind::CrmId, crm_id)).code()
}

// --- the demo as a process ------------------------------------------------------------------------------------------------------------------

/// A demo that runs; both of its outputs come as lines.
struct Demo {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Demo {
    fn start(files: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_passage"))
            .arg("--config")
            .arg(files)
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let told = tell.clone();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        std::thread::spawn(move || BufReader::new(err).lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        Self { child, lines, seen: Vec::new() }
    }

    /// The next line that holds `words`.
    fn line_with(&mut self, words: &str) -> String {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) else {
                panic!("the demo never said '{words}', but:\n{}", self.seen.join("\n"))
            };
            self.seen.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Waits for the end: whether it went well, and every line.
    fn end(mut self) -> (bool, Vec<String>) {
        // Both channels close when the process ends.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(280)) {
            self.seen.push(line);
        }
        let status = self.child.wait().unwrap();
        (status.success(), std::mem::take(&mut self.seen))
    }

    /// Ctrl-C.
    fn interrupt(&self) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// --- the story ------------------------------------------------------------------------------------------------------------------------------

/// What the lines say of one of the cast, without time and place.
fn story_of(lines: &[String], part: &str) -> Vec<String> {
    let mark = format!("({part})");
    lines.iter().filter_map(|l| l.split_once(&mark)).map(|(_, said)| said.trim().to_owned()).collect()
}

/// Each of `expected` is said of the part, in this order.
fn tells(lines: &[String], part: &str, expected: &[&str]) {
    let story = story_of(lines, part);
    let mut said = story.iter();
    for words in expected {
        assert!(said.any(|s| s.contains(words)), "of '{part}' nothing says '{words}' at its place:\n{}", story.join("\n"));
    }
}

/// No message goes out to the part.
fn gets_nothing(lines: &[String], part: &str) {
    let story = story_of(lines, part);
    assert!(!story.is_empty() && !story.iter().any(|s| s.starts_with("SMS")), "{part}:\n{}", story.join("\n"));
}

fn the_cast_plays_its_parts(lines: &[String]) {
    tells(lines, "the coat", &["entered the shop", "offer coat-size: send", "SMS handed over", "receipt: delivered", "visit qualified"]);
    tells(lines, "the coat", &["le manteau Aubrac vous attend en taille 42 chez Lyon Bellecour. STOP au 36111"]);
    tells(lines, "the coat", &["exposure credited: retargeting-coats", "stay closed: qualified"]);
    tells(lines, "passes by", &["offer come-and-see: send", "SMS handed over", "STOP", "offer come-and-see: no-sms-consent"]);
    tells(
        lines,
        "iPhone",
        &["entered the shop", "visit qualified", "offer fitting-room: send", "SMS handed over", "stay closed: qualified"],
    );
    tells(lines, "daily cap", &["offer come-and-see: send", "SMS handed over", "offer come-and-see: cap-day"]);
    for (part, reason) in [
        ("no sms consent", "offer coat-size: no-sms-consent"),
        ("held out", "offer coat-size: held-out"),
        ("after hours", "offer come-and-see: store-closed"),
        ("not exposed", "offer come-and-see: not-exposed"),
    ] {
        tells(lines, part, &[reason]);
        gets_nothing(lines, part);
    }
    tells(lines, "only in front", &["stopped in front of the shop", "stay closed: passer-by"]);
    gets_nothing(lines, "only in front");
    assert!(!story_of(lines, "only in front").iter().any(|s| s.contains("offer") || s.contains("entered the shop")));
}

/// Every line about somebody is about a member who consented to be noticed.
fn nobody_else_appears(lines: &[String], files: &Path) {
    let known: BTreeSet<String> = members(files).iter().filter(|m| m[6] == "yes").map(|m| code(&m[0])).collect();
    assert!(!known.contains(&code(UNSEEN)));
    let is_code =
        |word: &&str| word.len() == 9 && word.as_bytes()[4] == b'-' && word.chars().all(|c| c == '-' || c.is_ascii_alphanumeric());
    let about = |line: &String| line.split_whitespace().nth(2).filter(is_code).map(str::to_owned);
    let seen: BTreeSet<String> = lines.iter().filter_map(about).collect();
    assert!(seen.len() > 30, "{seen:?}");
    assert!(seen.is_subset(&known), "strangers: {:?}", seen.difference(&known));
    assert!(!lines.iter().any(|l| l.contains(&code(UNSEEN))));
}

fn the_summary_accounts_for_all(lines: &[String]) {
    let from = lines.iter().position(|l| l.contains("Summary of the day")).expect("a summary");
    let summary = &lines[from..];
    let gateways: Vec<_> = summary.iter().filter(|l| l.trim_start().starts_with("gw-")).collect();
    assert_eq!(gateways.len(), 4);
    for gateway in gateways {
        let [_, sent, stored, gone, missing] = gateway.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{gateway}") };
        assert!(sent.parse::<u64>().unwrap() > 0 && sent == stored && gone == "0" && missing == "0", "{gateway}");
    }
    let coat = summary.iter().find(|l| l.trim_start().starts_with("retargeting-coats")).expect("the coat's campaign has a row");
    let euros: f64 = coat.split_whitespace().last().unwrap().parse().unwrap();
    assert!(euros >= 289.0, "she bought the coat: {coat}");
    let withheld = summary.iter().find_map(|l| l.split_once("fewer than 5 members: ")).expect("rows are withheld").1;
    assert!(withheld.parse::<u32>().unwrap() > 0);
    for id in ["newsletter-november", "social-coats", "search-brand", "retargeting-coats", "flyer-lyon"] {
        for row in summary.iter().map(|l| l.split_whitespace().collect::<Vec<_>>()).filter(|row| row.len() == 5 && row[0] == id) {
            assert!(row[1].parse::<u32>().unwrap() >= 5, "so few members must not be shown: {row:?}");
        }
    }
}

#[test]
fn the_same_story_is_told_on_both_brokers_and_no_event_is_missing() {
    let files = copy_of_the_files();
    shorten(files.path());
    let days = ["embedded", "mosquitto"].map(|broker| Demo::start(files.path(), &["--once", "--broker", broker]));
    let days = days.map(|day| {
        let (went_well, lines) = day.end();
        assert!(went_well, "{}", lines.join("\n"));
        the_cast_plays_its_parts(&lines);
        nobody_else_appears(&lines, files.path());
        the_summary_accounts_for_all(&lines);
        lines
    });
    // The coat, the iPhone and so on; others may take turns within a second.
    let of_the_cast = |lines: &[String]| lines.iter().filter(|l| l.starts_with(['1', '2']) && l.contains('(')).cloned().collect::<Vec<_>>();
    assert_eq!(of_the_cast(&days[0]), of_the_cast(&days[1]));
}

// --- edited files ---------------------------------------------------------------------------------------------------------------------------

/// A day on which somebody gets the offer of the shop in Lille every ten minutes.
fn many_in_lille(files: &Path) {
    let who = members(files).into_iter().filter(|m| m[5] == "aubrac-nord" && m[6] == "yes" && m[8] == "yes").map(|m| m[0].clone());
    let mut day = "at,crm_id,store,minutes,zone,how\n".to_owned();
    for (n, crm_id) in who.take(48).enumerate() {
        let at = 10 * 60 + 15 + n * 10;
        day += &format!("{:02}:{:02}:00,{crm_id},lille-grand-place,14,in,android\n", at / 60, at % 60);
    }
    fs::write(files.join("data/day.csv"), day).unwrap();
}

#[test]
fn an_edited_offer_is_in_force_at_once_and_a_broken_one_is_told_and_ignored() {
    let files = copy_of_the_files();
    many_in_lille(files.path());
    let offer = files.path().join("offers/fitting-room.toml");
    let mut demo = Demo::start(files.path(), &["--speed", "300"]);
    assert!(demo.line_with("SMS handed over").contains("une cabine vous attend"));

    edit(&offer, "une cabine vous attend", "un thé vous attend");
    demo.line_with("the changed files are in force");
    assert!(demo.line_with("SMS handed over").contains("un thé vous attend"));

    edit(&offer, "priority = 50", "priority = \"high\"");
    demo.line_with("offers/fitting-room.toml:8:12");
    assert!(demo.line_with("^").trim_start_matches(['|', ' ']).starts_with("^^^^^^"));
    demo.line_with("mend:");
    demo.line_with("the last good configuration stays in force");
    assert!(demo.line_with("SMS handed over").contains("un thé vous attend"));

    edit(&offer, "priority = \"high\"", "priority = 50");
    edit(&offer, "un thé vous attend", "un café vous attend");
    demo.line_with("the changed files are in force");
    while !demo.line_with("SMS handed over").contains("un café vous attend") {}

    demo.interrupt();
    let (went_well, lines) = demo.end();
    assert!(went_well, "{}", lines.join("\n"));
    assert!(lines.iter().any(|l| l.contains("Summary of the day")));
}

#[test]
fn a_demo_on_broken_files_does_not_start_and_says_why() {
    let files = copy_of_the_files();
    edit(&files.path().join("offers/coat-size.toml"), "on = \"enter\"", "on = \"entry\"");
    edit(&files.path().join("visit.toml"), "max_visit = \"4 h\"", "max_visit = \"4 sheep\"");
    let (went_well, lines) = Demo::start(files.path(), &["--once"]).end();
    let words = lines.join("\n");
    assert!(!went_well, "{words}");
    for expected in ["offers/coat-size.toml:9:6", "visit.toml:", "^", "mend:"] {
        assert!(words.contains(expected), "'{expected}' is not in:\n{words}");
    }
    assert!(!words.contains("panicked"), "{words}");
}

// --- a real phone ---------------------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_demo_that_listens_goes_on_without_bluetooth_and_lets_no_phone_in_without_its_token() {
    let files = copy_of_the_files();
    shorten(files.path());
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let wanted = taken.local_addr().unwrap().port();
    let mut demo = Demo::start(files.path(), &["--speed", "3000", &format!("--listen={wanted}")]);
    demo.line_with(&format!("port {wanted} is in use"));
    let url = demo.line_with("URL http://THIS-MACHINE:");
    let port: u16 = url.rsplit(':').next().unwrap().trim_end_matches("/pub").parse().unwrap();
    assert_ne!(port, wanted);
    let user = demo.line_with("password ");
    demo.line_with("Bluetooth");

    let here = format!("http://127.0.0.1:{port}/pub");
    let position = serde_json::json!({ "_type": "location", "lat": 1.0, "lon": 1.0, "acc": 9, "tst": 1_795_160_000 });
    let phone = reqwest::Client::new();
    let stranger = phone.post(&here).json(&position).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    let (name, password) = user.trim().trim_start_matches("user ").split_once(", password ").unwrap();
    let wrong = phone.post(&here).basic_auth(name, Some("wrong")).json(&position).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let guest = phone.post(&here).basic_auth(name, Some(password)).json(&position).send().await.unwrap();
    assert!(guest.status().is_success(), "{}", guest.status());

    demo.line_with("entered the shop");
    demo.interrupt();
    let (went_well, lines) = demo.end();
    assert!(went_well, "{}", lines.join("\n"));
    assert!(lines.iter().any(|l| l.contains("the day goes on without this machine's radio") || l.contains("is the gateway of")));
}
