//! Runs the real tools with a fault in any system call of a save: killed before the call, or with
//! EIO, ENOSPC or EINTR from it. The store must then be the whole old or the whole new one, the
//! tool must report which, and the next command must work.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use qubes::format;
use qubes::store::{LockWait, Read, SaveOutcome, StoreLocation, Write};
use qubes_test_support::strace::{Call, calls, strace_command};
use qubes_test_support::{TestSystem, binary, skip};

/// Creates a system with a kernel in memory, if there is such a file system.
fn system_in_memory() -> TestSystem {
    let memory = Path::new("/dev/shm");
    let system = if memory.is_dir() {
        TestSystem::empty_in(memory)
    } else {
        TestSystem::empty()
    };
    system.write("/var/lib/qubes/vm-kernels/1/vmlinuz", "never booted");
    system
}

/// A command that saves, and the initial state of its system.
struct Case {
    program: &'static str,
    words: &'static [&'static str],
    /// The store before the command; `None` if the command creates it.
    store: Option<Vec<u8>>,
    /// The name and content of a copy in `backup/`.
    copy: Option<(&'static str, Vec<u8>)>,
    /// Returns whether these bytes are the store that the command must write.
    is_new: fn(&Case, &[u8]) -> bool,
}

const COPY: &str = "qubes-2025-01-02-03:04:05.xml";

/// One run of a case in its own system.
struct Run<'c> {
    case: &'c Case,
    system: TestSystem,
}

impl Case {
    fn all() -> Vec<Case> {
        let store = create_sample_store();
        let other = edited(&store, |write| {
            write.edit("work").unwrap().properties.set("memory", "777")
        });
        vec![
            Case {
                program: "qvm-prefs",
                words: &["work", "memory", "801"],
                store: Some(store.clone()),
                copy: None,
                is_new: |case, bytes| {
                    bytes
                        == edited(case.before(), |w| {
                            w.edit("work").unwrap().properties.set("memory", "801")
                        })
                },
            },
            Case {
                program: "qvm-create",
                words: &["--label", "red", "new"],
                store: Some(store.clone()),
                copy: None,
                is_new: |case, bytes| {
                    let (old, new) = (names(case.before()), names(bytes));
                    format::check(bytes).is_ok()
                        && new.contains("new")
                        && new.len() == old.len() + 1
                },
            },
            Case {
                program: "qubes-db",
                words: &["restore", "2025-01-02"],
                store: Some(store),
                copy: Some((COPY, other)),
                is_new: |case, bytes| Some(bytes) == case.copy.as_ref().map(|(_, bytes)| &**bytes),
            },
            Case {
                program: "qubes-create",
                words: &[],
                store: None,
                copy: None,
                is_new: |_, bytes| {
                    format::check(bytes).is_ok()
                        && names(bytes) == HashSet::from(["dom0".to_string()])
                },
            },
        ]
    }

    fn before(&self) -> &[u8] {
        self.store.as_deref().unwrap_or_default()
    }

    fn describe(&self) -> String {
        format!("{} {}", self.program, self.words.join(" "))
    }

    fn run(&self) -> Run<'_> {
        let run = Run {
            case: self,
            system: system_in_memory(),
        };
        if let Some(store) = &self.store {
            fs::write(run.store(), store).unwrap();
        }
        if let Some((name, bytes)) = &self.copy {
            fs::create_dir(run.path("var/lib/qubes/backup")).unwrap();
            fs::write(run.path("var/lib/qubes/backup").join(name), bytes).unwrap();
        }
        run
    }

    /// Runs the command without a fault, which must succeed, and returns its system calls.
    fn trace(&self) -> Option<Vec<Call>> {
        let run = self.run();
        let log = run.path("log");
        let output = strace_command(&run.command(), &["-y", "-o", log.to_str().unwrap()])
            .output()
            .ok()?;
        if !output.status.success() && !log.exists() {
            return None;
        }
        assert!(output.status.success(), "{}: {output:?}", self.describe());
        assert!(
            (self.is_new)(self, &fs::read(run.store()).unwrap()),
            "{} writes an unexpected store",
            self.describe()
        );
        Some(calls(&log))
    }
}

