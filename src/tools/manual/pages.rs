//! The texts of each command's manual page.

use super::{EXIT_STATUS, Page, STORE};
use crate::tools::{clone, db, domain_xml, ls, pool, prefs, tags, volume};

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
        "The number of qubes that failed, at most 255; 2 also stands for a wrong command line, \
         and 1 for a store that cannot be read.",
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

/// One page for each command that is not hidden, in the order of the commands.
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
else \
does: it never contacts the hypervisor, and it copes with a store that is damaged or missing.

Before the first save of a day and before each conversion or repair the commands of Qubes copy the \
store to the directory `backup` beside it.

`check`, `diff`, `dump` and `history` change nothing. `convert`, `repair` and `restore` replace \
`qubes.xml` in one step, after a copy of it; `convert` also writes the firewall files of its \
qubes. \
No image is ever touched.",
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
        command: "qubes-domain-xml",
        description: "\
Prints the libvirt XML of a qube's domain as a start would pass it to the hypervisor. It is made \
from a template, which can be replaced for all qubes or for one.

Nothing is changed and nothing is started. In offline mode the hypervisor is not contacted.",
        sections: domain_xml::manual,
        examples: &[
            (
                "qubes-domain-xml work",
                "Print the description of qube work:",
            ),
            (
                "qubes-domain-xml --offline-mode work > work.xml",
                "Save it without contacting the hypervisor:",
            ),
            (
                "qubes-domain-xml sys-usb | grep hostdev",
                "Look for the devices that a qube is given:",
            ),
        ],
        see_also: &["qvm-start(1)", "qvm-prefs(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qubes-prefs",
        description: "\
Lists the properties of the system, shows one, sets it, or resets it to its default.

The list has one property a line: its name, a mark and its value. The mark is D for a default, - \
for an explicit value, and U for a value that is missing or cannot be read.

A change is checked against the rules of the property and of the qubes it affects, then saved. \
Running qubes that depend on it follow at once where they can, else at their next start. \
Properties \
of qubes are those of `qvm-prefs`(1).",
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
        command: "qvm-add-appvm",
        description: "\
Registers an AppVM whose private image already exists in its directory, as R3 did after a restore. \
The qube gets the label red.

The images are taken over as they are: their content is not changed. An image that another qube \
uses is never taken.",
        examples: &[
            (
                "qvm-add-appvm work fedora-41-xfce",
                "Register the image in the directory of qube work:",
            ),
            (
                "qvm-add-appvm --path /var/lib/qubes/appvms/work work fedora-41-xfce",
                "Name the directory, which must be the default one:",
            ),
            (
                "qvm-add-appvm --offline-mode --root /mnt work fedora-41-xfce",
                "Register it in a system that is mounted elsewhere:",
            ),
        ],
        files: &[
            ("/var/lib/qubes/qubes.xml", "The store."),
            ("/var/lib/qubes/appvms/NAME", "The images of a qube."),
        ],
        see_also: &["qvm-create(1)", "qvm-add-template(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-add-template",
        description: "\
Registers a template whose images were unpacked in its directory, as the packages of R3 do. The \
template gets the label black.

The images are taken over as they are. An image that another qube uses is never taken, and nothing \
is started.",
        examples: &[
            (
                "qvm-add-template fedora-23",
                "Register a template whose images were unpacked:",
            ),
            (
                "qvm-add-template --rpm fedora-23",
                "Register the template of a package, which alone may remove it:",
            ),
            (
                "qvm-add-template --offline-mode --root /mnt fedora-23",
                "Register it in a system that is mounted elsewhere:",
            ),
        ],
        files: &[
            ("/var/lib/qubes/qubes.xml", "The store."),
            (
                "/var/lib/qubes/vm-templates/NAME",
                "The images of a template.",
            ),
        ],
        see_also: &["qvm-template-postprocess(1)", "qvm-add-appvm(1)"],
        ..Page::DEFAULT
    },
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
its \
template; a TemplateVM or StandaloneVM has one of its own, which --root-copy-from fills, and a \
StandaloneVM with --template is a copy of that template.

A DispVM without a name is called disp and a number; the command prints the name. It is removed \
when it stops.

The volumes are created first, then the qube is saved in the store; if anything fails, nothing is \
left. Images that already exist in the place of the new ones are refused unless an option says \
what \
to do with them. No other qube is changed, and none is started.",
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
change \
it and shut it down.",
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
        command: "qvm-grow-private",
        description: "\
Extends the private volume of a qube to a size. It keeps the command line of R3; `qvm-volume`(1) \
resize does the same and knows more units.

The volume never becomes smaller. The qube may run: its disk has the new size at once, and a \
message \
says how its file system follows.",
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
    Page {
        command: "qvm-kill",
        description: "\
Destroys the domains of running qubes at once, as pulling the plug would, and finishes their stop: \
volumes are committed or discarded as after a shutdown, devices are detached, disposables \
with auto_cleanup are removed. With --all netvms follow after their clients.

Data that a qube had not written yet are lost. The store is not changed, except that such a \
disposable is removed from it. When the command ends with 0, the qubes are off.",
        examples: &[
            ("qvm-kill work", "Kill a qube:"),
            (
                "qvm-kill work 'test-*'",
                "Kill a qube and all that match a pattern:",
            ),
            (
                "qvm-kill --all --exclude sys-usb",
                "Kill all qubes except one:",
            ),
        ],
        exit_status: COUNTED,
        files: RUNNING,
        see_also: &["qvm-shutdown(1)", "qvm-start(1)", "qubes-recover(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-ls",
        description: "\
Lists qubes as a table, as a tree of netvms, in a form for scripts or as JSON. Without names all \
qubes are listed; a qube must satisfy every filter. A mark ! follows the name of a qube whose \
settings are damaged, and `qubes-db`(1) check says why.

Nothing is changed. The hypervisor is contacted only if a column or filter needs it; if it cannot \
be \
reached, power states are NA and one warning says so. Disks are read only for the columns of disk \
usage.",
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
        command: "qvm-notes",
        description: "\
Shows, edits, replaces or deletes the notes about a qube, a text of at most 256000 bytes. The \
default is to open it in an editor. If the editor fails, or if the notes changed meanwhile, the \
notes stay, and a message names the file with the edited text.

Only the file with the notes is changed, never the store or a volume. Characters that could \
deceive \
a reader are replaced by _.",
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
        command: "qvm-pause",
        description: "\
Stops the processors of running qubes, so that they keep their memory but do nothing. With \
--suspend the qubes suspend themselves (S3); those that cannot are paused. With --all, qubes that \
do \
not run and internal qubes are left out.

Neither the store nor a volume is changed. `qvm-unpause`(1) resumes the qubes.",
        examples: &[
            ("qvm-pause work", "Pause a qube:"),
            (
                "qvm-pause --suspend sys-net",
                "Suspend a qube with network hardware:",
            ),
            (
                "qvm-pause --all --exclude sys-usb",
                "Pause all running qubes except one:",
            ),
        ],
        files: RUNNING,
        see_also: &["qvm-unpause(1)", "qvm-shutdown(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-pool",
        description: "\
Lists the storage pools, shows one, adds, changes or removes one. A pool is a place for volumes \
with \
the driver that keeps them there.

Adding a pool prepares its place, for example a directory. Removing one takes it out of the store \
and leaves its place and everything in it; a pool that a qube or a property uses cannot be \
removed. \
No command changes a volume. A pool that is nearly full is reported on standard error.",
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
        command: "qvm-remove",
        description: "\
Removes qubes: first from the store, then their volumes with all revisions and their other files. \
It lists the qubes and asks for a confirmation; to remove all qubes it asks for another answer.

A running qube cannot be removed, nor dom0, nor a qube that another qube or a property of the \
system \
uses, as a template or netvm for example. Images that another qube uses are kept. Files that \
cannot \
be deleted are named in a warning.",
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
    Page {
        command: "qvm-revert-template-changes",
        description: "\
Reverts the root volume of a halted template to the state before its last change, after a \
confirmation. It keeps the command line of R3; `qvm-volume`(1) revert goes back to any revision.

The present state is kept as a revision, unless the volume keeps none. Only the root volume is \
changed; qubes that run on it see the old state at their next start.",
        examples: &[
            (
                "qvm-revert-template-changes fedora-41-xfce",
                "Revert a template after a confirmation:",
            ),
            (
                "qvm-revert-template-changes --force fedora-41-xfce",
                "Revert it without a confirmation:",
            ),
            (
                "qvm-volume info fedora-41-xfce:root",
                "List the revisions that can be reverted to:",
            ),
        ],
        see_also: &["qvm-volume(1)", "qvm-template-commit(1)"],
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
        command: "qvm-shutdown",
        description: "\
Requests running qubes to shut down. With --wait it waits until they have stopped, for each as \
long \
as its property shutdown_timeout says, requests once more, and then kills it. Without --wait a \
process in the background repeats the request, because a guest that still boots does not hear it.

A qube that others use, for example as their netvm, is not shut down without --force; with --all, \
netvms follow after their clients. The store is not changed, except that a disposable with \
auto_cleanup is removed from it. When `qvm-shutdown --wait` ends with 0, the qubes are off.",
        examples: &[
            ("qvm-shutdown work", "Request a shutdown and return:"),
            (
                "qvm-shutdown --wait work vault",
                "Wait until the qubes are off:",
            ),
            (
                "qvm-shutdown --all --wait",
                "Shut down all qubes in an order that works:",
            ),
            (
                "qvm-shutdown --force --wait sys-net",
                "Shut down a netvm that others use:",
            ),
        ],
        exit_status: COUNTED,
        files: RUNNING,
        see_also: &["qvm-start(1)", "qvm-kill(1)", "qvm-prefs(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-start",
        description: "\
Starts qubes, up to eight at a time. A qube's netvm and the qubes that its devices need are \
started \
first. The command returns when the domains run; the guests may still boot then.

A start makes snapshots of volumes that come from a template, writes a record and starts a \
monitor, \
which finishes the stop when the guest powers off. The store is not changed. If a start fails, \
everything it made is removed.",
        examples: &[
            ("qvm-start work", "Start a qube:"),
            (
                "qvm-start --skip-if-running work vault",
                "Start two, if they do not run:",
            ),
            ("qvm-start 'sys-*'", "Start all qubes that match a pattern:"),
            (
                "qvm-start --cdrom dom0:/home/user/install.iso win10",
                "Start a qube with a CD image of dom0:",
            ),
        ],
        files: RUNNING,
        see_also: &["qvm-shutdown(1)", "qvm-kill(1)", "qubes-domain-xml(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-tags",
        description: "\
Lists the tags of a qube, checks for one, adds or removes tags. Tags are names by which policies \
and filters choose qubes.

Tags that the system sets itself (created-by-, guivm-, audiovm-, anon-) follow other settings. \
Only \
the store is changed.",
        sections: tags::manual,
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
    Page {
        command: "qvm-template-commit",
        description: "\
Commits what a template wrote to its root volume, if its last stop was not finished. A stop that \
is \
finished has committed it already. It keeps the command line of R3.

The template must be halted. Only its root volume is changed, and its former state becomes a \
revision.",
        examples: &[
            (
                "qvm-template-commit fedora-41-xfce",
                "Commit the changes of a template:",
            ),
            (
                "qvm-volume info fedora-41-xfce:root revisions",
                "List the revisions before and after:",
            ),
            (
                "qvm-revert-template-changes fedora-41-xfce",
                "Go back to the state before:",
            ),
        ],
        see_also: &["qvm-revert-template-changes(1)", "qvm-volume(1)"],
        ..Page::DEFAULT
    },
    Page {
        command: "qvm-template-postprocess",
        description: "\
Installs the template of a package after its files were unpacked, or removes it before they go. It \
is for the scripts of packages and needs --really. Unlike upstream's it works in a chroot, where \
an \
installer unpacks packages.

post-install creates the template, or replaces the root volume of an existing one, sets its \
features \
and properties as the package says, and removes the unpacked files. pre-remove removes the \
template \
with its volumes. Other qubes are not changed, and nothing is started.",
        examples: &[
            (
                "qvm-template-postprocess --really post-install debian-13 \
                 /var/lib/qubes/vm-templates/debian-13",
                "Install the template of a package:",
            ),
            (
                "qvm-template-postprocess --really --pool slow-hdd --keep-source post-install \
                 debian-13 /tmp/debian-13",
                "Install it into another pool and keep the files:",
            ),
            (
                "qvm-template-postprocess --really pre-remove debian-13 \
                 /var/lib/qubes/vm-templates/debian-13",
                "Remove it:",
            ),
        ],
        files: &[
            ("/var/lib/qubes/qubes.xml", "The store."),
            (
                "DIR/root.img*, DIR/template.conf",
                "The content of a package.",
            ),
        ],
        see_also: &["qvm-add-template(1)", "qvm-create(1)", "qvm-remove(1)"],
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
is \
free when that revision is gone.",
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
        command: "qvm-unpause",
        description: "\
Resumes qubes that are paused, and wakes qubes that are suspended. With --all, qubes that are \
neither and internal qubes are left out.

Neither the store nor a volume is changed.",
        examples: &[
            ("qvm-unpause work", "Resume a qube:"),
            ("qvm-unpause work vault", "Resume two qubes:"),
            (
                "qvm-unpause --all",
                "Resume all qubes that are paused or suspended:",
            ),
        ],
        files: RUNNING,
        see_also: &["qvm-pause(1)", "qvm-start(1)"],
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
        sections: volume::manual,
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
        exit_status: EXIT_STATUS,
        files: STORE,
        environment: &[],
        see_also: &["qvm-pool(1)", "qvm-create(1)", "qvm-grow-private(1)"],
    },
];
