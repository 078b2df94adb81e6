//! The pages of commands that make, examine and repair the store.

use super::shared_texts::RUNNING;
use crate::tools::commands::db;
use crate::tools::manual::page::Page;

pub(super) const PAGES: &[Page] = &[
    Page {
        command: "qubes-create",
        description: "\
Creates a new store: `qubes.xml` with the eight labels, the first pools and dom0. The first change \
of a fresh system is usually to set its kernel and its default template with `qubes-prefs`(1).

An existing store is never overwritten. No image, kernel or directory besides that of the store is \
created, and the hypervisor is not contacted.",
        examples: &[
            ("qubes-create", "Create the store of this machine, as root:"),
            (
                "qubes-create --root /mnt/target",
                "Create the store of a system that is mounted elsewhere, as an installer does:",
            ),
            (
                "qubes-create --qubesxml test.xml",
                "Create a store for experiments in the current directory:",
            ),
        ],
        see_also: &["qubes-prefs(1)", "qvm-create(1)", "core.toml(5)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qubes-db",
        description: "\
Examines the store and its copies, repairs it, and goes back to a copy. It works where nothing \
else does: it never contacts the hypervisor, and it copes with a store that is damaged or missing.

Before the first save of a day and before each conversion or repair the commands of Qubes copy the \
store to the directory `backup` beside it.

`check`, `diff`, `dump` and `history` change nothing. `convert`, `repair` and `restore` replace \
`qubes.xml` in one step, after a copy of it; `convert` also writes the firewall files of its \
qubes. No image is ever touched.",
        sections: db::manual,
        examples: &[
            (
                "qubes-db check",
                "List everything that is wrong with the store:",
            ),
            (
                "qubes-db repair --dry-run",
                "Print the repairs without doing them:",
            ),
            ("qubes-db history", "List the copies:"),
            (
                "qubes-db diff 2026-11-18\nqubes-db restore 2026-11-18",
                "Show what changed since the copy of a day, then go back to it:",
            ),
            (
                "qubes-db convert --dry-run",
                "Show what becomes of a store of R1, R2 or R3:",
            ),
            (
                "qubes-db dump > store.json",
                "Save the meaning of the store as JSON:",
            ),
        ],
        exit_status: &[
            (
                "0",
                "The command did what it was asked to; check found nothing, diff found no \
                 difference, repair left nothing.",
            ),
            (
                "1",
                "check found a problem, diff a difference, repair left a problem or wrote nothing, \
                 or it could not be done.",
            ),
            ("2", "The command line is wrong."),
        ],
        files: &[
            ("/var/lib/qubes/qubes.xml", "The store."),
            (
                "/var/lib/qubes/backup/qubes-TIME.xml",
                "Copies of the store; the oldest are removed in time.",
            ),
            (
                "/etc/qubes/core.toml",
                "The release for which the store is written.",
            ),
        ],
        see_also: &["qubes-recover(1)", "core.toml(5)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qubes-recover",
        description: "\
Reconciles qubes with the hypervisor after a crash or an unclean shutdown of the machine. For each \
qube that was running it finishes the stop: it commits or discards volumes, removes snapshots, \
detaches devices and removes the record. Disposables with auto_cleanup are removed. Qubes that \
still run get a monitor again. `qubes-recover.service` runs it at boot.

On request it lists or removes the volumes in the pools that belong to no qube.

It never starts a qube, never changes a property, and deletes no volume that a qube of the store \
uses.",
        examples: &[
            ("qubes-recover", "Reconcile all qubes by hand:"),
            (
                "qubes-recover --at-boot",
                "Reconcile them as the unit does at boot:",
            ),
            (
                "qubes-recover --list-orphans",
                "List the volumes that belong to no qube:",
            ),
            (
                "qubes-recover --remove-orphans",
                "Remove them, after a confirmation for each:",
            ),
        ],
        exit_status: &[
            ("0", "Every qube was reconciled."),
            (
                "1",
                "A qube could not be reconciled, or an orphan could not be removed; the others \
                 were.",
            ),
            ("2", "The command line is wrong."),
        ],
        files: RUNNING,
        see_also: &["qubes-db(1)", "qvm-start(1)", "qvm-volume(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-init-storage",
        description: "\
Creates a new store with labels, pools and dom0. It is the name that R3 had for `qubes-create`(1), \
and ends with 1 and a message if a store exists.

An existing store is never overwritten, and the hypervisor is not contacted.",
        examples: &[
            (
                "qvm-init-storage",
                "Create the store of this machine, as root:",
            ),
            (
                "qvm-init-storage --root /mnt/target",
                "Create the store of a system that is mounted elsewhere:",
            ),
            (
                "qvm-init-storage --qubesxml test.xml",
                "Create a store for experiments in the current directory:",
            ),
        ],
        see_also: &["qubes-create(1)"],
        ..Page::DEFAULT
    },
];
