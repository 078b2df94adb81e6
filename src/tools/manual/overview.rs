//! Manual pages that belong to no single command: `qubes(1)`, `qubes(7)` and `core.toml(5)`.

use super::endings::{write_examples, write_see_also};
use super::page::{EXIT_STATUS, ManualPage};
use super::roff::Roff;
use crate::tools::COMMANDS;
use crate::tools::ui::arguments::{base_command, is_common};
use crate::tools::ui::help::option_synopsis;

/// Returns the three pages.
pub(super) fn all() -> [ManualPage; 3] {
    let page = |file: &str, text: String| ManualPage {
        file: file.to_owned(),
        text,
    };
    [
        page("qubes.1", program()),
        page("qubes.7", overview()),
        page("core.toml.5", configuration()),
    ]
}

/// Tasks with the commands for them.
const TASKS: &[(&str, &str)] = &[
    ("See what there is", "`qvm-ls`(1), `qvm-check`(1)"),
    (
        "Create, clone and remove qubes",
        "`qvm-create`(1), `qvm-clone`(1), `qvm-remove`(1)",
    ),
    (
        "Start and stop them",
        "`qvm-start`(1), `qvm-shutdown`(1), `qvm-kill`(1), `qvm-pause`(1), `qvm-unpause`(1)",
    ),
    (
        "Change settings",
        "`qvm-prefs`(1) for a qube, `qubes-prefs`(1) for the system, `qvm-features`(1), \
         `qvm-service`(1), `qvm-tags`(1), `qvm-notes`(1)",
    ),
    (
        "Manage storage",
        "`qvm-pool`(1), `qvm-volume`(1), `qvm-trim-template`(1)",
    ),
    (
        "Repair a system",
        "`qubes-db`(1) for the store, `qubes-recover`(1) for qubes after a crash",
    ),
    (
        "Prepare a system",
        "`qubes-create`(1), `qvm-template-postprocess`(1), `qvm-create-default-dvm`(1)",
    ),
    ("See what the hypervisor is given", "`qubes-domain-xml`(1)"),
    (
        "Run scripts that were written for R3",
        "`qvm-add-appvm`(1), `qvm-add-template`(1), `qvm-grow-private`(1), `qvm-grow-root`(1), \
         `qvm-init-storage`(1), `qvm-revert-template-changes`(1), `qvm-template-commit`(1), \
         `qubes-set-updates`(1)",
    ),
];

