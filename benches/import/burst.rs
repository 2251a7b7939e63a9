//! A thousand imports that end in a burst: how long after the end of its run each panel shows the end.
//!
//! The panels are requested in turn, as fast as the machine allows, not at a page's pace: this measures when
//! the server knows. A delay includes the wait for the panel's turn; the second line has for how long panels
//! that were requested after the end did not show it.

use std::{
    collections::VecDeque,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use runboard::base::time::UnixMillis;
use serde_json::Value;
use tokio::{task::JoinSet, time::Instant};

use super::{
    Server,
    polls::{Connection, request},
    visitor::{Panel, Visitor},
};

const IMPORTS: usize = 1_000;
const ROWS: &str = "id,name\n1,a\n2,b\n";
/// The final states of an import with a run.
const FINAL: [&str; 3] = ["Completed", "Failed", "Cancelled"];
const UPLOADERS: usize = 32;
const WATCHERS: usize = 8;
const WITHIN: Duration = Duration::from_secs(300);
const EVENT_KEY: &str = "an-event-key-of-the-bench";
const SIGNING_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The engine that runs the imports.
#[derive(Clone, Copy)]
pub enum Engine {
    /// The server's own engine.
    Embedded,
    /// An engine that the server treats as Inngest: another Runboard that exposes its engine. It speaks
    /// Inngest's protocol, so the server polls and receives reports as with Inngest.
    Inngest,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "the embedded engine",
            Self::Inngest => "another process, as on Inngest",
        }
    }

    /// The servers, of which the last one has the pages, and the address of the engine's API.
    fn start(self, data: &Path) -> (Vec<Server>, String) {
        let engine = free_address();
        let own = [
            ("RUNBOARD_CONNECTIONS_PER_ADDRESS", "0"),
            ("RUNBOARD_ENGINE_LISTEN", engine.as_str()),
            ("RUNBOARD_ENGINE_EVENT_KEY", EVENT_KEY),
            ("RUNBOARD_ENGINE_SIGNING_KEY", SIGNING_KEY),
        ];
        let servers = match self {
            Self::Embedded => vec![Server::start_with(data, &own)],
            Self::Inngest => {
                let inngest = Server::start_with(&data.join("inngest"), &own);
                let base = format!("http://{engine}");
                let listen = free_address();
                let origin = format!("http://{listen}");
                let settings = [
                    ("RUNBOARD_CONNECTIONS_PER_ADDRESS", "0"),
                    ("RUNBOARD_LISTEN", listen.as_str()),
                    ("INNGEST_BASE_URL", base.as_str()),
                    ("INNGEST_SERVE_ORIGIN", origin.as_str()),
                    ("INNGEST_EVENT_KEY", EVENT_KEY),
                    ("INNGEST_SIGNING_KEY", SIGNING_KEY),
                ];
                vec![inngest, Server::start_with(data, &settings)]
            }
        };
        (servers, engine)
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

pub async fn burst(on: Engine) {
    let data = tempfile::tempdir().unwrap();
    let (servers, engine) = on.start(data.path());
    let origin = &servers.last().unwrap().origin;
    let mut visitor = Visitor::new(origin);
    visitor.sign_up("mira@example.org").await;
    let at: SocketAddr = origin.trim_start_matches("http://").parse().unwrap();
    let cookie = visitor.cookie.clone().unwrap();
    // A first import, so that the function is registered.
    let first = visitor.upload("rows.csv", ROWS).await;
    visitor.wait_for_state(&first, "Completed").await;

    let start = Instant::now();
    let waiting = Arc::new(Mutex::new(VecDeque::new()));
    let (uploads, left) = (Arc::new(AtomicUsize::new(IMPORTS)), Arc::new(AtomicUsize::new(IMPORTS)));
    let mut uploaders = JoinSet::new();
    let visitor = Arc::new(visitor);
    for _ in 0..UPLOADERS {
        let (visitor, waiting, uploads) = (Arc::clone(&visitor), Arc::clone(&waiting), Arc::clone(&uploads));
        uploaders.spawn(async move {
            while uploads
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                let import = visitor.upload("rows.csv", ROWS).await;
                waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back((import, None));
            }
        });
    }
    let mut watchers = JoinSet::new();
    for _ in 0..WATCHERS {
        let (waiting, left, cookie) = (Arc::clone(&waiting), Arc::clone(&left), cookie.clone());
        watchers.spawn(async move { watch(at, &waiting, &left, &cookie).await });
    }
    uploaders.join_all().await;
    let uploaded = start.elapsed();
    let seen: Vec<Seen> = watchers.join_all().await.into_iter().flatten().collect();
    let took = start.elapsed();
    if seen.len() < IMPORTS {
        println!("{} of {IMPORTS} imports were over after {} s", seen.len(), WITHIN.as_secs());
    }
    let otherwise = seen.iter().filter(|seen| seen.state != "Completed").count();
    if otherwise > 0 {
        println!("{otherwise} of {IMPORTS} imports did not end Completed");
    }

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut delays, mut stale, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for seen in &seen {
        let end = end_of(&http, &engine, &seen.run).await;
        delays.push(seen.at.since(end));
        stale.push(seen.last_unended.map_or(Duration::ZERO, |at| at.since(end)));
        ends.push(end);
    }
    delays.sort();
    stale.sort();
    ends.sort();
    let share = |times: &[Duration], share: f64| {
        times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0
    };
    let most_in_a_second = ends.iter().enumerate().map(|(first, end)| {
        ends[first..].partition_point(|other| other.since(*end) < Duration::from_secs(1))
    });
    println!(
        "{IMPORTS} imports on {}, uploaded within {:.1} s, over after {:.1} s, at most {} ends in a second:",
        on.name(),
        uploaded.as_secs_f64(),
        took.as_secs_f64(),
        most_in_a_second.max().unwrap_or_default()
    );
    println!(
        "  from a run's end to its panel saying so: median {:.0} ms, p95 {:.0} ms, most {:.0} ms",
        share(&delays, 0.5),
        share(&delays, 0.95),
        share(&delays, 1.0)
    );
    println!(
        "  from a run's end to the last request whose panel did not say so: median {:.0} ms, p95 {:.0} ms, most {:.0} ms",
        share(&stale, 0.5),
        share(&stale, 0.95),
        share(&stale, 1.0)
    );
}

