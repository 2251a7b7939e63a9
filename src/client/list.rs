//! `runboard imports`.

use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    ending::Ending,
    error::ClientError,
    login,
    printed::{self, plain},
    show::moment,
    told::ToldImport,
};
use crate::base::config::ImportsArgs;

/// The most imports that the API gives at once.
const MOST_ON_PAGE: u32 = 100;

/// A page of the API's list.
#[derive(Deserialize)]
struct PageTold {
    data: Vec<Box<RawValue>>,
    next: Option<String>,
}

/// Prints imports as a table, newest first.
pub async fn list(args: &ImportsArgs) -> Result<Ending, ClientError> {
    let server = login::connect(&args.server)?;
    let filter = filter(args);
    let (mut left, mut cursor, mut imports) = (args.limit, None::<String>, Vec::new());
    loop {
        let limit = left.min(MOST_ON_PAGE).to_string();
        let place =
            cursor.iter().map(|cursor| ("cursor", cursor.as_str())).chain([("limit", limit.as_str())]);
        let query: Vec<(&str, &str)> =
            filter.iter().map(|(name, value)| (*name, value.as_str())).chain(place).collect();
        let answer = server.ask(|| server.request_with(Method::GET, "imports", &query)).await?;
        let page: PageTold = server.parse(&answer)?;
        for json in page.data.into_iter().take(left as usize) {
            let import = ToldImport::parse(json).ok_or_else(|| server.no_runboard())?;
            left -= 1;
            if args.json {
                printed::line(&import.json())?;
            } else {
                imports.push(import);
            }
        }
        cursor = page.next.filter(|_| left > 0);
        if cursor.is_none() {
            break;
        }
    }
    if !args.json {
        table(&imports)?;
    }
    Ok(Ending::Completed)
}

fn filter(args: &ImportsArgs) -> Vec<(&'static str, String)> {
    let of = |name, value: &Option<String>| value.clone().map(|value| (name, value));
    let time = |name, value: &Option<String>, clock: &str| {
        value
            .as_ref()
            .map(|time| (name, if is_date(time) { format!("{time}T{clock}Z") } else { time.clone() }))
    };
    let all = [
        of("state", &args.state),
        args.failed.then(|| ("failed", "true".to_owned())),
        time("since", &args.since, "00:00:00"),
        time("until", &args.until, "23:59:59.999"),
        of("q", &args.query),
    ];
    all.into_iter().flatten().collect()
}

/// Whether a time is a date alone, such as 2026-11-23.
fn is_date(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// The name is last, because it may be long.
fn table(imports: &[ToldImport]) -> Result<(), ClientError> {
    let head = ["ID", "RECEIVED", "STATE", "PROCESSED", "FAILED", "FILE"].map(str::to_owned);
    let row = |told: &ToldImport| {
        let import = &told.import;
        let (processed, failed) = import.counts();
        let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let (received, state) = (moment(&import.received_at), plain(&import.state));
        [told.id.to_string(), received, state, count(processed), count(failed), plain(&import.file_name)]
    };
    let rows: Vec<_> = std::iter::once(head).chain(imports.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4].map(width);
    for [id, received, state, processed, failed, name] in &rows {
        let [w0, w1, w2, w3, w4] = widths;
        printed::line(&format!(
            "{id:w0$}  {received:w1$}  {state:w2$}  {processed:>w3$}  {failed:>w4$}  {name}"
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_told_from_a_time() {
        assert!(is_date("2026-11-23"));
        for time in ["2026-11-23T08:00:00Z", "yesterday", "2026-11-2x", ""] {
            assert!(!is_date(time), "{time}");
        }
    }
}
