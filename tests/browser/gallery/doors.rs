//! Pages with a single action: sign-in and sign-up, the confirmation of a deletion, and error pages.

use askama::Template;
use runboard::{
    http::ErrorPage,
    web::pages::{DeletePage, FormError, forgot::ForgotPage, sign_in::SignInPage, sign_up::SignUpPage},
};

use super::{
    Page,
    imports::{completed, with},
    snapshots::frame,
};

pub fn pages() -> Vec<Page> {
    let host = || Some("runboard.example.org".to_owned());
    let sign_in = SignInPage {
        email: String::new(),
        error: None,
        next: None,
        sign_up_offered: true,
        sends_mail: false,
        host: host(),
    };
    let with_mail = SignInPage { sends_mail: true, ..sign_in.clone() };
    let forgot = ForgotPage { email: String::new(), error: None, is_sent: false };
    let too_often = ForgotPage {
        email: "mira@example.org".to_owned(),
        error: Some(FormError::of_form("Too many attempts. Try again in 19 minutes.")),
        is_sent: false,
    };
    let sent = ForgotPage { is_sent: true, ..forgot.clone() };
    let wrong = SignInPage {
        email: "mira@example.org".to_owned(),
        error: Some(FormError::of(&["email", "password"], "Wrong e-mail or password.")),
        ..sign_in.clone()
    };
    let sign_up = SignUpPage {
        email: String::new(),
        error: None,
        token: None,
        allowed: true,
        is_only_account: true,
        is_first_account: true,
        is_invited: false,
        offers_sign_in: false,
        host: host(),
    };
    let taken = SignUpPage {
        email: "mira@example.org".to_owned(),
        error: Some(FormError::of(
            &["email"],
            "This e-mail address already has an account. Sign in with it.",
        )),
        is_only_account: false,
        is_first_account: false,
        offers_sign_in: true,
        ..sign_up.clone()
    };
    let common = SignUpPage {
        error: Some(FormError::of(
            &["password"],
            "This is one of the most common passwords, which are guessed first. Choose another one.",
        )),
        ..taken.clone()
    };
    let closed = SignUpPage {
        error: Some(FormError::of_form(
            "Sign-up is closed. Ask the operator of this Runboard for an account.",
        )),
        allowed: false,
        offers_sign_in: true,
        ..sign_up.clone()
    };
    let nothing = ErrorPage::new("Not found", "Page not found, or you don't have access to it.");
    vec![
        Page::new("sign-in", sign_in.render().unwrap()),
        Page::new("sign-in-with-mail", with_mail.render().unwrap()),
        Page::new("forgot", forgot.render().unwrap()),
        Page::new("forgot-refused", too_often.render().unwrap()),
        Page::new("forgot-sent", sent.render().unwrap()),
        Page::new("sign-in-refused", wrong.render().unwrap()),
        Page::new("sign-up", sign_up.render().unwrap()),
        Page::new("sign-up-refused", taken.render().unwrap()),
        Page::new("sign-up-common-password", common.render().unwrap()),
        Page::new("sign-up-closed", closed.render().unwrap()),
        Page::new("delete", DeletePage::new(frame(), &with(completed())).render().unwrap()),
        Page::new("error", nothing.render().unwrap()),
    ]
}
