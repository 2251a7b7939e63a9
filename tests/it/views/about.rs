//! The lines below an import's name.

use std::sync::Arc;

use askama::Template;
use runboard::{csv::FirstRows, imports::RunSnapshot, inngest::RunStatus, web::views::LiveSection};

use super::{
    PACE, panel,
    snapshots::{at, reading, running, sent, with},
};

#[test]
fn a_file_is_said_to_be_read_once_it_is_and_by_whom() {
    let scheduled = RunSnapshot {
        status: RunStatus::Scheduled,
        call: None,
        counts: None,
        bytes: 0,
        function_name: None,
        ..running()
    };
    let foreign = RunSnapshot { function_name: Some("mail-the-buyer".to_owned()), ..scheduled.clone() };
    let unread = RunSnapshot { bytes: 0, counts: None, ..running() };
    let over = RunSnapshot { ended_at: Some(at("14:03:19")), status: RunStatus::Failed, ..unread.clone() };
    let first = FirstRows { is_failed_csv: true, ..FirstRows::default() };
    let corrected = RunSnapshot { first_rows: Some(Arc::new(first)), ..running() };
    for (snapshot, words) in [
        (sent(), "Not read yet"),
        (with(scheduled), "Not read yet"),
        (with(unread), "Not read yet"),
        // Also if its first rows were not kept.
        (with(running()), "Read as comma-separated UTF-8"),
        (with(foreign), "Read by other functions"),
        (with(over), "Not read"),
        (
            with(corrected),
            "Read as comma-separated UTF-8; recognised as failed rows of an earlier import, the columns that \
             Runboard added left out",
        ),
    ] {
        let html = panel(&snapshot);
        assert!(
            html.contains(&format!("<span>{words}</span><span class=\"size\">84.6 MB")),
            "{words}: {html}"
        );
        let card = LiveSection::new([&snapshot], &reading(), PACE).render().unwrap();
        let separator = if words.starts_with("Read as") { ", comma-separated" } else { "" };
        assert!(card.contains(&format!("<p class=\"hint\">84.6 MB{separator}</p>")), "{words}: {card}");
    }
}