const TERMS: &[(&str, &str)] = &[
    (
        "qube",
        "A virtual machine with its settings, an entry of the store.",
    ),
    ("store", "The file qubes.xml with its lock and its copies."),
    ("domain", "What the hypervisor runs for a started qube."),
    (
        "volume",
        "A disk of a qube: root, private, volatile or kernel. A volume may keep revisions, its \
         former states.",
    ),
    (
        "pool",
        "A place for volumes, with the driver that keeps them there.",
    ),
    (
        "template",
        "A qube from whose root volume others start. What they write to it is discarded when they \
         stop.",
    ),
    (
        "disposable",
        "A qube that starts from the private volume of another and is removed when it stops.",
    ),
    (
        "default and explicit value",
        "A property without an explicit value has its default, which may follow other settings.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("QUBES_ROOT", "The same as --root."),
    ("QUBES_XML_PATH", "The same as --qubesxml."),
    (
        "QUBES_OFFLINE",
        "The same as --offline-mode, unless it is empty or 0.",
    ),
    (
        "QUBES_LIBVIRT_URI",
        "The hypervisor to use, such as qemu:///session; it takes precedence over core.toml.",
    ),
    (
        "QUBES_NEARLY_FULL",
        "Per cent of a pool from which it is reported as nearly full (default: 90).",
    ),
    (
        "DEFAULT_LVM_POOL",
        "The LVM thin pool that is the default pool, if no pool is called default.",
    ),
    ("NO_COLOR", "Disables colours unless it is empty."),
    (
        "XDG_RUNTIME_DIR, XDG_CACHE_HOME",
        "Directories of a user whose store is not that of the machine.",
    ),
];

const FILES: &[(&str, &str)] = &[
    ("/var/lib/qubes/qubes.xml", "The store."),
    (
        "/var/lib/qubes/backup",
        "Copies of the store; see `qubes-db`(1).",
    ),
    (
        "/var/lib/qubes/appvms, /var/lib/qubes/vm-templates",
        "Images, firewall rules and notes of qubes.",
    ),
    (
        "/var/lib/qubes/vm-kernels/VERSION",
        "Kernels: vmlinuz, initramfs and modules.img.",
    ),
    (
        "/etc/qubes/core.toml",
        "Settings of the commands; see `core.toml`(5).",
    ),
    (
        "/etc/qubes/templates",
        "Own templates of libvirt XML; see `qubes-domain-xml`(1).",
    ),
    (
        "/run/qubes",
        "Locks, records of started qubes and logs of their monitors.",
    ),
    ("/run/qubes/console/NAME.log", "The console of a qube."),
    ("/usr/share/doc/qubes", "The documentation."),
];

fn overview() -> String {
    let mut roff = Roff::new("qubes", 7, "Overview of the commands of Qubes OS");
    roff.heading("description");
    roff.paragraphs(
        "The commands of the dom0 management core of Qubes OS. There is no daemon: each command \
         reads the store, does its work and ends. A lock serialises the writers, and the file is \
         replaced in one step, so a reader never waits and never sees half a change.\n\n\
         What is saved in the store is loaded by Qubes R4. A store of R1 to R3 is read as it is, \
         and converted by the first change after a copy.",
    );
    roff.definitions("tasks", TASKS);
    roff.definitions("terms", TERMS);
    roff.heading("names of qubes");
    roff.paragraphs(
        "Where a command takes several qubes, each argument is a name or a shell pattern with *, ? \
         and [...]; quote patterns, so that the shell does not expand them. --all selects all \
         qubes except dom0. A pattern that matches no qube is reported in a warning.",
    );
    roff.heading("common options");
    roff.paragraphs(
        "Options may stand anywhere on the command line, and a long one may be abbreviated to an \
         unambiguous prefix. After -- every word is an argument.",
    );
    let line = base_command("qubes");
    for arg in line.get_arguments().filter(|arg| is_common(arg)) {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        roff.definition(&option_synopsis(arg), &format!("{help}."));
    }
    roff.definition(
        "--json",
        "Print JSON, where a command prints data. The schemas are in \
         /usr/share/doc/qubes/docs/schemas.",
    );
    roff.heading("output");
    roff.paragraphs(
        "Data are on standard output, and everything else is on standard error: errors, warnings, \
         and lines that begin with hint: and say what to do next. On a terminal, characters that \
         could deceive a reader are shown as _.",
    );
    let closed_pipe = "The reader of standard output has gone away, as in qvm-ls | head -1.";
    roff.definitions(
        "exit status",
        &[EXIT_STATUS, &[("141", closed_pipe)]].concat(),
    );
    roff.note("The pages of some commands list further ones.");
    roff.definitions("environment", ENVIRONMENT);
    roff.definitions("files", FILES);
    write_see_also(&mut roff, &["qubes(1)", "core.toml(5)", "libvirtd(8)"]);
    roff.finish()
}

fn program() -> String {
    let mut roff = Roff::new("qubes", 1, "Run any command of Qubes OS");
    roff.heading("synopsis");
    roff.paragraphs("`qubes` COMMAND [ARGUMENT ...]\n\n`qubes` generate DIRECTORY");
    roff.heading("description");
    roff.paragraphs(
        "One program that holds every command. It runs the command that its first argument names, \
         or the one by whose name it is called: an installation with `make install MULTICALL=1` \
         has this program and a link for each command.\n\n\
         generate writes the shell completions, manual pages and JSON schemas below a directory.",
    );
    let commands: Vec<(&str, String)> = COMMANDS
        .iter()
        .filter(|command| !command.hidden)
        .map(|command| (command.name, format!("{}.", command.about)))
        .collect();
    roff.definitions("commands", &commands);
    roff.definitions(
        "options",
        &[
            ("-h, --help", "List the commands."),
            ("--version", "Show the version."),
        ],
    );
    roff.definitions(
        "exit status",
        &[
            ("0", "The command succeeded."),
            ("1", "generate cannot write a file."),
            ("2", "There is no such command, or none was named."),
        ],
    );
    roff.note("Otherwise the exit status is that of the command.");
    write_examples(
        &mut roff,
        &[
            ("qubes qvm-ls --running", "List the running qubes:"),
            ("qubes qvm-prefs --help", "Show the help of a command:"),
            (
                "qubes generate /usr/local/share/qubes",
                "Write completions, manual pages and schemas:",
            ),
        ],
    );
    write_see_also(&mut roff, &["qubes(7)"]);
    roff.finish()
}

fn configuration() -> String {
    let mut roff = Roff::new("core.toml", 5, "Settings of the Qubes OS commands");
    roff.heading("description");
    roff.paragraphs(
        "The file /etc/qubes/core.toml in the format TOML (https://toml.io). Below a root \
         directory \
         (--root, QUBES_ROOT) it is the file in that directory. Every command reads it when it \
         begins.\n\n\
         The file and every key are optional. An unknown section or key, and a value of a wrong \
         type, are errors: a command that finds one does nothing.",
    );
    for (heading, keys) in SECTIONS {
        roff.definitions(heading, keys);
    }
    roff.heading("security");
    roff.paragraphs(
        "Below --root the directory may be a disk that somebody else brought. Then uri may only be \
         xen:///system, qemu:///system or qemu:///session, so that libvirt neither runs a program \
         nor connects to another machine. QUBES_LIBVIRT_URI is not restricted.",
    );
    roff.definitions(
        "environment",
        &[
            ("QUBES_LIBVIRT_URI", "Takes precedence over uri."),
            ("QUBES_NEARLY_FULL", "Takes precedence over nearly_full."),
        ],
    );
    roff.definitions(
        "files",
        &[
            ("/etc/qubes/core.toml", "The file."),
            (
                "/etc/qubes-release",
                "The release of Qubes OS that is installed, the default of release.",
            ),
        ],
    );
    write_examples(
        &mut roff,
        &[
            (
                "[hypervisor]\nuri = \"qemu:///session\"",
                "Run qubes under QEMU as an ordinary user:",
            ),
            (
                "[store]\nrelease = \"4.2\"\n\n[host]\nmemory_mib = 32404\ncpus = 16",
                "Prepare a store of R4.2 for another machine:",
            ),
            (
                "[storage]\nnearly_full = 95",
                "Report a pool when 95 per cent of it are in use:",
            ),
        ],
    );
    write_see_also(&mut roff, &["qubes(7)", "qvm-pool(1)"]);
    roff.finish()
}

const SECTIONS: [(&str, &[(&str, &str)]); 4] = [
    (
        "section [store]",
        &[(
            "release = \"STRING\"",
            "The oldest release that has to load what is written, \"4.0\" to \"4.4\" (default: \
             that of /etc/qubes-release, else 4.3). A change that this release would not load is \
             refused.",
        )],
    ),
    (
        "section [host]",
        &[
            (
                "memory_mib = INTEGER",
                "The memory of the machine in MiB (default: that of this machine). An installer \
                 sets it when it prepares another machine.",
            ),
            (
                "cpus = INTEGER",
                "The number of processors (default: that of this machine).",
            ),
        ],
    ),
    (
        "section [hypervisor]",
        &[(
            "uri = \"STRING\"",
            "The libvirt URI of the hypervisor (default: xen:///system in a dom0, else \
             qemu:///system for root and qemu:///session for other users).",
        )],
    ),
    (
        "section [storage]",
        &[(
            "nearly_full = INTEGER",
            "Per cent of a pool in use from which it is reported as nearly full (default: 90). \
             Above 100 nothing is reported.",
        )],
    ),
];
