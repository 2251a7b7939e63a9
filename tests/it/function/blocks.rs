//! The blocks of a step that other threads read ahead.

use std::fmt::Write;

use runboard::{
    csv::{Note, Stretch, Stretches},
    function::{STEP_BYTES, Share, Slots},
    results::findings,
    store::steps::StepFiles,
};

use super::world::{World, run_id};

/// A file of some megabytes in which a block can end anywhere: inside quotes, behind quotes that are text, in a
/// record that is longer than a block, and among records that fail.
fn awkward() -> String {
    let mut file = "id,name,note\n".to_owned();
    for id in 0..120_000 {
        let _ = match id % 1_000 {
            1..100 if id % 7_000 < 1_000 => {
                writeln!(file, "{id},\"two\nlines\",\"a \"\"quoted\"\" word\r\n\"")
            }
            200 => writeln!(file, "{id},6\" pipe,x"),
            201 => writeln!(file, "{id},too few"),
            202 if id > 60_000 => writeln!(file, "\n{id},\"text\"after,x"),
            203 if id > 100_000 => writeln!(file, "{id},\"opens,x"),
            204 if id == 50_204 => writeln!(file, "{id},\"{}\",x", "long,\n".repeat(500_000)),
            205 if id == 80_205 => writeln!(file, "{id},{},x", "long".repeat(200_000)),
            206 if id == 90_206 => writeln!(file, "{}", "\n".repeat(100_000)),
            207..220 => writeln!(file, "\n\nTotal,{id},x"),
            _ => writeln!(file, "{id},a name of ordinary length,and a note"),
        };
    }
    // The last record looks like a total, and blocks without records follow.
    file + "Total,1,2\n" + &"\n".repeat(3 << 20)
}

#[actix_web::test]
async fn idle_workers_change_nothing_but_the_time() {
    let file = awkward();
    assert!(file.len() > 8 << 20, "{}", file.len());
    let world = World::new(STEP_BYTES).await;
    let file = world.upload(&file);
    let (names, with_help) = world.call_to_the_end("helped", &file).await;
    let world = world.restarted(|now| now.work = Slots::new(1, Share::All));
    let (_, alone) = world.call_to_the_end("alone", &file).await;
    assert_eq!(names, ["plan", "rows-1"]);
    assert_eq!(with_help.text, alone.text);
    for (name, part) in [
        ("processed", (|files| files.processed) as fn(StepFiles) -> Option<String>),
        ("failed", |files| files.failed),
        ("raw", |files| files.raw),
    ] {
        let (helped, alone) =
            (world.concatenated("helped", part).await, world.concatenated("alone", part).await);
        let differs = helped.lines().zip(alone.lines()).position(|(one, other)| one != other);
        assert_eq!((differs, helped.len()), (None, alone.len()), "{name}");
    }
    let store = &world.processor.store;
    let [helped, alone] = ["helped", "alone"].map(run_id);
    let rows = |stretches: Option<Stretches>| {
        let rows = |stretch: &Stretch| (stretch.rows, stretch.failed);
        stretches.map(|stretches| stretches.all().iter().map(rows).collect::<Vec<_>>())
    };
    let stretches = (store.stretches(&helped).await.unwrap(), store.stretches(&alone).await.unwrap());
    assert_eq!(rows(stretches.0), rows(stretches.1));
    let helped = findings::of(store, &helped).await.unwrap();
    let alone = findings::of(store, &alone).await.unwrap();
    assert_eq!(helped.reasons, alone.reasons);
    assert_eq!(helped.notes, alone.notes);
    assert_eq!(helped.notes.of(Note::TotalsRow).map(|noted| noted.count), Some(1));
}