impl Run<'_> {
    fn path(&self, below: &str) -> PathBuf {
        self.system.path(below)
    }

    fn store(&self) -> PathBuf {
        self.system.store_file()
    }

    fn command(&self) -> Command {
        self.system.command((self.case.program, self.case.words))
    }

    /// Runs the command with a fault in one call.
    fn run_with_fault(&self, call: &Call, fault: &str) -> Output {
        let inject = format!("inject={}:{fault}:when={}", call.name, call.number);
        let trace = format!("trace={}", call.name);
        let mut options = vec!["-o", "/dev/null", "-e", &trace, "-e", &inject];
        // With seccomp only the named calls stop, which is faster, but signals are not injected.
        options.extend(fault.starts_with("error").then_some("--seccomp-bpf"));
        let mut command = strace_command(&self.command(), &options);
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn place(&self) -> StoreLocation {
        StoreLocation {
            file: self.store(),
            run_dir: self.path("run/qubes").into(),
            backup_dir: self.path("var/lib/qubes/backup"),
            qubesd_socket: None,
            group: None,
            wait: LockWait::NONE,
            force: false,
        }
    }

    /// Returns the temporary files in the directories of the store and of the copies.
    fn temp_files(&self) -> Vec<PathBuf> {
        let both = ["var/lib/qubes", "var/lib/qubes/backup"].map(|below| self.path(below));
        let entries = both
            .iter()
            .flat_map(fs::read_dir)
            .flatten()
            .map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.file_name().unwrap().to_string_lossy().contains('~'))
            .collect()
    }

    /// Returns whether the store is the new one; panics if it is neither the old nor the new one.
    fn is_new(&self, at: &str) -> bool {
        let bytes = match fs::read(self.store()) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.case.store.is_none() => {
                return false;
            }
            read => read.unwrap(),
        };
        let is_new = self.case.store.as_ref() != Some(&bytes);
        assert!(
            !is_new || (self.case.is_new)(self.case, &bytes),
            "{at}: neither the old nor the new store: {} bytes",
            bytes.len()
        );
        if is_new && self.case.words.contains(&"new") {
            assert!(
                self.path("var/lib/qubes/appvms/new/private.img").is_file(),
                "{at}: a qube without its volume"
            );
        }
        is_new
    }

    /// Checks that copies are whole and that the next command can read, lock, copy and save.
    fn assert_next_command_works(&self, at: &str) {
        for entry in fs::read_dir(self.path("var/lib/qubes/backup"))
            .into_iter()
            .flatten()
        {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.contains('~') && name != COPY {
                assert!(
                    fs::read(&path).unwrap() == self.case.before(),
                    "{at}: a partial copy: {name}"
                );
            }
        }
        let long_ago = SystemTime::now() - Duration::from_secs(100);
        for left in self.temp_files() {
            File::options()
                .write(true)
                .open(left)
                .unwrap()
                .set_modified(long_ago)
                .unwrap();
        }
        if !self.store().exists() {
            let again = self.command().output().unwrap();
            assert!(again.status.success(), "{at}, again: {again:?}");
        }
        let place = self.place();
        assert!(Read::open(&place).unwrap().contains("dom0"), "{at}");
        let mut write = Write::open(&place).unwrap_or_else(|e| panic!("{at}: {e}"));
        write.draft().unchecked().globals.set("stats_interval", "7");
        assert_eq!(write.save().unwrap(), SaveOutcome::Written, "{at}");
        write.back_up().unwrap();
        assert_eq!(
            self.temp_files(),
            Vec::<PathBuf>::new(),
            "{at}: the next writer must remove stale temporary files"
        );
    }
}

/// Returns a store with a template and a qube, made by the tools.
fn create_sample_store() -> Vec<u8> {
    let system = system_in_memory();
    for line in [
        "qubes-create",
        "qubes-prefs default_kernel 1",
        "qvm-create --class TemplateVM --label black tpl",
        "qubes-prefs default_template tpl",
        "qvm-create --label red work",
    ] {
        system.succeeds(line);
    }
    system.store().into_bytes()
}

/// Returns the store after an edit.
fn edited(store: &[u8], edit: impl FnOnce(&mut qubes::model::Qubes)) -> Vec<u8> {
    let mut qubes = format::read(store.to_vec()).unwrap();
    edit(&mut qubes);
    format::write(store, &qubes).unwrap()
}

fn names(store: &[u8]) -> HashSet<String> {
    format::read(store.to_vec())
        .unwrap()
        .names()
        .map(|name| name.to_string())
        .collect()
}

