//! `GET /api/v1/imports` and `GET /api/v1/imports/{id}`.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header::EntityTag, web};
use serde::{Deserialize, Serialize};

use super::{cursor::CursorsOf, held::add_reading, import_json::ImportJson, inputs, json, wait};
use crate::{
    base::time::UnixMillis,
    function::Previewer,
    http::{
        caller::{ApiImport, ApiPrincipal, ToRead},
        conditional,
        problem::Problem,
        query::QueryOf,
        upload::Uploads,
    },
    imports::{ImportState, Imports, ListFilter, Owned},
    report::{EngineName, ReportInputs},
    results::findings,
    store::Store,
};

/// The imports of a page, unless a program asks for another number, and the most.
const USUAL_PAGE: u32 = 50;
const MOST_ON_PAGE: u32 = 100;

/// Days of the years 9998 and 9999, which are no leap years.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Which imports, and where the page begins.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    state: Option<StateName>,
    /// Only imports that are over and have failed rows.
    failed: bool,
    /// Only imports received at or after this time (RFC 3339).
    #[param(format = DateTime, example = "2026-11-23T00:00:00Z")]
    since: Option<String>,
    /// Only imports received at or before this time (RFC 3339).
    #[param(format = DateTime, example = "2026-11-24T00:00:00Z")]
    until: Option<String>,
    /// Only imports with this text in their file's name, in any case.
    q: String,
    /// The `next` of the page before this one.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100, example = 50)]
    limit: Option<u32>,
}

/// The state of an import as programs write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[schema(as = State)]
pub enum StateName {
    Held,
    Accepted,
    Sent,
    NoFunction,
    Running,
    Lost,
    Completed,
    Failed,
    Cancelled,
    Skipped,
}

/// A page of imports, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ImportList {
    data: Vec<ImportJson>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}
/// Imports, newest first.
///
/// A search by name may return a page with fewer imports although there are more: next says so.
#[utoipa::path(
    get, path = "/imports", operation_id = "listImports", tag = "imports",
    params(ListQuery),
    responses((status = 200, description = "A page of imports, newest first.", body = ImportList)),
    security(("token" = ["read"]), ("session" = [])),
)]
pub async fn list(
    QueryOf { by: caller, value: query }: QueryOf<ApiPrincipal<ToRead>, ListQuery>,
    request: HttpRequest,
    imports: web::Data<Imports>,
    engine: web::Data<EngineName>,
) -> Result<HttpResponse, Problem> {
    let owner = caller.principal.user;
    let (filter, limit) = (query.filter()?, query.limit()?);
    let of_this = CursorsOf::list(owner, &query.names());
    let before = match &query.cursor {
        Some(cursor) => Some(of_this.place(cursor)?.parse().map_err(|_| super::cursor::wrong())?),
        None => None,
    };
    let page = imports.listed(owner, &filter, before, limit).await?;
    let inputs = inputs(&engine);
    let list = ImportList {
        data: page.imports.iter().map(|import| ImportJson::new(import, &inputs)).collect(),
        next: page.next.map(|before| of_this.cursor(&before.to_string())),
    };
    json(&request, &list)
}

/// What is asked of a single import.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShowQuery {
    /// Seconds to wait until the import is over, or has changed since `If-None-Match`. At most 60 count.
    #[param(minimum = 0, example = 30)]
    wait: Option<u64>,
}
/// An import, now or once it is over.
///
/// With wait, the answer comes when the import is over; with If-None-Match too, also when it has changed.
#[utoipa::path(
    get, path = "/imports/{id}", operation_id = "showImport", tag = "imports",
    params(("id" = String, Path, description = "The id of the import.", example = "01KBC8Z3V5F0M3E2J8W4R7T9QX"), ShowQuery, ("If-None-Match" = Option<String>, Header, description = "The ETag of the state that is known.")),
    responses((status = 200, description = "The import.", body = ImportJson)),
    security(("token" = ["read"]), ("session" = [])),
)]
pub async fn show(
    QueryOf { by: ApiImport { import, .. }, value: query }: QueryOf<ApiImport<ToRead>, ShowQuery>,
    request: HttpRequest,
    imports: web::Data<Imports>,
    (engine, store): (web::Data<EngineName>, web::Data<Store>),
    (uploads, previewer): (web::Data<Uploads>, web::Data<Previewer>),
) -> Result<HttpResponse, Problem> {
    let seconds = query.wait.unwrap_or(0);
    let import =
        wait::wait(import, &request, seconds, &imports, &engine, uploads.arriving.stopping()).await?;
    let inputs = inputs(&engine);
    let mut tag = wait::Tag::of(&import, &inputs)?;
    let mut told = Box::pin(whole(&import, &store, &inputs)).await?;
    let is_known = conditional::is_known(&request, &EntityTag::from(tag.clone()));
    if import.state() == ImportState::Held
        && !is_known
        && !Box::pin(add_reading(&mut told, &import, &imports, &previewer)).await?
    {
        tag = tag.of_part();
    }
    Ok(super::tagged(&request, tag.into(), serde_json::to_vec(&told)?))
}

