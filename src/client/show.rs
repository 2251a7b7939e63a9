//! `runboard show`.

use super::{
    ending::Ending,
    error::ClientError,
    login,
    printed::{self, plain},
    server::RemoteServer,
    told::{FirstRowsTold, ToldImport},
};
use crate::base::config::ShowArgs;

/// Prints what the page of an import says.
pub async fn show(args: &ShowArgs) -> Result<Ending, ClientError> {
    let server = login::connect(&args.import.server)?;
    let told = server.import(args.import.id).await?;
    if args.json {
        printed::line(&told.json())?;
    } else {
        lines(&told, &server).iter().try_for_each(|line| printed::line(&plain(line)))?;
    }
    Ok(Ending::Completed)
}

/// What the page of an import says, and what can be done with one that waits to be started.
pub fn lines(told: &ToldImport, server: &RemoteServer) -> Vec<String> {
    let import = &told.import;
    let mut lines = vec![import.file_name.clone(), import.state_line()];
    let (processed, failed) = import.counts();
    if let Some(processed) = processed {
        lines.push(format!("Rows: {processed} processed, {} failed", failed.unwrap_or(0)));
    }
    if let Some(reading) = &import.reading {
        lines.push(format!("Reading: {}", reading.text));
    }
    if let Some(first) = &import.first_rows {
        lines.extend(first_rows(first));
    }
    if let Some(from) = &import.source_url {
        lines.push(format!("From: {from}"));
    }
    if let Some(parent) = &import.parent_id {
        lines.push(format!("Re-run of: {parent}"));
    }
    lines.push(format!("Received: {}", moment(&import.received_at)));
    if let Some(finished) = &import.finished_at {
        lines.push(format!("Ended: {}", moment(finished)));
    }
    lines.push(format!("Page: {}", server.page(told.id)));
    if import.is_held() {
        lines.push(format!("To import it: runboard start {}", told.id));
        lines.push(format!("To discard it: runboard delete {}", told.id));
    }
    let failures = import.failures.as_deref().unwrap_or_default();
    if !failures.is_empty() {
        lines.push("Failed rows:".to_owned());
    }
    for failure in failures {
        let column = failure.column.as_ref().map(|column| format!("{column}: ")).unwrap_or_default();
        let (count, reason, line) = (failure.count, &failure.reason, failure.first_line);
        lines.push(format!("  {count} x {column}{reason}, first in line {line}: {}", failure.example));
    }
    lines
}

/// The header and the first rows, a line for each.
fn first_rows(first: &FirstRowsTold) -> impl Iterator<Item = String> {
    let more = match first.columns.saturating_sub(first.header.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let header = format!("  columns: {}{more}", first.header.join(" | "));
    let rows = first.rows.iter().map(|row| {
        let why = row.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("  line {}: {}{why}", row.line, row.fields.join(" | "))
    });
    ["First rows:".to_owned(), header].into_iter().chain(rows)
}

/// A time of the API for people: `2026-11-23 20:43:26 UTC`.
pub fn moment(time: &str) -> String {
    let plain_time = plain(time);
    match (plain_time.get(..19), plain_time.ends_with('Z')) {
        (Some(front), true) => format!("{} UTC", front.replacen('T', " ", 1)),
        _ => plain_time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_to_the_second() {
        assert_eq!(moment("2026-11-23T20:43:26.599Z"), "2026-11-23 20:43:26 UTC");
        assert_eq!(moment("soon"), "soon");
    }
}
