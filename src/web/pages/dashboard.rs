//! `GET /`, `GET /live`, `GET, POST /imports`: the upload form, the imports in progress, and the history.

use actix_multipart::Multipart;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
    web,
};
use askama::Template;

use crate::{
    base::ids::ImportId,
    http::{
        error::Error,
        htmx,
        origin::PublicOrigin,
        principal::Principal,
        session,
        upload::{Refused, Uploads},
    },
    imports::{Imports, InProgress, Seen, Snapshot},
    web::{
        flash::{self, Flash},
        pages::history,
        poll_query::PollQuery,
        site::{self, Site},
        views::{DropZone, Frame, HistorySection, Html, LiveSection, RefusedForm, render},
    },
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/dashboard.html")]
pub struct DashboardPage<'a> {
    pub frame: Frame,
    /// The name of the file whose import the visitor has just deleted.
    pub deleted: Option<String>,
    pub drop_zone: DropZone,
    pub live: LiveSection<'a>,
    /// None if the database does not answer.
    pub history: Option<HistorySection<'a>>,
}

impl DashboardPage<'_> {
    /// Whether the user has never imported anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.cards.is_empty() && self.history.as_ref().is_some_and(HistorySection::is_empty)
    }
}

pub async fn show(
    request: HttpRequest,
    user: Principal,
    imports: web::Data<Imports>,
    site: web::Data<Site>,
    origin: web::Data<PublicOrigin>,
    query: web::Query<history::HistoryQuery>,
) -> Result<HttpResponse, Error> {
    if history::HistoryQuery::has_empty_fields(request.query_string()) {
        return Ok(session::see_other(&query.section_path()));
    }
    let told = flash::read(&request).map(Told::from).unwrap_or_default();
    let mut response = page(&user, &imports, &site, &query, StatusCode::OK, told).await?;
    flash::take_back(&request, &mut response, &origin);
    Ok(response)
}

/// The address bar has this path after a form was refused.
pub async fn list(_user: Principal) -> HttpResponse {
    session::see_other("/")
}

/// `/live?keep=&since=&first=&version=`: only the section with the imports in progress, unless the page already
/// shows this version. `keep` has the ids of the shown imports, separated by commas. `since` is an id of the time at
/// which the page was made: newer imports were added after it. Without it all imports in progress are shown, and none
/// is held back as news.
pub async fn live(
    request: HttpRequest,
    user: Principal,
    imports: web::Data<Imports>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    if !htmx::wants_fragment(&request) {
        return Ok(session::see_other("/"));
    }
    let query = PollQuery::of(&request);
    let since = query.field("since").and_then(|id| id.parse::<ImportId>().ok());
    let keep = query.field("keep").unwrap_or_default();
    let shown = keep.split(',').take(InProgress::MOST_SHOWN).filter_map(|id| id.parse().ok()).collect();
    let in_progress = imports.in_progress(user.user, &Seen { shown, since }).await?;
    let as_of = in_progress.as_of();
    let version = query.field("version").unwrap_or_default();
    if let Some(unchanged) = site.sections.unchanged(&version, &in_progress, as_of) {
        return Ok(unchanged);
    }
    let mut section = section(&site, &in_progress);
    section.is_first_visit = query.field("first").is_some_and(|first| first == "true");
    section.since = since.map(|id| id.to_string()).unwrap_or_default();
    Ok(site.sections.answer(&section, &version, &in_progress, as_of)?)
}

/// Accepts files, or the address of one. Errors are shown on the form: in this answer if nothing was
/// imported. Otherwise they are shown on the next page, because a reload of this one would import the good
/// files again.
pub async fn upload(
    request: HttpRequest,
    user: Principal,
    form: Multipart,
    (imports, uploads): (web::Data<Imports>, web::Data<Uploads>),
    (site, origin): (web::Data<Site>, web::Data<PublicOrigin>),
) -> Result<HttpResponse, Error> {
    let refused = match uploads.take_form(&request, user.user, form).await {
        Ok(made) => {
            let only = <[ImportId; 1]>::try_from(made).ok();
            let location = only.map_or_else(|| "/".to_owned(), |[id]| format!("/imports/{id}"));
            return Ok(session::see_other(&location));
        }
        Err(refused) => refused,
    };
    for failure in refused.failures() {
        tracing::error!("an upload failed: {failure:?}");
    }
    if refused.taken.is_empty() {
        let told = Told {
            refused: Some(refused.told(Refused::MOST_NAMED)),
            is_database_away: refused.is_database_away(),
            ..Told::default()
        };
        return page(&user, &imports, &site, &history::HistoryQuery::default(), refused.status(), told).await;
    }
    let mut response = session::see_other("/");
    // Fewer files are named if their names are long.
    for most_named in (0..=Refused::MOST_NAMED).rev() {
        if flash::send(&request, &mut response, &origin, &Flash::Refused(refused.told(most_named))) {
            break;
        }
    }
    Ok(response)
}

/// What the page says about the form that led to it.
#[derive(Default)]
struct Told {
    refused: Option<RefusedForm>,
    deleted: Option<String>,
    /// The page is then made without a query.
    is_database_away: bool,
}

impl From<Flash> for Told {
    fn from(flash: Flash) -> Self {
        match flash {
            Flash::Deleted(file_name) => Self { deleted: Some(file_name), ..Self::default() },
            Flash::Refused(refused) => Self { refused: Some(refused), ..Self::default() },
            Flash::Account(_) | Flash::Admin(_) | Flash::GuestLinkEnded => Self::default(),
        }
    }
}

async fn page(
    user: &Principal,
    imports: &Imports,
    site: &Site,
    query: &history::HistoryQuery,
    status: StatusCode,
    told: Told,
) -> Result<HttpResponse, Error> {
    let inputs = site.report_inputs();
    // Generated before the imports in progress are read: an import that is added in between counts as news.
    let since = ImportId::generate();
    // Read once: an import that ends in between must be in one of the two lists.
    let in_progress = imports.in_progress(user.user, &Seen::default()).await?;
    let history = if told.is_database_away {
        None
    } else {
        Some(history::find(user.user, imports, &in_progress.shown, query, &inputs).await?)
    };
    let history = history.as_ref().map(|history| history::section(history, query, &inputs));
    let mut live = section(site, &in_progress);
    live.since = since.to_string();
    let frame = site.frame(user);
    let mut page = DashboardPage {
        deleted: told.deleted,
        drop_zone: DropZone { refused: told.refused, ..frame.drop_zone() },
        frame,
        live,
        history,
    };
    page.live.is_first_visit = page.is_empty();
    Ok(HttpResponse::build(status).content_type(ContentType::html()).body(render(&page)?.html))
}

fn section<'a>(site: &Site, in_progress: &'a InProgress) -> LiveSection<'a> {
    let inputs = site.report_inputs();
    let pace = site::pace(in_progress.shown.iter().map(Snapshot::state));
    let mut section =
        LiveSection::new(&in_progress.shown, &inputs, pace).with_more(in_progress.more, site::IDLE_PACE);
    section.news.clone_from(&in_progress.news);
    section
}