/// Calls `work` for each point, on as many threads as the machine has processors.
fn for_each_in_parallel<T: Sync>(points: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(2, |n| n.get());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(point);
                }
            });
        }
    });
}

/// Returns the system calls of each case, or `None` if strace does not work.
fn trace_all(cases: &[Case]) -> Option<Vec<(&Case, Vec<Call>)>> {
    let traced: Option<Vec<_>> = cases
        .iter()
        .map(|case| Some((case, case.trace()?)))
        .collect();
    if traced.is_none() {
        skip("strace is not installed or may not trace here");
    }
    traced
}

#[test]
fn a_tool_killed_before_any_system_call_leaves_the_old_or_the_new_store() {
    let cases = Case::all();
    let Some(traced) = trace_all(&cases) else {
        return;
    };
    for (case, calls) in traced {
        let (old, new) = (AtomicUsize::new(0), AtomicUsize::new(0));
        for_each_in_parallel(&calls, |call| {
            let run = case.run();
            let at = format!("{}, killed before {}", case.describe(), call.describe());
            let ended = run.run_with_fault(call, "signal=KILL").status;
            assert!(
                ended.signal() == Some(9) || ended.code() == Some(128 + 9),
                "{at}: the call was not reached: {ended}"
            );
            if run.is_new(&at) { &new } else { &old }.fetch_add(1, Ordering::Relaxed);
            run.assert_next_command_works(&at);
        });
        let (old, new) = (old.into_inner(), new.into_inner());
        println!(
            "{}: killed at {} calls, {old} left the old store, {new} the new one",
            case.describe(),
            calls.len()
        );
        assert!(
            old > 20 && new > 5,
            "{}: killed before ({old}) and after ({new}) the rename",
            case.describe()
        );
    }
}

/// Calls without faults: they do not fail this way, or only Rust's runtime makes them.
const EXCLUDED_CALLS: [&str; 17] = [
    "brk",
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "rt_sigaction",
    "rt_sigprocmask",
    "sigaltstack",
    "futex",
    "exit_group",
    "geteuid",
    "getpid",
    "gettid",
    "prctl",
    "prlimit64",
    "sched_getaffinity",
];

/// Returns the errors to inject: a broken disk, a full disk, a signal, and for writing calls an
/// exceeded quota.
fn errors_for(call: &Call) -> &'static [&'static str] {
    match &*call.name {
        "write" | "fsync" | "copy_file_range" | "ftruncate" => {
            &["EIO", "ENOSPC", "EINTR", "EDQUOT"]
        }
        _ => &["EIO", "ENOSPC", "EINTR"],
    }
}

/// Returns the calls to inject errors into: one of each group of equal calls.
fn distinct_calls(calls: &[Call]) -> Vec<&Call> {
    let mut seen = HashSet::new();
    let without_result = |line: &str| {
        line.rsplit_once(" = ")
            .map_or(line, |(call, _)| call)
            .to_string()
    };
    let can_fail = calls
        .iter()
        .filter(|call| !EXCLUDED_CALLS.contains(&&*call.name));
    can_fail
        .filter(|call| seen.insert(without_result(&call.line)))
        .collect()
}

/// The outcome of a run with an injected error.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The store was saved and nothing was reported.
    Harmless,
    /// The old store is in place, and one line reports why.
    Refused,
    /// The new store is in place, and one line reports that.
    ReportedAfterSave,
    /// Rust's standard library aborted, because the system returned no random numbers.
    Aborted,
    Wrong,
}

fn classify(output: &Output, is_new: bool) -> Outcome {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let clean = !["panicked", "os error", "Os {"]
        .iter()
        .any(|word| stderr.contains(word));
    let saved = stderr.contains("was saved, but") || stderr.contains("standard output");
    match (output.status.code(), is_new, stderr.lines().count()) {
        (Some(0), true, 0) => Outcome::Harmless,
        (Some(1), false, 1) if clean && !saved => Outcome::Refused,
        (Some(1), true, 1) if clean && saved => Outcome::ReportedAfterSave,
        _ if stderr.contains("random") => Outcome::Aborted,
        _ => Outcome::Wrong,
    }
}

