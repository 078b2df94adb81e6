//! A reader sees one version of the store, however it is written meanwhile, and independently of
//! the files in RUN.

use std::fs;
use std::thread;
use std::time::Duration;

use qubes::model::Vm;
use qubes::store::{LockWait, Read, StoreError, StoreLocation, Write};
use qubes_test_support::companions::{Companion, python};
use qubes_test_support::scratch_store::{Scratch, edit};
use qubes_test_support::store_location::store_location;
use qubes_test_support::{binary, skip};

const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4/small.xml");

fn property<'a>(read: &'a Read, qube: &str, name: &str) -> Option<&'a str> {
    read.get(qube)?.properties.get(name)
}

#[test]
fn an_open_read_does_not_see_a_later_save() {
    let scratch = Scratch::new();
    let read = Read::open(&scratch.place).unwrap();
    let mut write = Write::open(&scratch.place).unwrap();
    edit(&mut write, "work").properties.set("memory", "4321");
    write.draft().unchecked().remove("vault").unwrap();
    write.save().unwrap();
    assert_ne!(property(&read, "work", "memory"), Some("4321"));
    assert_eq!(property(&read, "vault", "name"), Some("vault"));
}

#[test]
fn an_open_read_does_not_see_a_later_write_in_place() {
    let scratch = Scratch::new();
    let before = fs::read_to_string(scratch.file()).unwrap();
    let read = Read::open(&scratch.place).unwrap();
    let first = property(&read, "work", "memory").map(str::to_owned);
    // All positions shift, so that positions found earlier are wrong in the new file.
    let moved = before.replacen("<domains>", &format!("<domains>{}", " ".repeat(777)), 1);
    let changed = moved
        .replace("name=\"memory\">", "name=\"memory\">7")
        .replace(">vault<", ">thief<");
    fs::write(scratch.file(), changed).unwrap();
    let old = qubes::format::read(before.into_bytes()).unwrap();
    assert!(read.iter().eq(old.iter()));
    assert_eq!(property(&read, "work", "memory").map(str::to_owned), first);
}

#[test]
fn inspect_returns_the_same_qubes_as_get() {
    let scratch = Scratch::new();
    let read = Read::open(&scratch.place).unwrap();
    let other = Read::open(&scratch.place).unwrap();
    let mut names: Vec<&str> = read.names().map(|name| name.as_str()).collect();
    // In order, backwards, and each name followed by dom0.
    let backwards: Vec<&str> = names.iter().rev().copied().collect();
    let aside: Vec<&str> = names.iter().flat_map(|name| [*name, "dom0"]).collect();
    names.extend(backwards);
    names.extend(aside);
    for name in names {
        assert_eq!(
            read.inspect(name, Vm::clone).as_ref(),
            other.get(name),
            "{name}"
        );
    }
    assert!(read.inspect("nobody", |_| ()).is_none());
}

/// Returns the memory of both qubes from one read.
fn read_pair(place: &StoreLocation) -> Result<(String, String), StoreError> {
    let read = Read::open(place)?;
    let memory = |name| property(&read, name, "memory").unwrap().to_owned();
    Ok((memory("work"), memory("personal")))
}

/// Returns the sample store with this memory of both qubes.
fn store_with_memory(value: &str) -> String {
    let mut qubes = qubes::format::read(fs::read(SMALL).unwrap()).unwrap();
    for name in ["work", "personal"] {
        qubes.edit(name).unwrap().properties.set("memory", value);
    }
    String::from_utf8(qubes::format::write(&fs::read(SMALL).unwrap(), &qubes).unwrap()).unwrap()
}

/// Returns the location of the store with a wait of 60 s.
fn location_with_wait(scratch: &Scratch) -> StoreLocation {
    StoreLocation {
        wait: LockWait::up_to(Duration::from_secs(60)),
        ..scratch.place.clone()
    }
}

