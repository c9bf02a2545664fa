//! Sends touchpoints to a hub's `POST /v1/touchpoints` as fast as it takes them, or asks for the exposures of visitors as fast as they are found.
//! `deploy/bench/touchpoints/run` starts the hub and the databases; see there.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::{Parser, Subcommand};
use passage_hub::{
    args,
    identity::{IdentifierKind, Keyring, MemberId},
    store::{self, Db},
    touchpoint::{Detail, TouchKind, Touchpoint},
};
use passage_protocol::Millis;

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Through HTTP: bodies are made first, then sent on so many connections at once.
    Http {
        #[arg(long)]
        url: String,
        #[arg(long)]
        token: String,
        #[arg(long, default_value_t = 500_000)]
        rows: u64,
        #[arg(long, default_value_t = 2_500)]
        batch: u64,
        #[arg(long, default_value_t = 4)]
        connections: u64,
        /// Number of the first row; rows of the same number are repetitions.
        #[arg(long, default_value_t = 0)]
        first: u64,
    },
    /// The statement of the store alone, on one connection: what the database takes at most.
    Raw {
        #[arg(long)]
        database: String,
        #[arg(long, default_value_t = 500_000)]
        rows: u64,
        #[arg(long, default_value_t = 10_000)]
        batch: u64,
        #[arg(long, default_value_t = 0)]
        first: u64,
    },
    /// Makes members with one cookie each, of those that `http` and `raw` use.
    Members {
        #[arg(long)]
        database: String,
        #[arg(long)]
        key_file: std::path::PathBuf,
        #[arg(long, default_value_t = 1_000)]
        members: i64,
    },
    /// Finds all touchpoints of these members, one after the other.
    Find {
        #[arg(long)]
        database: String,
        #[arg(long, default_value_t = 1_000)]
        members: i64,
    },
}

/// Visitors; each has about so many touchpoints as there are rows for one of them.
const VISITORS: u64 = 250_000;
/// Monday 2026-10-26, 00:00 in Paris.
const FROM: i64 = 1_792_969_200_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match Args::parse().what {
        What::Http { url, token, rows, batch, connections, first } => http(&url, &token, rows, batch, connections, first).await,
        What::Raw { database, rows, batch, first } => raw(&Db::open(&database).await?, rows, batch, first).await,
        What::Members { database, key_file, members } => make_members(&Db::open(&database).await?, &key_file, members).await,
        What::Find { database, members } => find(&Db::open(&database).await?, members).await,
    }
}

/// SplitMix64: the same row for the same number in every run.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

struct Made {
    key: String,
    at: i64,
    kind: TouchKind,
    campaign: Option<&'static str>,
    channel: &'static str,
    sku: Option<String>,
    visitor: u64,
}

const CAMPAIGNS: [&str; 5] = ["social-coats", "search-brand", "newsletter-november", "retargeting-coats", "flyer-lyon"];

/// Row `n`: 28 days pass with 10 million rows; keys are counted as a web server counts them, visitors come in any order.
fn made(n: u64) -> Made {
    let r = mix(n);
    let exposure = r % 10 < 4;
    let kinds = [TouchKind::View, TouchKind::Page, TouchKind::Basket, TouchKind::Page, TouchKind::View, TouchKind::Order];
    Made {
        key: format!("{n:010x}-{:08x}", r >> 32),
        at: FROM + i64::try_from(n).unwrap_or(0) * 242 + i64::try_from(r % 60_000).unwrap_or(0),
        kind: if exposure { TouchKind::Click } else { kinds[usize::try_from(r / 10 % 6).unwrap_or(0)] },
        campaign: exposure.then(|| CAMPAIGNS[usize::try_from(r / 100 % 5).unwrap_or(0)]),
        channel: if exposure { "paid-social" } else { "site" },
        sku: (!exposure).then(|| format!("MA-COAT-{:02}", r / 1000 % 40)),
        visitor: mix(r) % VISITORS,
    }
}

fn cookie(visitor: u64) -> String {
    format!("maison-aubrac.example/{:016x}", mix(visitor ^ 0x5eed))
}

fn json(n: u64) -> String {
    let row = made(n);
    let at = chrono::DateTime::from_timestamp_millis(row.at).unwrap_or_default().to_rfc3339();
    let field = |name: &str, value: Option<&str>| value.map(|v| format!("\"{name}\":\"{v}\",")).unwrap_or_default();
    format!(
        "{{\"key\":\"{}\",\"at\":\"{at}\",\"kind\":\"{}\",{}\"channel\":\"{}\",{}\"identifier_kind\":\"cookie\",\"identifier\":\"{}\"}}",
        row.key,
        row.kind.word(),
        field("campaign", row.campaign),
        row.channel,
        field("sku", row.sku.as_deref()),
        cookie(row.visitor)
    )
}

