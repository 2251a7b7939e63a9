//! The dashboard, from empty to full.

use askama::Template;
use runboard::{
    base::time::UnixMillis,
    csv::Choices,
    imports::{Count, OutageCause, Snapshot},
    inngest::RunStatus,
    report::{history::HistoryRow, moment::Moment},
    store::imports::{Relative, RetryOf},
    web::{
        pages::DashboardPage,
        views::{Choice, DropZone, HistoryFilter, HistorySection, ImportForm, LiveSection, RefusedForm},
    },
};

use super::{
    PACE, Page, Prepare,
    imports::{completed, failed, fan_out, from_an_address, id, millions, sent, with},
    snapshots::{
        at, counted, ended, frame, import_row, report_inputs, retrying_at, run_row, running, silent,
    },
};

/// The upload limit.
pub const LIMIT: u64 = 10 << 30;

/// The rows of one page of the history.
const ROWS: u64 = 50;

fn dashboard<'a>(
    refused: Option<RefusedForm>,
    live: &'a [Snapshot],
    history: &'a [Snapshot],
) -> DashboardPage<'a> {
    let rows = history.iter().map(|import| HistoryRow::new(import, &report_inputs())).collect();
    let is_full = history.len() as u64 == ROWS;
    DashboardPage {
        frame: frame(),
        deleted: None,
        drop_zone: DropZone { max_bytes: LIMIT, refused },
        live: LiveSection::new(live, &report_inputs(), PACE),
        history: Some(HistorySection {
            rows,
            way_back: String::new(),
            filter: HistoryFilter {
                states: offer(&[
                    "Any status",
                    "Completed",
                    "With failed rows",
                    "Failed",
                    "Cancelled",
                    "Skipped",
                ]),
                times: offer(&["Any time", "Last 24 hours", "Last 7 days", "Last 30 days", "Last year"]),
                ..HistoryFilter::default()
            },
            total: Count::Exactly(if is_full { 214 } else { history.len() as u64 }),
            newer: 0,
            newer_page: None,
            searched_to: None,
            searches_newer: false,
            older_page: is_full.then(|| format!("/?before={}#history", id(100 + ROWS))),
        }),
    }
}

fn page(name: &'static str, refused: Option<RefusedForm>, live: &[Snapshot], history: &[Snapshot]) -> Page {
    Page::new(name, dashboard(refused, live, history).render().unwrap())
}

/// Imports were added elsewhere and are held back as news.
fn with_news(name: &'static str, mut page: DashboardPage<'_>) -> Page {
    page.live.news = vec![id(31), id(30)];
    page.live.is_first_visit = page.is_empty();
    Page::new(name, page.render().unwrap())
}

/// More imports are in progress than have a card.
fn with_more(name: &'static str, mut page: DashboardPage<'_>) -> Page {
    page.live = page.live.with_more(976, PACE);
    Page::new(name, page.render().unwrap())
}

/// The visitor has just deleted an import.
fn after_a_deletion(name: &'static str, history: &[Snapshot]) -> Page {
    let page = DashboardPage { deleted: Some("orders.csv".to_owned()), ..dashboard(None, &[], history) };
    Page::new(name, page.render().unwrap())
}

/// A search without a match, up to the time that it reached.
fn without_a_match(name: &'static str, searched_to: Option<Moment>) -> Page {
    let mut page = dashboard(None, &[], &[]);
    let history = page.history.as_mut().expect("it has a history");
    history.filter.name = "nothing-like-it".to_owned();
    history.filter.is_narrow = true;
    history.older_page = searched_to.as_ref().map(|_| "/?name=nothing-like-it&before=x#history".to_owned());
    history.searched_to = searched_to;
    Page::new(name, page.render().unwrap())
}