#[test]
fn an_error_of_any_system_call_is_reported_or_harmless() {
    let cases = Case::all();
    let Some(traced) = trace_all(&cases) else {
        return;
    };
    for (case, calls) in traced {
        // A command that creates a store opens its temporary file instead.
        let opened = calls
            .iter()
            .position(|c| c.line.contains("qubes.xml\", O_RDWR"));
        let begun = opened
            .or_else(|| calls.iter().position(|c| c.line.contains("qubes.xml~")))
            .unwrap();
        let saving = &calls[begun..];
        let tried = distinct_calls(&calls);
        let points: Vec<(&Call, &str)> = tried
            .iter()
            .flat_map(|c| errors_for(c).iter().map(|e| (*c, *e)))
            .collect();
        let outcomes = Mutex::new(Vec::new());
        for_each_in_parallel(&points, |(call, error)| {
            let run = case.run();
            let at = format!("{}, {error} from {}", case.describe(), call.describe());
            let output = run.run_with_fault(call, &format!("error={error}"));
            let is_new = run.is_new(&at);
            let outcome = classify(&output, is_new);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_ne!(
                outcome,
                Outcome::Wrong,
                "{at}: the new store: {is_new}, {}: {stderr}",
                output.status
            );
            let is_during_save = saving
                .iter()
                .any(|c| (&c.name, c.number) == (&call.name, call.number));
            // A signal may arrive at any time and must not end a save.
            assert!(
                !is_during_save || *error != "EINTR" || outcome == Outcome::Harmless,
                "{at}: {outcome:?}: {stderr}"
            );
            run.assert_next_command_works(&at);
            outcomes.lock().unwrap().push(outcome);
        });
        let outcomes = outcomes.into_inner().unwrap();
        let count = |expected: Outcome| {
            outcomes
                .iter()
                .filter(|outcome| **outcome == expected)
                .count()
        };
        println!(
            "{}: {} errors in {} calls: {} harmless, {} refused without a change, \
             {} reported after the save, {} aborted",
            case.describe(),
            points.len(),
            tried.len(),
            count(Outcome::Harmless),
            count(Outcome::Refused),
            count(Outcome::ReportedAfterSave),
            count(Outcome::Aborted),
        );
        assert!(
            count(Outcome::Refused) > 20 && count(Outcome::ReportedAfterSave) >= 2,
            "{}",
            case.describe()
        );
    }
}

/// Returns the index of the first call at or after `after` for which `happens` is true.
fn first(calls: &[Call], after: usize, what: &str, happens: impl Fn(&str) -> bool) -> usize {
    let found = calls[after..].iter().position(|call| happens(&call.line));
    after + found.unwrap_or_else(|| panic!("{what} not found after {}", calls[after].describe()))
}

/// Asserts the order that survives a power loss: file written, synced, renamed, directory synced. A
/// kill cannot test this, because the page cache outlives the process.
fn assert_durable(calls: &[Call], case: &Case, directory: &str, target: &str) -> (usize, usize) {
    let title = case.describe();
    let is_rename = |line: &str| line.starts_with("rename") || line.starts_with("link");
    // The target is named by its path, or by its name in an open directory.
    let name = target.rsplit('/').next().unwrap();
    let is_there =
        |line: &str| line.contains(&format!("{directory}>")) && line.contains(&format!("\"{name}"));
    let of_ours = |line: &str| {
        is_rename(line) && line.contains('~') && (line.contains(target) || is_there(line))
    };
    let renamed = first(calls, 0, "the rename", of_ours);
    let temporary = calls[renamed].line.split('"').nth(1).unwrap();
    let on_it = |line: &str, call: &str| {
        line.starts_with(&format!("{call}(")) && line.contains(&format!("{temporary}>"))
    };
    let made = first(calls, 0, "the temporary file", |l| {
        l.contains(temporary) && l.contains("O_CREAT|O_EXCL")
    });
    let synced = first(calls, made, "fsync of the temporary file", |line| {
        on_it(line, "fsync")
    });
    let written = calls
        .iter()
        .rposition(|call| on_it(&call.line, "write"))
        .unwrap();
    assert!(
        made < written && written < synced && synced < renamed,
        "{title}: {made} {written} {synced} {renamed}"
    );
    let durable = first(calls, renamed, "fsync of the directory", |line| {
        line.starts_with("fsync(") && line.contains(&format!("{directory}>)"))
    });
    (renamed, durable)
}

