//! Error messages: upstream's line, then a hint of ours with the rule or the next step. Standard
//! output and exit codes are upstream's.

use std::fs;

use qubes_test_support::{TestSystem, ToolOutput};

/// Command, exit code, standard output, and standard error without usage lines.
type Mistake = (&'static str, i32, &'static str, &'static [&'static str]);

/// Names that do not exist.
const UNKNOWN_NAMES: &[Mistake] = &[
    (
        "qvm-prefs wrk",
        2,
        "",
        &[
            "qvm-prefs: error: no such domain: 'wrk'",
            "hint: did you mean 'work'?",
        ],
    ),
    (
        "qvm-prefs zzz",
        2,
        "",
        &[
            "qvm-prefs: error: no such domain: 'zzz'",
            "hint: qvm-ls lists the qubes",
        ],
    ),
    (
        "qvm-prefs -q wrk",
        2,
        "",
        &["qvm-prefs: error: no such domain: 'wrk'"],
    ),
    (
        "qvm-start Work",
        2,
        "",
        &[
            "qvm-start: error: no such domain: 'Work'",
            "hint: did you mean 'work'?",
        ],
    ),
    (
        "qvm-kill vautl",
        2,
        "",
        &[
            "qvm-kill: error: no such domain: 'vautl'",
            "hint: did you mean 'vault'?",
        ],
    ),
    (
        "qvm-remove -f firewall",
        2,
        "",
        &[
            "qvm-remove: error: no such domain: 'firewall'",
            "hint: did you mean 'sys-firewall'?",
        ],
    ),
    (
        "qvm-clone wrk new",
        2,
        "",
        &[
            "qvm-clone: error: no such domain: 'wrk'",
            "hint: did you mean 'work'?",
        ],
    ),
    (
        "qvm-tags wrk",
        2,
        "",
        &[
            "qvm-tags: error: no such domain: 'wrk'",
            "hint: did you mean 'work'?",
        ],
    ),
    (
        "qvm-features wrk",
        2,
        "",
        &[
            "qvm-features: error: no such domain: 'wrk'",
            "hint: did you mean 'work'?",
        ],
    ),
    (
        "qvm-notes wrk",
        2,
        "",
        &[
            "qvm-notes: error: no such domain: 'wrk'",
            "hint: did you mean 'work'?",
        ],
    ),
    (
        "qubes-domain-xml wrk",
        2,
        "",
        &[
            "qubes-domain-xml: error: no such domain: 'wrk'",
            "hint: did you mean 'work'?",
        ],
    ),
    (
        "qvm-check wrk",
        1,
        "",
        &[
            "qvm-check: wrk: non-existent!",
            "hint: did you mean 'work'?",
        ],
    ),
    (
        "qvm-check w*",
        1,
        "",
        &[
            "qvm-check: w*: non-existent!",
            "hint: qvm-check takes names, not patterns",
        ],
    ),
    (
        "qvm-volume info wrk:private",
        1,
        "",
        &[
            "qvm-volume: error: no vm 'wrk'",
            "hint: did you mean 'work'?",
        ],
    ),
    (
        "qvm-volume info work:privat",
        1,
        "",
        &[
            "qvm-volume: error: vm 'work' has no volume 'privat'",
            "hint: did you mean 'private'?",
        ],
    ),
    (
        "qvm-volume info work:private sise",
        1,
        "",
        &[
            "Error: No such property: sise",
            "hint: did you mean 'size'?",
        ],
    ),
    (
        "qvm-volume config work:private rww True",
        1,
        "",
        &["Error: Invalid property: rww", "hint: did you mean 'rw'?"],
    ),
    (
        "qvm-volume list -p vmpool",
        2,
        "",
        &[
            "qvm-volume: error: No such pools: ['vmpool']",
            "hint: did you mean 'vm-pool'?",
        ],
    ),
    (
        "qvm-pool info vmpool",
        2,
        "",
        &[
            "qvm-pool: error: No such pools: ['vmpool']",
            "hint: did you mean 'vm-pool'?",
        ],
    ),
    (
        "qvm-pool remove zz",
        2,
        "",
        &[
            "qvm-pool: error: No such pools: ['zz']",
            "hint: the pools are: varlibqubes, linux-kernel, vm-pool, reflinked, slow-hdd",
        ],
    ),
    (
        "qvm-prefs work memroy",
        2,
        "",
        &[
            "qvm-prefs: error: no such property: 'memroy'",
            "hint: did you mean 'memory'?",
        ],
    ),
    (
        "qvm-prefs work nosuch",
        2,
        "",
        &[
            "qvm-prefs: error: no such property: 'nosuch'",
            "hint: --help-properties lists the properties",
        ],
    ),
    (
        "qvm-prefs --all memroy",
        2,
        "",
        &[
            "qvm-prefs: error: no such property: 'memroy'",
            "hint: did you mean 'memory'?",
        ],
    ),
    (
        "qvm-prefs dom0 netvm",
        2,
        "",
        &[
            "qvm-prefs: error: no such property: 'netvm'",
            "hint: a qube of class AdminVM has no netvm",
        ],
    ),
    (
        "qvm-prefs work default_kernel",
        2,
        "",
        &[
            "qvm-prefs: error: no such property: 'default_kernel'",
            "hint: default_kernel is a property of the system: qubes-prefs default_kernel",
        ],
    ),
    (
        "qubes-prefs memory",
        2,
        "",
        &[
            "qubes-prefs: error: no such property: 'memory'",
            "hint: memory is a property of qubes: qvm-prefs VMNAME memory",
        ],
    ),
    (
        "qubes-prefs defalt_template",
        2,
        "",
        &[
            "qubes-prefs: error: no such property: 'defalt_template'",
            "hint: did you mean 'default_template'?",
        ],
    ),
    (
        "qvm-create -l red -C AppVm new",
        1,
        "",
        &[
            "app: Error creating VM: qubes of class 'AppVm' cannot be created",
            "hint: did you mean 'AppVM'?",
        ],
    ),
    (
        "qvm-clone -C Foo work new",
        1,
        "",
        &[
            "qvm-clone: error: qubes of class 'Foo' cannot be created",
            "hint: the classes are: AdminVM, AppVM, DispVM, RemoteVM, StandaloneVM, TemplateVM",
        ],
    ),
    (
        "qvm-create -l red -t fedora new",
        1,
        "",
        &[
            "app: Error creating VM: No such domain: 'fedora'",
            "hint: did you mean 'fedora-41-xfce'?",
        ],
    ),
    (
        "qvm-create -l gren new",
        2,
        "",
        &[
            "qvm-create: error: no such label: 'gren'; available: red, orange, yellow, green, \
             gray, blue, purple, black, teal",
            "hint: did you mean 'green'?",
        ],
    ),
    (
        "qvm-clone -P vmpool work new",
        1,
        "",
        &[
            "qvm-clone: error: Unknown storage pool vmpool",
            "hint: did you mean 'vm-pool'?",
        ],
    ),
    (
        "qvm-tags work del jbo",
        0,
        "",
        &["hint: work has no tag 'jbo'; did you mean 'job'?"],
    ),
    (
        "qvm-tags work list jbo",
        1,
        "",
        &["hint: work has no tag 'jbo'; did you mean 'job'?"],
    ),
    ("qvm-tags work list nosuch", 1, "", &[]),
    (
        "qvm-features work menu-itms",
        1,
        "",
        &["hint: work has no feature 'menu-itms'; did you mean 'menu-items'?"],
    ),
    ("qvm-features work gui", 1, "", &[]),
    (
        "qvm-service work cpus",
        1,
        "",
        &["hint: work has no service 'cpus'; did you mean 'cups'?"],
    ),
];

