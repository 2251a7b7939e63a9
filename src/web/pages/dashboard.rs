//! `GET /`, `GET /live`, `GET, POST /imports`: give a file, what is going on now, what is done.

use actix_multipart::Multipart;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
    web,
};
use askama::Template;
use serde::Deserialize;

use crate::{
    ids::ImportId,
    imports::{Imports, InProgress, Seen},
    source::Storage,
    time::UnixMillis,
    web::{
        audit,
        error::Error,
        htmx,
        pages::history,
        session::{self, SignedIn},
        site::{self, Site},
        upload::{self, Files, Given, Refused, Upload, UploadError},
        views::{DropZone, Frame, History, LiveSection, RefusedForm, render},
    },
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/dashboard.html")]
pub struct DashboardPage {
    pub frame: Frame,
    /// The visitor has just deleted an import.
    pub has_deleted: bool,
    pub drop_zone: DropZone,
    pub live: LiveSection,
    pub history: History,
}

impl DashboardPage {
    /// The user has never imported anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.cards.is_empty() && self.history.is_empty()
    }
}

/// `/live?keep=&since=&first=&version=`: what the page shows already.
#[derive(Deserialize)]
pub struct LiveQuery {
    /// The imports, separated by commas.
    #[serde(default)]
    keep: String,
    /// An id of the moment at which the page was made: newer imports came after it. Without it nothing waits to be
    /// let in: what is going on is shown.
    since: Option<String>,
    #[serde(default)]
    first: bool,
    #[serde(default)]
    version: String,
}

pub async fn show(
    user: SignedIn,
    imports: web::Data<Imports>,
    site: web::Data<Site>,
    query: web::Query<history::Query>,
) -> Result<HttpResponse, Error> {
    page(&user, &imports, &site, &query, None).await
}

/// The address bar after a form was refused, asked for again.
pub async fn list(_user: SignedIn) -> HttpResponse {
    session::see_other("/")
}

/// The section of the dashboard that goes on, alone.
pub async fn live(
    request: HttpRequest,
    user: SignedIn,
    imports: web::Data<Imports>,
    site: web::Data<Site>,
    query: web::Query<LiveQuery>,
) -> Result<HttpResponse, Error> {
    if !htmx::wants_fragment(&request) {
        return Ok(session::see_other("/"));
    }
    let since = query.since.as_ref().and_then(|id| id.parse::<ImportId>().ok());
    let shown = query.keep.split(',').take(InProgress::MOST_SHOWN).filter_map(|id| id.parse().ok()).collect();
    let in_progress = imports.in_progress(user.user, &Seen { shown, since }).await?;
    let mut section = section(&site, &in_progress);
    section.is_first_visit = query.first;
    section.since = since.map(|id| id.to_string()).unwrap_or_default();
    Ok(htmx::answer(&section, &query.version, section.as_of().unwrap_or_else(UnixMillis::now))?)
}

/// Takes files, or the address of one. What is wrong with them is said on the form, which comes back.
pub async fn upload(
    request: HttpRequest,
    user: SignedIn,
    form: Multipart,
    imports: web::Data<Imports>,
    storage: web::Data<Storage>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let announced = upload::announced(&request);
    let of_form = announced.unwrap_or(0);
    let of_files = of_form.saturating_sub(upload::FORM_BYTES);
    // Kept until the import is recorded.
    let mut quota = match site.quota.reserve_between(user.user, of_files, of_form).await? {
        Ok(room) => room,
        Err(over) => {
            let refused = Some(UploadError::from(over).into());
            return page(&user, &imports, &site, &history::Query::default(), refused).await;
        }
    };
    let receiving = upload::receive(form, announced, &storage, site.max_upload_bytes, &mut quota);
    // Bytes may be hours in coming, and the process is about to end.
    let received = site.stopping.run_until_cancelled(receiving).await;
    let taken = match received.unwrap_or(Err(UploadError::Stopping.into())) {
        Ok(Given::Files(files)) => accept(&request, &user, &imports, files).await,
        Ok(Given::Address(address)) => match imports.accept_address(user.user, &address).await {
            Ok(id) => {
                audit::has_made(&request, id);
                Ok(format!("/imports/{id}"))
            }
            Err(error) => Err(Refused { error: error.into(), typed: address.url().to_string() }),
        },
        Err(refused) => Err(refused),
    };
    match taken {
        Ok(location) => Ok(session::see_other(&location)),
        Err(refused) => {
            if refused.error.status() == StatusCode::INTERNAL_SERVER_ERROR {
                tracing::error!("an upload failed: {:?}", refused.error);
            }
            page(&user, &imports, &site, &history::Query::default(), Some(refused)).await
        }
    }
}

/// Makes an import of each file that can be one, and gives where to look: at the only import, or at all.
/// A file that is refused takes nothing from the others.
async fn accept(
    request: &HttpRequest,
    user: &SignedIn,
    imports: &Imports,
    files: Files,
) -> Result<String, Refused> {
    let Files { received, mut refused } = files;
    let (mut location, mut taken) = (None, Vec::new());
    for Upload { file_name, receiving_at, file } in received {
        match imports.accept(user.user, file_name.clone(), receiving_at, file).await {
            Ok(id) => {
                audit::has_made(request, id);
                location = Some(format!("/imports/{id}"));
                taken.push(file_name);
            }
            Err(error) => refused.push(error.into()),
        }
    }
    match (location, taken.len(), refused.len()) {
        (Some(location), 1, 0) => Ok(location),
        (Some(_), _, 0) => Ok("/".to_owned()),
        _ => Err(UploadError::of_files(refused, taken).into()),
    }
}

async fn page(
    user: &SignedIn,
    imports: &Imports,
    site: &Site,
    query: &history::Query,
    refused: Option<Refused>,
) -> Result<HttpResponse, Error> {
    let reading = site.reading();
    let status = refused.as_ref().map_or(StatusCode::OK, |refused| refused.error.status());
    // Before what goes on is asked for: what comes meanwhile is news.
    let since = ImportId::generate();
    // Asked once: an import that ends meanwhile is to be in one of the two lists.
    let in_progress = imports.in_progress(user.user, &Seen::default()).await?;
    let history = history::page(user.user, imports, &in_progress.shown, query, &reading).await?;
    let mut live = section(site, &in_progress);
    live.since = since.to_string();
    let mut page = DashboardPage {
        frame: site.frame(user),
        has_deleted: query.confirms_deletion(),
        drop_zone: DropZone {
            max_bytes: site.max_upload_bytes,
            refused: refused.map(|Refused { error, typed }| RefusedForm {
                error: error.to_string(),
                address: typed,
                is_address_wrong: matches!(error, UploadError::NotAnAddress | UploadError::AddressTooLong),
            }),
        },
        live,
        history,
    };
    page.live.is_first_visit = page.is_empty();
    Ok(HttpResponse::build(status).content_type(ContentType::html()).body(render(&page)?.html))
}

fn section(site: &Site, in_progress: &InProgress) -> LiveSection {
    let reading = site.reading();
    let InProgress { shown, more, news } = in_progress;
    let mut section = LiveSection::new(shown, &reading, site::pace(shown)).with_more(*more, site::IDLE_PACE);
    section.news = news.iter().map(ToString::to_string).collect();
    section
}
