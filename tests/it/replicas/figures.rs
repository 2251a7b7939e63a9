//! `make scale`: the figures of docs/SCALE.md, from replicas, Postgres, S3 server, proxy and users on this one machine.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode, header, redirect};
use tokio::{
    task::{JoinSet, block_in_place},
    time::sleep,
};

use super::{
    cluster::{Cluster, REPLICAS},
    counts,
    gate::Gate,
    measure::{Spent, Used, print},
};
use crate::{
    inngest_api::until,
    support::visitor::{Visitor, attributes},
};

/// Open dashboards, of so many users.
const DASHBOARDS: usize = 200;
const USERS: usize = 10;

/// Twice this must pass before a fetch gives up on the host that holds the file.
const WINDOW: Duration = Duration::from_secs(6);

/// Small files, and how many of them are on their way at once.
const IMPORTS: usize = 400;
const AT_ONCE: usize = 16;
const SMALL: usize = 100;

/// How often the leader, and who watches an import, are killed.
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "measures: make scale"]
async fn figures() {
    let gates: Vec<Gate> = (0..=ROUNDS).map(|_| Gate::before(small())).collect();
    let allowed = gates.iter().map(Gate::allowed).collect::<Vec<_>>().join(",");
    let mut cluster = Cluster::start_with(REPLICAS, move |command: &mut Command, _| {
        command.env("RUNBOARD_ALLOW_ADDRESSES", &allowed);
    })
    .await;
    let mut users = Vec::new();
    for user in 0..USERS {
        users.push(cluster.signed_in(&format!("user{user}@example.org")).await);
    }
    println!("| figure | value |\n|---|---|");
    polls(&mut cluster, &users, &gates[0]).await;
    imports(&mut cluster, &users).await;
    ages(&cluster, &users[0]).await;
    takeovers(&mut cluster, &users[0], &gates[1..]).await;
}

/// A small file, of which every tenth record fails.
fn small() -> String {
    let rows = (0..SMALL).map(|n| if n % 10 == 9 { format!("{n}\n") } else { format!("{n},paid\n") });
    ["id,state\n".to_owned()].into_iter().chain(rows).collect()
}

