//! The texts of each command's manual page, by what the commands are for.

mod power;
mod qubes;
mod settings;
mod storage;
mod store;
mod templates;

use super::Page;

/// The files of commands that start, stop or watch qubes.
const RUNNING: &[(&str, &str)] = &[
    ("/var/lib/qubes/qubes.xml", "The store."),
    (
        "/run/qubes/vm/NAME",
        "The record of a started qube, removed when its stop is finished.",
    ),
    ("/run/qubes/console/NAME.log", "The console of a qube."),
];

/// The exit codes of commands that count failures.
const COUNTED: &[(&str, &str)] = &[
    ("0", "Every qube was handled."),
    (
        "1-255",
        "The number of qubes that failed, at most 255; 2 also stands for a wrong command line, and \
         1 for a store that cannot be read.",
    ),
];

/// The exit codes of commands that tell whether something is set.
const ANSWER: &[(&str, &str)] = &[
    ("0", "The command did what it was asked to."),
    (
        "1",
        "What was asked for is not set, or it could not be done; then the reason is on standard \
         error.",
    ),
    (
        "2",
        "The command line is wrong, or the qube does not exist.",
    ),
];

/// The pages of all commands that are not hidden.
pub(super) fn all() -> impl Iterator<Item = &'static Page> {
    let groups = [
        qubes::PAGES,
        power::PAGES,
        settings::PAGES,
        storage::PAGES,
        store::PAGES,
        templates::PAGES,
    ];
    groups.into_iter().flatten()
}
