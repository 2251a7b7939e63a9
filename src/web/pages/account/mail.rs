//! `POST /account/mail`: which ends of imports the user is told by e-mail. Not found unless e-mails can be sent.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use crate::{
    accounts::{Accounts, EndedMail, MOST_ENDED},
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{FormOf, Principal},
        session,
    },
    web::{
        flash::{self, AccountChange, Flash},
        pages::mail_is_offered,
    },
};

/// The setting as the account page shows it.
#[derive(Clone, Copy, Debug)]
pub struct MailChoice {
    pub chosen: EndedMail,
}

#[derive(Deserialize)]
pub struct MailForm {
    ended: String,
}

impl MailChoice {
    /// The value, the words, and whether it is the chosen one.
    #[must_use]
    pub fn options(&self) -> [(&'static str, &'static str, bool); 3] {
        let options = [
            (EndedMail::Off, "Never"),
            (EndedMail::Failures, "Only after a failure"),
            (EndedMail::All, "Always"),
        ];
        options.map(|(choice, words)| (choice.as_str(), words, choice == self.chosen))
    }

    #[must_use]
    pub fn most_in_an_hour(&self) -> u64 {
        MOST_ENDED
    }
}

pub async fn submit(
    request: HttpRequest,
    FormOf(user, form): FormOf<Principal, MailForm>,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    mail_is_offered(&accounts)?;
    let choice = EndedMail::from_word(&form.ended).ok_or(Error::Unreadable)?;
    accounts.set_ended_mail(user.user, choice).await?;
    let mut response = session::see_other("/account");
    flash::send(&request, &mut response, &origin, &Flash::Account(AccountChange::Mail));
    Ok(response)
}