/// Options and commands that do not exist.
const UNKNOWN_WORDS: &[Mistake] = &[
    (
        "qvm-create --lable red work9",
        2,
        "",
        &[
            "qvm-create: error: unrecognized arguments: --lable work9",
            "hint: did you mean '--label'?",
        ],
    ),
    (
        "qvm-check --runing work",
        2,
        "",
        &[
            "qvm-check: error: unrecognized arguments: --runing",
            "hint: did you mean '--running'?",
        ],
    ),
    (
        "qvm-start -z work",
        2,
        "",
        &[
            "qvm-start: error: unrecognized arguments: -z",
            "hint: qvm-start --help lists the options",
        ],
    ),
    (
        "qvm-ls --nosuch-option",
        2,
        "",
        &[
            "qvm-ls: error: unrecognized arguments: --nosuch-option",
            "hint: qvm-ls --help lists the options",
        ],
    ),
    (
        "qubes ls",
        2,
        "",
        &[
            "qubes: error: no such command: 'ls'",
            "hint: did you mean 'qvm-ls'?",
        ],
    ),
    (
        "qubes prefs",
        2,
        "",
        &[
            "qubes: error: no such command: 'prefs'",
            "hint: did you mean 'qvm-prefs'?",
        ],
    ),
    (
        "qubes qvm-strat",
        2,
        "",
        &[
            "qubes: error: no such command: 'qvm-strat'",
            "hint: did you mean 'qvm-start'?",
        ],
    ),
    (
        "qubes foo",
        2,
        "",
        &[
            "qubes: error: no such command: 'foo'",
            "hint: qubes --help lists the commands",
        ],
    ),
    (
        "qubes-db chek",
        2,
        "",
        &[
            "qubes-db: error: no such command: 'chek' (there are: check, convert, diff, dump, \
             history, repair, restore)",
            "hint: did you mean 'check'?",
        ],
    ),
    (
        "qvm-tags work lst",
        2,
        "",
        &[
            "qvm-tags: error: argument command: invalid choice: 'lst' (choose from 'list', 'ls', \
             'l', 'add', 'a', 'set', 'del', \
             'd', 'unset', 'u')",
            "hint: did you mean 'list'?",
        ],
    ),
    (
        "qvm-ls --format dsk",
        2,
        "",
        &[
            "qvm-ls: error: argument --format/-o: invalid choice: 'dsk' (choose from 'simple', \
             'network', 'kernel', 'full', \
             'prefs', 'disk')",
            "hint: did you mean 'disk'?",
        ],
    ),
];

