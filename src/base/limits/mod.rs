//! Limits on what strangers can use: how often a request may be made, by which key it is counted, how much
//! memory it may hold, and whose turn it is; and how a limit is written for people.
//!
//! A limit is checked before the work that it bounds, and says when to retry.

mod bytes;
mod line;
mod network;
mod rate;
mod size;
mod turns;

pub use self::{
    bytes::{ByteBudget, Exhausted, HeldBytes},
    line::{Full, Line, Permit},
    network::{Neighbourhood, Network},
    rate::{Allowance, Rate, RateLimiter},
    size::bytes_at_most,
    turns::{Turn, Turns},
};
