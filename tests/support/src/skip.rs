//! Reports tests that cannot run on this machine.

use std::fmt::Display;
use std::io::Write;

/// The variable with the path of a file to which every skip appends a line: test, tab, reason.
/// `make test` sets it, because cargo hides the output of tests that pass.
const LIST: &str = "QUBES_SKIPPED";

/// Reports why a test does not run on this machine. Panics in CI, which must have everything that
/// the tests need.
pub fn skip(reason: impl Display) {
    assert!(
        std::env::var_os("CI").is_none(),
        "CI must not skip tests: {reason}"
    );
    eprintln!("skipped: {reason}");
    let Some(list) = std::env::var_os(LIST) else {
        return;
    };
    let thread = std::thread::current();
    let line = format!("{}\t{reason}\n", thread.name().unwrap_or("?"));
    // A single write, so that lines of concurrent tests do not mix.
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(list)
        .unwrap();
    file.write_all(line.as_bytes()).unwrap();
}
