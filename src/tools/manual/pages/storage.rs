//! The pages of commands for pools and volumes.

use crate::tools::commands::pool;
use crate::tools::manual::page::Page;

pub(super) const PAGES: &[Page] = &[
    Page {
        command: "qvm-grow-private",
        description: "\
Extends the private volume of a qube to a size. It keeps the command line of R3; `qvm-volume`(1) \
resize does the same and knows more units.

The volume never becomes smaller. The qube may run: its disk has the new size at once, and a \
message says how its file system follows.",
        examples: &[
            ("qvm-grow-private work 10G", "Extend the volume to 10 GiB:"),
            (
                "qvm-grow-private work 2147483648",
                "Extend it to a number of bytes:",
            ),
            (
                "qvm-grow-private --quiet work 4096M",
                "Extend it without messages:",
            ),
        ],
        see_also: &["qvm-volume(1)", "qvm-grow-root(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-grow-root",
        description: "\
Extends the root volume of a template or standalone qube to a size. It keeps the command line of \
R3; `qvm-volume`(1) resize does the same and knows more units.

The volume never becomes smaller, and the qube is not started: it extends its root file system at \
its next start.",
        examples: &[
            (
                "qvm-grow-root fedora-41-xfce 20G",
                "Extend the volume to 20 GiB:",
            ),
            (
                "qvm-grow-root builder 30G",
                "Extend the volume of a standalone qube:",
            ),
            (
                "qvm-grow-root --quiet builder 40960M",
                "Extend it without messages:",
            ),
        ],
        see_also: &["qvm-volume(1)", "qvm-grow-private(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-pool",
        description: "\
Lists the storage pools, shows one, adds, changes or removes one. A pool is a place for volumes \
with the driver that keeps them there.

Adding a pool prepares its place, for example a directory. Removing one takes it out of the store \
and leaves its place and everything in it; a pool that a qube or a property uses cannot be \
removed. No command changes a volume. A pool that is nearly full is reported on standard error.",
        sections: pool::manual,
        examples: &[
            ("qvm-pool", "List the pools:"),
            (
                "qvm-pool info varlibqubes",
                "Show options, size and usage of a pool:",
            ),
            ("qvm-pool drivers", "List the drivers with their options:"),
            (
                "qvm-pool add archive file-reflink -o dir_path=/mnt/archive",
                "Add a pool in a directory:",
            ),
            (
                "qvm-pool set archive -o revisions_to_keep=5",
                "Keep five revisions of its volumes:",
            ),
            ("qvm-pool remove archive", "Remove the pool from the store:"),
        ],
        files: &[
            ("/var/lib/qubes/qubes.xml", "The store."),
            (
                "/etc/qubes/core.toml",
                "From which usage on a pool is nearly full.",
            ),
        ],
        environment: &[(
            "QUBES_NEARLY_FULL",
            "Per cent of a pool from which it is reported as nearly full (default: 90).",
        )],
        see_also: &["qvm-volume(1)", "qvm-create(1)", "core.toml(5)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-trim-template",
        description: "\
Turns the parts of a template's root volume that are nothing but zeros into holes, and prints how \
much that was. The template must be halted.

Only the template itself knows which parts of its disk its files no longer need. Templates of R4 \
discard them at once, or when fstrim runs in them; dom0 does not read the file systems of qubes.

The former state is kept as a revision that shares everything else with the volume, so the space \
is free when that revision is gone.",
        examples: &[
            ("qvm-trim-template fedora-41-xfce", "Trim a template:"),
            (
                "qvm-ls --format disk fedora-41-xfce",
                "Compare how much its volumes take on disk:",
            ),
            (
                "qvm-trim-template --quiet fedora-41-xfce",
                "Trim it without the advice about fstrim:",
            ),
        ],
        see_also: &["qvm-volume(1)", "qvm-template-commit(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-volume",
        description: "\
Lists the volumes of qubes, shows one, and resizes, reverts, imports, copies or empties one. A \
volume is named by its qube and itself, such as work:private.

revert, import, clone and clear replace the data of a volume; if it keeps revisions, its former \
state stays as one. clone and clear ask for a confirmation. An import that is cut off leaves the \
former data. What a running qube makes impossible is refused. Volumes of other qubes are never \
changed.",
        examples: &[
            ("qvm-volume list work", "List the volumes of a qube:"),
            (
                "qvm-volume info work:private",
                "Show a volume with its revisions:",
            ),
            (
                "qvm-volume resize work:private 10GiB",
                "Extend a volume, also while the qube runs:",
            ),
            (
                "qvm-volume revert work:private",
                "Revert the volume of a halted qube to its newest revision:",
            ),
            (
                "qvm-volume import work:private backup.img",
                "Replace its data with a file:",
            ),
            (
                "qvm-volume config work:private revisions_to_keep 3",
                "Keep three revisions of it:",
            ),
        ],
        see_also: &["qvm-pool(1)", "qvm-create(1)", "qvm-grow-private(1)"],
        ..Page::DEFAULT
    },
];
