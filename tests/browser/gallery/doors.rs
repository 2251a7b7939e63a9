//! Pages with one thing to do: the doors, the question before a deletion, and what says that there is
//! nothing here.

use askama::Template;
use runboard::web::pages::{DeletePage, ErrorPage, sign_in::SignInPage, sign_up::SignUpPage};

use super::{
    Page,
    imports::{completed, with},
};

pub fn pages() -> Vec<Page> {
    let host = || "runboard.example.org".to_owned();
    let sign_in =
        SignInPage { email: String::new(), error: None, next: None, sign_up_offered: true, host: host() };
    let wrong = SignInPage {
        email: "mira@example.org".to_owned(),
        error: Some("This e-mail and password do not belong together.".to_owned()),
        ..sign_in.clone()
    };
    let sign_up = SignUpPage { email: String::new(), error: None, token: None, allowed: true, host: host() };
    let taken = SignUpPage {
        email: "mira@example.org".to_owned(),
        error: Some("This e-mail address has an account already. You can sign in with it.".to_owned()),
        ..sign_up.clone()
    };
    let closed = SignUpPage {
        error: Some("New accounts cannot be made here. Please ask whoever runs this Runboard.".to_owned()),
        allowed: false,
        ..sign_up.clone()
    };
    let nothing =
        ErrorPage::new("Nothing here", "There is nothing at this address, or it is not yours to see.");
    vec![
        Page::new("sign-in", sign_in.render().unwrap()),
        Page::new("sign-in-refused", wrong.render().unwrap()),
        Page::new("sign-up", sign_up.render().unwrap()),
        Page::new("sign-up-refused", taken.render().unwrap()),
        Page::new("sign-up-closed", closed.render().unwrap()),
        Page::new("delete", DeletePage::new(&with(completed())).render().unwrap()),
        Page::new("error", nothing.render().unwrap()),
    ]
}
