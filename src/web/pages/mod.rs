//! Whole pages, one file each with the template's struct and the handlers, named like the template; and
//! `history`, the part of the dashboard that depends on the query.

pub mod account;
pub mod admin;
pub mod api;
pub mod dashboard;
pub mod delete;
pub mod forgot;
mod form_error;
mod history;
pub mod import;
pub mod reset;
pub mod share;
pub mod shared;
pub mod sign_in;
pub mod sign_out;
pub mod sign_up;

use crate::{accounts::Accounts, http::error::Error};

pub use account::AccountPage;
pub use admin::AdminPage;
pub use dashboard::DashboardPage;
pub use delete::DeletePage;
pub use form_error::FormError;
pub use import::ImportPage;
pub use share::SharePage;
pub use shared::SharedPage;

/// The pages about e-mail are not found unless e-mails can be sent.
fn mail_is_offered(accounts: &Accounts) -> Result<(), Error> {
    accounts.mail().map(drop).ok_or(Error::NotFound)
}
