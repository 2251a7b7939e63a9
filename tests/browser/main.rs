//! What people do, in a real browser: Chromium, controlled by its own driver.

mod axe;
mod change;
mod chromium;
mod connection;
mod drops;
mod failures;
mod files;
mod gallery;
mod heights;
mod journey;
mod keyboard;
mod layout;
mod lighthouse;
mod live;
mod lost;
mod motion;
mod no_script;
mod notices;
mod pace;
mod screenshots;
mod share;
mod times;
mod tree;
mod upload;

#[path = "../it/support/mod.rs"]
#[allow(dead_code)]
mod support;

#[path = "../it/packed/book.rs"]
#[allow(dead_code)]
mod book;

#[path = "../it/packed/pack.rs"]
#[allow(dead_code)]
mod pack;

#[path = "../it/honest_states/world.rs"]
#[allow(dead_code)]
mod world;

use std::time::Duration;

/// How long a condition may take to become true.
const DEADLINE: Duration = Duration::from_secs(90);