/// A dashboard polls as fast as it is answered, on a connection that stays open.
async fn poll(client: reqwest::Client, url: String, cookie: String, count: Arc<AtomicUsize>) {
    loop {
        let request = client.request(Method::GET, &url).header(header::COOKIE, &cookie);
        let answer = request.header("HX-Request", "true").send().await.unwrap();
        assert!([StatusCode::OK, StatusCode::NO_CONTENT].contains(&answer.status()), "{answer:?}");
        answer.bytes().await.unwrap();
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Dashboards of one replica that show an import which goes on.
async fn polls(cluster: &mut Cluster, users: &[Visitor], gate: &Gate) {
    let mut imports = Vec::new();
    for user in users {
        let import = user.import_address(&gate.url("held.csv")).await;
        user.wait_for_state(&import, "Running").await;
        imports.push(import);
    }
    gate.until_waiting(users.len()).await;
    let resident = cluster.process(0).most_resident();
    let client = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
    let (mut paths, count) = (Vec::new(), Arc::<AtomicUsize>::default());
    for user in users {
        let page = cluster.at(0, user).get("/").await.text().await.unwrap();
        paths.push(attributes(&page, "hx-get")[0].replace("&#38;", "&"));
    }
    let idle = Spent::idle(cluster, WINDOW).await;
    let mut polling = JoinSet::new();
    for dashboard in 0..DASHBOARDS {
        let (user, path) = (&users[dashboard % USERS], &paths[dashboard % USERS]);
        let url = format!("{}{path}", cluster.origin_of(0));
        polling.spawn(poll(client.clone(), url, user.cookie.clone().unwrap(), Arc::clone(&count)));
    }
    let before = Used::so_far(cluster).await;
    let (start, from) = (Instant::now(), count.load(Ordering::Relaxed));
    sleep(WINDOW).await;
    let (polled, seconds) = (count.load(Ordering::Relaxed) - from, start.elapsed().as_secs_f64());
    let spent = before.until(Used::so_far(cluster).await);
    polling.abort_all();
    while let Some(ended) = polling.join_next().await {
        assert!(ended.is_err_and(|error| error.is_cancelled()), "a poll failed");
    }
    let rate = polled as f64 / seconds;
    // Polls go on while Postgres is asked what it did.
    let (all, more) = (rate * spent.seconds, spent.without(idle));
    print("transactions a second of 3 idle replicas", idle.commits / idle.seconds, 1);
    print("polls a second that one replica answers", rate, 0);
    let of_dashboards = "dashboards per replica while each shows an import that goes on, at 4 polls a second";
    print(of_dashboards, rate / 4.0, 0);
    print("processor milliseconds per 1,000 polls", more.cpu * 1e6 / all, 0);
    print("transactions per 1,000 polls", more.commits * 1e3 / all, 1);
    print("resident MiB of that replica before", resident as f64 / f64::from(1 << 20), 0);
    print(
        "and after, with 200 dashboards",
        cluster.process(0).most_resident() as f64 / f64::from(1 << 20),
        0,
    );
    gate.open();
    for (user, import) in users.iter().zip(&imports) {
        user.wait_for_state(import, "Completed").await;
    }
    all_finished(cluster).await;
}

/// Waits until nothing more is expected of any import.
async fn all_finished(cluster: &Cluster) {
    let unfinished = || async {
        match cluster.rows.count("import WHERE finished_at IS NULL").await {
            0 => Ok(()),
            left => Err(left),
        }
    };
    until("all imports to be finished", unfinished).await;
}

/// Small files through the proxy.
async fn imports(cluster: &mut Cluster, users: &[Visitor]) {
    let idle = Spent::idle(cluster, WINDOW).await;
    let (bytes, objects) = (database_bytes(cluster).await, cluster.s3.names().await.len());
    let before = Used::so_far(cluster).await;
    let (start, left) = (Instant::now(), Arc::new(AtomicUsize::new(IMPORTS)));
    let mut at_work = JoinSet::new();
    for place in 0..AT_ONCE {
        let (visitor, left) = (users[place % USERS].clone(), Arc::clone(&left));
        at_work.spawn(async move {
            let take = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                let import = visitor.upload("small.csv", small()).await;
                visitor.wait_for_state(&import, "Completed").await;
            }
        });
    }
    at_work.join_all().await;
    let took = start.elapsed().as_secs_f64();
    all_finished(cluster).await;
    let spent = before.until(Used::so_far(cluster).await).without(idle);
    let each = |value: f64| value / IMPORTS as f64;
    print("imports a second by 3 replicas", IMPORTS as f64 / took, 1);
    print("transactions per import", each(spent.commits), 1);
    print("processor milliseconds per import", each(spent.cpu) * 1e3, 0);
    print("bytes of the database per import", each(database_bytes(cluster).await - bytes), 0);
    print("objects per import", each((cluster.s3.names().await.len() - objects) as f64), 1);
}

async fn database_bytes(cluster: &Cluster) -> f64 {
    cluster.rows.number("pg_database_size(current_database())").await as f64
}

/// The counts of a running step, at the replicas that do not run it.
async fn ages(cluster: &Cluster, user: &Visitor) {
    let mut ages = counts::ages(cluster, user).await;
    ages.sort_by(f64::total_cmp);
    for (what, hundredths) in [("p50", 50), ("p95", 95)] {
        let figure = format!("age of another replica's counts, in seconds, {what}");
        print(&figure, ages[(ages.len() - 1) * hundredths / 100], 2);
    }
}

/// From a SIGKILL to the next progress of what the killed replica did.
async fn takeovers(cluster: &mut Cluster, visitor: &Visitor, gates: &[Gate]) {
    let (mut led, mut watched) = (Vec::new(), Vec::new());
    for gate in gates {
        let (killed, _) = cluster.until_led(&[]).await;
        cluster.kill(killed).await;
        let start = Instant::now();
        let other = cluster.at((killed + 1) % REPLICAS, visitor);
        let import = other.upload("small.csv", small()).await;
        other.wait_for_state(&import, "Completed").await;
        led.push(start.elapsed().as_secs_f64());
        block_in_place(|| cluster.restart(killed));
        cluster.until_live(i64::try_from(REPLICAS).unwrap()).await;

        let import = visitor.import_address(&gate.url("held.csv")).await;
        gate.until_waiting(1).await;
        let (killed, _) = cluster.until_watched(&import, &[]).await;
        cluster.kill(killed).await;
        let start = Instant::now();
        gate.open();
        let other = cluster.at((killed + 1) % REPLICAS, visitor);
        other.wait_for_state(&import, "Completed").await;
        watched.push(start.elapsed().as_secs_f64());
        block_in_place(|| cluster.restart(killed));
        cluster.until_live(i64::try_from(REPLICAS).unwrap()).await;
    }
    for (what, mut seconds) in [
        ("seconds from a kill of the leader to the end of an import that began then", led),
        ("seconds from a kill of who watches an import to its end", watched),
    ] {
        seconds.sort_by(f64::total_cmp);
        print(&format!("{what}, median of {ROUNDS}"), seconds[ROUNDS / 2], 1);
        print(&format!("{what}, longest"), seconds[ROUNDS - 1], 1);
    }
}