/// An import whose panel showed its end.
struct Seen {
    state: String,
    run: String,
    at: UnixMillis,
    /// The last request that was answered as not ended.
    last_unended: Option<UnixMillis>,
}

/// An import's path, and when its panel was requested last.
type Waiting = (String, Option<UnixMillis>);

/// Requests the waiting panels in turn until all imports have ended.
async fn watch(
    at: SocketAddr,
    waiting: &Mutex<VecDeque<Waiting>>,
    left: &AtomicUsize,
    cookie: &str,
) -> Vec<Seen> {
    let deadline = Instant::now() + WITHIN;
    let mut connection = Connection::open(at).await;
    let mut seen = Vec::new();
    while left.load(Ordering::Relaxed) > 0 {
        if Instant::now() > deadline {
            break;
        }
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((import, last_unended)) = next else {
            // Other tasks are requesting the remaining panels.
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let asked = UnixMillis::now();
        let answer = connection.ask(&request(&format!("{import}/panel"), cookie, "identity")).await;
        let now = UnixMillis::now();
        assert_eq!(answer.status, 200, "{import}");
        let panel = Panel::read(String::from_utf8(answer.body).unwrap());
        if FINAL.contains(&panel.state.as_str()) {
            left.fetch_sub(1, Ordering::Relaxed);
            let [run] = panel.runs.as_slice() else { panic!("one run: {}", panel.html) };
            seen.push(Seen { run: run.run_id.clone(), at: now, state: panel.state, last_unended });
        } else {
            waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back((import, Some(asked)));
        }
    }
    seen
}

/// The end of the run according to the engine's API.
async fn end_of(http: &reqwest::Client, engine: &str, run: &str) -> UnixMillis {
    let url = format!("http://{engine}/v1/runs/{run}");
    let answer = http.get(url).bearer_auth(SIGNING_KEY).send().await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let end = answer["data"]["ended_at"].as_str().and_then(UnixMillis::from_rfc3339);
    end.unwrap_or_else(|| panic!("an end: {answer}"))
}