#[test]
fn a_new_store_is_durable_and_locked_before_it_is_visible() {
    let cases = Case::all();
    let Some(traced) = trace_all(&cases) else {
        return;
    };
    for (case, calls) in traced {
        let title = case.describe();
        let (renamed, durable) = assert_durable(&calls, case, "/var/lib/qubes", "/qubes.xml~");
        let is_lock = |line: &str, kind: &str, file: &str| {
            line.starts_with("fcntl(")
                && line.contains(&format!("F_OFD_SETLK, {{l_type={kind}"))
                && line.contains(file)
        };
        let own = first(&calls, 0, "the lock of the new file", |l| {
            is_lock(l, "F_WRLCK", "/qubes.xml~")
        });
        assert!(
            own < renamed,
            "{title}: the new file is visible before it is locked"
        );
        let unlocked = first(&calls, renamed, "the unlock", |l| {
            is_lock(l, "F_UNLCK", "/qubes.xml")
        });
        assert!(
            durable < unlocked,
            "{title}: the lock is released before the save is durable"
        );
        if case.store.is_some() {
            let locked = first(&calls, 0, "the lock of the store", |l| {
                is_lock(l, "F_WRLCK", "/qubes.xml>")
            });
            let read = first(&calls, locked, "reading", |l| {
                l.starts_with("read(") && l.contains("/qubes.xml>")
            });
            assert!(
                read < renamed,
                "{title}: the store is not read after the lock"
            );
            let (_, copied) = assert_durable(&calls, case, "/backup", "/backup/qubes-");
            assert!(
                read < copied && copied < renamed,
                "{title}: the copy is not durable before the store is replaced"
            );
        }
    }
}

/// Between the check for changes before the copy and the rename there are syncs, which may take
/// long.
#[test]
fn an_edit_during_the_sync_of_a_save_is_not_overwritten() {
    let cases = Case::all();
    let case = &cases[0];
    let run = case.run();
    // The third sync is that of the new store, after those of the copy and its directory.
    let slow = [
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync",
        "-e",
        "inject=fsync:delay_enter=2000000:when=3",
    ];
    let mut command = strace_command(&run.command(), &slow);
    let Ok(saving) = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn() else {
        return skip("strace is not installed");
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_filled = |path: &PathBuf| fs::metadata(path).is_ok_and(|m| m.len() > 3000);
    while !run
        .temp_files()
        .iter()
        .any(|path| path.parent() == run.store().parent() && is_filled(path))
    {
        assert!(Instant::now() < deadline, "the new store is not written");
        thread::yield_now();
    }
    let edited = [case.before(), b"<!-- by hand -->\n"].concat();
    fs::write(run.store(), &edited).unwrap();
    let ended = saving.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.code() == Some(1)
            && stderr.contains("was changed by a program that does not lock it"),
        "{stderr}"
    );
    assert!(fs::read(run.store()).unwrap() == edited);
    assert_eq!(run.temp_files(), Vec::<PathBuf>::new());
}

#[test]
fn a_read_error_is_not_reported_as_a_default_value() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("qubes.xml");
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4/random-1.xml"),
        &store,
    )
    .unwrap();
    let qubes = format::read(fs::read(&store).unwrap()).unwrap();
    let name = qubes
        .names()
        .find(|name| !name.is_dom0())
        .unwrap()
        .to_string();
    let strace = |options: &[&str]| {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-e", "trace=read", "-P"])
            .arg(&store)
            .args(options);
        command
            .arg(binary("qvm-prefs"))
            .args([&name, "memory"])
            .env("QUBES_OFFLINE", "1");
        command
            .env("QUBES_XML_PATH", &store)
            .env("XDG_RUNTIME_DIR", dir.path())
            .env_remove("QUBES_ROOT")
            .output()
    };
    let Ok(sound) = strace(&[]) else {
        return skip("strace is not installed");
    };
    assert!(sound.status.success(), "{sound:?}");
    let reads = String::from_utf8_lossy(&sound.stderr)
        .matches("read(")
        .count();
    assert!(reads > 0, "{sound:?}");
    let failed = strace(&["-e", "inject=read:error=EIO:when=1"]).unwrap();
    let stderr = String::from_utf8_lossy(&failed.stderr).into_owned();
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("qvm-prefs: "))
        .collect();
    assert_eq!(
        (failed.status.code(), failed.stdout.as_slice()),
        (Some(1), &b""[..]),
        "{stderr}"
    );
    assert!(
        lines.len() == 1 && lines[0].contains("cannot read") && lines[0].contains("I/O error"),
        "{stderr}"
    );
}
