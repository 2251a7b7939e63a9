//! A replica knows of the imports whose owners ask it, from their first request on, and reads nothing of the others.

use std::{process::Command, time::Duration};

use reqwest::StatusCode;
use runboard::base::config::Config;

use super::{
    check_outputs,
    cluster::{Cluster, REPLICAS},
    cluster_before, is_running, page, sample,
    witness::{Witness, until_shown},
};
use crate::{
    inngest_api::until,
    support::{
        TestApp, database,
        s3::S3Server,
        spawn_app_on,
        visitor::{Panel, Visitor, attributes},
    },
};

/// Shorter than the pauses between the requests of these tests: nearly each is the first one of a user.
const FOLLOWED_FOR: Duration = Duration::from_millis(20);

/// What every read of imports by their ids begins with. The program sends a statement's text once on each connection.
const READ: &str = "FROM import WHERE id IN ($1";

fn is_completed(panel: &Panel) -> bool {
    panel.state == "Completed"
}

/// A person with an account who has asked only this replica.
async fn signed_up_at(cluster: &Cluster, number: usize) -> Visitor {
    let mut visitor = Visitor::new(&cluster.origin_of(number));
    visitor.sign_up("mira@example.org").await;
    visitor
}

#[tokio::test]
async fn a_replica_reads_nothing_of_imports_that_nobody_asks_it_for_and_then_shows_them_as_they_are() {
    let sample = sample();
    let (cluster, gate) = cluster_before(&sample).await;
    let (leader, _) = cluster.until_led(&[]).await;
    // It neither leads nor watches.
    let other = (leader + 1) % REPLICAS;
    let reads = cluster.to_postgres(other);
    reads.seek(READ);
    let mira = signed_up_at(&cluster, leader).await;
    let ended = mira.upload("ended.csv", &sample.bytes).await;
    cluster.until_state(leader, &mira, &ended, "Completed").await;
    let import = mira.import_address(&gate.url("held.csv")).await;
    gate.until_waiting(1).await;
    let shown = cluster.until_shown(leader, &mira, &import, is_running).await;
    assert_ne!(cluster.watcher(&import).await, Some(other), "what it watches it must read");
    assert_eq!(reads.found(), 0, "it reads what nobody asks it for");

    let there = cluster.at(other, &mira);
    let first = cluster.until_shown(other, &mira, &import, |_| true).await;
    assert!(is_running(&first), "{}", first.html);
    assert_eq!(first.runs[0].run_id, shown.runs[0].run_id);
    assert!(reads.found() > 0);
    let dashboard = page(&there, "/").await;
    assert!(attributes(&dashboard, "data-import-id").iter().any(|id| import.ends_with(id)), "{dashboard}");
    gate.open();
    let panel = cluster.until_ended(&[leader, other], &mira, &import).await;
    check_outputs(&there, &import, &panel, &sample).await;
}

/// The leader cannot send the event, another replica watches the import, and a third one is asked for it later.
#[tokio::test]
async fn why_an_event_is_not_sent_is_shown_by_a_replica_that_was_not_asked_before() {
    let nobody = |command: &mut Command, _| {
        command.env("INNGEST_DEV", "http://127.0.0.1:1");
    };
    let cluster = Cluster::start_with(REPLICAS, nobody).await;
    let (leader, _) = cluster.until_led(&[]).await;
    let [watcher, other] = [1, 2].map(|next| (leader + next) % REPLICAS);
    let mira = signed_up_at(&cluster, watcher).await;
    let import = mira.upload("mine.csv", "a,b\n1,2\n").await;
    let says_why = |panel: &Panel| panel.state == "Accepted" && panel.html.contains("has not answered since");
    for number in [watcher, other, leader] {
        cluster.until_shown(number, &mira, &import, says_why).await;
    }
}

/// Two servers, of which the first leads, with one database and one bucket.
struct Pair {
    first: TestApp,
    second: TestApp,
    _server: S3Server,
    _folder: tempfile::TempDir,
}

impl Pair {
    async fn start() -> Self {
        let (folder, server) = (tempfile::tempdir().unwrap(), S3Server::start().await);
        let url = database::on_postgres(folder.path());
        let configure = |config: &mut Config| {
            config.database_url = url.clone().into();
            config.bucket = Some(server.config());
            config.followed_for = FOLLOWED_FOR;
        };
        let first = spawn_app_on(tempfile::tempdir().unwrap(), configure).await;
        let second = spawn_app_on(tempfile::tempdir().unwrap(), configure).await;
        Self { first, second, _server: server, _folder: folder }
    }

    async fn stop(self) {
        self.second.stop().await;
        self.first.stop().await;
    }
}

#[tokio::test]
async fn who_comes_back_after_being_forgotten_sees_no_import_as_it_was() {
    let pair = Pair::start().await;
    let mira = pair.first.signed_in().await;
    let there = mira.at(&pair.second.origin);
    let busy = pair.first.busy().await;
    let imports = [mira.upload("a.csv", "a,b\n1,2\n").await, mira.upload("b.csv", "a,b\n3,4\n").await];
    for import in &imports {
        until_shown(&there, import, is_running).await;
    }
    let witnesses = imports.each_ref().map(|import| Witness::of(&there, import));
    drop(busy);
    for import in &imports {
        until_shown(&there, import, is_completed).await;
    }
    for witness in witnesses {
        witness.end("Completed").await;
    }
    pair.stop().await;
}

#[tokio::test]
async fn a_page_that_was_not_polled_for_long_hears_of_an_import_that_began_and_ended_meanwhile() {
    let pair = Pair::start().await;
    let mira = pair.first.signed_in().await;
    let there = mira.at(&pair.second.origin);
    let poll = attributes(&page(&there, "/").await, "data-live")[0].replace("&#38;", "&");
    let import = mira.upload("a.csv", "a,b\n1,2\n").await;
    until_shown(&mira, &import, is_completed).await;
    let look = || async {
        let answer = there.fragment(&poll).await;
        let (status, live) = (answer.status(), answer.text().await.unwrap());
        if status == StatusCode::SERVICE_UNAVAILABLE { Err(live) } else { Ok(live) }
    };
    let live = until("the next poll", look).await;
    assert!(live.contains(">Show 1 new import<"), "{live}");
    pair.stop().await;
}
