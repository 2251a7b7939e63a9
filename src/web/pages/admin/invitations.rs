//! `POST /admin/invitations` and `/admin/invitations/end`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::{InvitationDraft, LinkPage, answer, back, link_to, refused};
use crate::{
    accounts::{Accounts, Email, can_be_sent_to},
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{Admin, FormOf},
    },
    web::{flash::AdminNews, pages::form_error::FormError, site::Site},
};

/// A missing field counts as empty.
#[derive(Deserialize)]
pub struct InviteForm {
    #[serde(default)]
    note: String,
    /// Where the invitation is sent. Ignored if no e-mail can be sent.
    #[serde(default)]
    email: String,
}

#[derive(Deserialize)]
pub struct EndInvitationForm {
    #[serde(default)]
    invitation: String,
}

/// The name of the form's field.
const EMAIL: &str = "email";

pub async fn make(
    request: HttpRequest,
    FormOf(Admin(user), form): FormOf<Admin, InviteForm>,
    accounts: web::Data<Accounts>,
    site: web::Data<Site>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    let InviteForm { note, email: typed } = form;
    let wants_mail = accounts.mail().is_some() && !typed.trim().is_empty();
    let email = match typed.parse::<Email>() {
        _ if !wants_mail => None,
        Ok(email) if can_be_sent_to(&email) => Some(email),
        unusable => {
            let draft = InvitationDraft { note, email: typed };
            let sentence = match unusable {
                Ok(_) => "No e-mail can be sent to this address. Enter another one, or none.",
                Err(_) => "Enter a valid e-mail address, or none.",
            };
            let error = FormError::of(&[EMAIL], sentence);
            return refused(&user, &accounts, &site, draft, error.into()).await;
        }
    };
    let Some(token) = accounts.invite(user.user, &note, email.as_ref()).await? else {
        return Ok(back(&request, &origin, AdminNews::TooManyInvitations));
    };
    let sentence = match email {
        Some(email) => format!(
            "This link is on its way to {email}. It makes one account, within 7 days. It is shown only now, in case \
             the e-mail does not arrive."
        ),
        None => "Send this link to the person you invite. It makes one account, within 7 days. It is shown only now."
            .to_owned(),
    };
    answer(&LinkPage {
        frame: site.frame(&user),
        title: "Invitation".to_owned(),
        sentence,
        secret: link_to(&origin, &format!("/sign-up?token={}", token.expose())),
        mail_token: None,
    })
}

pub async fn end(
    request: HttpRequest,
    FormOf(_admin, form): FormOf<Admin, EndInvitationForm>,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    accounts.end_invitation(&form.invitation).await?;
    Ok(back(&request, &origin, AdminNews::InvitationEnded))
}
