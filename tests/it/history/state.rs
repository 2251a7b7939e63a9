//! The history is filtered by the same state that pages show.

use runboard::{
    base::{
        ids::{ImportId, RunId, UserId},
        time::UnixMillis,
    },
    csv::{Choices, Counts},
    imports::Snapshot,
    inngest::{Run, RunStatus},
    store::{
        Store,
        delete::{Deletable, Deleted, Remains},
        history::{Between, Filter, Order, StateFilter},
        imports::ImportRow,
        record::{NewImport, Recording},
    },
};
use sqlx::AnyPool;

use crate::support::{
    import_row::{event_row, import_row},
    postgres::on_each_database,
};

#[tokio::test]
async fn a_state_follows_the_runs_there_and_back() {
    on_each_database(follows).await;
}

async fn follows(url: &str) {
    let store = Store::open(url).await.unwrap();
    let owner = UserId::generate();
    let pool = AnyPool::connect(url).await.unwrap();
    sqlx::query("INSERT INTO account (id, email, password_hash, created_at) VALUES ($1, 'a', '', 0)")
        .bind(owner.to_string())
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;

    let import = new_import(&store, owner).await;
    assert_eq!(stands(&store, import).await, []);
    record(&store, import, "one", RunStatus::Running, false, None).await;
    assert_eq!(stands(&store, import).await, []);
    record(&store, import, "one", RunStatus::Completed, true, Some((1, 0))).await;
    assert_eq!(stands(&store, import).await, [StateFilter::Completed]);
    // A run of a second function comes late.
    record(&store, import, "two", RunStatus::Running, false, None).await;
    assert_eq!(stands(&store, import).await, [], "back to life");
    record(&store, import, "two", RunStatus::Cancelled, true, Some((1, 2))).await;
    assert_eq!(stands(&store, import).await, [StateFilter::WithFailedRows, StateFilter::Cancelled]);
    record(&store, import, "three", RunStatus::Failed, true, None).await;
    assert_eq!(stands(&store, import).await, [StateFilter::WithFailedRows, StateFilter::Failed]);

    let other = new_import(&store, owner).await;
    record(&store, other, "four", RunStatus::Other("Overflowed".to_owned()), true, None).await;
    assert_eq!(stands(&store, other).await, [StateFilter::Skipped]);

    let untaken = new_import(&store, owner).await;
    store.event_sent(untaken, &untaken.to_string().into(), UnixMillis(3)).await.unwrap();
    assert_eq!(stands(&store, untaken).await, [], "a function may still come");
    let wish = store.finish_import(untaken, true, UnixMillis(9)).await.unwrap();
    assert!(!wish, "the watcher did not know of the request to cancel");
    assert!(store.finish_import(untaken, false, UnixMillis(9)).await.unwrap());
    assert_eq!(stands(&store, untaken).await, [StateFilter::NoFunction]);
    // Of two concurrent calls that reopen it, one succeeds.
    let both = [
        store.reopen_import(untaken, None).await.unwrap(),
        store.reopen_import(untaken, None).await.unwrap(),
    ];
    assert_eq!(both, [true, false]);
    assert!(!store.reopen_import(ImportId::generate(), None).await.unwrap(), "it was deleted meanwhile");
    assert_eq!(stands(&store, untaken).await, []);
    record(&store, untaken, "late", RunStatus::Completed, true, Some((1, 0))).await;
    assert_eq!(stands(&store, untaken).await, [StateFilter::Completed]);

    let lost = new_import(&store, owner).await;
    let (one, two) = ("lost", "beside");
    record(&store, lost, one, RunStatus::Running, false, None).await;
    record(&store, lost, two, RunStatus::Running, false, None).await;
    store.lose_run(lost, &RunId::from(one.to_owned()), UnixMillis(9)).await.unwrap();
    assert_eq!(stands(&store, lost).await, [], "the other run is unfinished");
    record(&store, lost, two, RunStatus::Completed, true, Some((1, 0))).await;
    assert_eq!(stands(&store, lost).await, [StateFilter::Lost]);
    record(&store, lost, one, RunStatus::Running, false, None).await;
    assert_eq!(stands(&store, lost).await, [], "the engine has reported it again");
    record(&store, lost, one, RunStatus::Completed, true, Some((1, 0))).await;
    assert_eq!(stands(&store, lost).await, [StateFilter::Completed]);

    let refused = new_import(&store, owner).await;
    store.event_refused(refused, "wrong event key", UnixMillis(9)).await.unwrap();
    assert_eq!(stands(&store, refused).await, [StateFilter::Failed]);

    let cancelled = new_import(&store, owner).await;
    store.request_cancel(cancelled, UnixMillis(9)).await.unwrap();
    assert_eq!(stands(&store, cancelled).await, [StateFilter::Cancelled]);
    record(&store, cancelled, "five", RunStatus::Running, false, None).await;
    assert_eq!(stands(&store, cancelled).await, []);
    record(&store, cancelled, "five", RunStatus::Completed, true, None).await;
    assert_eq!(
        stands(&store, cancelled).await,
        [StateFilter::Completed],
        "it ended before the request to cancel"
    );

    // A held import starts once, as it is to be read then.
    let row = ImportRow { held_until: Some(UnixMillis(20)), ..import_row(owner) };
    let held = row.id;
    assert_eq!(store.create_import(NewImport::new(&row)).await.unwrap(), Recording::Done);
    assert_eq!(stands(&store, held).await, [StateFilter::Held]);
    assert!(store.unfinished_imports().await.unwrap().iter().all(|import| import.id != held));
    assert_eq!(store.next_outbox(owner).await.unwrap().filter(|event| event.import == held), None);
    let mut choices = Choices::default();
    choices.set("delimiter", ";").unwrap();
    let event = event_row(&row);
    assert!(store.start_import(&event, &choices, None).await.unwrap());
    assert_eq!(stands(&store, held).await, []);
    assert!(store.has_started(held).await.unwrap());
    assert_eq!(store.choices_of_event(&row.event_id).await.unwrap(), choices);
    assert!(!store.start_import(&event, &Choices::default(), None).await.unwrap(), "it has started before");
    assert_eq!(store.choices_of_event(&row.event_id).await.unwrap(), choices);
    assert!(store.unfinished_imports().await.unwrap().iter().any(|import| import.id == held));

    // It is deleted after its time, unless it has started.
    let row = ImportRow { held_until: Some(UnixMillis(20)), ..import_row(owner) };
    let past = row.id;
    assert_eq!(store.create_import(NewImport::new(&row)).await.unwrap(), Recording::Done);
    assert!(!store.has_started(past).await.unwrap());
    assert_eq!(store.held_until(UnixMillis(19), 10).await.unwrap(), []);
    assert_eq!(store.held_until(UnixMillis(20), 10).await.unwrap(), [row]);
    for (import, time) in [(past, 19), (held, 20)] {
        let deleted = store.delete_import(import, Deletable::HeldUntil(UnixMillis(time))).await.unwrap();
        assert_eq!(deleted, Deleted::NotOver);
    }
    let deleted = store.delete_import(past, Deletable::HeldUntil(UnixMillis(20))).await.unwrap();
    assert_eq!(deleted, Deleted::Gone(Remains::default()));
    assert!(!store.has_started(past).await.unwrap(), "it is gone");
    assert!(
        !store
            .start_import(&event_row(&ImportRow { id: past, ..import_row(owner) }), &choices, None)
            .await
            .unwrap()
    );
    store.close().await;
}