/// Values that a property, a volume or a service does not accept.
const VALUES: &[Mistake] = &[
    (
        "qvm-prefs work memory=400",
        2,
        "",
        &[
            "qvm-prefs: error: no such property: 'memory=400'",
            "hint: property and value are two words: memory 400",
        ],
    ),
    (
        "qvm-prefs work memory= 400",
        2,
        "",
        &[
            "qvm-prefs: error: no such property: 'memory='",
            "hint: property and value are two words: memory VALUE",
        ],
    ),
    (
        "qvm-prefs work memory = 400",
        2,
        "",
        &[
            "qvm-prefs: error: unrecognized arguments: 400",
            "hint: leave the '=' out: NAME VALUE",
        ],
    ),
    (
        "qvm-prefs work memory =400",
        1,
        "",
        &[
            "qvm-prefs: error: Failed to parse property value as int",
            "hint: leave the '=' out: memory 400",
        ],
    ),
    (
        "qvm-features work foo=1",
        1,
        "",
        &["hint: feature and value are two words: foo 1"],
    ),
    (
        "qvm-service work cups=on",
        1,
        "",
        &["hint: service and value are two words: cups on"],
    ),
    (
        "qvm-prefs work memory lots",
        1,
        "",
        &[
            "qvm-prefs: error: Failed to parse property value as int",
            "hint: memory of 'work' takes a whole number of MiB, not 'lots'",
        ],
    ),
    (
        "qvm-prefs work maxmem 2G",
        1,
        "",
        &[
            "qvm-prefs: error: Failed to parse property value as int",
            "hint: maxmem of 'work' takes a whole number of MiB, not '2G'; 2G is 2048",
        ],
    ),
    (
        "qubes-prefs default_shutdown_timeout 1min",
        1,
        "",
        &[
            "qubes-prefs: error: Failed to parse property value as int",
            "hint: default_shutdown_timeout takes a whole number of seconds, not '1min'",
        ],
    ),
    (
        "qvm-prefs work vcpus 0",
        1,
        "",
        &["qvm-prefs: error: vcpus must be positive"],
    ),
    (
        "qvm-prefs -D sys-firewall provides_network",
        1,
        "",
        &["qvm-prefs: error: The qube is still used by other qubes, change theirs 'netvm' first"],
    ),
    (
        "qvm-prefs sys-firewall provides_network False",
        1,
        "",
        &["qvm-prefs: error: The qube is still used by other qubes, change theirs 'netvm' first"],
    ),
    (
        "qvm-pool set linux-kernel -o revisions_to_keep=0",
        1,
        "",
        &[
            "qvm-pool: error: Setting option revisions_to_keep is not supported for pool \
             linux-kernel",
            "",
        ],
    ),
    (
        "qvm-create --class DispVM --template fedora-41-xfce --label red d",
        1,
        "",
        &[
            "app: Error creating VM: template for disposable (fedora-41-xfce) needs to be an \
             AppVM with template_for_dispvms=True",
            "hint: disposables are made from an AppVM; those for it are default-dvm",
        ],
    ),
    (
        "qvm-kill --wait work",
        2,
        "",
        &[
            "qvm-kill: error: unrecognized arguments: --wait",
            "hint: qvm-kill --help lists the options",
        ],
    ),
    (
        "qvm-prefs --class AppVM memory",
        2,
        "",
        &[
            "qvm-prefs: error: no such domain: 'memory'",
            "hint: memory is a property: of all qubes that are chosen it is read with --all \
             before it",
        ],
    ),
    (
        "qvm-prefs work debug maybe",
        1,
        "",
        &[
            "qvm-prefs: error: Invalid literal for boolean property: 'maybe'",
            "hint: debug of 'work' takes True or False, not 'maybe'",
        ],
    ),
    (
        "qvm-prefs work label pnk",
        1,
        "",
        &[
            "qvm-prefs: error: Label does not exist: pnk",
            "hint: label of 'work' can be red, orange, yellow, green, gray, blue, purple, black, \
             teal",
        ],
    ),
    (
        "qvm-prefs work label grean",
        1,
        "",
        &[
            "qvm-prefs: error: Label does not exist: grean",
            "hint: did you mean 'green'?",
        ],
    ),
    (
        "qvm-prefs work netvm sys-firewal",
        1,
        "",
        &[
            "qvm-prefs: error: Can't set netvm to non-existing qube sys-firewal",
            "hint: did you mean 'sys-firewall'?",
        ],
    ),
    (
        "qvm-prefs work netvm vault",
        1,
        "",
        &[
            "qvm-prefs: error: The vault qube does not provide network",
            "hint: netvm of 'work' can be sys-firewall, sys-net, sys-whonix, none",
        ],
    ),
    (
        "qubes-prefs default_template work",
        1,
        "",
        &[
            "qubes-prefs: error: wrong VM class: domains['work'] is of type AppVM and not \
             TemplateVM",
            "hint: default_template can be debian-12-xfce, fedora-41-xfce, whonix-gateway-17",
        ],
    ),
    (
        "qubes-prefs default_pool vpool",
        1,
        "",
        &[
            "qubes-prefs: error: No such storage pool",
            "hint: default_pool can be varlibqubes, linux-kernel, vm-pool, reflinked, slow-hdd",
        ],
    ),
    (
        "qvm-prefs work kernel 6.6",
        1,
        "",
        &[
            "qvm-prefs: error: Kernel '6.6' not installed",
            "hint: the kernels in /var/lib/qubes/vm-kernels are 5.15.124-1, 6.12.21-1.fc37, \
             6.6.77-1.fc37",
        ],
    ),
    (
        "qvm-prefs work name new",
        1,
        "",
        &[
            "qvm-prefs: error: Failed to access 'name' property",
            "hint: a qube keeps its name: make a copy with 'qvm-clone work new', then remove the \
             old one with 'qvm-remove work'",
        ],
    ),
    (
        "qvm-prefs work mac zz",
        1,
        "",
        &[
            "qvm-prefs: error: Failed to access 'mac' property",
            "hint: mac of 'work' takes six pairs of hexadecimal digits, such as \
             00:16:3e:5e:6c:00, not 'zz'",
        ],
    ),
    (
        "qvm-prefs work ip zz",
        1,
        "",
        &[
            "qvm-prefs: error: Failed to parse property value as IPv4Address",
            "hint: ip of 'work' takes an IPv4 address such as 10.137.0.20, not 'zz'",
        ],
    ),
    (
        "qvm-volume resize work 5G",
        2,
        "",
        &[
            "qvm-volume: error: expected a vm & volume combination like foo:bar",
            "hint: 'work' is a qube; its volumes are work:root, work:private, work:volatile, \
             work:kernel",
        ],
    ),
    (
        "qvm-volume resize work:private 5T",
        1,
        "",
        &[
            "Error: Invalid size: 5T.",
            "hint: a size is a whole number of bytes, or one with KiB, MiB, GiB (1024) or KB, MB, \
             GB (1000)",
        ],
    ),
    (
        "qvm-service work cups maybe",
        1,
        "",
        &[
            "qvm-service: error: Invalid literal for boolean value: 'maybe'",
            "hint: a service is on or off",
        ],
    ),
    (
        "qvm-shutdown dom0",
        1,
        "",
        &[
            "Error: Failed to shut down: dom0: dom0 is the machine itself; shut it down with \
             poweroff",
        ],
    ),
    (
        "qvm-start work",
        1,
        "",
        &[
            "Error: Starting qube failed: work: offline mode: starting a qube needs the \
             hypervisor; run it without --offline-mode and \
           QUBES_OFFLINE",
        ],
    ),
];

