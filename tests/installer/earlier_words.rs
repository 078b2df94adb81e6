//! The command lines of R3's tools: abbreviations, orders of arguments, names and values; and a
//! comparison of what R3.2's own tools printed with what ours print.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::parser::ValueSource;
use qubes::tools::COMMANDS;
use qubes::tools::ui::arguments;
use qubes::tools::ui::command_line::{self, Parsed};
use qubes::tools::ui::failure::Failure;
use qubes_test_support::{ToolOutput, binary, tool_output};

/// A system that needs no privileges.
struct Store {
    root: tempfile::TempDir,
}

impl Store {
    fn empty() -> Store {
        let root = tempfile::Builder::new()
            .prefix("qubes-earlier-")
            .tempdir()
            .unwrap();
        let store = Store { root };
        let kernel = store.path("/var/lib/qubes/vm-kernels/4.1.13-6");
        fs::create_dir_all(&kernel).unwrap();
        for (file, text) in [
            ("vmlinuz", "kernel"),
            ("default-kernelopts-nopci.txt", "nopat"),
            (
                "default-kernelopts-pci.txt",
                "nopat iommu=soft swiotlb=8192",
            ),
        ] {
            fs::write(kernel.join(file), text).unwrap();
        }
        store
    }

    /// Creates a system of R4 with two templates and two qubes.
    fn with_r4_system() -> Store {
        let store = Store::empty();
        store.ok("qvm-init-storage");
        store.ok("qvm-create --class TemplateVM -l black tpl");
        store.ok("qubes-prefs --set default-template tpl");
        store.ok("qvm-create --net -l red net");
        store.ok("qubes-prefs --set default-netvm net");
        store.ok("qvm-create -l green work");
        store
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below.trim_start_matches('/'))
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path("/var/lib/qubes/qubes.xml")).unwrap()
    }

    fn run(&self, line: &str) -> ToolOutput {
        let mut words = line.split_whitespace().map(|word| word.replace('·', " "));
        let mut command = Command::new(binary(words.next().unwrap()));
        tool_output::run(
            command
                .args(words)
                .env("QUBES_ROOT", self.root.path())
                .env("QUBES_OFFLINE", "1")
                .env("TZ", "UTC"),
        )
    }

    fn ok(&self, line: &str) -> String {
        let mut printed = String::new();
        for line in line.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let ran = self.run(line);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
            printed = ran.stdout;
        }
        printed
    }

    /// Runs a command that must fail. Returns its error line.
    fn fails(&self, line: &str) -> String {
        let before = self.bytes();
        let ran = self.run(line);
        assert!(
            ran.code == 1 && ran.stdout.is_empty() && ran.complaints().count() == 1,
            "{line}: {ran:?}"
        );
        assert!(before == self.bytes(), "{line} changed something");
        ran.stderr
    }
}

#[test]
fn long_options_may_be_abbreviated_to_a_unique_prefix() {
    for command in COMMANDS {
        let line = command.clap_command();
        let upstreams: Vec<&clap::Arg> = line
            .get_arguments()
            .filter(|a| arguments::is_upstream(a) && a.get_long().is_some())
            .collect();
        let longs = |arg: &clap::Arg| -> Vec<String> {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long()
                .into_iter()
                .chain(aliases)
                .map(str::to_string)
                .collect()
        };
        for arg in &upstreams {
            let long = arg.get_long().unwrap();
            let is_unique = |prefix: &str| {
                upstreams.iter().all(|a| {
                    a.get_id() == arg.get_id() || longs(a).iter().all(|l| !l.starts_with(prefix))
                })
            };
            let shortest = (1..=long.len())
                .map(|end| &long[..end])
                .find(|prefix| is_unique(prefix));
            let Some(shortest) = shortest else { continue };
            let value = if arg.get_action().takes_values() {
                "=1"
            } else {
                ""
            };
            let read = |name: &str| {
                let words = vec![OsString::from(format!("--{name}{value}"))];
                match command_line::parse(&mut command.clap_command(), words) {
                    Ok(Parsed::Matches(matches)) => {
                        let source = matches.value_source(arg.get_id().as_str());
                        assert_eq!(
                            source,
                            Some(ValueSource::CommandLine),
                            "{} --{name}",
                            command.name
                        );
                        "taken".to_string()
                    }
                    Ok(Parsed::Help(text)) => text,
                    Ok(Parsed::Version) => "version".to_string(),
                    Err(Failure::Usage(text)) => text,
                    Err(other) => panic!("{} --{name}: {other:?}", command.name),
                }
            };
            let (short, whole) = (read(shortest), read(long));
            assert_eq!(short, whole, "{} --{shortest}", command.name);
            assert!(
                !short.starts_with("unrecognized"),
                "{} --{shortest}: {short}",
                command.name
            );
        }
        for common in ["--off", "--force-root", "--offline-mode"] {
            match command_line::parse(&mut command.clap_command(), vec![common.into()]) {
                Err(Failure::Usage(text)) => {
                    assert!(
                        text.starts_with("the following arguments are required"),
                        "{} {common}: {text}",
                        command.name
                    )
                }
                Ok(_) => {}
                Err(other) => panic!("{} {common}: {other:?}", command.name),
            }
        }
    }
}

