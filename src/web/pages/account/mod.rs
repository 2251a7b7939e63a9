//! `GET /account`, and the pages below it, one file each.

pub mod email;
pub mod leave;
pub mod mail;
pub mod password;
pub mod sessions;
pub mod tokens;
pub mod webhook;

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use askama::Template;

use self::{mail::MailChoice, tokens::TokenLine};
use crate::{
    accounts::{Accounts, OpenSession, device},
    base::time::UnixMillis,
    http::{error::Error, origin::PublicOrigin, principal::Principal, session},
    report::{
        format::{counted, grouped},
        moment::Moment,
    },
    web::{
        export::MOST_IMPORTS,
        flash::{self, AccountChange, Flash},
        site::Site,
        views::{Frame, Html},
    },
    webhooks::Webhooks,
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/account/account.html")]
pub struct AccountPage {
    pub frame: Frame,
    /// What the form that led here has changed.
    pub news: Option<String>,
    /// Newest first.
    pub sessions: Vec<SessionLine>,
    /// Newest first.
    pub tokens: Vec<TokenLine>,
    /// None if no e-mail can be sent.
    pub mail: Option<MailChoice>,
    /// The host of the webhook, if there is one.
    pub webhook: Option<String>,
    /// Its receiver wants no more deliveries.
    pub is_webhook_gone: bool,
    /// Whether to link to the page of admins.
    pub is_admin: bool,
}

/// A session in the list.
#[derive(Clone, Debug)]
pub struct SessionLine {
    /// Names it in the form.
    pub name: String,
    /// `Firefox on Linux`.
    pub device: String,
    pub address: Option<String>,
    pub last_seen: Moment,
    /// The session of this page.
    pub is_own: bool,
}

impl SessionLine {
    #[must_use]
    pub fn new(open: OpenSession, now: UnixMillis) -> Self {
        Self {
            name: open.name,
            device: device(open.user_agent.as_deref().unwrap_or_default()),
            address: open.address,
            last_seen: Moment::new(open.last_seen_at, now),
            is_own: open.is_own,
        }
    }
}

impl AccountPage {
    fn most_exported(&self) -> String {
        grouped(MOST_IMPORTS as u64)
    }

    fn has_other_sessions(&self) -> bool {
        self.sessions.iter().any(|session| !session.is_own)
    }
}

pub async fn show(
    request: HttpRequest,
    user: Principal,
    (accounts, webhooks): (web::Data<Accounts>, web::Data<Webhooks>),
    site: web::Data<Site>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    let own = session::token(&request).ok_or(Error::NotFound)?;
    let now = site.report_inputs().now;
    let sessions = accounts.sessions(user.user, &own).await?;
    let tokens = accounts.tokens(user.user).await?;
    let mail = match accounts.mail() {
        Some(_) => Some(MailChoice { chosen: accounts.ended_mail(user.user).await? }),
        None => None,
    };
    let webhook = webhooks.settings(user.user).await?.own;
    let page = AccountPage {
        frame: site.frame(&user),
        news: flash::read(&request).and_then(|flash| news(flash, &user)),
        tokens: tokens.into_iter().map(|token| TokenLine::new(token, now)).collect(),
        mail,
        is_webhook_gone: webhook.as_ref().is_some_and(|webhook| webhook.gone_at.is_some()),
        webhook: webhook.map(|webhook| webhook::host(&webhook.address)),
        is_admin: accounts.is_admin(user.user).await?,
        sessions: sessions.into_iter().map(|open| SessionLine::new(open, now)).collect(),
    };
    let mut response = HttpResponse::Ok().content_type(ContentType::html()).body(page.render()?);
    flash::take_back(&request, &mut response, &origin);
    Ok(response)
}

fn news(flash: Flash, user: &Principal) -> Option<String> {
    let Flash::Account(change) = flash else { return None };
    Some(match change {
        AccountChange::Password => "The password is changed. You were signed out everywhere else.".to_owned(),
        AccountChange::Email => {
            format!("The e-mail address is changed. Sign in with {} from now on.", user.email)
        }
        AccountChange::Mail => "The e-mail setting is saved.".to_owned(),
        AccountChange::TokenEnded => "The token has ended.".to_owned(),
        AccountChange::WebhookSaved => "The webhook is saved.".to_owned(),
        AccountChange::WebhookEnded => "The webhook has ended. Nothing more is sent.".to_owned(),
        AccountChange::TestSent => "A test is on its way. Reload this page to see the answer.".to_owned(),
        AccountChange::SentAgain => "It is sent again now. Reload this page to see the answer.".to_owned(),
        AccountChange::SessionEnded => "Signed out there.".to_owned(),
        AccountChange::OtherSessionsEnded(0) => "You are signed in nowhere else.".to_owned(),
        AccountChange::OtherSessionsEnded(count) => {
            format!("Signed out of {}.", counted(count, "other session"))
        }
    })
}
