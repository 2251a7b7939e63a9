//! A `failed.csv` of ours is uploaded again, corrected or not.

use super::{ONLY_FAILED, completed, named_file, run_again, without_lines};
use crate::{
    another::{both_completed, completed_by_both, own_counts, spawn_app_with_another_function},
    support::spawn_app,
};

#[tokio::test]
async fn a_failed_csv_that_was_corrected_by_hand_works_as_it_is() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let given = "id,name,formula\n1,Ann,=1+1\n2,Bob,=2+2,surplus\n3,Cleo\n4,\"D\n\0\",+x\n";
    let parent = completed(&visitor, "orders.csv", given).await;
    let failed = String::from_utf8(visitor.download(&format!("{parent}/failed.csv")).await).unwrap();
    assert!(failed.contains("2,Bob,'=2+2,surplus\r\n"), "{failed}");

    let corrected = failed
        .replace("'=2+2,surplus\r\n", "'=2+2,\r\n")
        .replace("3,Cleo\r\n", "3,Cleo,c\r\n")
        .replace('\u{fffd}', "");
    assert_ne!(corrected, failed);
    let import = visitor.upload("orders-failed.csv", &corrected).await;
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (3, 0), "{corrected}");
    let processed = visitor.download(&format!("{import}/processed.csv")).await;
    let expected = "id,name,formula\r\n2,Bob,=2+2\r\n3,Cleo,c\r\n4,\"D\n\",+x\r\n";
    assert_eq!(String::from_utf8(processed).unwrap(), expected);
    app.stop().await;
}

#[tokio::test]
async fn a_failed_csv_that_nobody_corrected_fails_again_with_its_reasons() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let given = "id,name,formula\n1\n2,Bøb,=2+2,surplus\n3,Cl\u{fffd}o,c\n4,\"D\0\",+x\n";
    let given = given.replace('\u{fffd}', "\u{e9}").into_bytes();
    // One of the two bytes of é.
    let given: Vec<u8> = given.into_iter().filter(|byte| *byte != 0xa9).collect();
    let parent = completed(&visitor, "orders.csv", given).await;
    assert_eq!(visitor.panel(&parent).await.counts(), (0, 4));
    let failed = visitor.download(&format!("{parent}/failed.csv")).await;
    let import = completed(&visitor, "orders-failed.csv", failed.clone()).await;
    assert_eq!(visitor.panel(&import).await.counts(), (0, 4));
    let again = visitor.download(&format!("{import}/failed.csv")).await;
    let [first, again] = [failed, again].map(|file| without_lines(&String::from_utf8(file).unwrap()));
    assert_eq!(again, first);
    app.stop().await;
}

#[tokio::test]
async fn a_row_that_was_edited_and_is_still_wrong_tells_what_is_wrong_now() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let parent = completed(&visitor, "orders.csv", "id,name\n1\n2,b,c\n3\n").await;
    let failed = String::from_utf8(visitor.download(&format!("{parent}/failed.csv")).await).unwrap();
    let edited = failed.replace("expected 2\",1\r\n", "expected 2\",1,a,b\r\n");
    assert_ne!(edited, failed);
    let import = completed(&visitor, "orders-failed.csv", edited).await;
    assert_eq!(visitor.panel(&import).await.counts(), (0, 3));
    let again = String::from_utf8(visitor.download(&format!("{import}/failed.csv")).await).unwrap();
    for row in [
        "\"3 fields, expected 2\",1,a,b\r\n",
        "\"3 fields, expected 2\",2,b,c\r\n",
        "\"1 field, expected 2\",3\r\n",
    ] {
        assert!(again.contains(row), "{row} in {again}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_rows_of_a_failed_csv_that_fail_again_are_run_again_too() {
    let (app, _others) = spawn_app_with_another_function(|_| {}).await;
    let visitor = app.signed_in().await;
    let parent = completed_by_both(&visitor, "orders.csv", "a,b\n1\n2,2,'=2\n").await;
    let failed = String::from_utf8(visitor.download(&format!("{parent}/failed.csv")).await).unwrap();
    let half_corrected = failed.replace(",1\r\n", ",1,one\r\n");
    assert_ne!(half_corrected, failed);
    let import = completed_by_both(&visitor, "orders-failed.csv", &half_corrected).await;
    assert_eq!(own_counts(&visitor.panel(&import).await), (1, 1));

    let child = run_again(&visitor, &import, ONLY_FAILED).await;
    assert_eq!(own_counts(&both_completed(&visitor, &child).await), (0, 1));
    let lines: Vec<&str> = half_corrected.split_inclusive("\r\n").collect();
    assert_eq!(named_file(&app, &child).await.text().await.unwrap(), [lines[0], lines[2]].concat());
    let [first, again] = [&import, &child].map(|import| format!("{import}/failed.csv"));
    let [first, again] = [visitor.download(&first).await, visitor.download(&again).await]
        .map(|file| without_lines(&String::from_utf8(file).unwrap()));
    assert_eq!(again, first);
    app.stop().await;
}
