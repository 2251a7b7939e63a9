//! Other functions' runs that wait in the engine's queue: the time in the queue does not count as work.

use runboard::{
    base::{ids::ImportId, time::UnixMillis},
    inngest::RunStatus,
    store::Store,
};

use super::world::{RUN, Said, Server, World, completed_v2, plain, queued_v2, recorded, said};
use crate::support::{database, migration::filled_before};

/// The first version that records when runs left the queue.
const VERSION: i64 = 16;

#[tokio::test]
async fn work_begins_when_the_engine_says_that_the_run_left_the_queue() {
    for seen_running in [true, false] {
        let world = World::of(Server::saying(true, vec![Said::Body(queued_v2())]).await).await;
        let panel = world.reads("Waiting for a free worker since", "Scheduled").await;
        assert!(!plain(&panel.html).contains("Started"), "{}", plain(&panel.html));
        if seen_running {
            world.server.says(said("v2-running"));
            let panel = world.reads("Running for", "Running").await;
            assert!(plain(&panel.html).contains("Queued for 45 s"), "{}", plain(&panel.html));
        }
        world.server.says(Said::Body(completed_v2()));
        world.until("the end", |panel| panel.state == "Completed").await;
        let page = world.visitor.get(&world.import).await.text().await.unwrap();
        let page = plain(&page);
        assert!(page.contains("15 s") && page.contains("Queued for 45 s"), "{page}");
        assert!(!page.contains("1 min 0 s") && !page.contains("60 s"), "{page}");
        let of_run = format!("/v2/runs/{RUN}");
        let asked = world.server.api.asked();
        assert_eq!(asked.iter().filter(|line| line.contains(&of_run)).count(), 1, "{asked:?}");
    }
}

#[tokio::test]
async fn work_begins_when_the_run_was_last_seen_queued_if_the_engine_does_not_say() {
    let world = World::saying(vec![said("v1-queued")]).await;
    world.reads("Waiting for a free worker since", "Scheduled").await;
    world.server.says(Said::Body(recorded("v1-queued").replace("\"Scheduled\"", "\"Running\"")));
    let panel = world.reads("Running for", "Running").await;
    assert!(plain(&panel.html).contains("Started"), "{}", plain(&panel.html));
}

#[tokio::test]
async fn a_run_of_the_version_before_that_was_queued_starts_once_and_keeps_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::empty_url(folder.path());
    let import = ImportId::generate();
    let statements = [
        "INSERT INTO account (id, email, password_hash, created_at) VALUES ('a', 'a@example.org', '', 0)"
            .to_owned(),
        format!(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id) \
             VALUES ('{import}', 'a', 'a.csv', 1, 1, 2, 'e')"
        ),
        format!(
            "INSERT INTO run (run_id, import_id, function_id, status, queued_at, ended_at) \
             VALUES ('ended', '{import}', 'f', 'Completed', 3, 4), ('queued', '{import}', 'g', 'Scheduled', 5, NULL)"
        ),
    ];
    filled_before(VERSION, &url, statements).await;

    let store = Store::open(&url).await.unwrap();
    let runs = store.runs_of(&[import]).await.unwrap();
    assert!(runs.iter().all(|run| run.started_at.is_none()), "{runs:?}");
    assert_eq!(runs[1].status, RunStatus::Scheduled);
    for run in &runs {
        store.start_run(import, &run.run_id, UnixMillis(7)).await.unwrap();
    }
    let started: Vec<_> =
        store.runs_of(&[import]).await.unwrap().into_iter().map(|run| run.started_at).collect();
    assert_eq!(started, [None, Some(UnixMillis(7))], "a run that has ended changes no more");
}