/// Arguments without effect: handled as by upstream, with a warning.
const IN_VAIN: &[Mistake] = &[
    (
        "qvm-ls --raw-list zz*",
        0,
        "",
        &["warning: no qube matches 'zz*'"],
    ),
    (
        "qvm-ls --raw-data -O name zz*",
        0,
        "",
        &["warning: no qube matches 'zz*'"],
    ),
    (
        "qvm-ls --json zz*",
        0,
        "[]\n",
        &["warning: no qube matches 'zz*'"],
    ),
    (
        "qvm-ls --raw-list zz* work",
        0,
        "work\n",
        &["warning: no qube matches 'zz*'"],
    ),
    (
        "qvm-volume list --json zz*",
        0,
        "[]\n",
        &["warning: no qube matches 'zz*'"],
    ),
    ("qvm-start zz*", 0, "", &["warning: no qube matches 'zz*'"]),
    ("qvm-kill zz*", 0, "", &["warning: no qube matches 'zz*'"]),
    (
        "qvm-shutdown zz*",
        0,
        "",
        &["warning: no qube matches 'zz*'"],
    ),
    ("qvm-pause zz*", 0, "", &["warning: no qube matches 'zz*'"]),
    (
        "qvm-unpause zz*",
        0,
        "",
        &["warning: no qube matches 'zz*'"],
    ),
    ("qvm-remove zz*", 0, "", &["warning: no qube matches 'zz*'"]),
    (
        "qvm-remove -f zz*",
        0,
        "",
        &["warning: no qube matches 'zz*'"],
    ),
    (
        "qvm-prefs zz* memory",
        2,
        "",
        &[
            "qvm-prefs: error: no domain matches 'zz*'",
            "hint: qvm-ls lists the qubes",
        ],
    ),
    (
        "qvm-prefs work,zz* vcpus",
        0,
        "work  vcpus  -  4\n",
        &["warning: no qube matches 'zz*'"],
    ),
    (
        "qvm-kill --all --exclude wrk --exclude sys-*",
        0,
        "",
        &[
            "warning: there is no qube 'wrk' to leave out; did you mean 'work'?",
            "warning: --exclude takes names, not patterns: 'sys-*' leaves nothing out",
        ],
    ),
    (
        "qvm-ls --raw-data --fields name,nmae work",
        0,
        "work|-\n",
        &["warning: there is no column 'nmae'; did you mean 'name'?"],
    ),
    (
        "qvm-ls --raw-data --fields name,zzz work",
        0,
        "work|-\n",
        &["warning: there is no column 'zzz'; qvm-ls --help-columns lists the columns"],
    ),
    (
        "qvm-ls --raw-data -O name --sort foo work",
        0,
        "work\n",
        &[
            "warning: cannot sort by 'foo': there is no such column; qvm-ls --help-columns lists \
             the columns",
        ],
    ),
    (
        "qvm-ls --raw-data -O name --sort label work",
        0,
        "work\n",
        &["warning: cannot sort by 'label': the column is not shown; --fields chooses the columns"],
    ),
    (
        "qvm-ls --raw-list --class AppVm",
        0,
        "",
        &["warning: there is no class 'AppVm'; did you mean 'AppVM'?"],
    ),
    (
        "qvm-ls --raw-list --class AppVM work",
        0,
        "default-dvm\npersonal\nsys-firewall\nsys-net\nsys-whonix\nvault\nwork\n",
        &[
            "warning: there is no class 'work'; it is a qube: name qubes before the option, or \
             join its words with commas",
        ],
    ),
    (
        "qvm-ls --raw-list --label zz,teal",
        0,
        "vault\n",
        &["warning: there is no label 'zz'"],
    ),
    (
        "qvm-ls --raw-list --tags jbo",
        0,
        "",
        &["warning: no qube has the tag 'jbo'; did you mean 'job'?"],
    ),
    (
        "qvm-ls --raw-list --netvm-is sys-nte",
        0,
        "",
        &["warning: there is no qube 'sys-nte'; did you mean 'sys-net'?"],
    ),
    (
        "qvm-ls --raw-list --template-source zz",
        0,
        "",
        &["warning: there is no qube 'zz'"],
    ),
    (
        "qvm-ls --raw-list --features menu-itms=1",
        0,
        "",
        &["warning: no qube has the feature 'menu-itms'; did you mean 'menu-items'?"],
    ),
    (
        "qvm-ls --raw-list --prefs memroy=1",
        0,
        "",
        &["warning: qubes have no property 'memroy'; did you mean 'memory'?"],
    ),
    (
        "qvm-prefs --class Foo --all memory",
        0,
        "",
        &["warning: there is no class 'Foo'"],
    ),
    (
        "qvm-prefs --label foo --all memory",
        0,
        "",
        &["warning: there is no label 'foo'"],
    ),
];

