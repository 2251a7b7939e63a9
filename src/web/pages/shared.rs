//! `GET /shared/{token}`, its panel and its downloads: what a guest link shows of an import. Nothing here changes
//! anything.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use askama::Template;

use super::import::findings;
use crate::{
    accounts::Accounts,
    base::time::UnixMillis,
    files::Storage,
    http::{
        download::{self, Form},
        error::Error,
        guest::{NotShared, SharedImport},
        htmx, session,
    },
    imports::Snapshot,
    report::{
        ReportInputs,
        findings::FindingsSection,
        guest::{Audience, PageAt, for_guests},
        moment::Moment,
    },
    results::outputs::Which,
    store::Store,
    web::{
        poll_query::PollQuery,
        site::{self, Site},
        views::{Html, ImportPanel, render},
    },
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/shared.html")]
pub struct SharedPage<'a> {
    pub file_name: &'a str,
    /// When the link stops working.
    pub expires: Moment,
    pub panel: ImportPanel<'a>,
}

impl<'a> SharedPage<'a> {
    /// `shown` is what a guest may know of the import, and `at` the path of this page.
    #[must_use]
    pub fn new(
        shown: &'a Snapshot,
        inputs: &ReportInputs,
        pace: Duration,
        at: PageAt<'a>,
        expires_at: UnixMillis,
    ) -> Self {
        Self {
            file_name: shown.file_name(),
            expires: Moment::new(expires_at, inputs.now),
            panel: ImportPanel::for_guests(shown, inputs, pace, at).without_empty_plots(),
        }
    }

    fn sees_rows(&self) -> bool {
        self.panel.audience.sees_rows()
    }
}

pub async fn show(
    shared: SharedImport,
    accounts: web::Data<Accounts>,
    store: web::Data<Store>,
    site: web::Data<Site>,
) -> Result<HttpResponse, NotShared> {
    accounts.guest_link_opened(&shared.token);
    let inputs = inputs(&shared, &site);
    let (shown, findings) = what_is_shown(&shared, &store).await?;
    let (token, pace) = (shared.token.expose(), site::pace([shown.state()]));
    let mut page = SharedPage::new(&shown, &inputs, pace, PageAt::Shared(&token), shared.grant.expires_at);
    page.panel.findings = findings;
    let body = render(&page).map_err(Error::from)?.html;
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(body))
}

/// `/shared/{token}/panel?version=`: only the panel, unless the page already shows this version. Read from memory
/// until nothing more is expected.
pub async fn panel(
    request: HttpRequest,
    shared: SharedImport,
    store: web::Data<Store>,
    site: web::Data<Site>,
) -> Result<HttpResponse, NotShared> {
    let token = shared.token.expose();
    let at = PageAt::Shared(&token);
    if !htmx::wants_fragment(&request) {
        return Ok(session::see_other(&at.to_string()));
    }
    // A version is a hash of the guest's text, and what that is made of follows from the whole import.
    let (current, as_of) = (&shared.import, shared.import.as_of());
    let version = PollQuery::of(&request).field("version").unwrap_or_default();
    if let Some(unchanged) = site.panels.unchanged(&version, current, as_of) {
        return Ok(unchanged);
    }
    let inputs = inputs(&shared, &site);
    let (shown, findings) = what_is_shown(&shared, &store).await?;
    let mut panel = ImportPanel::for_guests(&shown, &inputs, site::pace([shown.state()]), at);
    panel.findings = findings;
    Ok(site.panels.answer(&panel, &version, current, as_of).map_err(Error::from)?)
}

pub async fn processed(
    request: HttpRequest,
    shared: SharedImport,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, NotShared> {
    download(&request, &shared, Which::Processed, &store, &storage).await
}

pub async fn failed(
    request: HttpRequest,
    shared: SharedImport,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, NotShared> {
    download(&request, &shared, Which::Failed, &store, &storage).await
}

async fn download(
    request: &HttpRequest,
    shared: &SharedImport,
    which: Which,
    store: &Store,
    storage: &Storage,
) -> Result<HttpResponse, NotShared> {
    if !shared.grant.shows_rows {
        return Err(Error::NotFound.into());
    }
    // Its file's name must not be the host that it was fetched from.
    let import = for_guests(&shared.import, true);
    let wanted = (which, Form::asked_for(request));
    Ok(download::download(request, &import, wanted, store, storage).await?)
}

fn inputs(shared: &SharedImport, site: &Site) -> ReportInputs {
    let audience = Audience::Guest { sees_rows: shared.grant.shows_rows };
    ReportInputs { audience, ..site.report_inputs() }
}

/// What the guest may know of the import, and what was found in its file.
async fn what_is_shown(
    shared: &SharedImport,
    store: &Store,
) -> Result<(Snapshot, Option<FindingsSection>), Error> {
    let mut import = shared.import.clone();
    let found = findings(&mut import, store).await?.map(|found| found.section);
    let sees_rows = shared.grant.shows_rows;
    let found = if sees_rows { found } else { found.map(FindingsSection::without_values) };
    Ok((for_guests(&import, sees_rows), found))
}
