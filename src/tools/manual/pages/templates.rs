//! The pages of commands that installers and packages of templates call.

use crate::tools::manual::page::Page;

pub(super) const PAGES: &[Page] = &[
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
        command: "qvm-template-commit",
        description: "\
Commits what a template wrote to its root volume, if its last stop was not finished. A stop that \
is finished has committed it already. It keeps the command line of R3.

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
an installer unpacks packages.

post-install creates the template, or replaces the root volume of an existing one, sets its \
features and properties as the package says, and removes the unpacked files. pre-remove removes \
the template with its volumes. Other qubes are not changed, and nothing is started.",
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
];