/// The filters that accept an import. Also checks that pages show the same state.
async fn stands(store: &Store, import: ImportId) -> Vec<StateFilter> {
    let row = store.import(import).await.unwrap().unwrap();
    let owner = row.owner;
    let mut taken = Vec::new();
    for filter in [
        StateFilter::Completed,
        StateFilter::WithFailedRows,
        StateFilter::Failed,
        StateFilter::Cancelled,
        StateFilter::Skipped,
        StateFilter::NoFunction,
        StateFilter::Lost,
        StateFilter::Held,
    ] {
        let narrow = Filter::new(Some(filter), None, "");
        let rows =
            store.imports_of(owner, &narrow, Between::default(), Order::NewestFirst, 100).await.unwrap();
        let count = store.count_imports_of(owner, &narrow, Between::default(), 100).await.unwrap();
        assert_eq!(count, rows.len() as u64);
        if rows.iter().any(|row| row.id == import) {
            taken.push(filter);
        }
    }
    let shown = Snapshot::load(store, vec![row]).await.unwrap().remove(0).state();
    let state = taken.iter().find(|filter| **filter != StateFilter::WithFailedRows);
    let state = state.map(|state| format!("{state:?}"));
    assert_eq!(state, shown.is_final().then(|| shown.as_str().to_owned()));
    taken
}

async fn new_import(store: &Store, owner: UserId) -> ImportId {
    let row = import_row(owner);
    let event = event_row(&row);
    let new = NewImport { event: Some(&event), ..NewImport::new(&row) };
    assert_eq!(store.create_import(new).await.unwrap(), Recording::Done);
    row.id
}

async fn record(
    store: &Store,
    import: ImportId,
    run: &str,
    status: RunStatus,
    ended: bool,
    counts: Option<(u64, u64)>,
) {
    let run = Run {
        run_id: RunId::from(run.to_owned()),
        function_id: "f".to_owned(),
        function_name: None,
        event_id: "e".to_owned().into(),
        status,
        run_started_at: UnixMillis(4),
        ended_at: ended.then_some(UnixMillis(5)),
        output: None,
    };
    let counts = counts.map(|(processed, failed)| Counts { processed, failed });
    store.record_run(import, &run, counts, UnixMillis(6)).await.unwrap();
}