#[test]
fn options_may_follow_arguments_and_two_dashes_end_them() {
    let store = Store::with_r4_system();
    for (number, line) in [
        "qvm-prefs -s work memory N",
        "qvm-prefs --set work memory N",
        "qvm-prefs work -s memory N",
        "qvm-prefs work memory --set N",
        "qvm-prefs work memory N -s",
        "qvm-prefs --offline-mode --force-root --set work memory N",
        "qvm-prefs --off --force-r --se work memory N",
        "qvm-prefs -s -- work memory N",
        "qvm-prefs -sq work memory N",
    ]
    .iter()
    .enumerate()
    {
        let value = (400 + number).to_string();
        store.ok(&line.replace('N', &value));
        for read in [
            "-g work memory",
            "work -g memory",
            "work memory --get",
            "--g -- work memory",
            "-l work memory",
        ] {
            assert_eq!(
                store.ok(&format!("qvm-prefs {read}")),
                format!("{value}\n"),
                "{line}; {read}"
            );
        }
    }
    store.ok("qubes-prefs -s updatevm net");
    for read in ["-g updatevm", "updatevm -g", "--get updatevm", "updatevm"] {
        assert_eq!(store.ok(&format!("qubes-prefs {read}")), "net\n");
    }
}

#[test]
fn r3s_names_of_values_are_accepted_and_printed() {
    let store = Store::with_r4_system();
    let before = store.bytes();
    for (there, property, shown, back) in [
        ("-s work netvm none", "netvm", "", "-s work netvm default"),
        ("work netvm none", "netvm", "", "work netvm default"),
        (
            "-s work kernel none",
            "kernel",
            "\n",
            "-s work kernel default",
        ),
        (
            "-s work kernelopts quiet",
            "kernelopts",
            "quiet\n",
            "-s work kernelopts default",
        ),
        (
            "-s work mac 00:16:3e:00:00:01",
            "mac",
            "00:16:3e:00:00:01\n",
            "-s work mac auto",
        ),
        (
            "-s work internal true",
            "internal",
            "True\n",
            "-s work internal 0",
        ),
        (
            "-s work pci_e820_host False",
            "pci-e820-host",
            "False\n",
            "-s work pci_e820_host 1",
        ),
        (
            "-s work qrexec_installed 1",
            "qrexec_installed",
            "True\n",
            "-s work qrexec_installed FALSE",
        ),
        (
            "-s work guiagent_installed True",
            "guiagent_installed",
            "True\n",
            "-s work guiagent_installed default",
        ),
        (
            "-s work timezone 3600",
            "timezone",
            "3600\n",
            "-D work timezone",
        ),
        (
            "-s work pcidevs ['00:19.0',·'03:00.0']",
            "pcidevs",
            "['00:19.0', '03:00.0']\n",
            "-s work pcidevs []",
        ),
    ] {
        store.ok(&format!("qvm-prefs {there}"));
        assert!(store.bytes() != before, "{there}");
        assert_eq!(
            store.ok(&format!("qvm-prefs -g work {property}")),
            shown,
            "{there}"
        );
        store.ok(&format!("qvm-prefs {back}"));
        assert_eq!(
            String::from_utf8(store.bytes()),
            String::from_utf8(before.clone()),
            "{there}; {back}"
        );
    }
    for (there, back) in [
        ("-s clockvm net", "-s clockvm none"),
        ("--set updatevm net", "--set updatevm NONE"),
    ] {
        store.ok(&format!("qubes-prefs {there}"));
        store.ok(&format!("qubes-prefs {back}"));
    }
    assert_eq!(
        store.ok("qubes-prefs clockvm") + &store.ok("qubes-prefs updatevm"),
        ""
    );
}

