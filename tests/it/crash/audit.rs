//! Checks the invariants after all kills.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use runboard::base::time::UnixMillis;
use sqlx::Row;

use super::{
    phase::OnDisk,
    world::{Asked, World},
};
use crate::{
    inngest_api::until,
    support::visitor::{Panel, attributes},
};

/// A cancel is too late if it arrives while the last answer of the run is being sent.
const TOO_LATE_MILLIS: i64 = 1_000;

/// An import at its end, as the pages show it.
struct Ended {
    asked: Asked,
    panel: Panel,
    /// The number of records in its two output files, if it has any.
    records: u64,
}

/// Lets a last server finish all imports, then checks everything.
pub async fn audit(mut world: World) {
    let server = world.start();
    let asked = world.asked.lock().unwrap().clone();
    let mut unknown: HashMap<&str, &Asked> =
        asked.iter().filter(|asked| asked.import.is_none()).map(|asked| (&*asked.file_name, asked)).collect();
    let known: HashMap<&str, &Asked> =
        asked.iter().filter_map(|asked| Some((asked.import.as_deref()?, asked))).collect();
    let on_pages = list(&world).await;
    for import in known.keys() {
        assert!(on_pages.contains(*import), "{import} was accepted, and is lost");
    }
    let mut ended = BTreeMap::new();
    for import in on_pages {
        let asked = match known.get(&*import) {
            Some(asked) => (*asked).clone(),
            None => {
                let page = world.visitor.get(&import).await.text().await.unwrap();
                let name = unknown.keys().copied().find(|name| page.contains(name));
                unknown.remove(name.unwrap_or_else(|| panic!("{import} was not requested"))).unwrap().clone()
            }
        };
        let panel = world
            .visitor
            .wait_for(&import, "its end", |panel| {
                ["Completed", "Cancelled", "Failed", "Skipped"].contains(&&*panel.state)
            })
            .await;
        let records = check_files(&world, &import, &asked, &panel).await;
        ended.insert(import, Ended { asked, panel, records });
    }

    // The last start: no run is active, and nothing may change.
    server.kill();
    let server = world.start();
    for (import, before) in &ended {
        let panel = world.visitor.panel(import).await;
        assert_eq!(panel.state, before.panel.state, "{import}");
        // A run that was cancelled before it began may have been recorded since.
        if !(panel.state == "Cancelled" && before.panel.runs.is_empty()) {
            assert_eq!(panel.runs, before.panel.runs, "{import}");
        }
    }
    let data = world.data();
    unnamed_files_are_moved(&data).await;
    server.kill();
    let left = world.left(&data).await;
    check_storage(&left, &ended).await;
    for (import, ended) in &ended {
        check_runs(&world, &left, import, ended).await;
    }
    left.database.close().await;
}

/// Waits until the server has checked all files, which it does once after its start.
async fn unnamed_files_are_moved(data: &Path) {
    let on_disk = OnDisk::beside(data).await;
    let look = || async {
        let (stored, named) = (on_disk.files("runs"), on_disk.step_files().await);
        if stored == named { Ok(()) } else { Err((stored, named)) }
    };
    until("the files that steps name, and no others", look).await;
    on_disk.database.close().await;
}

/// The paths of all imports on the pages.
async fn list(world: &World) -> HashSet<String> {
    let mut imports = HashSet::new();
    let mut page = "/".to_owned();
    loop {
        let html = world.visitor.get(&page).await.text().await.unwrap();
        imports.extend(attributes(&html, "data-import-id").into_iter().map(|id| format!("/imports/{id}")));
        match html.split_once("href=\"/?before=").and_then(|(_, rest)| rest.split('"').next()) {
            Some(id) => page = format!("/?before={id}"),
            None => return imports,
        }
    }
}

