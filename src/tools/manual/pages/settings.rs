//! The pages of commands that change settings of qubes and of the system.

use super::shared_texts::ANSWER;
use crate::tools::commands::prefs;
use crate::tools::manual::page::Page;

pub(super) const PAGES: &[Page] = &[
    Page {
        command: "qubes-prefs",
        description: "\
Lists the properties of the system, shows one, sets it, or resets it to its default.

The list has one property a line: its name, a mark and its value. The mark is D for a default, - \
for an explicit value, and U for a value that is missing or cannot be read.

A change is checked against the rules of the property and of the qubes it affects, then saved. \
Running qubes that depend on it follow at once where they can, else at their next start. \
Properties of qubes are those of `qvm-prefs`(1).",
        sections: prefs::manual_of_system,
        examples: &[
            ("qubes-prefs", "List all properties:"),
            ("qubes-prefs default_netvm", "Show one property:"),
            (
                "qubes-prefs default_template fedora-41-xfce",
                "Set the template of new qubes:",
            ),
            (
                "qubes-prefs --default default_qrexec_timeout",
                "Reset a property to its default:",
            ),
            (
                "qubes-prefs --changed --json",
                "Print the explicit values that differ from their defaults as JSON:",
            ),
        ],
        see_also: &["qvm-prefs(1)", "qubes-set-updates(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qubes-set-updates",
        description: "\
Switches the search for updates on or off, for dom0 and for all qubes together, or shows the \
present state. It keeps the command line of R3.

It changes the property check_updates_vm of the system, the feature check-updates of dom0 and of \
every qube, and a file that dom0's own updater reads. It installs nothing.",
        examples: &[
            ("qubes-set-updates status", "Show the state:"),
            ("qubes-set-updates disable", "Switch the search off:"),
            ("qubes-set-updates enable", "Switch the search on:"),
        ],
        files: &[
            ("/var/lib/qubes/qubes.xml", "The store."),
            (
                "/var/lib/qubes/updates/disable-updates",
                "Exists while dom0 does not look for updates.",
            ),
        ],
        see_also: &["qubes-prefs(1)", "qvm-features(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-features",
        description: "\
Lists the features of a qube, shows one, sets it or removes it. Features are short texts by which \
the system and the qube tell each other what they support; an empty text means off, and a feature \
that is not set is inherited from the template where that makes sense.

A change is saved in the store; if it takes effect in a running qube only at its next start, a \
message says so. Features in which the system keeps its own state cannot be changed.",
        examples: &[
            ("qvm-features work", "List the features of a qube:"),
            ("qvm-features work gui", "Show one feature:"),
            (
                "qvm-features work net.fake-ip 192.168.1.5",
                "Set a feature:",
            ),
            ("qvm-features work gui ''", "Switch a feature off:"),
            ("qvm-features --unset work gui", "Remove a feature:"),
        ],
        exit_status: ANSWER,
        see_also: &["qvm-service(1)", "qvm-tags(1)", "qvm-prefs(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-notes",
        description: "\
Shows, edits, replaces or deletes the notes about a qube, a text of at most 256000 bytes. The \
default is to open it in an editor. If the editor fails, or if the notes changed meanwhile, the \
notes stay, and a message names the file with the edited text.

Only the file with the notes is changed, never the store or a volume. Characters that could \
deceive a reader are replaced by _.",
        examples: &[
            ("qvm-notes work", "Edit the notes about a qube:"),
            ("qvm-notes --print work", "Print them:"),
            ("qvm-notes --append 'Updated today' work", "Append a line:"),
            (
                "qvm-notes --import notes.txt work",
                "Replace them with a file:",
            ),
            (
                "qvm-notes --force --delete work",
                "Delete them without a question:",
            ),
        ],
        exit_status: &[
            ("0", "The command did what it was asked to."),
            (
                "1",
                "It could not be done; the reason is on standard error.",
            ),
            (
                "2",
                "The command line is wrong, or the answer to the question was no.",
            ),
        ],
        files: &[
            (
                "/var/lib/qubes/appvms/NAME/notes.txt",
                "The notes about an AppVM.",
            ),
            (
                "/var/lib/qubes/vm-templates/NAME/notes.txt",
                "The notes about a template.",
            ),
        ],
        environment: &[(
            "VISUAL, EDITOR",
            "The editor with its options; vi if neither is set.",
        )],
        see_also: &["qvm-tags(1)", "qvm-features(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-prefs",
        description: "\
Lists the properties of a qube, shows one, sets it, or resets it to its default; also those of \
several qubes together.

The list has one property a line: its name, a mark and its value. The mark is D for a default, - \
for an explicit value, and U for a value that is missing or cannot be read.

A change is checked against the rules of the property and of other qubes, then saved. A running \
qube follows at once where it can, for example to another netvm, else at its next start. Volumes \
are never changed. Properties of the system are those of `qubes-prefs`(1).",
        sections: prefs::manual_of_qube,
        examples: &[
            ("qvm-prefs work", "List the properties of a qube:"),
            ("qvm-prefs work netvm", "Show one property:"),
            ("qvm-prefs work netvm sys-vpn", "Set it:"),
            ("qvm-prefs --default work netvm", "Reset it to its default:"),
            (
                "qvm-prefs --all --class AppVM memory",
                "Show a property of all qubes of a class:",
            ),
            (
                "qvm-prefs --changed 'sys-*'",
                "Show what differs from the defaults, for the qubes that match a pattern:",
            ),
        ],
        see_also: &["qubes-prefs(1)", "qvm-features(1)", "qvm-ls(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-service",
        description: "\
Lists the services of a qube, shows one, switches it on or off, or removes the setting so that the \
qube decides. A service is a feature whose name begins with service.; its meaning is the qube's.

The change is saved in the store; the qube reads its services when it starts.",
        examples: &[
            ("qvm-service work", "List the services of a qube:"),
            ("qvm-service work cups", "Show one service:"),
            ("qvm-service work cups off", "Switch it off:"),
            ("qvm-service --enable work cups", "Switch it on:"),
            ("qvm-service --unset work cups", "Let the qube decide:"),
        ],
        exit_status: ANSWER,
        see_also: &["qvm-features(1)", "qvm-prefs(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-tags",
        description: "\
Lists the tags of a qube, checks for one, adds or removes tags. Tags are names by which policies \
and filters choose qubes.

Tags that the system sets itself (created-by-, guivm-, audiovm-, anon-) follow other settings. \
Only the store is changed.",
        examples: &[
            ("qvm-tags work", "List the tags of a qube:"),
            ("qvm-tags work list personal", "Check whether it has a tag:"),
            ("qvm-tags work add personal mail", "Add two tags:"),
            ("qvm-tags work del mail", "Remove one:"),
        ],
        exit_status: ANSWER,
        see_also: &["qvm-ls(1)", "qvm-features(1)"],
        ..Page::DEFAULT
    },
];
