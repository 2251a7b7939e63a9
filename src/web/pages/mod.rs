//! Whole pages, one file each: the template's struct and the handlers, named like the template.

pub mod sign_in;
pub mod sign_out;
pub mod sign_up;
