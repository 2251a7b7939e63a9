//! `GET /imports/{id}`, its panel, and its cancellation.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use askama::Template;
use serde::Deserialize;
use url::form_urlencoded;

use crate::{
    csv::{Choices, Sheets},
    function::Previewer,
    http::{
        error::Error,
        htmx,
        principal::OwnedImport,
        reading_fields::{ReadingFields, RefusedField},
        session,
    },
    imports::{ImportState, Imports, Owned, RunReading, RunSnapshot, Snapshot},
    report::{ReportInputs, actions::may_read_otherwise, chosen::is_read_so, findings::FindingsSection},
    results::findings,
    store::{Store, last_choices::HeaderHash},
    web::{
        pages::{history, sign_in::is_own_path},
        poll_query::PollQuery,
        rows::{self, Looked},
        site::{self, Site},
        views::{Frame, ImportPanel, LastTime, render},
    },
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/import.html")]
pub struct ImportPage<'a> {
    pub frame: Frame,
    pub file_name: &'a str,
    /// The part of the history that led here.
    pub way_back: String,
    pub panel: ImportPanel<'a>,
}

impl<'a> ImportPage<'a> {
    /// `pace` is how long a browser waits before it requests the panel again.
    #[must_use]
    pub fn new(frame: Frame, snapshot: &'a Snapshot, inputs: &ReportInputs, pace: Duration) -> Self {
        Self {
            frame,
            file_name: snapshot.file_name(),
            way_back: "/".to_owned(),
            panel: ImportPanel::new(snapshot, inputs, pace).without_empty_plots(),
        }
    }
}

/// `?from=` of an import's pages: the query of the dashboard that led here.
#[derive(Deserialize)]
pub struct From {
    #[serde(default)]
    from: String,
}

impl From {
    #[must_use]
    pub fn history(&self) -> history::HistoryQuery {
        history::HistoryQuery::read(&self.from)
    }
}

/// `/imports/{id}?from=&change=`: `change`, or a field of a reading, unfolds the form that changes how the file is
/// read, with its first rows.
pub async fn show(
    request: HttpRequest,
    OwnedImport { principal, import: owned }: OwnedImport,
    from: web::Query<From>,
    (imports, previewer): (web::Data<Imports>, web::Data<Previewer>),
    store: web::Data<Store>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let query = request.query_string();
    let sent = ReadingFields::read(query.as_bytes());
    let looks = owned.state() == ImportState::Held || !sent.is_empty() || has_field(query, "change");
    // The page is of use without the first rows.
    let looked = match looks.then_some(rows::look(&owned, &sent, &imports, &previewer)) {
        None => None,
        Some(looking) => {
            Some(looking.await.unwrap_or_else(|error| Looked::Nothing(error.info().sentence.into())))
        }
    };
    let mut import = Snapshot::clone(&owned);
    let inputs = site.report_inputs();
    let found = findings(&mut import, &store).await?;
    let sheets = match looked.as_ref().and_then(Looked::sheets) {
        Some(sheets) => Some(sheets.clone()),
        None => sheets(&owned, &import, &imports, &previewer).await?,
    };
    let mut page = ImportPage::new(site.frame(&principal), &import, &inputs, site::pace([import.state()]));
    let history = from.history();
    page.way_back = history.path();
    page.panel.way_back = history.way_back();
    let header = match &looked {
        Some(looked) if import.state() == ImportState::Held => looked.header(),
        _ => found.as_ref().and_then(|found| found.header.as_ref()),
    };
    page.panel.last_time = last_time(&imports, &import, header, sheets.as_ref()).await?;
    page.panel.findings = found.map(|found| found.section);
    if let Some(form) = &mut page.panel.change {
        form.from.clone_from(&from.from);
        form.offer_sheets(sheets);
        if let Some(looked) = &looked {
            form.show(&sent, looked.refused(), Some(looked.report()));
        }
    }
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(render(&page)?.html))
}

/// Whether a query has a field of this name.
fn has_field(query: &str, field: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == field)
}

/// The import's page after the form that changes how its file is read was refused, which shows `sent` again.
pub async fn refused(
    OwnedImport { principal, import: owned }: OwnedImport,
    sent: &ReadingFields,
    refused: RefusedField,
    (imports, previewer): (&Imports, &Previewer),
    store: &Store,
    site: &Site,
) -> Result<HttpResponse, Error> {
    let mut import = Snapshot::clone(&owned);
    let inputs = site.report_inputs();
    let found = findings(&mut import, store).await?;
    let sheets = sheets(&owned, &import, imports, previewer).await?;
    let mut page = ImportPage::new(site.frame(&principal), &import, &inputs, site::pace([import.state()]));
    page.panel.findings = found.map(|found| found.section);
    if let Some(form) = &mut page.panel.change {
        form.offer_sheets(sheets);
        form.show(sent, Some(refused), None);
    }
    let body = render(&page)?.html;
    Ok(HttpResponse::UnprocessableEntity().content_type(ContentType::html()).body(body))
}

