//! `GET, POST /imports/{id}/share`: makes a guest link to an import, which is shown once, and lists those that exist;
//! `POST /imports/{id}/share/end`.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ContentType},
    web,
};
use askama::Template;
use serde::Deserialize;

use super::{
    admin::link_to,
    form_error::{FormError, Refusal},
};
use crate::{
    accounts::{Accounts, MakeGuestLinkError, NewGuestLink, OpenGuestLink},
    base::{ids::ImportId, time::UnixMillis},
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{FormOf, OwnedImport},
        session,
    },
    report::{guest::PageAt, moment::Moment},
    store::guest_links::MOST_GUEST_LINKS,
    web::{
        flash::{self, Flash},
        site::Site,
        views::{Frame, Html},
    },
};

#[derive(Clone, Template)]
#[template(path = "pages/share.html")]
pub struct SharePage {
    pub frame: Frame,
    pub import_id: ImportId,
    pub file_name: String,
    /// A link was ended by the form that led here.
    pub has_ended: bool,
    /// The address of a link that was just made.
    pub secret: Option<String>,
    /// Newest first.
    pub links: Vec<GuestLinkLine>,
    pub days: String,
    pub shows_rows: bool,
    pub error: Option<FormError>,
}

/// A link in the list.
#[derive(Clone, Debug)]
pub struct GuestLinkLine {
    /// Names it in the form.
    pub name: String,
    pub shows_rows: bool,
    pub made: Moment,
    pub expires: Moment,
    /// None: not opened yet.
    pub last_opened: Option<Moment>,
}

/// The lifetimes to choose from, in days, each with its words.
const LIFETIMES: [(&str, &str); 3] = [("1", "1 day"), ("7", "7 days"), ("30", "30 days")];

/// The one that is chosen first.
const USUAL_LIFETIME: &str = "7";

/// A missing field counts as empty; a box that is not ticked is missing.
#[derive(Deserialize)]
pub struct ShareForm {
    #[serde(default)]
    days: String,
    rows: Option<String>,
}

#[derive(Deserialize)]
pub struct EndGuestLinkForm {
    #[serde(default)]
    link: String,
}

impl GuestLinkLine {
    #[must_use]
    pub fn new(open: OpenGuestLink, now: UnixMillis) -> Self {
        Self {
            name: open.name,
            shows_rows: open.shows_rows,
            made: Moment::new(open.created_at, now),
            expires: Moment::new(open.expires_at, now),
            last_opened: open.last_opened_at.map(|at| Moment::new(at, now)),
        }
    }
}

impl SharePage {
    #[must_use]
    pub fn new(frame: Frame, import_id: ImportId, file_name: &str) -> Self {
        Self {
            frame,
            import_id,
            file_name: file_name.to_owned(),
            has_ended: false,
            secret: None,
            links: Vec::new(),
            days: USUAL_LIFETIME.to_owned(),
            shows_rows: false,
            error: None,
        }
    }

    async fn of(owned: &OwnedImport, accounts: &Accounts, site: &Site) -> Result<Self, Error> {
        let OwnedImport { principal, import } = owned;
        let now = site.report_inputs().now;
        let links = accounts.guest_links(import.row.id).await?;
        Ok(Self {
            links: links.into_iter().map(|open| GuestLinkLine::new(open, now)).collect(),
            ..Self::new(site.frame(principal), import.row.id, import.file_name())
        })
    }

    /// The lifetimes to choose from, their words, and which one is chosen.
    fn lifetimes(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        LIFETIMES.into_iter().map(|(days, words)| (days, words, days == self.days))
    }
}

pub async fn show(
    request: HttpRequest,
    owned: OwnedImport,
    accounts: web::Data<Accounts>,
    site: web::Data<Site>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    let mut page = SharePage::of(&owned, &accounts, &site).await?;
    page.has_ended = matches!(flash::read(&request), Some(Flash::GuestLinkEnded));
    let mut response = HttpResponse::Ok().content_type(ContentType::html()).body(page.render()?);
    flash::take_back(&request, &mut response, &origin);
    Ok(response)
}

pub async fn make(
    FormOf(owned, form): FormOf<OwnedImport, ShareForm>,
    accounts: web::Data<Accounts>,
    site: web::Data<Site>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    let shows_rows = form.rows.is_some();
    let refused = async |sentence: &str| {
        let page = SharePage::of(&owned, &accounts, &site).await?;
        refuse(SharePage { days: form.days.clone(), shows_rows, ..page }, sentence)
    };
    let days = LIFETIMES.iter().find(|(days, _)| *days == form.days);
    let Some(days) = days.and_then(|(days, _)| days.parse::<u64>().ok()) else {
        return refused("Choose how long the link works.").await;
    };
    let new = NewGuestLink {
        owner: owned.principal.user,
        import: owned.import.row.id,
        shows_rows,
        lifetime: Duration::from_secs(days * 24 * 60 * 60),
    };
    let token = match accounts.make_guest_link(new).await {
        Ok(token) => token,
        Err(MakeGuestLinkError::TooMany) => {
            let sentence = format!(
                "This import has {MOST_GUEST_LINKS} links, the most that it can have. End one first."
            );
            return refused(&sentence).await;
        }
        Err(MakeGuestLinkError::NotThere) => return Err(Error::NotFound),
        Err(MakeGuestLinkError::Failed(error)) => return Err(error.into()),
    };
    let path = PageAt::Shared(&token.expose()).to_string();
    let page =
        SharePage { secret: Some(link_to(&origin, &path)), ..SharePage::of(&owned, &accounts, &site).await? };
    Ok(HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(page.render()?))
}

fn refuse(page: SharePage, sentence: &str) -> Result<HttpResponse, Error> {
    let refusal = Refusal::from(FormError::of_form(sentence));
    let mut answer = Refusal::answer(Some(&refusal));
    let page = SharePage { error: Some(refusal.error), ..page };
    Ok(answer.content_type(ContentType::html()).body(page.render()?))
}

pub async fn end(
    request: HttpRequest,
    FormOf(owned, form): FormOf<OwnedImport, EndGuestLinkForm>,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    let import = owned.import.row.id;
    // A link that has ended in the meantime is ended.
    accounts.end_guest_link(import, &form.link).await?;
    let mut response = session::see_other(&format!("/imports/{import}/share"));
    flash::send(&request, &mut response, &origin, &Flash::GuestLinkEnded);
    Ok(response)
}