async fn http(url: &str, token: &str, rows: u64, batch: u64, connections: u64, first: u64) -> Result<(), Box<dyn Error>> {
    let body = |from: u64| (from..(from + batch).min(first + rows)).map(json).collect::<Vec<_>>().join("\n");
    let bodies: Arc<Vec<String>> = Arc::new((first..first + rows).step_by(usize::try_from(batch)?).map(body).collect());
    let bytes: usize = bodies.iter().map(String::len).sum();
    let (next, stored) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (bodies, next, stored) = (bodies.clone(), next.clone(), stored.clone());
        let (web, url, token) = (reqwest::Client::new(), format!("{url}/v1/touchpoints"), token.to_owned());
        tasks.spawn(async move {
            while let Some(body) = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().and_then(|i| bodies.get(i)) {
                let answer = web.post(&url).bearer_auth(&token).body(body.clone()).send().await.expect("the hub answers");
                assert!(answer.status().is_success(), "{}", answer.status());
                let answer = answer.bytes().await.expect("an answer to its end");
                stored.fetch_add(stored_of(&answer), Ordering::Relaxed);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    report("http", rows, stored.load(Ordering::Relaxed), start.elapsed().as_secs_f64(), bytes);
    Ok(())
}

/// `{"stored":N,..` stands in front, so the generator need not read the rest.
fn stored_of(answer: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
    text.trim_start_matches("{\"stored\":").split(',').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn report(what: &str, rows: u64, stored: u64, seconds: f64, bytes: usize) {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 rows")]
    let (rate, each) = (rows as f64 / seconds, bytes as f64 / rows as f64);
    println!("{what}: {rows} rows, {stored} new, {seconds:.2} s, {rate:.0} rows/s, {each:.0} bytes each");
}

async fn raw(db: &Db, rows: u64, batch: u64, first: u64) -> Result<(), Box<dyn Error>> {
    let keyring = Keyring::from_secret(b"the demo has no secret to keep:)");
    let touch = |n: u64| {
        let row = made(n);
        Touchpoint {
            id: format!("raw/{}", row.key),
            at: Millis(row.at),
            kind: row.kind,
            campaign: row.campaign.map(str::to_owned),
            channel: Some(row.channel.to_owned()),
            sku: row.sku,
            size: None,
            identifier_kind: IdentifierKind::Cookie,
            identifier: keyring.identifier(IdentifierKind::Cookie, &cookie(row.visitor)),
            detail: Detail::default(),
        }
    };
    let (mut busy, mut stored) = (0.0, 0_u64);
    for from in (first..first + rows).step_by(usize::try_from(batch)?) {
        let touches: Vec<Touchpoint> = (from..(from + batch).min(first + rows)).map(touch).collect();
        let start = Instant::now();
        let mut tx = db.begin().await?;
        stored += store::touchpoint::insert(&mut tx, &touches, Millis(FROM)).await?.iter().filter(|new| **new).count() as u64;
        tx.commit().await?;
        busy += start.elapsed().as_secs_f64();
    }
    report("raw batched insert", rows, stored, busy, 0);
    Ok(())
}

async fn make_members(db: &Db, key_file: &std::path::Path, members: i64) -> Result<(), Box<dyn Error>> {
    let keyring = Keyring::load_or_create(key_file)?;
    let mut tx = db.begin().await?;
    for n in 0..members {
        let key = keyring.identifier(IdentifierKind::Cookie, &cookie(u64::try_from(n)? * 97 % VISITORS));
        let member = "INSERT INTO member (id, brand, created_at, version) VALUES ($1, 'maison-aubrac', 0, 0)";
        tx.execute(member, args![n + 1]).await?;
        let identifier = "INSERT INTO identifier (kind, key, member, since) VALUES ('cookie', $1, $2, 0)";
        tx.execute(identifier, args![&key.0, n + 1]).await?;
        let consent = "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source) \
                       VALUES ($1, 'maison-aubrac', 'maison-aubrac', 'match', 1, 0, 'bench')";
        tx.execute(consent, args![n + 1]).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn find(db: &Db, members: i64) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    let mut found = 0;
    for n in 0..members {
        // Neither the members nor their touchpoints lie beside each other.
        let member = MemberId(n * 389 % members + 1);
        let start = Instant::now();
        let mut tx = db.begin_read().await?;
        found += store::touchpoint::of_member(&mut tx, member, Millis(0)).await?.len();
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times[(times.len() * share / 1000).min(times.len() - 1)];
    println!(
        "find: {members} members, {found} touchpoints; ms: p50 {:.2}, p99 {:.2}, p99.9 {:.2}, most {:.2}",
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    Ok(())
}
