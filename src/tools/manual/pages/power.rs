//! The pages of commands that start and stop qubes, and of what the hypervisor is given.

use super::shared_texts::{COUNTED, RUNNING};
use crate::tools::commands::domain_xml;
use crate::tools::manual::page::Page;

pub(super) const PAGES: &[Page] = &[
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
        command: "qvm-kill",
        description: "\
Destroys the domains of running qubes at once, as pulling the plug would, and finishes their stop: \
volumes are committed or discarded as after a shutdown, devices are detached, disposables with \
auto_cleanup are removed. With --all netvms follow after their clients.

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
        command: "qvm-pause",
        description: "\
Stops the processors of running qubes, so that they keep their memory but do nothing. With \
--suspend the qubes suspend themselves (S3); those that cannot are paused. With --all, qubes that \
do not run and internal qubes are left out.

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
        command: "qvm-shutdown",
        description: "\
Requests running qubes to shut down. With --wait it waits until they have stopped, for each as \
long as its property shutdown_timeout says, requests once more, and then kills it. Without --wait \
a process in the background repeats the request, because a guest that still boots does not hear it.

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
started first. The command returns when the domains run; the guests may still boot then.

A start makes snapshots of volumes that come from a template, writes a record and starts a \
monitor, which finishes the stop when the guest powers off. The store is not changed. If a start \
fails, everything it made is removed.",
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
];
