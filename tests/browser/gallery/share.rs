//! The page on which an import is shared, and the page of a guest.

use askama::Template;
use runboard::{
    http::LinkOverPage,
    imports::Snapshot,
    inngest::RunStatus,
    report::{
        ReportInputs,
        findings::FindingsSection,
        guest::{Audience, PageAt, for_guests},
        moment::Moment,
    },
    web::pages::{FormError, SharePage, SharedPage, share::GuestLinkLine},
};

use super::{
    PACE, Page,
    imports::{as_read, completed, failed, fan_out, from_an_address, id, queued, reasons, sent, with},
    snapshots::{at, counted, ended, frame, import_row, report_inputs, retrying_at, running},
};

const TOKEN: &str = "qNnv4lXyOXbw-tIyINtVnA06r1Ym5DyGjiU1tCLVhQk";

fn shared(name: &'static str, snapshot: &Snapshot, sees_rows: bool, found: Option<FindingsSection>) -> Page {
    let inputs = ReportInputs { audience: Audience::Guest { sees_rows }, ..report_inputs() };
    let shown = for_guests(&as_read(snapshot), sees_rows);
    let mut page = SharedPage::new(&shown, &inputs, PACE, PageAt::Shared(TOKEN), at("23:00:00"));
    page.panel.findings = found.map(|found| if sees_rows { found } else { found.without_values() });
    Page::new(name, page.render().unwrap())
}

pub fn pages() -> Vec<Page> {
    let now = report_inputs().now;
    let share = SharePage::new(frame(), id(1), "orders-2026-11.csv");
    let line = |name: &str, shows_rows, opened: Option<&str>| GuestLinkLine {
        name: name.to_owned(),
        shows_rows,
        made: Moment::new(at("08:00:00"), now),
        expires: Moment::new(at("23:00:00"), now),
        last_opened: opened.map(|time| Moment::new(at(time), now)),
    };
    let several = SharePage {
        links: vec![
            line("0123456789abcdef", false, None),
            line("123456789abcdef0", true, Some("14:01:00")),
            line("23456789abcdef01", false, Some("09:41:10")),
        ],
        file_name: "a-very-long-name-of-a-file-that-somebody-has-exported-from-a-warehouse-2026-11.csv"
            .to_owned(),
        ..share.clone()
    };
    let ended_one = SharePage { has_ended: true, ..several.clone() };
    let made = SharePage {
        secret: Some(format!("https://runboard.example.org/shared/{TOKEN}")),
        links: vec![line("0123456789abcdef", false, None)],
        ..share.clone()
    };
    let made_without_address = SharePage { secret: Some(format!("/shared/{TOKEN}")), ..made.clone() };
    let refused = SharePage {
        shows_rows: true,
        error: Some(FormError::of_form(
            "This import has 20 links, the most that it can have. End one first.",
        )),
        ..several.clone()
    };
    let cancelled = import_row(with(counted(250_000, 0, ended(RunStatus::Cancelled))), |row| {
        row.cancel_requested_at = Some(at("14:03:18"));
    });
    let held = import_row(sent(), |row| row.held_until = Some(at("23:00:00")));
    vec![
        Page::new("share-no-links", share.render().unwrap()),
        Page::new("share-several-links", several.render().unwrap()),
        Page::new("share-ended-one", ended_one.render().unwrap()),
        Page::new("share-just-made", made.render().unwrap()),
        Page::new("share-just-made-without-address", made_without_address.render().unwrap()),
        Page::new("share-refused", refused.render().unwrap()),
        shared("shared-sent", &sent(), false, None),
        shared("shared-held", &held, true, None),
        shared("shared-queued", &with(queued()), false, None),
        shared("shared-running", &with(running()), false, None),
        shared("shared-running-with-rows", &with(running()), true, None),
        shared("shared-retrying", &with(retrying_at("14:05:10", "14:03:18")), false, None),
        shared("shared-fan-out", &fan_out(), false, None),
        shared("shared-completed-with-failures", &with(completed()), false, Some(reasons())),
        shared("shared-completed-with-rows", &with(completed()), true, Some(reasons())),
        shared("shared-failed", &from_an_address(with(failed())), true, None),
        shared("shared-cancelled", &cancelled, false, None),
        Page::new("shared-link-ended", LinkOverPage.render().unwrap()),
    ]
}
