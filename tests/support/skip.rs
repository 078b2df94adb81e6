//! For each test file to include by itself: `#[path = "support/skip.rs"] mod skip;`.

use std::fmt::Display;

/// Says why a test does not run on this machine. Where CI says that it is one, everything is there, and nothing may be
/// left out in silence.
pub fn skip(reason: impl Display) {
    assert!(std::env::var_os("CI").is_none(), "CI skips nothing, but: {reason}");
    eprintln!("skipped: {reason}");
}
