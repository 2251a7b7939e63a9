//! `POST /admin/mail/test` and `/admin/mail/reset-link`: what an admin sends by e-mail. Not found unless e-mails can be
//! sent.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::back;
use crate::{
    accounts::{Accounts, Token},
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{Admin, FormOf},
    },
    web::{flash::AdminNews, pages::mail_is_offered},
};

/// A link that the page before has shown.
#[derive(Deserialize)]
pub struct MailLinkForm {
    #[serde(default)]
    token: String,
}

pub async fn test(
    request: HttpRequest,
    Admin(user): Admin,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    mail_is_offered(&accounts)?;
    accounts.send_test_mail(user.user).await?;
    Ok(back(&request, &origin, AdminNews::TestMailQueued))
}

/// Sends a link for a new password to its account.
pub async fn reset_link(
    request: HttpRequest,
    FormOf(_admin, form): FormOf<Admin, MailLinkForm>,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    mail_is_offered(&accounts)?;
    let is_queued = match Token::parse(&form.token) {
        Some(token) => accounts.mail_link(&token, None).await?,
        None => false,
    };
    let news = if is_queued { AdminNews::LinkQueued } else { AdminNews::LinkOver };
    Ok(back(&request, &origin, news))
}