#[test]
fn a_version_half_written_under_a_foreign_lock_is_not_read() {
    let scratch = Scratch::new();
    let (old, new) = (store_with_memory("111"), store_with_memory("222"));
    let (work, personal) = (new.find(">work<").unwrap(), new.find(">personal<").unwrap());
    let half = work.min(personal) + 400;
    assert!(
        old.len() == new.len() && half < work.max(personal),
        "the qubes are far apart in the store"
    );
    fs::write(scratch.file(), &old).unwrap();
    fs::write(scratch.dir.path().join("new"), &new).unwrap();
    let program = format!(
        "\
new = open(os.path.dirname(PATH) + '/new', 'rb').read()
f = lock()
f.write(new[:{half}])
f.flush()
ready()
f.write(new[{half}:])
f.close()"
    );
    let python = Companion::start(python(&program, scratch.dir.path()), "READY");
    let without_wait = read_pair(&scratch.place).unwrap_err().to_string();
    assert!(
        without_wait.contains(&format!("locked by pid {}", python.child.id())),
        "{without_wait}"
    );
    let place = location_with_wait(&scratch);
    let reader = thread::spawn(move || read_pair(&place).unwrap());
    python.finish();
    assert_eq!(reader.join().unwrap(), ("222".to_owned(), "222".to_owned()));
}

#[test]
fn each_reader_sees_one_version_beside_a_foreign_writer_in_place() {
    let scratch = Scratch::new();
    for value in ["111", "222"] {
        fs::write(scratch.dir.path().join(value), store_with_memory(value)).unwrap();
    }
    fs::write(scratch.file(), store_with_memory("111")).unwrap();
    let program = "\
versions = [open(os.path.dirname(PATH) + name, 'rb').read() for name in ('/111', '/222')]
print('READY', flush=True)
import select, time
turn = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    f = lock()
    turn += 1
    text = versions[turn % 2]
    half = len(text) // 2
    os.pwrite(f.fileno(), text[:half], 0)
    if turn % 3 == 0: time.sleep(0.002)
    os.pwrite(f.fileno(), text[half:], half)
    f.close()
    time.sleep(0.0005)
";
    let python = Companion::start(python(program, scratch.dir.path()), "READY");
    let place = location_with_wait(&scratch);
    let torn: Vec<_> = (0..1500)
        .map(|_| read_pair(&place).unwrap())
        .filter(|(work, personal)| work != personal)
        .collect();
    python.finish();
    assert!(torn.is_empty(), "{} torn: {:?}", torn.len(), torn[0]);
}

/// Qubes' own Python holds its lock for long while the file does not change.
#[test]
fn a_reader_does_not_wait_for_a_foreign_lock_on_an_unchanging_file() {
    let scratch = Scratch::new();
    let past = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::options()
        .write(true)
        .open(scratch.file())
        .unwrap()
        .set_modified(past)
        .unwrap();
    let python = Companion::start(python("f = lock()\nready()", scratch.dir.path()), "READY");
    // This location does not allow waiting: a reader that would wait fails with `Busy`.
    for _ in 0..50 {
        Read::open(&scratch.place).unwrap();
    }
    python.finish();
}