/// `/imports/{id}/panel?version=&from=`: only the panel, unless the page already shows this version. Read from
/// memory until nothing more is expected.
pub async fn panel(
    request: HttpRequest,
    OwnedImport { import: owned, .. }: OwnedImport,
    (imports, previewer): (web::Data<Imports>, web::Data<Previewer>),
    store: web::Data<Store>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let current: &Snapshot = &owned;
    if !htmx::wants_fragment(&request) {
        return Ok(session::see_other(&format!("/imports/{}", current.row.id)));
    }
    let as_of = current.as_of();
    let query = PollQuery::of(&request);
    let version = query.field("version").unwrap_or_default();
    if let Some(unchanged) = site.panels.unchanged(&version, current, as_of) {
        return Ok(unchanged);
    }
    let mut import = current.clone();
    let inputs = site.report_inputs();
    let found = findings(&mut import, &store).await?;
    let sheets = sheets(&owned, &import, &imports, &previewer).await?;
    let mut panel = ImportPanel::new(&import, &inputs, site::pace([import.state()]));
    let header = found.as_ref().and_then(|found| found.header.as_ref());
    panel.last_time = last_time(&imports, &import, header, sheets.as_ref()).await?;
    if let Some(form) = &mut panel.change {
        form.offer_sheets(sheets);
    }
    panel.findings = found.map(|found| found.section);
    panel.way_back = history::HistoryQuery::read(&query.field("from").unwrap_or_default()).way_back();
    Ok(site.panels.answer(&panel, &version, current, as_of)?)
}

/// The form of [`cancel`].
#[derive(Deserialize)]
pub struct CancelForm {
    /// The next page, if it is not the import's.
    next: Option<String>,
}

pub async fn cancel(
    request: HttpRequest,
    OwnedImport { import, .. }: OwnedImport,
    form: Option<web::Form<CancelForm>>,
    imports: web::Data<Imports>,
) -> Result<HttpResponse, Error> {
    imports.cancel(&import).await?;
    if htmx::wants_fragment(&request) {
        // The page stays, and its next poll shows the result.
        return Ok(HttpResponse::NoContent().finish());
    }
    let next = form.and_then(|form| form.into_inner().next).filter(|path| is_own_path(path));
    Ok(session::see_other(&next.unwrap_or_else(|| format!("/imports/{}", import.row.id))))
}

/// What our own function found in a file.
pub(super) struct FoundInFile {
    pub(super) section: FindingsSection,
    header: Option<HeaderHash>,
}

/// What our own function found in the file of an import that is over. Also adds what its runs have read to
/// `import`. Only the last poll of a page needs this; the many polls before it do not use the database.
pub(super) async fn findings(import: &mut Snapshot, store: &Store) -> Result<Option<FoundInFile>, Error> {
    if !import.state().is_final() {
        return Ok(None);
    }
    let mut first = None;
    for run in import.runs.iter_mut().filter(|run| run.is_ours()) {
        let mut found = findings::of(store, &run.row.run_id).await?;
        run.committed = RunReading {
            stretches: found.stretches.take().map(Arc::new),
            first_rows: found.first_rows.take().map(Arc::new),
            read_as: found.read_as.take().map(Arc::new),
        };
        first.get_or_insert(found);
    }
    Ok(first.map(|found| FoundInFile { section: FindingsSection::new(&found), header: found.header }))
}

/// The sheets that the form offers. Those of a workbook that was read are known; a file that is not read yet, or could
/// not be, is looked at.
async fn sheets(
    owned: &Owned,
    import: &Snapshot,
    imports: &Imports,
    previewer: &Previewer,
) -> Result<Option<Sheets>, Error> {
    if let Some(read_as) = import.runs.iter().find_map(RunSnapshot::read_as) {
        return Ok(read_as.sheet.as_ref().map(|sheet| sheet.sheets.clone()));
    }
    if !may_read_otherwise(import, import.state()) {
        return Ok(None);
    }
    rows::sheets(owned, imports, previewer).await
}

/// What the owner chose last for a file with this header, unless the file is read so anyway, or has no such sheet.
async fn last_time(
    imports: &Imports,
    import: &Snapshot,
    header: Option<&HeaderHash>,
    sheets: Option<&Sheets>,
) -> Result<Option<LastTime>, Error> {
    let Some(header) = header.filter(|_| may_read_otherwise(import, import.state())) else { return Ok(None) };
    let choices = imports.as_last_time(import, header).await?;
    let read_as = import.runs.iter().find_map(RunSnapshot::read_as);
    let is_news = |choices: &Choices| !read_as.is_some_and(|read_as| is_read_so(read_as, choices));
    let has_sheet = |choices: &Choices| {
        choices.sheet.as_ref().is_none_or(|name| sheets.is_some_and(|sheets| sheets.find(name).is_some()))
    };
    Ok(choices.filter(is_news).filter(has_sheet).map(|choices| LastTime::new(import, &choices)))
}
