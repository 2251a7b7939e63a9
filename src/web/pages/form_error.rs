//! Errors of a form, the fields that they belong to, and the status of the answer.

use std::time::Duration;

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
};
use secrecy::SecretString;

use crate::{
    accounts::{self, BUSY_RETRY_AFTER, InvalidPassword, Password, SignInError},
    http::{error::Error, error_info::seconds},
    report::format::counted,
};

/// Why a form was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormError {
    pub sentence: String,
    fields: &'static [&'static str],
}

impl FormError {
    /// An error that belongs to no single field.
    #[must_use]
    pub fn of_form(sentence: impl Into<String>) -> Self {
        Self::of(&[], sentence)
    }

    #[must_use]
    pub fn of(fields: &'static [&'static str], sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), fields }
    }

    /// Whether the error belongs to the field of this name.
    #[must_use]
    pub fn blames(&self, field: &str) -> bool {
        self.fields.contains(&field)
    }
}

/// Why a form was refused, with the status of the answer.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub error: FormError,
    pub retry_after: Option<Duration>,
}

impl From<FormError> for Refusal {
    fn from(error: FormError) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, error, retry_after: None }
    }
}

impl Refusal {
    /// The refusal for an error of sign-in, or of a form that asks for the password; `wrong` is the one for a
    /// wrong password.
    pub fn of_sign_in(error: SignInError, wrong: impl Into<Self>) -> Result<Self, Error> {
        let later = |status, sentence: String, wait| Self {
            status,
            error: FormError::of_form(sentence),
            retry_after: Some(wait),
        };
        Ok(match error {
            SignInError::WrongCredentials => wrong.into(),
            SignInError::Disabled => Self {
                status: StatusCode::FORBIDDEN,
                error: FormError::of_form("This account is disabled. Ask the operator of this Runboard."),
                retry_after: None,
            },
            SignInError::TooMany { retry_after } => later(
                StatusCode::TOO_MANY_REQUESTS,
                format!("Too many attempts. Try again in {}.", waiting_time(retry_after)),
                retry_after,
            ),
            SignInError::Failed(accounts::Error::Busy) => later(
                StatusCode::SERVICE_UNAVAILABLE,
                "Many people are signing in right now. Try again in a few seconds.".to_owned(),
                BUSY_RETRY_AFTER,
            ),
            SignInError::Failed(error) => return Err(error.into()),
        })
    }

    /// The start of an answer: 200 for a form that was not refused.
    #[must_use]
    pub fn answer(refusal: Option<&Self>) -> HttpResponseBuilder {
        let mut answer = HttpResponse::build(refusal.map_or(StatusCode::OK, |refusal| refusal.status));
        if let Some(wait) = refusal.and_then(|refusal| refusal.retry_after) {
            answer.insert_header((header::RETRY_AFTER, seconds(wait)));
        }
        answer
    }
}

/// The rules for passwords, shown before one is chosen.
#[must_use]
pub fn password_rules() -> String {
    format!(
        "At least {} characters. The most common passwords are refused; a few unrelated words make a good one.",
        Password::MIN_CHARACTERS
    )
}

/// The password that was typed into `field`.
pub fn chosen_password(typed: SecretString, field: &'static [&'static str]) -> Result<Password, FormError> {
    Password::try_from(typed).map_err(|refusal| {
        let sentence = match refusal {
            InvalidPassword::TooShort => {
                format!("Choose a password of at least {} characters.", Password::MIN_CHARACTERS)
            }
            InvalidPassword::TooLong => {
                format!("Choose a password of at most {} bytes.", Password::MAX_BYTES)
            }
            InvalidPassword::Common => {
                "This is one of the most common passwords, which are guessed first. Choose another one."
                    .to_owned()
            }
        };
        FormError::of(field, sentence)
    })
}

/// `58 seconds`, `3 minutes`: rounded up, so that a visitor does not come back too early.
#[must_use]
pub fn waiting_time(wait: Duration) -> String {
    let seconds = seconds(wait);
    if seconds < 100 { counted(seconds, "second") } else { counted(seconds.div_ceil(60), "minute") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_said_too_short() {
        for (millis, text) in [
            (0, "1 second"),
            (1, "1 second"),
            (1_001, "2 seconds"),
            (60_000, "60 seconds"),
            (100_000, "2 minutes"),
            (360_000, "6 minutes"),
        ] {
            assert_eq!(waiting_time(Duration::from_millis(millis)), text);
        }
    }
}