/// Checks that counts and files match the records, each once and in order. Returns the number of records.
async fn check_files(world: &World, import: &str, asked: &Asked, panel: &Panel) -> u64 {
    let sample = &world.samples[asked.sample];
    let what = format!("{import} ({asked:?}, {}, {:?})", panel.state, panel.runs);
    let counts = match &*panel.state {
        "Completed" => {
            assert_eq!(panel.counts(), sample.counts(), "{what}");
            assert!(!asked.seen_cancelled, "{what}: it was cancelled before");
            sample.counts()
        }
        "Cancelled" => match &*panel.runs {
            [] => return 0,
            // A run that did not begin has no counts.
            [run] if run.processed.is_empty() => return 0,
            [_] => panel.counts(),
            runs => panic!("{} runs of {what}", runs.len()),
        },
        _ => panic!("{what}"),
    };
    let [processed, failed] = ["processed", "failed"].map(|which| format!("{import}/{which}.csv"));
    let records = counts.0 + counts.1;
    sample.prefix(counts).unwrap_or_else(|why| panic!("{what}: {why}"));
    let (processed, failed) =
        (world.visitor.download(&processed).await, world.visitor.download(&failed).await);
    sample.check(records, &processed, &failed).unwrap_or_else(|why| panic!("{what}: {why}"));
    records
}

/// Checks that only files named by the database are stored.
async fn check_storage(left: &OnDisk<'_>, ended: &BTreeMap<String, Ended>) {
    assert_eq!(left.files("incoming"), HashSet::new());
    let uploads: HashSet<String> =
        ended.keys().map(|import| format!("uploads/{}.csv", import.rsplit('/').next().unwrap())).collect();
    assert_eq!(left.files("uploads"), uploads);
    assert_eq!(left.files("runs"), left.step_files().await);
}

/// Checks that one event has one run, and that the steps of a cancelled run are complete.
async fn check_runs(world: &World, left: &OnDisk<'_>, import: &str, ended: &Ended) {
    let id = import.rsplit('/').next().unwrap();
    let row = sqlx::query(
        "SELECT cancel_requested_at, (SELECT COUNT(*) FROM engine_event e WHERE e.event_id = i.event_id) AS events, \
         (SELECT COUNT(*) FROM engine_run r WHERE r.event_id = i.event_id) AS runs, \
         (SELECT MAX(ended_at) FROM engine_run r WHERE r.event_id = i.event_id) AS ended_at, \
         (SELECT MAX(end_byte) FROM step s JOIN run ON run.run_id = s.run_id WHERE run.import_id = i.id) AS end_byte, \
         (SELECT MAX(s.position) FROM step s JOIN run ON run.run_id = s.run_id WHERE run.import_id = i.id) AS steps \
         FROM import i WHERE id = $1",
    )
    .bind(id)
    .fetch_one(&left.database)
    .await
    .unwrap();
    let (events, runs): (i64, i64) = (row.get("events"), row.get("runs"));
    let ended_at: Option<i64> = row.get("ended_at");
    let cancel: Option<i64> = row.get("cancel_requested_at");
    let what = format!("{import}: {events} events, {runs} runs, ended {ended_at:?}, cancel {cancel:?}");
    if let Some(UnixMillis(answered)) = ended.asked.cancel_answered_at {
        let was_over = ended_at.is_some_and(|ended| ended <= answered);
        assert!(cancel.is_some() || was_over, "{what}: the request to cancel was answered, and is lost");
    }
    if ended.panel.state == "Completed" {
        assert_eq!((events, runs, ended.panel.runs.len()), (1, 1, 1), "{what}");
        let late = cancel.zip(ended_at).map(|(cancel, ended)| ended - cancel);
        assert!(late.is_none_or(|late| late < TOO_LATE_MILLIS), "{what}");
        return;
    }
    assert!(cancel.is_some(), "{what}: no one cancelled it");
    // A run that appeared after the cancel is shown once its end is recorded, which may be after this check.
    let shown = ended.panel.runs.len() as i64;
    assert!(events <= 1 && runs == events && (runs == shown || shown == 0 && ended.records == 0), "{what}");
    if ended.records > 0 {
        let sample = &world.samples[ended.asked.sample];
        let (end, steps): (i64, i64) = (row.get("end_byte"), row.get("steps"));
        let prefix = sample.prefix(ended.panel.counts()).unwrap();
        assert_eq!(usize::try_from(end), Ok(prefix), "{what}: not the end of its {steps} steps");
    }
}
