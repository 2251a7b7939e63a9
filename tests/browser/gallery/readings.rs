//! The page of an import with what is said of its reading, and with the form that changes it.

use std::sync::Arc;

use askama::Template;
use runboard::{
    csv::{
        ChoiceError, Delimiter, Dialect, FirstRows, How, Notes, Part, ReadAs, Reasons, Sheet, SheetName,
        SheetRead, Sheets,
    },
    http::reading_fields::{ReadingFields, RefusedField},
    imports::{RunReading, RunSnapshot, Snapshot},
    inngest::{RunOutput, RunStatus},
    report::{findings::FindingsSection, preview::PreviewReport},
    results::findings,
    web::{pages::ImportPage, views::ChangeForm},
};
use serde_json::json;

use super::{
    PACE, Page,
    imports::{completed, first_rows, sent, stretches, with},
    snapshots::{at, counted, ended, frame, import_row, report_inputs, run_row},
};

/// Guesses, a header further down, and columns that were left out.
fn guessed() -> ReadAs {
    let reading = json!({
        "delimiter": { "value": ";", "how": "certain" },
        "encoding": { "value": "windows-1252", "how": "guess" },
        "quote": { "value": "double", "how": "certain" },
        "escape": { "value": "doubled", "how": "certain" },
        "header": { "value": { "line": 6 }, "how": "guess" },
        "header_rows": { "value": 1, "how": "certain" },
        "notes": {
            "linesAboveHeader": { "count": 5, "firstLine": 1 },
            "emptyColumns": { "count": 2, "firstLine": 6 },
        },
    });
    ReadAs { reading: serde_json::from_value(reading).unwrap(), dialect: Dialect::plain(), sheet: None }
}

/// The first rows below a header in line 6.
fn rows_below() -> FirstRows {
    let mut first = first_rows();
    first.header_line = 6;
    for row in &mut first.rows {
        row.line += 5;
    }
    first
}

fn read_as_guessed(run: RunSnapshot) -> Snapshot {
    let committed = RunReading {
        stretches: Some(Arc::new(stretches(&run))),
        first_rows: Some(Arc::new(rows_below())),
        read_as: Some(Arc::new(guessed())),
    };
    with(RunSnapshot { committed, ..run })
}

fn notes() -> FindingsSection {
    let notes: Notes = serde_json::from_value(json!({
        "emptyRows": { "count": 3, "firstLine": 1_204 },
        "quotesInside": { "count": 1, "firstLine": 20_077 },
        "quotesAsText": { "count": 1, "firstLine": 51_330 },
    }))
    .unwrap();
    FindingsSection::new(&findings::Findings {
        notes,
        reasons: Reasons::default(),
        ..findings::Findings::default()
    })
}

fn page<'a>(name: &'static str, snapshot: &'a Snapshot, change: impl FnOnce(&mut ImportPage<'a>)) -> Page {
    let mut page = ImportPage::new(frame(), snapshot, &report_inputs(), PACE);
    change(&mut page);
    Page::new(name, page.render().unwrap())
}

fn form<'p, 'a>(page: &'p mut ImportPage<'a>) -> &'p mut ChangeForm<'a> {
    page.panel.change.as_mut().expect("the form is offered")
}

/// No table was found in the text of the file.
fn no_table() -> RunSnapshot {
    let message = "No table was found. If this is a CSV, say how it is read.";
    let output = json!({ "name": "NonRetriableError", "message": message, "sameAgain": true });
    run_row(counted(0, 0, ended(RunStatus::Failed)), |row| {
        row.output = Some(RunOutput::of(&output, &RunStatus::Failed));
        row.bytes = 0;
    })
}

fn held() -> Snapshot {
    import_row(sent(), |row| {
        row.sent_at = None;
        row.held_until = Some(at("14:03:04").plus(runboard::imports::HELD_FOR));
    })
}

/// The sheets of a workbook, more than are listed.
fn sheets() -> Sheets {
    let sheet = |name: &str, is_hidden, has_rows| Sheet { name: SheetName::new(name), is_hidden, has_rows };
    let listed = vec![
        sheet("Cover", false, Some(false)),
        sheet("Orders", false, Some(true)),
        sheet("Customers and suppliers by region, with all of their addresses", false, Some(true)),
        sheet("Lists", true, Some(true)),
    ];
    Sheets { listed, more: 120 }
}

fn of_workbook() -> ReadAs {
    let read = SheetRead { name: SheetName::new("Orders"), how: How::Certain, sheets: sheets() };
    let mut read_as = guessed();
    read_as.reading.delimiter = Part::certain(Delimiter::COMMA);
    read_as.sheet = Some(read);
    read_as
}

pub fn pages() -> Vec<Page> {
    let book = of_workbook();
    let book_rows = rows_below();
    let of_book = || PreviewReport::new(&book, &book_rows);
    let mut done_book = read_as_guessed(completed());
    done_book.runs[0].committed.read_as = Some(Arc::new(of_workbook()));
    let (read_as, rows) = (guessed(), rows_below());
    let preview = || PreviewReport::new(&read_as, &rows);
    let (done, held, no_table) = (read_as_guessed(completed()), held(), with(no_table()));
    let sent = |query: &[u8]| ReadingFields::read(query);
    vec![
        page("import-read-with-notes", &done, |page| page.panel.findings = Some(notes())),
        page("import-change", &done, |page| {
            let query = b"delimiter=semicolon&encoding=detect&header=&header=12";
            form(page).show(&sent(query), None, Some(preview()));
        }),
        page("import-change-refused", &done, |page| {
            let query = b"delimiter=detect&delimiter=%22&encoding=windows-1251";
            let refused = RefusedField { field: "delimiter", error: ChoiceError::Delimiter };
            form(page).show(&sent(query), Some(refused), None);
        }),
        page("import-held", &held, |page| {
            form(page).show(&sent(b""), None, Some(preview()));
        }),
        page("import-held-without-a-table", &held, |page| {
            let preview =
                PreviewReport::unreadable("No table was found. If this is a CSV, say how it is read.");
            form(page).show(&sent(b""), None, Some(preview));
        }),
        page("import-no-table", &no_table, |_| {}),
        page("import-workbook-change", &done_book, |page| {
            form(page).offer_sheets(Some(sheets()));
            form(page).show(&sent(b"sheet=Lists"), None, Some(of_book()));
        }),
        page("import-workbook-held", &held, |page| {
            form(page).offer_sheets(Some(sheets()));
            form(page).show(&sent(b""), None, Some(of_book()));
        }),
        page("import-workbook-refused", &held, |page| {
            let why =
                "The workbook has no sheet \"March\". It has the sheets \"Cover\", \"Orders\" and 122 more.";
            let refused = RefusedField { field: "sheet", error: ChoiceError::Sheet(why.to_owned()) };
            form(page).offer_sheets(Some(sheets()));
            form(page).show(&sent(b"sheet=detect&sheet=March"), Some(refused), None);
        }),
    ]
}
