//! Checks everything after all disturbances.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use runboard::{
    app::sweep_stored_files,
    files::{Storage, UNNAMED_FOR},
    store::Store,
};

use super::{
    actor::{Asked, Shared},
    check_outputs,
    cluster::{Cluster, REPLICAS},
};
use crate::inngest_api::until;

pub async fn audit(cluster: &mut Cluster, shared: &Shared) {
    cluster.until_live(i64::try_from(REPLICAS).unwrap()).await;
    let nobody = || async {
        let left = cluster.rows.watched_by_nobody().await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    };
    until("each unfinished import to be watched", nobody).await;
    // An import is finished some seconds after its run.
    let unfinished = || async {
        match cluster.rows.count("import WHERE finished_at IS NULL").await {
            0 => Ok(()),
            left => Err(left),
        }
    };
    until("all imports to be finished", unfinished).await;
    assert_eq!(cluster.rows.without_one_run().await, Vec::<String>::new());

    let imports = imports(cluster, shared).await;
    for (import, asked) in &imports {
        let visitor = &shared.users[asked.user];
        let everywhere: Vec<usize> = (0..REPLICAS).collect();
        let panel = cluster.until_ended(&everywhere, visitor, import).await;
        check_outputs(visitor, import, &panel, &shared.samples[asked.sample]).await;
    }
    check_bucket(cluster, imports.len()).await;
}

/// The paths of all imports there are. Checks that each was asked for, and none that was answered is lost.
async fn imports(cluster: &Cluster, shared: &Shared) -> HashMap<String, Asked> {
    let asked = shared.asked.lock().unwrap().clone();
    let by_name: HashMap<&str, &Asked> = asked.iter().map(|asked| (&*asked.file_name, asked)).collect();
    let mut found = HashMap::new();
    for (id, name) in cluster.rows.imports().await {
        let asked = by_name.get(&*name).unwrap_or_else(|| panic!("nobody has asked for {id}, {name}"));
        let import = format!("/imports/{id}");
        assert!(asked.import.as_ref().is_none_or(|known| *known == import), "{import} and {asked:?}");
        found.insert(import, (*asked).clone());
    }
    let names: HashSet<&str> = found.values().map(|asked| &*asked.file_name).collect();
    assert_eq!(names.len(), found.len(), "no upload was imported twice");
    for asked in asked.iter().filter(|asked| asked.import.is_some()) {
        assert!(names.contains(&*asked.file_name), "{asked:?} was accepted, and is lost");
    }
    found
}

/// What kills have left in the bucket is deleted once it is old, and nothing else.
async fn check_bucket(cluster: &mut Cluster, imports: usize) {
    let (objects, unfinished) = (cluster.s3.names().await.len(), cluster.s3.unfinished_uploads().await);
    cluster.s3.age(UNNAMED_FOR + Duration::from_secs(60 * 60));
    let store = Store::open(&cluster.postgres.url).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::connect(&cluster.s3.config(), folder.path()).await.unwrap();
    sweep_stored_files(&storage, &store).await.unwrap();
    store.close().await;
    let left: HashSet<String> = cluster.s3.names().await.into_iter().collect();
    println!("{objects} objects and {unfinished} unfinished uploads, of which {} stay", left.len());
    assert_eq!(cluster.s3.unfinished_uploads().await, 0, "unfinished uploads");
    let in_folder = |folder: &str| -> HashSet<String> {
        left.iter().filter(|name| name.starts_with(folder)).cloned().collect()
    };
    let named: HashSet<String> =
        cluster.rows.step_files().await.into_iter().filter(|name| name.starts_with("runs/")).collect();
    assert_eq!(in_folder("runs/"), named);
    assert_eq!(in_folder("uploads/").len(), imports, "an upload of each import");
    assert_eq!(in_folder("incoming/"), HashSet::new());
}
