//! Changes of volumes that fail or are killed: the messages tell the true state, and repeating the
//! command does what was not done and nothing twice.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use qubes::exec::Program;
use qubes_test_support::{FileSystem, LoopMount, ToolOutput, skip, strace, tool_output};

use crate::system::{MIB, System};

const IMAGE: &str = "appvms/work/private.img";

fn has_strace() -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok();
    if !found {
        skip("strace is not installed");
    }
    found
}

fn import(system: &System, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(MIB as usize, 0);
    format!(
        "qvm-volume import work:private {}",
        system.file("data", &bytes).display()
    )
}

/// Returns a command line for a system.
type Order<'a> = &'a dyn Fn(&System) -> String;

/// Creates a volume with two committed states: GOOD is the only revision, BAD the current data.
fn with_states() -> System {
    let system = System::new();
    for text in ["GOOD", "BAD"] {
        let import = import(&system, text);
        system.ok(&import);
    }
    system
}

/// Returns the beginnings of the revisions' contents, oldest first.
fn revisions(system: &System) -> Vec<String> {
    let mut revisions = files(system, "appvms/work", "private.img.");
    revisions.sort();
    revisions
        .iter()
        .map(|path| beginning(&fs::read(path).unwrap()))
        .collect()
}

/// Returns the files of this name in a directory of the pool, except temporary files that a kill
/// left.
fn files(system: &System, directory: &str, beginning: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(system.image(directory))
        .unwrap()
        .map(|entry| entry.unwrap());
    let is_wanted = |name: &str| name.starts_with(beginning) && !name.contains('~');
    names
        .filter(|entry| is_wanted(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect()
}

fn beginning(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..4.min(bytes.len())])
        .trim_end_matches('\0')
        .to_string()
}

fn image(system: &System) -> String {
    beginning(&system.bytes(IMAGE))
}

/// Makes one system call of a command fail, or kill it.
fn injected(system: &System, line: &str, inject: &str) -> ToolOutput {
    let call = inject.split(':').next().unwrap();
    let (trace, inject) = (format!("trace={call}"), format!("inject={inject}"));
    tool_output::run(&mut strace::strace_command(
        &system.command(line),
        &["-o", "/dev/null", "-e", &trace, "-e", &inject],
    ))
}

/// Returns the number of the fsync call by which a command makes the exchange of the image durable.
fn sync_after_exchange(system: &System, line: &str) -> usize {
    let log = system.path("/log");
    let options = [
        "-o",
        log.to_str().unwrap(),
        "-e",
        "trace=fsync,renameat,renameat2",
    ];
    assert_eq!(
        tool_output::run(&mut strace::strace_command(&system.command(line), &options)).code,
        0,
        "{line}"
    );
    let text = fs::read_to_string(log).unwrap();
    let exchanged = |call: &&str| call.contains("rename") && call.contains("\"private.img\") = 0");
    let before = text
        .lines()
        .take_while(|call| !exchanged(call))
        .filter(|call| call.contains(" fsync("))
        .count();
    before + 1
}

#[test]
fn a_revert_that_failed_or_was_killed_can_be_repeated() {
    if !has_strace() {
        return;
    }
    let mut cut_off = 0;
    // The revision, the exchange, and the copy for the next start, which may fail.
    for (failure, number) in ["signal=KILL", "error=ENOSPC", "error=EIO"]
        .iter()
        .flat_map(|f| (1..4).map(move |n| (f, n)))
    {
        let system = with_states();
        let ran = injected(
            &system,
            "qvm-volume revert work:private",
            &format!("renameat:{failure}:when={number}"),
        );
        if image(&system) == "GOOD" {
            continue;
        }
        assert_ne!(ran.code, 0, "{failure} {number}: {ran:?}");
        cut_off += 1;
        if *failure != "signal=KILL" {
            assert_eq!(revisions(&system), ["GOOD"], "{failure} {number}");
        }
        system.ok("qvm-volume revert work:private");
        assert_eq!(
            (image(&system), revisions(&system)),
            ("GOOD".into(), vec!["BAD".into()]),
            "{failure} {number}"
        );
    }
    assert!(cut_off > 3, "{cut_off}");
}

