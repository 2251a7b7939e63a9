//! The findings about a file, as people read them.

use askama::Template;
use runboard::{
    csv::{Reason, Reasons},
    imports::Snapshot,
    inngest::RunStatus,
    report::{findings::FindingsSection, history::HistoryRow},
    results::findings,
    web::views::{Html, ImportPanel, LiveSection},
};

use super::{
    PACE, attribute, count, panel,
    snapshots::{counted, ended, report_inputs, run_row, running, with},
};

fn reason(column: Option<&str>, reason: &str, count: u64, line: u64, example: &str) -> Reason {
    let (column, reason) = (column.map(str::to_owned), reason.to_owned());
    Reason { column, reason, count, line, example: example.to_owned() }
}

fn html(reasons: Reasons, repeated: &[(&str, usize)]) -> String {
    let repeated_names = repeated.iter().map(|(name, columns)| ((*name).to_owned(), *columns)).collect();
    let findings = findings::Findings { reasons, repeated_names, ..findings::Findings::default() };
    let findings = FindingsSection::new(&findings);
    let notes = findings.notes.as_ref().map(|notes| notes.html().render().unwrap());
    notes.unwrap_or_default() + &findings.html().render().unwrap()
}

/// The readable text: without markup, in one line.
fn text(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        text.push(' ');
        text.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn failures_are_grouped_the_largest_first_with_the_first_example_of_each() {
    let groups = vec![
        reason(Some("country"), "not valid UTF-8", 3, 402_118, "\u{fffd}"),
        reason(None, "8 fields, expected 7", 1_231, 51_330, "7832530,Bauer,…"),
        reason(Some(""), "contains a NUL byte", 118, 8_412, "a␀␉b"),
        reason(Some("note"), "closing quote missing", 1, 999_999, ""),
    ];
    let html = html(Reasons { groups, other: 0 }, &[]);
    assert_eq!(
        text(&html),
        "Why 1,353 rows failed 4 reasons Column Reason Rows First example \
         Whole row 8 fields, expected 7 1,231 line 51,330 7832530,Bauer,… \
         Unnamed column contains a NUL byte 118 line 8,412 a NUL TAB b \
         country not valid UTF-8 3 line 402,118 \u{fffd} \
         note closing quote missing 1 line 999,999 empty"
    );
    assert_eq!(attribute(&html, "id"), Some("reasons"));
    for width in ["100%", "9%", "3%"] {
        assert!(html.contains(&format!(r#"<rect width="{width}""#)), "{width} {html}");
    }
    // Forbidden characters are marked; a tab is only named.
    assert!(html.contains("a<mark>NUL</mark><span class=\"control\">TAB</span>b"), "{html}");
}

#[test]
fn what_was_not_kept_apart_is_counted_last() {
    let fields = |count| format!("{count} fields, expected 3");
    let groups = vec![reason(None, &fields(4), 2, 5, "x"), reason(None, &fields(5), 1, 6, "y")];
    let text = text(&html(Reasons { groups, other: 40 }, &[]));
    assert!(text.starts_with("Why 43 rows failed more than 2 reasons Column"), "{text}");
    assert!(text.ends_with("line 6 y – other reasons 40 listed in failed.csv"), "{text}");
}

#[test]
fn names_that_several_columns_have_are_told_in_a_sentence() {
    let note = |repeated: &[(&str, usize)]| text(&html(Reasons::default(), repeated));
    assert_eq!(note(&[]), "");
    for (repeated, sentence) in [
        (vec![("amount", 2)], "The header has two columns named amount . They are imported as they are."),
        (
            vec![("a", 2), ("", 12)],
            "The header has two columns named a and 12 columns without a name. They are imported as they are.",
        ),
        (
            vec![("a", 2), ("b", 3), ("c", 2), ("d", 2), ("e", 2)],
            "The header has two columns named a , three columns named b , two columns named c \
             and 2 more repeated names. They are imported as they are.",
        ),
    ] {
        assert_eq!(note(&repeated), format!("Notes about the file {sentence}"));
    }
}

#[test]
fn what_a_file_holds_is_never_markup() {
    let evil = "<script>alert(1)</script>";
    let groups = vec![reason(Some(evil), "not valid UTF-8", 1, 2, evil)];
    let html = html(Reasons { groups, other: 0 }, &[(evil, 2)]);
    assert!(!html.contains("<script>"), "{html}");
    assert_eq!(count(&html, "&#60;script&#62;"), 3, "{html}");
}

#[test]
fn failed_counts_lead_to_the_reasons_once_nothing_more_is_to_come() {
    let leads = |html: &str, id: &str| html.contains(&format!(r#"href="/imports/{id}#reasons""#));
    let live = |snapshot: &Snapshot| LiveSection::new([snapshot], &report_inputs(), PACE).render().unwrap();
    let done = with(ended(RunStatus::Completed));
    let id = done.row.id.to_string();
    assert!(leads(&panel(&done), &id));
    assert!(leads(&live(&done), &id) && live(&done).contains("See why"));
    assert!(HistoryRow::new(&done, &report_inputs()).runs[0].has_failed_rows);

    let foreign = run_row(ended(RunStatus::Completed), |row| row.execution = None);
    for without in [running(), counted(3, 0, ended(RunStatus::Completed)), foreign].map(with) {
        let id = without.row.id.to_string();
        assert!(!leads(&panel(&without), &id) && !leads(&live(&without), &id));
    }
}

#[test]
fn a_panel_holds_its_findings_between_the_run_and_the_timeline() {
    let snapshot = with(ended(RunStatus::Completed));
    let mut panel = ImportPanel::new(&snapshot, &report_inputs(), PACE);
    let groups = vec![reason(None, "1 field, expected 3", 412, 5, "x")];
    let found = findings::Findings { reasons: Reasons { groups, other: 0 }, ..findings::Findings::default() };
    panel.findings = Some(FindingsSection::new(&found));
    let html = panel.render().unwrap();
    let at = |needle: &str| html.find(needle).unwrap();
    assert!(at("data-run-id") < at("id=\"reasons\"") && at("id=\"reasons\"") < at("timeline-heading"));
    assert!(html.starts_with("<div") && html.ends_with("</div>"));
    assert_eq!(count(&html, "data-failed=\""), 1);
}