#[test]
fn devices_keep_their_options_until_detached() {
    let store = Store::with_r4_system();
    store.ok("qvm-prefs -s net pcidevs ['00:19.0']
              qvm-prefs -s net pci_strictreset False
              qvm-prefs -s net pcidevs ['03:00.0','00:19.0']");
    let text = String::from_utf8(store.bytes()).unwrap();
    assert_eq!(
        text.matches("no-strict-reset").count(),
        1,
        "only the one it was said of"
    );
    assert_eq!(store.ok("qvm-prefs net pci_strictreset"), "False\n");
    store.ok("qvm-prefs -s net pci_strictreset True");
    assert_eq!(
        store.ok("qvm-prefs net pcidevs"),
        "['00:19.0', '03:00.0']\n"
    );
    for (line, words) in [
        (
            "qvm-prefs -s net pcidevs os.system('x')",
            "is not a list such as",
        ),
        (
            "qvm-prefs -s net pcidevs ['zz:00.0']",
            "'zz:00.0' is not a PCI address",
        ),
        ("qvm-prefs -s net pcidevs ['../..']", "is not a PCI address"),
        (
            "qvm-prefs -s dom0 pcidevs []",
            "PCI devices cannot be assigned to dom0",
        ),
        (
            "qvm-prefs -s net internal maybe",
            "internal: 'maybe' is neither True nor False",
        ),
        (
            "qvm-prefs -s net dispvm_netvm none",
            "is one of Qubes R3: a disposable has the netvm of its template",
        ),
        ("qvm-prefs -s net type AppVM", "is computed"),
        (
            "qubes-prefs -s default-fw-netvm net",
            "is one of Qubes R3: each qube that provides network",
        ),
    ] {
        let line_said = store.fails(line);
        assert!(line_said.contains(words), "{line}: {line_said}");
    }
}

#[test]
fn updates_are_switched_and_shown_for_all_qubes() {
    let store = Store::with_r4_system();
    let before = store.bytes();
    assert_eq!(
        store.ok("qubes-set-updates status"),
        "dom0: enabled\nvms: enabled\n"
    );
    store.ok("qubes-set-updates --off disable");
    assert_eq!(
        store.ok("qubes-set-updates status"),
        "dom0: disabled\nvms: disabled\n"
    );
    store.ok("qvm-features -D work check-updates");
    assert_eq!(
        store.ok("qubes-set-updates status"),
        "dom0: disabled\nvms: mixed\n"
    );
    store.ok("qubes-set-updates enable");
    assert_eq!(
        store.ok("qubes-set-updates status"),
        "dom0: enabled\nvms: enabled\n"
    );
    assert_eq!(
        String::from_utf8(store.bytes()),
        String::from_utf8(before),
        "nothing is left of it"
    );
    assert!(
        !store
            .path("/var/lib/qubes/updates/disable-updates")
            .exists()
    );
    assert_eq!(store.run("qubes-set-updates").code, 2);
    assert_eq!(store.run("qubes-set-updates maybe").code, 2);
}

#[test]
fn qubes_are_registered_from_existing_images() {
    let store = Store::with_r4_system();
    let directory = store.path("/var/lib/qubes/appvms/old");
    let line = store.fails("qvm-add-appvm old tpl");
    assert!(
        line.contains("there is no directory") && line.contains("appvms/old"),
        "{line}"
    );
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("private.img"), "its data").unwrap();
    store.ok(&format!(
        "qvm-add-appvm --force-root -p {} -c {}/old.conf old tpl",
        directory.display(),
        directory.display()
    ));
    assert_eq!(
        fs::read(directory.join("private.img")).unwrap(),
        b"its data"
    );
    assert_eq!(
        store.ok("qvm-ls --raw-data -O name,class,label,template old"),
        "old|AppVM|red|tpl\n"
    );
    let line = store.fails("qvm-add-appvm old tpl");
    assert!(line.contains("Qube already exists: old"), "{line}");
    let line = store.fails("qvm-add-appvm -p /elsewhere new tpl");
    assert!(
        line.contains("/elsewhere: the images of new must lie in"),
        "{line}"
    );
    let line = store.fails("qvm-add-template new");
    assert!(line.contains("does not exist"), "{line}");
    assert_eq!(store.run("qvm-add-appvm old").code, 2);
    assert_eq!(store.run("qvm-check -q new").code, 1);
}

