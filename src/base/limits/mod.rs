//! What strangers can take: how often something may be asked for, by whom it is counted, how much
//! memory it may hold, and whose turn it is; and how a limit is told.
//!
//! A limit is checked before the work that it bounds, and says when to come again.

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
    rate::{Rate, RateLimiter},
    size::bytes_at_most,
    turns::{Turn, Turns},
};
