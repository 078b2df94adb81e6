//! The pages of commands that list, create, clone and remove qubes.

use crate::tools::commands::{clone, ls};
use crate::tools::manual::page::Page;

pub(super) const PAGES: &[Page] = &[
    Page {
        command: "qvm-check",
        description: "\
Checks whether qubes exist, and whether they run, are paused, are templates or have a network. The \
exit code is the answer; one line for each qube is on standard error.

Names are taken literally, patterns are not expanded. Nothing is changed. Only --running and \
--paused contact the hypervisor.",
        examples: &[
            ("qvm-check work", "Check whether a qube exists:"),
            (
                "qvm-check --quiet --running work",
                "Check in a script whether it runs:",
            ),
            (
                "qvm-check --template fedora-41-xfce",
                "Check whether it is a template:",
            ),
            ("qvm-check --json work vault", "Print the answers as JSON:"),
        ],
        exit_status: &[
            ("0", "Every qube exists and meets every condition."),
            ("1", "No qube meets them, or a name does not exist."),
            ("2", "The command line is wrong."),
            ("3", "Some qubes meet them, others do not."),
        ],
        see_also: &["qvm-ls(1)", "qvm-prefs(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-clone",
        description: "\
Creates a qube that is a copy of another: its volumes, settings and notes. The source may run; its \
volumes are copied as they were last committed. Where the pool can share blocks, the copy takes no \
space until one of the two changes.

The source is not changed. If the clone cannot be completed, nothing of it is left.",
        sections: clone::manual,
        examples: &[
            ("qvm-clone work work-2", "Clone a qube:"),
            (
                "qvm-clone --class StandaloneVM work work-own",
                "Make a standalone qube of one that is based on a template:",
            ),
            (
                "qvm-clone -P slow-hdd work work-archive",
                "Create every volume of the clone in another pool:",
            ),
            (
                "qvm-clone -p private=slow-hdd work work-2",
                "Create one volume in another pool:",
            ),
        ],
        see_also: &[
            "qvm-create(1)",
            "qvm-remove(1)",
            "qvm-volume(1)",
            "qvm-pool(1)",
        ],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-create",
        description: "\
Creates a qube with its volumes. A qube of class AppVM or DispVM starts from the root volume of \
its template; a TemplateVM or StandaloneVM has one of its own, which --root-copy-from fills, and a \
StandaloneVM with --template is a copy of that template.

A DispVM without a name is called disp and a number; the command prints the name. It is removed \
when it stops.

The volumes are created first, then the qube is saved in the store; if anything fails, nothing is \
left. Images that already exist in the place of the new ones are refused unless an option says \
what to do with them. No other qube is changed, and none is started.",
        examples: &[
            (
                "qvm-create --label green work",
                "Create an AppVM based on the default template:",
            ),
            (
                "qvm-create -t fedora-41-xfce -l red --property netvm= vault",
                "Create one without a network:",
            ),
            (
                "qvm-create -l red --property provides_network=True --property netvm= sys-net",
                "Create a qube that provides the network to others:",
            ),
            (
                "qvm-create --standalone -t fedora-41-xfce -l blue builder",
                "Create a standalone copy of a template:",
            ),
            (
                "qvm-create -C TemplateVM -l black --root-copy-from root.img debian-13",
                "Create a template from an image:",
            ),
            (
                "qvm-create --disp",
                "Create a disposable and print its name:",
            ),
        ],
        exit_status: &[
            ("0", "The qube was created."),
            ("1", "It could not be created."),
            (
                "2",
                "The command line is wrong, or a property cannot be set; there is no qube.",
            ),
            (
                "3",
                "The root volume could not be filled; there is no qube.",
            ),
        ],
        see_also: &[
            "qvm-clone(1)",
            "qvm-prefs(1)",
            "qvm-remove(1)",
            "qvm-start(1)",
        ],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-create-default-dvm",
        description: "\
Creates the AppVM from which disposables are made, and sets the property default_dispvm of the \
system to it. It is called TEMPLATE-dvm; one that exists is used. The command line is that of R3.

Nothing is started. Disposables start with the files of this qube: to change those, start it, \
change it and shut it down.",
        examples: &[
            (
                "qvm-create-default-dvm --default-template",
                "Base it on the system's default template:",
            ),
            (
                "qvm-create-default-dvm fedora-41-xfce",
                "Base it on a template:",
            ),
            (
                "qvm-create-default-dvm --used-template",
                "Base it on the template of the current default_dispvm:",
            ),
        ],
        see_also: &["qvm-create(1)", "qubes-prefs(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-ls",
        description: "\
Lists qubes as a table, as a tree of netvms, in a form for scripts or as JSON. Without names all \
qubes are listed; a qube must satisfy every filter. A mark ! follows the name of a qube whose \
settings are damaged, and `qubes-db`(1) check says why.

Nothing is changed. The hypervisor is contacted only if a column or filter needs it; if it cannot \
be reached, power states are NA and one warning says so. Disks are read only for the columns of \
disk usage.",
        sections: ls::manual,
        examples: &[
            ("qvm-ls", "List all qubes:"),
            (
                "qvm-ls --running --raw-list",
                "Print the names of the running qubes:",
            ),
            (
                "qvm-ls --fields name,memory,maxmem --sort memory --reverse",
                "Choose the columns, and sort by one:",
            ),
            (
                "qvm-ls --network --tree",
                "Show who gets its network from whom:",
            ),
            (
                "qvm-ls --class AppVM --tags personal",
                "List the qubes of a class that have a tag:",
            ),
            ("qvm-ls --json --format disk", "Print sizes for a program:"),
        ],
        environment: &[
            (
                "NO_COLOR, TERM",
                "A NO_COLOR that is not empty and a TERM that is dumb or missing disable colours.",
            ),
            ("COLUMNS", "The width of the terminal."),
            (
                "LC_ALL, LC_CTYPE, LANG",
                "A locale with UTF-8 enables box-drawing characters.",
            ),
        ],
        see_also: &["qvm-prefs(1)", "qvm-check(1)", "qubes-db(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-remove",
        description: "\
Removes qubes: first from the store, then their volumes with all revisions and their other files. \
It lists the qubes and asks for a confirmation; to remove all qubes it asks for another answer.

A running qube cannot be removed, nor dom0, nor a qube that another qube or a property of the \
system uses, as a template or netvm for example. Images that another qube uses are kept. Files \
that cannot be deleted are named in a warning.",
        examples: &[
            ("qvm-remove work-2", "Remove a qube after a confirmation:"),
            (
                "qvm-remove --force work-2",
                "Remove it without a confirmation:",
            ),
            (
                "qvm-remove 'test-*'",
                "Remove all qubes that match a pattern:",
            ),
        ],
        exit_status: &[
            ("0", "The qubes were removed."),
            (
                "1",
                "A qube cannot be removed, the answer was no, or files were left.",
            ),
            ("2", "The command line is wrong, or a qube does not exist."),
        ],
        see_also: &["qvm-create(1)", "qvm-kill(1)", "qubes-recover(1)"],
        ..Page::DEFAULT
    },
];
