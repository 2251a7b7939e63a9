//! `GET /admin`: all accounts and the open invitations; and the forms of that page, one file for each subject.
//!
//! An admin sees how many imports an account has and their size, and nothing of the imports themselves.

pub mod accounts;
pub mod invitations;

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    accounts::{AccountSummary, Accounts, OpenInvitation},
    base::{ids::UserId, time::UnixMillis},
    http::{error::Error, origin::PublicOrigin, principal::Admin},
    report::{
        format::{bytes, counted},
        moment::Moment,
    },
    web::{
        flash::{self, Flash},
        site::Site,
        views::{Frame, Html},
    },
};

/// How many accounts a page shows.
const ON_A_PAGE: u32 = 100;

#[derive(Clone, Debug, Template)]
#[template(path = "pages/admin/admin.html")]
pub struct AdminPage {
    pub frame: Frame,
    /// What the form that led here has changed.
    pub news: Option<&'static str>,
    /// Oldest first.
    pub accounts: Vec<AccountLine>,
    /// The page with newer accounts, if there are more.
    pub next_page: Option<String>,
    pub invitations: Vec<InvitationLine>,
}

/// An account in the list.
#[derive(Clone, Debug)]
pub struct AccountLine {
    pub id: UserId,
    pub email: String,
    /// `12 imports, 1.2 GB`.
    pub stores: String,
    pub since: Moment,
    pub seen: Option<Moment>,
    pub is_admin: bool,
    pub is_disabled: bool,
    pub is_in_deletion: bool,
    /// The account of the admin who looks.
    pub is_own: bool,
}

/// An invitation in the list.
#[derive(Clone, Debug)]
pub struct InvitationLine {
    /// Names it in the form.
    pub name: String,
    pub note: Option<String>,
    pub made_by: String,
    pub expires: Moment,
}

impl AccountLine {
    #[must_use]
    pub fn new(account: AccountSummary, own: UserId, now: UnixMillis) -> Self {
        Self {
            id: account.id,
            email: account.email,
            stores: format!("{}, {}", counted(account.imports, "import"), bytes(account.stored_bytes)),
            since: Moment::new(account.created_at, now),
            seen: account.seen_at.map(|at| Moment::new(at, now)),
            is_admin: account.is_admin,
            is_disabled: account.is_disabled,
            is_in_deletion: account.is_in_deletion,
            is_own: account.id == own,
        }
    }
}

impl InvitationLine {
    #[must_use]
    pub fn new(open: OpenInvitation, now: UnixMillis) -> Self {
        Self {
            name: open.name,
            note: open.note,
            made_by: open.made_by,
            expires: Moment::new(open.expires_at, now),
        }
    }
}

/// A link that is shown only now.
#[derive(Clone, Debug, Template)]
#[template(path = "pages/admin/link.html")]
pub struct LinkPage {
    pub title: String,
    /// What whoever opens it can do, and until when.
    pub sentence: String,
    /// A path if our own address is not known.
    pub secret: String,
}

/// `/admin?after=`: the accounts that were made after this one.
#[derive(Deserialize)]
pub struct AdminQuery {
    after: Option<String>,
}

pub async fn show(
    request: HttpRequest,
    Admin(user): Admin,
    accounts: web::Data<Accounts>,
    site: web::Data<Site>,
    origin: web::Data<PublicOrigin>,
    query: web::Query<AdminQuery>,
) -> Result<HttpResponse, Error> {
    let now = site.report_inputs().now;
    let after = query.after.as_deref().and_then(|after| after.parse().ok());
    let mut found = accounts.summaries(after, ON_A_PAGE + 1).await?;
    let has_more = found.len() > ON_A_PAGE as usize;
    found.truncate(ON_A_PAGE as usize);
    let next_page = found.last().filter(|_| has_more).map(|last| format!("/admin?after={}", last.id));
    let invitations = accounts.invitations().await?;
    let page = AdminPage {
        frame: site.frame(&user),
        news: flash::read(&request).and_then(news),
        accounts: found.into_iter().map(|account| AccountLine::new(account, user.user, now)).collect(),
        next_page,
        invitations: invitations.into_iter().map(|open| InvitationLine::new(open, now)).collect(),
    };
    let mut response = HttpResponse::Ok().content_type(ContentType::html()).body(page.render()?);
    flash::take_back(&request, &mut response, &origin);
    Ok(response)
}

fn news(flash: Flash) -> Option<&'static str> {
    let Flash::Admin(change) = flash else { return None };
    Some(match change {
        flash::AdminNews::InvitationEnded => "The invitation has ended. Its link opens nothing any more.",
        flash::AdminNews::TooManyInvitations => {
            "There are too many open invitations. End some of them, or wait until they expire."
        }
        flash::AdminNews::Disabled => "The account is disabled. Its sessions and tokens have ended.",
        flash::AdminNews::Enabled => "The account is enabled again.",
        flash::AdminNews::OwnAccount => "You cannot disable your own account.",
        flash::AdminNews::CannotReset => "The account cannot be used, so it gets no new password.",
    })
}

/// The address of one of our pages, as a person can send it to another. If the configuration does not say our
/// address, only the path; a `Host` header may name any.
pub(in crate::web::pages) fn link_to(origin: &PublicOrigin, path: &str) -> String {
    let scheme = if origin.is_https() { "https" } else { "http" };
    origin.host().map_or_else(|| path.to_owned(), |host| format!("{scheme}://{host}{path}"))
}