/// An import with everything that is known of it without a look at its file.
pub async fn whole(import: &Owned, store: &Store, inputs: &ReportInputs) -> Result<ImportJson, Problem> {
    let told = ImportJson::new(import, inputs);
    // While it runs, what it has read is in memory.
    let over = import.runs.iter().find(|run| run.is_ours() && import.state().is_final());
    match over {
        Some(run) => Ok(told.with_findings(&findings::of(store, &run.row.run_id).await?)),
        None => Ok(told.with_reading(import)),
    }
}

impl ListQuery {
    fn filter(&self) -> Result<ListFilter, Problem> {
        Ok(ListFilter {
            state: self.state.map(ImportState::from),
            has_failed_rows: self.failed,
            since: at("since", self.since.as_deref())?,
            until: at("until", self.until.as_deref())?,
            name: self.name()?,
        })
    }

    fn name(&self) -> Result<String, Problem> {
        if self.q.contains(char::is_control) {
            let sentence = "q is a part of a file's name, which has no control characters.";
            return Err(Problem::Malformed(sentence.to_owned()));
        }
        Ok(self.q.clone())
    }

    fn limit(&self) -> Result<u32, Problem> {
        match self.limit {
            None => Ok(USUAL_PAGE),
            Some(limit @ 1..=MOST_ON_PAGE) => Ok(limit),
            Some(_) => Err(Problem::Malformed(format!("limit is a number from 1 to {MOST_ON_PAGE}."))),
        }
    }

    /// What decides which imports the list has.
    fn names(&self) -> [&str; 6] {
        let state = self.state.map_or("", |state| ImportState::from(state).as_str());
        let failed = if self.failed { "failed" } else { "" };
        let since = self.since.as_deref().unwrap_or_default();
        let until = self.until.as_deref().unwrap_or_default();
        ["imports", state, failed, since, until, &self.q]
    }
}

/// A time in a query.
fn at(name: &str, text: Option<&str>) -> Result<Option<UnixMillis>, Problem> {
    let Some(text) = text else { return Ok(None) };
    // A plus sign that was not escaped arrives as a space.
    let text = text.replace(' ', "+");
    // The last hours of 9999, which programs send for no end, are later than what is parsed; a year earlier is not.
    let earlier = || text.strip_prefix("9999-").map(|rest| format!("9998-{rest}"));
    let time =
        UnixMillis::from_rfc3339(&text).or_else(|| Some(UnixMillis::from_rfc3339(&earlier()?)?.plus(YEAR)));
    let wrong = || format!("{name} is a time such as 2026-11-23T20:43:26Z (RFC 3339).");
    time.map(Some).ok_or_else(|| Problem::Malformed(wrong()))
}

impl From<StateName> for ImportState {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Held => Self::Held,
            StateName::Accepted => Self::Accepted,
            StateName::Sent => Self::Sent,
            StateName::NoFunction => Self::NoFunction,
            StateName::Running => Self::Running,
            StateName::Lost => Self::Lost,
            StateName::Completed => Self::Completed,
            StateName::Failed => Self::Failed,
            StateName::Cancelled => Self::Cancelled,
            StateName::Skipped => Self::Skipped,
        }
    }
}
