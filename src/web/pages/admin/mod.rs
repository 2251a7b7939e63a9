//! `GET /admin`: all accounts and the open invitations; and the forms of that page, one file for each subject.
//!
//! An admin sees how many imports an account has and their size, and nothing of the imports themselves.

pub mod accounts;
pub mod invitations;
pub mod mail;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ContentType},
    web,
};
use askama::Template;
use serde::Deserialize;

use crate::{
    accounts::{AccountSummary, Accounts, OpenInvitation},
    base::{ids::UserId, time::UnixMillis},
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{Admin, Principal},
        session,
    },
    report::{
        format::{bytes, counted},
        moment::Moment,
    },
    web::{
        flash::{self, AdminNews, Flash},
        pages::form_error::{FormError, Refusal},
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
    /// Where e-mails go and who they are from; None if none can be sent.
    pub mail_route: Option<String>,
    /// The form of an invitation as it was typed, and why it was refused.
    pub draft: InvitationDraft,
    pub error: Option<FormError>,
}

/// The form of an invitation.
#[derive(Clone, Debug, Default)]
pub struct InvitationDraft {
    pub note: String,
    pub email: String,
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

/// A link that is shown only now. It is a secret, so it has no Debug.
#[derive(Clone, Template)]
#[template(path = "pages/admin/link.html")]
pub struct LinkPage {
    pub frame: Frame,
    pub title: String,
    /// What the person who opens it can do, and until when.
    pub sentence: String,
    /// A path if our own address is not known.
    pub secret: String,
    /// The token of a link for a new password that can also be sent by e-mail.
    pub mail_token: Option<String>,
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
    let after = query.after.as_deref().and_then(|after| after.parse().ok());
    let mut page = page(&user, &accounts, &site, after).await?;
    page.news = flash::read(&request).and_then(news);
    let mut response = HttpResponse::Ok().content_type(ContentType::html()).body(page.render()?);
    flash::take_back(&request, &mut response, &origin);
    Ok(response)
}

/// The page again, with the form of an invitation that was refused.
async fn refused(
    user: &Principal,
    accounts: &Accounts,
    site: &Site,
    draft: InvitationDraft,
    refusal: Refusal,
) -> Result<HttpResponse, Error> {
    let mut answer = Refusal::answer(Some(&refusal));
    let page = AdminPage { draft, error: Some(refusal.error), ..page(user, accounts, site, None).await? };
    Ok(answer.content_type(ContentType::html()).body(page.render()?))
}

/// The accounts that were made after `after`.
async fn page(
    user: &Principal,
    accounts: &Accounts,
    site: &Site,
    after: Option<UserId>,
) -> Result<AdminPage, Error> {
    let now = site.report_inputs().now;
    let mut found = accounts.summaries(after, ON_A_PAGE + 1).await?;
    let has_more = found.len() > ON_A_PAGE as usize;
    found.truncate(ON_A_PAGE as usize);
    let next_page = found.last().filter(|_| has_more).map(|last| format!("/admin?after={}", last.id));
    let invitations = accounts.invitations().await?;
    Ok(AdminPage {
        frame: site.frame(user),
        news: None,
        accounts: found.into_iter().map(|account| AccountLine::new(account, user.user, now)).collect(),
        next_page,
        invitations: invitations.into_iter().map(|open| InvitationLine::new(open, now)).collect(),
        mail_route: accounts.mail().map(|outlet| outlet.route.to_string()),
        draft: InvitationDraft::default(),
        error: None,
    })
}

/// Back to the list, with a message.
fn back(request: &HttpRequest, origin: &PublicOrigin, news: AdminNews) -> HttpResponse {
    let mut response = session::see_other("/admin");
    flash::send(request, &mut response, origin, &Flash::Admin(news));
    response
}

/// A page with a secret, which no cache may keep.
fn answer(page: &LinkPage) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(page.render()?))
}

fn news(flash: Flash) -> Option<&'static str> {
    let Flash::Admin(change) = flash else { return None };
    Some(match change {
        AdminNews::InvitationEnded => "The invitation has ended. Its link opens nothing any more.",
        AdminNews::TooManyInvitations => {
            "There are too many open invitations. End some of them, or wait until they expire."
        }
        AdminNews::Disabled => "The account is disabled. Its sessions and tokens have ended.",
        AdminNews::Enabled => "The account is enabled again.",
        AdminNews::OwnAccount => "You cannot disable your own account.",
        AdminNews::CannotReset => "The account cannot be used, so it gets no new password.",
        AdminNews::LinkQueued => "The link is on its way by e-mail.",
        AdminNews::LinkOver => "The link is not valid any more. Make a new one.",
        AdminNews::TestMailQueued => {
            "A test e-mail to you is on its way. If it does not arrive, the log of the server says why."
        }
    })
}

/// The address of one of our pages, as a person can send it to another. If the configuration does not say our
/// address, only the path; a `Host` header may name any.
pub(in crate::web::pages) fn link_to(origin: &PublicOrigin, path: &str) -> String {
    let scheme = if origin.is_https() { "https" } else { "http" };
    origin.host().map_or_else(|| path.to_owned(), |host| format!("{scheme}://{host}{path}"))
}