#[test]
fn an_exchange_that_is_not_proven_durable_is_reported_and_not_repeated() {
    if !has_strace() {
        return;
    }
    let new = |system: &System| import(system, "NEW");
    let orders: [(Order<'_>, &str, &str); 3] = [
        (&new, "work:private has the new data, but", "NEW"),
        (
            &|_| "qvm-volume clear -f work:private".into(),
            "work:private has the new data, but",
            "",
        ),
        (
            &|_| "qvm-volume revert work:private".into(),
            "work:private is reverted, but",
            "GOOD",
        ),
    ];
    for (order, words, now) in orders {
        let seen = with_states();
        let number = sync_after_exchange(&seen, &order(&seen));
        for error in ["EIO", "ENOSPC"] {
            let system = with_states();
            let line = order(&system);
            let ran = injected(
                &system,
                &line,
                &format!("fsync:error={error}:when={number}"),
            );
            assert_eq!(ran.code, 1, "{line} {error}: {ran:?}");
            assert!(
                ran.stderr.contains(words) && !ran.stderr.contains("nothing was"),
                "{line} {error}: {ran:?}"
            );
            assert_eq!(
                (image(&system), revisions(&system)),
                (now.into(), vec!["BAD".into()]),
                "{line} {error}"
            );
        }
    }
}

/// A pool on a disk of its own, and a store on a full disk.
struct SeparateDisks {
    system: System,
    _disk: LoopMount,
    pool: PathBuf,
}

impl SeparateDisks {
    fn new() -> Option<SeparateDisks> {
        let system = System::on(FileSystem::Ext4)?;
        let disk = LoopMount::new(FileSystem::Ext4).ok()?;
        let pool = system.path("/disks");
        fs::create_dir(&pool).unwrap();
        Program::new("mount")
            .arg("--bind")
            .arg(disk.path())
            .arg(&pool)
            .output()
            .unwrap();
        system.ok("qvm-pool add disks file-reflink -o dir_path=/disks -o setup_check=no");
        system.ok("qvm-remove -f work");
        system.ok("qvm-create -l red -P disks work");
        let disks = SeparateDisks {
            system,
            pool,
            _disk: disk,
        };
        for text in ["GOOD", "BAD"] {
            disks.system.ok(disks.import(text, 1));
        }
        Some(disks)
    }

    /// Imports data from the pool's disk, which has space.
    fn import(&self, text: &str, mib: u64) -> String {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize((mib * MIB) as usize, 0);
        let file = self.pool.join("data");
        fs::write(&file, bytes).unwrap();
        format!("qvm-volume import work:private {}", file.display())
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.system.path("/filler")).unwrap();
        for piece in [MIB as usize, 4096] {
            while file
                .write_all(&vec![1; piece])
                .and_then(|()| file.sync_data())
                .is_ok()
            {}
        }
        for number in 0..1000 {
            if fs::write(
                self.system.path("/").join(format!("filler.{number}")),
                "small",
            )
            .is_err()
            {
                break;
            }
        }
    }

    fn free_space(&self) {
        fs::remove_file(self.system.path("/filler")).unwrap();
    }

    fn images(&self) -> Vec<String> {
        let names = fs::read_dir(self.pool.join("appvms/work"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path());
        let mut images: Vec<PathBuf> = names
            .filter(|path| path.to_string_lossy().contains("private.img"))
            .collect();
        images.sort();
        images
            .iter()
            .map(|image| beginning(&fs::read(image).unwrap()))
            .collect()
    }

    fn refused(&self, line: &str) -> String {
        let ran = self.system.run(line);
        assert!(
            ran.code == 1 && ran.stderr.contains("No space left"),
            "{line}: {ran:?}"
        );
        ran.stderr
    }
}

impl Drop for SeparateDisks {
    fn drop(&mut self) {
        if let Err(error) = Program::new("umount")
            .arg("--lazy")
            .arg(&self.pool)
            .output()
        {
            eprintln!("{} stays mounted: {error}", self.pool.display());
        }
    }
}

#[test]
fn a_full_store_disk_changes_no_volume_on_another_disk() {
    let Some(disks) = SeparateDisks::new() else {
        return;
    };
    let before = disks.images();
    assert_eq!(before, ["BAD", "GOOD"]);
    disks.fill();
    let imported = disks.import("NEW", 3);
    for line in [
        &*imported,
        "qvm-volume resize work:private 5MiB",
        "qvm-volume config work:private revisions_to_keep 0",
        "qvm-remove -f work",
    ] {
        let words = disks.refused(line);
        assert!(!words.contains("deleted"), "{line}: {words}");
        assert_eq!(disks.images(), before, "{line}");
        assert_eq!(
            disks.system.ok("qvm-volume info work:private size"),
            format!("{MIB}\n"),
            "{line}"
        );
    }
    disks.free_space();
    disks.system.ok(&imported);
    assert_eq!(disks.images(), ["NEW", "BAD"]);
    assert_eq!(
        disks
            .system
            .stored_attribute("work", "private", "size")
            .unwrap(),
        (3 * MIB).to_string()
    );
    // A revision of another size.
    disks.fill();
    disks.refused("qvm-volume revert work:private");
    assert_eq!(disks.images(), ["NEW", "BAD"]);
    disks.free_space();
    disks.system.ok("qvm-volume revert work:private");
    assert_eq!(disks.images(), ["BAD", "NEW"]);
    disks.system.ok("qvm-remove -f work");
    assert!(disks.images().is_empty());
}

#[test]
fn a_killed_reinstallation_keeps_a_revision_of_the_private_volume() {
    if !has_strace() {
        return;
    }
    let system = System::new();
    let package = system.path("/package");
    fs::create_dir(&package).unwrap();
    let line = format!(
        "qvm-template-postprocess --really --skip-start --keep-source post-install pkg {}",
        package.display()
    );
    let pack = |text: &str| {
        let file = fs::File::create(package.join("root.img")).unwrap();
        file.set_len(MIB).unwrap();
        (&file).write_all(text.as_bytes()).unwrap();
    };
    let mine = system.file("mine", b"MINE");
    for number in 1.. {
        pack("ONE");
        system.run(&line);
        system.ok(format!(
            "qvm-volume import --no-resize pkg:private {}",
            mine.display()
        ));
        pack("TWO");
        let mut killed = strace::strace_command(
            &system.command(&line),
            &[
                "-o",
                "/dev/null",
                "-e",
                "trace=renameat",
                "-e",
                &format!("inject=renameat:signal=KILL:when={number}"),
            ],
        );
        let is_whole = killed
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success();
        assert!(
            system.image("vm-templates/pkg/private.img").exists(),
            "killed at {number}"
        );
        system.run(&line);
        assert!(
            system.begins_with("vm-templates/pkg/root.img", b"TWO"),
            "{number}"
        );
        assert!(
            system.begins_with("vm-templates/pkg/private.img", b"\0\0\0\0"),
            "{number}"
        );
        assert_eq!(
            files(&system, "vm-templates/pkg", "private.img.").len(),
            1,
            "{number}: a revision"
        );
        system.ok("qvm-volume revert pkg:private");
        assert!(
            system.begins_with("vm-templates/pkg/private.img", b"MINE"),
            "{number}"
        );
        system.run("qvm-remove -f pkg");
        system.run("qvm-template-postprocess --really pre-remove pkg");
        if is_whole {
            assert!(number > 4, "{number}");
            break;
        }
    }
}

#[test]
fn a_failed_reinstallation_keeps_the_root_volume() {
    let system = System::new();
    let package = system.path("/package");
    fs::create_dir(&package).unwrap();
    fs::write(package.join("root.img"), "ONE").unwrap();
    let line = format!(
        "qvm-template-postprocess --really --skip-start --keep-source post-install pkg {}",
        package.display()
    );
    system.run(&line);
    let store = system
        .store()
        .replace("vm-templates/pkg/private", "appvms/work/private");
    fs::write(system.image("qubes.xml"), store).unwrap();
    fs::write(package.join("root.img"), "TWO").unwrap();
    let refused = system.refuses(1, &line);
    assert!(refused.contains("cannot install pkg again"), "{refused}");
    assert!(system.begins_with("vm-templates/pkg/root.img", b"ONE"));
}

#[test]
fn the_error_names_a_disposable_whose_name_cannot_be_printed() {
    let system = System::new();
    system.ok("qvm-prefs work template_for_dispvms True");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = system
        .command("qvm-create --disp -t work")
        .stdout(full)
        .output()
        .unwrap();
    let (words, names) = (
        String::from_utf8(output.stderr).unwrap(),
        system.ok("qvm-ls --raw-list"),
    );
    let name = names.lines().find(|name| name.starts_with("disp")).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        words.contains(&format!(
            "{name} is created: cannot write to standard output"
        )),
        "{words}"
    );
}