/// Cache files in RUN do not determine names or values, and a FIFO in their place is not waited
/// for.
#[test]
fn files_in_run_do_not_change_what_is_read_or_written() {
    let scratch = Scratch::new();
    let run = scratch.dir.path().join("run");
    fs::create_dir(&run).unwrap();
    let text = fs::read_to_string(scratch.file()).unwrap();
    let expected: Vec<Vm> = Read::open(&scratch.place)
        .unwrap()
        .iter()
        .cloned()
        .collect();
    let names = ["contents", "sound", "unbroken"];
    let exchanged = text
        .replace(">work<", ">\u{1}<")
        .replace(">vault<", ">work<")
        .replace(">\u{1}<", ">vault<");
    for poison in [&b""[..], b"\n", exchanged.as_bytes(), &[0xff; 70000]] {
        for name in names {
            fs::write(run.join(name), poison).unwrap();
        }
        assert!(
            Read::open(&scratch.place)
                .unwrap()
                .iter()
                .eq(expected.iter())
        );
    }
    for name in names {
        fs::remove_file(run.join(name)).unwrap();
        nix::unistd::mkfifo(&run.join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let read = Read::open(&scratch.place).unwrap();
        assert_eq!(read.read_cache(name), None);
    }
    let mut write = Write::open(&scratch.place).unwrap();
    edit(&mut write, "work").properties.set("memory", "4321");
    write.save().unwrap();
    write.write_cache("sound", "rules");
    drop(write);
    let read = Read::open(&scratch.place).unwrap();
    assert_eq!(property(&read, "work", "memory"), Some("4321"));
    assert_eq!(
        property(&read, "vault", "memory"),
        expected
            .iter()
            .find(|vm| vm.name == "vault")
            .unwrap()
            .properties
            .get("memory")
    );
    assert_eq!(
        read.read_cache("sound").as_deref(),
        Some("rules"),
        "a cache file replaces a FIFO in its place"
    );
}

/// A change through a mapping does not change the modification time on tmpfs, and not always
/// elsewhere.
#[test]
fn a_cache_file_is_not_used_after_a_change_through_a_mapping() {
    for directory in ["/dev/shm", "/var/tmp"] {
        let Ok(dir) = tempfile::tempdir_in(directory) else {
            continue;
        };
        let place = store_location(dir.path());
        fs::create_dir(dir.path().join("run")).unwrap();
        fs::copy(SMALL, &place.file).unwrap();
        Read::open(&place).unwrap().write_cache("unbroken", "rules");
        assert_eq!(
            Read::open(&place)
                .unwrap()
                .read_cache("unbroken")
                .as_deref(),
            Some("rules")
        );
        let program = "\
import mmap
f = open(PATH, 'r+b')
m = mmap.mmap(f.fileno(), 0)
at = m.find(b'name=\"name\">work<') + 12
m[at:at + 4] = b'work'
print('READY', flush=True)
sys.stdin.readline()
m[at:at + 4] = b'wark'
print('CHANGED', flush=True)
sys.stdin.read()
";
        let mut python = Companion::start(python(program, dir.path()), "READY");
        assert!(Read::open(&place).unwrap().contains("work"));
        python.send("go", "CHANGED");
        let read = Read::open(&place).unwrap();
        assert!(
            read.contains("wark") && !read.contains("work"),
            "{directory}"
        );
        assert_eq!(read.read_cache("unbroken"), None, "{directory}");
        python.finish();
    }
}

/// Where files cannot be locked at all (NFS without lockd), reading needs no lock.
#[test]
fn a_reader_works_without_locks() {
    let scratch = Scratch::new();
    for error in ["ENOLCK", "EOPNOTSUPP", "EIO"] {
        for (command, arguments) in [
            ("qvm-prefs", &["work", "memory"][..]),
            ("qvm-ls", &["--raw-list"]),
        ] {
            let mut traced = std::process::Command::new("strace");
            traced.args([
                "-f",
                "-o",
                "/dev/null",
                "-e",
                "trace=fcntl",
                "-e",
                &format!("inject=fcntl:error={error}"),
            ]);
            traced
                .arg(binary(command))
                .args(arguments)
                .env("QUBES_OFFLINE", "1")
                .env("RUST_BACKTRACE", "0");
            traced
                .env("QUBES_XML_PATH", scratch.file())
                .env("XDG_RUNTIME_DIR", scratch.dir.path())
                .env_remove("QUBES_ROOT");
            let Ok(output) = traced.output() else {
                return skip("strace is not installed");
            };
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && stderr.is_empty() && !output.stdout.is_empty(),
                "{error}: {stderr}"
            );
        }
    }
}
