//! Texts that several commands share.

/// The files of commands that start, stop or watch qubes.
pub(super) const RUNNING: &[(&str, &str)] = &[
    ("/var/lib/qubes/qubes.xml", "The store."),
    (
        "/run/qubes/vm/NAME",
        "The record of a started qube, removed when its stop is finished.",
    ),
    ("/run/qubes/console/NAME.log", "The console of a qube."),
];

/// The exit codes of commands that count failures.
pub(super) const COUNTED: &[(&str, &str)] = &[
    ("0", "Every qube was handled."),
    (
        "1-255",
        "The number of qubes that failed, at most 255; 2 also stands for a wrong command line, and \
         1 for a store that cannot be read.",
    ),
];

/// The exit codes of commands that tell whether something is set.
pub(super) const ANSWER: &[(&str, &str)] = &[
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
