//! For each test file to include by itself: `#[path = "support/skip.rs"] mod skip;`.

use std::fmt::Display;
use std::io::Write;

/// The file to which every skip appends a line, test and reason with a tab between: `make test`
/// sets it, because cargo hides what a test that passes printed.
const LIST: &str = "QUBES_SKIPPED";

/// Says why a test does not run on this machine. Where CI says that it is one, everything is there,
/// and nothing may be left out in silence.
pub fn skip(reason: impl Display) {
    assert!(
        std::env::var_os("CI").is_none(),
        "CI skips nothing, but: {reason}"
    );
    eprintln!("skipped: {reason}");
    let Some(list) = std::env::var_os(LIST) else {
        return;
    };
    let thread = std::thread::current();
    let line = format!("{}\t{reason}\n", thread.name().unwrap_or("?"));
    // One write: lines of tests that run at once do not mix.
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(list)
        .unwrap();
    file.write_all(line.as_bytes()).unwrap();
}
