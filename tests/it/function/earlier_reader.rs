//! A run whose plan an earlier version of the reader made, or a newer one.

use runboard::{
    base::time::UnixMillis,
    csv::{Counts, Cursor},
    store::steps::{Remarks, Step, StepFiles},
};
use serde_json::{Value, json};

use super::world::{Memo, SMALL_STEPS, World, call, run_id};

/// A file that the reader of version 1 reads differently: it did not know encodings, and left no row out.
fn file() -> Vec<u8> {
    let mut file = b"id;id,name\n".to_vec();
    for row in 0..200 {
        file.extend(format!("{row},name {row}\n,\n").bytes());
        if row % 50 == 7 {
            file.extend(b"1,Ren\xe9e\nid;id,name\n2,\"open\n");
            file.extend(b"\",3\n");
        }
    }
    file
}

/// The plan that version 1 stored for `file`.
fn plan(source: &str, size: usize) -> Value {
    json!({
        "source": source, "size": size,
        "layout": {
            "header": ["id;id", "name"], "start": { "byte": 11, "line": 2, "record": 0 },
            "is_failed_csv": false, "has_extra": false
        },
        "max_record_bytes": 1 << 20, "step_bytes": 1_000, "reader_version": 1
    })
}

#[actix_web::test]
async fn goes_on_with_the_reader_that_it_began_with() {
    let world = World::new(SMALL_STEPS).await;
    let file = file();
    let link = world.upload(&file);
    let store = &world.processor.store;
    // The upload's key is only in its link.
    let id = link.split("/files/").nth(1).unwrap().split('?').next().unwrap();
    let source = format!("uploads/{id}.csv");
    let step = Step {
        name: "plan".to_owned(),
        position: 0,
        result: plan(&source, file.len()).to_string(),
        counts: Counts::default(),
        end_byte: Cursor { byte: 11, line: 2, record: 0 }.byte,
        files: StepFiles::default(),
        stretches: None,
        started_at: UnixMillis(1),
        committed_at: UnixMillis(1),
    };
    store.commit_step(&run_id("r"), &step, &Remarks::default()).await.unwrap();
    let (mut memo, mut names) = (Memo::new(), Vec::new());
    let end = loop {
        let answer = world.call(&call("r", &link, &memo, 0)).await;
        if answer.status != 206 {
            break answer;
        }
        names.push(answer.remember(&mut memo));
    };
    assert_eq!(names[..3], ["plan", "rows-1", "rows-2"]);
    assert_eq!(end.text, r#"{"status":"success","processedItems":404,"failedItems":8}"#);

    let expected = |row: u32| {
        let odd = if row % 50 == 7 { "id;id,name\r\n" } else { "" };
        format!("{row},name {row}\r\n,\r\n{odd}")
    };
    let processed = world.concatenated("r", |files| files.processed).await;
    assert_eq!(processed, (0..200).map(expected).collect::<String>());
    let failed = world.concatenated("r", |files| files.failed).await;
    assert_eq!(failed.matches("not valid UTF-8,1,Ren\u{fffd}e,\r\n").count(), 4, "{failed}");
    assert_eq!(failed.matches("\"3 fields, expected 2\",2,\"open\n\",3\r\n").count(), 4, "{failed}");
    let steps = store.steps(&run_id("r")).await.unwrap();
    assert!(steps.iter().all(|step| step.files.source.is_none()), "nothing was decoded");
}

/// During a rolling restart a replica of the version before may get the call.
#[actix_web::test]
async fn a_run_that_a_newer_version_has_planned_waits_for_that_version_and_not_for_ever() {
    let world = World::new(SMALL_STEPS).await;
    let link = world.upload(b"a,b\n1,2\n");
    let planned = |committed_at| Step {
        name: "plan".to_owned(),
        position: 0,
        result: json!({ "reader_version": 1_000, "layout": "of a form that is not known here" }).to_string(),
        counts: Counts::default(),
        end_byte: 0,
        files: StepFiles::default(),
        stretches: None,
        started_at: UnixMillis(1),
        committed_at,
    };
    let store = &world.processor.store;
    for (run, at) in [("new", UnixMillis::now()), ("old", UnixMillis(1))] {
        store.commit_step(&run_id(run), &planned(at), &Remarks::default()).await.unwrap();
    }
    let memo = Memo::new();
    let answer = world.call(&call("new", &link, &memo, 0)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (206, "[]"),
        "called again, without the end of an attempt"
    );
    let answer = world.call(&call("new", &link, &memo, 1)).await;
    assert_eq!(answer.status, 500, "a retry follows: {}", answer.text);
    let answer = world.call(&call("old", &link, &memo, 0)).await;
    assert!(answer.text.contains("This run was started by another version of Runboard"), "{}", answer.text);
    assert_eq!(answer.status, 400);
}