/// `--json` where nothing would be printed.
const JSON_OF_NOTHING: &[Mistake] = &[
    (
        "qvm-prefs --json work vcpus 3",
        2,
        "",
        &["qvm-prefs: error: argument --json: a change of a property prints nothing"],
    ),
    (
        "qvm-prefs --json --all vcpus 3",
        2,
        "",
        &["qvm-prefs: error: argument --json: a change of a property prints nothing"],
    ),
    (
        "qubes-prefs --json -D clockvm",
        2,
        "",
        &["qubes-prefs: error: argument --json: a change of a property prints nothing"],
    ),
    (
        "qvm-features --json work x 1",
        2,
        "",
        &["qvm-features: error: argument --json: a change of a feature prints nothing"],
    ),
    (
        "qvm-service --json -e work cups",
        2,
        "",
        &["qvm-service: error: argument --json: a change of a service prints nothing"],
    ),
    (
        "qvm-tags --json work add x",
        2,
        "",
        &["qvm-tags: error: argument --json: a change of tags prints nothing"],
    ),
    (
        "qvm-pool --json remove vm-pool",
        2,
        "",
        &["qvm-pool: error: argument --json: a change of a pool prints nothing"],
    ),
    (
        "qvm-volume --json resize work:private 5G",
        2,
        "",
        &["qvm-volume: error: argument --json: a change of a volume prints nothing"],
    ),
    (
        "qvm-ls --json --help-formats",
        2,
        "",
        &["qvm-ls: error: argument --help-formats: not allowed with argument --json"],
    ),
    (
        "qvm-ls --help-columns --json",
        2,
        "",
        &["qvm-ls: error: argument --json: not allowed with argument --help-columns"],
    ),
];