#[test]
fn there_is_no_prompt_without_a_terminal() {
    let store = Store::with_r4_system();
    let asked = store.run("qvm-remove work");
    assert_eq!(
        (asked.code, asked.stderr.ends_with("Remove cancelled.\n")),
        (1, true),
        "{asked:?}"
    );
    let asked = store.run("qvm-remove -q work");
    assert_eq!(asked.code, 1, "-q alone is what people say: {asked:?}");
    store.ok("qvm-remove --just-db work");
    assert!(
        store
            .path("/var/lib/qubes/appvms/work/private.img")
            .exists()
    );
    store.ok("qvm-create -l red work\nqvm-remove -q --force-root work");
    assert!(!store.path("/var/lib/qubes/appvms/work").exists());
}

/// Reads a recording of R3.2's tools: command, output, exit code.
fn recorded(file: &str) -> Vec<(String, String, i32)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/r3")
        .join(file);
    let mut found: Vec<(String, String, i32)> = Vec::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            found.push((command.to_string(), String::new(), -1));
            continue;
        }
        let Some(last) = found.last_mut() else {
            continue;
        };
        match line
            .strip_prefix("[exit ")
            .and_then(|l| l.strip_suffix(']'))
        {
            Some(code) => last.2 = code.parse().unwrap(),
            None => {
                last.1.push_str(line);
                last.1.push('\n');
            }
        }
    }
    found
}

/// Creates a system with a store that R3.2 saved.
fn r3_store() -> Store {
    let store = Store::empty();
    let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/r3/saved.xml");
    fs::copy(saved, store.path("/var/lib/qubes/qubes.xml")).unwrap();
    store
}

/// Lines of R3's list that ours does not have, or has with another value (`docs/earlier.md`).
const LINES_THAT_DIFFER: [&str; 7] = [
    "dispvm_netvm",
    "config",
    "root_cow_img",
    "seamless_gui_mode",
    "drive",
    "MAC",
    "maxmem",
];

/// R3's shares of dom0, which are not counted there.
const DOM0_HAS_NONE: [&str; 2] = ["vcpus              : 0", "maxmem             : 0"];

#[test]
fn the_list_is_that_of_r3() {
    let store = r3_store();
    let lists = recorded("tools-qvm-prefs.txt");
    assert_eq!(lists.len(), 6);
    for (command, theirs, _) in &lists {
        let is_compared = |line: &&str| {
            let heading = line.split_once(':').unwrap().0.trim_end();
            let of_this_kind = match &**command {
                // R4's templates have no netvm by default.
                c if c.ends_with(" win-tpl") => heading != "netvm",
                // dom0 has none of these in R4, or other ones.
                c if c.ends_with(" dom0") => {
                    [
                        "name",
                        "label",
                        "type",
                        "updateable",
                        "include_in_backups",
                        "last_backup",
                    ]
                    .contains(&heading)
                        || heading.starts_with("pci")
                        || heading == "internal"
                }
                _ => true,
            };
            of_this_kind && !LINES_THAT_DIFFER.contains(&heading)
        };
        let ours = store.ok(command);
        let kept = |text: &str| {
            text.lines()
                .filter(is_compared)
                .map(str::to_string)
                .collect::<Vec<_>>()
        };
        if command.ends_with(" dom0") {
            let zeros = |text: &str| text.lines().filter(|l| DOM0_HAS_NONE.contains(l)).count();
            assert_eq!((zeros(theirs), zeros(&ours)), (2, 2), "{ours}");
        }
        assert_eq!(kept(&ours), kept(theirs), "{command}");
        assert!(kept(&ours).len() >= 10, "{command}");
    }
}

/// Reads the commands of `docs/earlier.md` that print something else today: the first column, in
/// backticks.
fn documented_differences() -> Vec<String> {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/earlier.md")).unwrap();
    let (_, table) = text.split_once("## Recorded commands of R3.2").unwrap();
    table
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_string()))
        .collect()
}

#[test]
fn other_r3_output_is_equal_or_documented() {
    let mut listed = documented_differences();
    for (command, theirs, code) in [
        recorded("tools-misc.txt"),
        recorded("tools-qvm-prefs-get.txt"),
    ]
    .concat()
    {
        let tool = command.split(' ').next().unwrap();
        if qubes::tools::multicall::find(tool).is_none() {
            continue;
        }
        // The first command that changes something converts the store.
        let ours = r3_store().run(&command);
        let is_same =
            (format!("{}{}", ours.stdout, ours.stderr), ours.code) == (theirs.clone(), code);
        let was_listed = listed.contains(&command);
        assert_eq!(
            was_listed, !is_same,
            "{command}: R3 printed {theirs:?} [{code}], ours {ours:?}"
        );
        listed.retain(|c| *c != command);
    }
    assert_eq!(listed, Vec::<String>::new(), "not recorded");
}