fn offer(labels: &[&'static str]) -> Vec<Choice> {
    labels.iter().map(|label| Choice { value: "", label, is_chosen: false }).collect()
}

/// Unfinished imports, each in another state.
fn going_on() -> Vec<Snapshot> {
    let number = |number, snapshot: Snapshot| import_row(snapshot, |row| row.id = id(number));
    vec![
        number(10, with(running())),
        number(11, from_an_address(with(retrying_at("14:05:10", "14:03:18")))),
        number(12, sent()),
        number(13, fan_out()),
        number(14, with(completed())),
        number(15, Snapshot { outage: silent("14:03:15", OutageCause::NoAnswer), ..with(running()) }),
        number(
            16,
            Snapshot { is_untaken: true, ..import_row(sent(), |row| row.sent_at = Some(at("14:02:50"))) },
        ),
        number(17, with(millions(running()))),
        number(18, with(millions(ended(RunStatus::Completed)))),
    ]
}

/// One import runs, and two were uploaded to be looked at first.
fn not_started() -> Vec<Snapshot> {
    let held = |number| {
        import_row(sent(), |row| {
            (row.id, row.sent_at, row.held_until) = (id(number), None, Some(at("14:05:00")));
        })
    };
    vec![held(20), held(21), import_row(with(running()), |row| row.id = id(10))]
}

/// Imports that are over, in mixed states, of today and earlier.
fn over() -> Vec<Snapshot> {
    let by_you = |snapshot| import_row(snapshot, |row| row.cancel_requested_at = Some(at("14:03:18")));
    let kinds: [(&str, Snapshot); 7] = [
        ("orders-2026-10.csv", with(completed())),
        ("airports.csv", with(counted(3_376, 0, ended(RunStatus::Completed)))),
        ("تقرير المبيعات (2026).csv", with(counted(48_112, 0, ended(RunStatus::Completed)))),
        ("price-list.csv", {
            let parent = Relative {
                id: id(2),
                file_name: "price-list.csv".to_owned(),
                retry_of: RetryOf::All,
                choices: Choices::default(),
            };
            import_row(with(failed()), |row| row.parent = Some(parent))
        }),
        ("newsletter-contacts.csv", by_you(with(counted(250_000, 37, ended(RunStatus::Cancelled))))),
        ("stock-levels.csv", import_row(sent(), |row| row.refused = Some("wrong event key".to_owned()))),
        ("a-name-that-somebody-thought-would-never-be-shown-anywhere-2026-11-23-final-2.csv", {
            let other = run_row(failed(), |row| row.run_id = "01M852CE07000000000000001".to_owned().into());
            Snapshot { runs: vec![ended(RunStatus::Completed), other], ..sent() }
        }),
    ];
    (0..ROWS)
        .map(|place| {
            let (name, snapshot) = &kinds[place as usize % kinds.len()];
            import_row(snapshot.clone(), |row| {
                row.id = id(101 + place);
                row.file_name = (*name).to_owned();
                row.received_at = UnixMillis(row.received_at.0 - place as i64 * 45 * 60_000);
            })
        })
        .collect()
}

pub fn pages() -> Vec<Page> {
    let over = over();
    let few = &over[..7];
    let refused = RefusedForm {
        form: ImportForm::Address,
        error: "Only http and https addresses can be imported, not ftp.".to_owned(),
        each: Vec::new(),
        imported: None,
        address: "ftp://files.northwind.example/prices.csv".to_owned(),
        looks: false,
    };
    let too_large = RefusedForm {
        form: ImportForm::File,
        error: "The upload is larger than 10 GiB, the limit here. Split it and import the parts.".to_owned(),
        address: String::new(),
        ..refused.clone()
    };
    let several = RefusedForm {
        error: "2 of 4 files were not imported.".to_owned(),
        each: vec![
            "book.xlsx is an Excel workbook, not a CSV. Save or export it as CSV and try again.".to_owned(),
            "empty.csv is empty (0 bytes). Choose a file with a header and rows.".to_owned(),
        ],
        imported: Some("Imported: good.csv, fine.csv.".to_owned()),
        ..too_large.clone()
    };
    let prepared = |name, prepare| Page { prepare: Some(prepare), ..page(name, None, &[], few) };
    vec![
        page("dashboard-empty", None, &[], &[]),
        page("dashboard-busy", None, &going_on(), &over),
        page("dashboard-not-started", None, &not_started(), few),
        page("dashboard-refused-address", Some(refused), &[], few),
        page("dashboard-file-refused", Some(too_large), &[], few),
        page("dashboard-files-refused", Some(several), &[], few),
        with_more("dashboard-many", dashboard(None, &going_on()[..3], few)),
        with_news("dashboard-news", dashboard(None, &going_on()[..2], few)),
        with_news("dashboard-first-news", dashboard(None, &[], &[])),
        after_a_deletion("dashboard-after-deletion", few),
        without_a_match("dashboard-no-match", None),
        without_a_match("dashboard-searched-far", Some(Moment::new(at("14:02:50"), report_inputs().now))),
        prepared("dashboard-file-too-large", Prepare::TooLarge),
        prepared("dashboard-held", Prepare::HeldOver),
        prepared("dashboard-receiving", Prepare::Sending),
    ]
}