/// Runs a command line; two blanks have an empty word between them.
fn run(store: &TestSystem, line: &str) -> ToolOutput {
    store.run(line.split(' ').collect::<Vec<_>>())
}

/// Standard error without usage lines.
fn words_of(run: &ToolOutput) -> Vec<&str> {
    run.stderr
        .lines()
        .filter(|line| !line.starts_with("usage: ") && !line.starts_with(' '))
        .collect()
}

fn check(mistakes: &[Mistake]) {
    let store = TestSystem::recorded("small.xml");
    let before = fs::read(store.store_file()).unwrap();
    let mut wrong = Vec::new();
    for (line, exit, stdout, stderr) in mistakes {
        let run = run(&store, line);
        if (run.code, run.stdout.as_str(), words_of(&run).as_slice()) != (*exit, *stdout, *stderr) {
            wrong.push(format!(
                "$ {line}\n{run:#?}\nwanted {exit} {stdout:?} {stderr:#?}"
            ));
        }
        if fs::read(store.store_file()).unwrap() != before {
            wrong.push(format!("$ {line}\nchanged the store"));
            fs::write(store.store_file(), &before).unwrap();
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        mistakes.len(),
        wrong.join("\n")
    );
}

#[test]
fn an_unknown_name_has_a_hint_with_a_close_one() {
    check(UNKNOWN_NAMES);
}

#[test]
fn an_unknown_option_or_command_has_a_hint() {
    check(UNKNOWN_WORDS);
}

#[test]
fn a_rejected_value_has_a_hint_with_the_rule() {
    check(VALUES);
}

#[test]
fn arguments_without_effect_are_warned_about() {
    check(IN_VAIN);
}

#[test]
fn json_is_refused_for_commands_without_output() {
    check(JSON_OF_NOTHING);
}

#[test]
fn a_table_without_a_match_lists_everything_and_warns() {
    let store = TestSystem::recorded("small.xml");
    for (line, more) in [
        ("qvm-ls zz*", "all qubes are listed"),
        ("qvm-volume list zz*", "the volumes of all qubes are listed"),
    ] {
        let ran = run(&store, line);
        let whole = run(&store, line.trim_end_matches(" zz*"));
        assert_eq!((ran.code, &ran.stdout), (0, &whole.stdout), "{line}");
        assert_eq!(
            ran.stderr,
            format!("warning: no qube matches 'zz*'; {more}\n")
        );
    }
}

#[test]
fn an_unreadable_store_is_reported_with_the_repair() {
    let store = TestSystem::recorded("small.xml");
    fs::write(store.store_file(), "<qubes><domains>").unwrap();
    for line in [
        "qvm-ls",
        "qvm-prefs work",
        "qvm-start work",
        "qvm-create -l red new",
    ] {
        let run = run(&store, line);
        assert_eq!(run.code, 1, "{line}: {run:?}");
        assert!(
            run.stderr
                .contains("; qubes-db check tells more, qubes-db repair mends it"),
            "{line}: {run:?}"
        );
        assert_eq!(words_of(&run).len(), 1, "{line}: {run:?}");
    }
}

#[test]
fn a_missing_kernel_is_reported_with_the_directory() {
    let store = TestSystem::created();
    fs::remove_dir_all(store.root().join("var/lib/qubes/vm-kernels")).unwrap();
    let run = run(&store, "qvm-create -C TemplateVM -l red new");
    let way = "each has a directory with vmlinuz and initramfs in /var/lib/qubes/vm-kernels";
    assert!(run.code == 1 && run.stderr.contains(way), "{run:?}");
}

#[test]
fn help_shows_required_arguments_and_exists_for_subcommands() {
    let store = TestSystem::recorded("small.xml");
    for (line, usage) in [
        (
            "qvm-prefs --help",
            "Usage: qvm-prefs [OPTIONS] VMNAME [PROPERTY] [VALUE]",
        ),
        (
            "qvm-clone --help",
            "Usage: qvm-clone [OPTIONS] VMNAME NEWVM",
        ),
        (
            "qubes-db --help",
            "Usage: qubes-db [OPTIONS] COMMAND [COPY ...]",
        ),
        (
            "qvm-pool add --help",
            "Usage: qvm-pool add [OPTIONS] POOL_NAME DRIVER",
        ),
        (
            "qvm-pool --help rm",
            "Usage: qvm-pool remove [OPTIONS] POOL_NAME [POOL_NAME ...]",
        ),
        (
            "qvm-volume resize -h",
            "Usage: qvm-volume resize [OPTIONS] VM:VOLUME size",
        ),
        (
            "qvm-tags work add --help",
            "Usage: qvm-tags VMNAME add [OPTIONS] TAG [TAG ...]",
        ),
        (
            "qubes-db restore --help",
            "Usage: qubes-db restore [OPTIONS] COPY",
        ),
        ("qubes-db repair --help", "Usage: qubes-db repair [OPTIONS]"),
    ] {
        let run = run(&store, line);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{line}");
        assert!(
            run.stdout.lines().any(|l| l == usage),
            "{line}: {}",
            run.stdout
        );
    }
    assert!(
        run(&store, "qvm-clone --help")
            .stdout
            .contains("\n  <VMNAME>  "),
        "not in brackets"
    );
    assert!(
        run(&store, "qubes-db restore --help")
            .stdout
            .contains("--yes"),
        "its options"
    );
    assert!(
        !run(&store, "qubes-db history --help")
            .stdout
            .contains("--yes"),
        "not those of others"
    );
}
