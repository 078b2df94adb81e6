//! Driver `lvm_thin` on real logical volumes: what `lvs` shows after each step, and what a guest finds there. These run
//! inside the lab, where volume group `qubes_dom0` has the thin pool `vm-pool`.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use qubes::exec::Program;
use qubes::storage::{Attachment, Driver, Kind, LvmThin, StorageError, Volume, VolumeLocks};

const MIB: u64 = 1 << 20;
const GROUP: &str = "qubes_dom0";

/// The checks with their names.
pub const CHECKS: [(&str, fn()); 11] = [
    ("a qube lives with the names that upstream gives", lives_with_upstreams_names),
    ("revisions are kept, pruned and reverted to", revisions_are_kept),
    ("a volume grows, running or halted, and never shrinks", a_volume_grows),
    ("a snapshot is outdated once its source was committed", a_snapshot_is_outdated),
    ("an import replaces the data or changes nothing", an_import_is_all_or_nothing),
    ("a clone in the pool is a snapshot", a_clone_is_a_snapshot),
    ("without snapshots the guest has the volume itself", without_snapshots),
    ("a crash between any two steps is recovered from", crashes_are_recovered_from),
    ("a listing of all volumes is one call of lvs", one_call_for_all),
    ("a volume that is open is not removed", an_open_volume_stays),
    ("a full pool is told and the old data stay", a_full_pool),
];

fn lives_with_upstreams_names() {
    let pool = pool();
    let template = origin("debian", "root");
    pool.create(&template).unwrap();
    assert_eq!(names("debian"), ["root"]);
    run_once(&pool, &template, "installed");
    assert_eq!(names("debian"), ["root", "root-T-back"]);
    let (root, private, scratch) = (snapshot("work", "debian"), origin("work", "private"), volatile("work"));
    let all = [&root, &private, &scratch];
    all.iter().for_each(|v| pool.create(v).unwrap());
    assert_eq!(names("work"), ["private"]);
    all.iter().for_each(|v| pool.verify(v).unwrap());

    all.iter().for_each(|v| pool.start(v).unwrap());
    assert_eq!(names("work"), ["private", "private-snap", "root-snap", "volatile"]);
    assert_eq!(device(&pool, &root), Path::new("/dev/mapper/qubes_dom0-vm--work--root--snap"));
    assert_eq!((text(&device(&pool, &root)), text(&device(&pool, &private))), ("installed".into(), String::new()));
    assert!(pool.is_dirty(&private).unwrap() && !pool.is_dirty(&root).unwrap());
    all.iter().for_each(|v| write(&device(&pool, v), "written"));
    assert_eq!(text(&pool.export(&private).unwrap()), "", "what is exported is what was committed");

    all.iter().for_each(|v| pool.stop(v).unwrap());
    assert_eq!(names("work"), ["private", "private-T-back"]);
    assert_eq!(text(&pool.export(&private).unwrap()), "written");
    assert_eq!(text(&pool.export(&template).unwrap()), "installed");
    assert!(!pool.is_dirty(&private).unwrap());
    all.iter().for_each(|v| pool.start(v).unwrap());
    assert_eq!(text(&device(&pool, &root)), "installed");
    assert_eq!(text(&device(&pool, &private)), "written");
    assert_eq!(text(&device(&pool, &scratch)), "");
    all.iter().for_each(|v| pool.stop(v).unwrap());

    // What is no volume of a qube (the lab has a volume for its store) and what a volume has beside itself is not listed.
    assert_eq!(pool.volumes().unwrap(), ["qubes_dom0/vm-debian-root", "qubes_dom0/vm-work-private"]);
    all.iter().for_each(|v| pool.remove(v).unwrap());
    pool.remove(&template).unwrap();
    assert_eq!(pool.volumes().unwrap(), Vec::<String>::new());
}

fn revisions_are_kept() {
    let pool = pool();
    let private = Volume { revisions_to_keep: 2, ..origin("keeps", "private") };
    pool.create(&private).unwrap();
    assert_eq!(refusal(pool.revert(&private, None)), "volume keeps:private: it has no revision to revert to");
    for words in ["one", "two", "three", "four"] {
        run_once(&pool, &private, words);
    }
    let kept = pool.revisions(&private).unwrap();
    let times: Vec<i64> = kept.iter().map(|r| r.id.strip_suffix("-back").unwrap().parse().unwrap()).collect();
    assert!(times.len() == 2 && times[0] < times[1], "{times:?}");
    assert!(kept[1].time.starts_with("20") && kept[1].time.len() == "2026-01-01T00:00:00".len(), "{kept:?}");

    let unknown = refusal(pool.revert(&private, Some("7-back")));
    assert_eq!(
        unknown,
        format!("volume keeps:private: it has no revision '7-back'; it has {}, {}", kept[0].id, kept[1].id)
    );
    pool.start(&private).unwrap();
    assert!(refusal(pool.revert(&private, None)).contains("shut the qube down before reverting"));
    pool.stop(&private).unwrap();
    // That stop committed, too: the newest revision is now "four", the one before "three".
    let before = pool.revisions(&private).unwrap();
    pool.revert(&private, Some(&before[0].id)).unwrap();
    assert_eq!(text(&pool.export(&private).unwrap()), "three");
    pool.revert(&private, None).unwrap();
    assert_eq!(text(&pool.export(&private).unwrap()), "four", "what was current before the revert is a revision");

    let forgetful = Volume { revisions_to_keep: 0, ..private.clone() };
    run_once(&pool, &forgetful, "five");
    assert_eq!(names("keeps"), ["private"]);
    pool.remove(&private).unwrap();
    assert_eq!(names("keeps"), Vec::<String>::new());
}

fn a_volume_grows() {
    let pool = pool();
    let private = origin("grows", "private");
    pool.create(&private).unwrap();
    run_once(&pool, &private, "kept");
    pool.resize(&private, 96 * MIB).unwrap();
    assert_eq!((pool.size(&private).unwrap(), length(&pool.export(&private).unwrap())), (96 * MIB, 96 * MIB));
    pool.resize(&private, 96 * MIB).unwrap();
    pool.start(&private).unwrap();
    pool.resize(&private, 128 * MIB).unwrap();
    assert_eq!(length(&device(&pool, &private)), 128 * MIB);
    assert_eq!(length(&pool.export(&private).unwrap()), 96 * MIB, "what was committed is as it was");
    pool.stop(&private).unwrap();
    assert_eq!(length(&pool.export(&private).unwrap()), 128 * MIB);
    assert_eq!(text(&pool.export(&private).unwrap()), "kept");
    let smaller = refusal(pool.resize(&private, 64 * MIB));
    assert!(
        smaller.starts_with("volume grows:private: 67108864 bytes are less than the 134217728 it has"),
        "{smaller}"
    );
    let read_only = Volume { rw: false, ..private.clone() };
    assert!(refusal(pool.resize(&read_only, 256 * MIB)).contains("read-only"));
    pool.remove(&private).unwrap();
}

fn a_snapshot_is_outdated() {
    let pool = pool();
    let (template, root) = (origin("tpl", "root"), snapshot("uses", "tpl"));
    pool.create(&template).unwrap();
    pool.start(&root).unwrap();
    assert!(!pool.is_outdated(&root).unwrap());
    run_once(&pool, &template, "newer");
    assert!(pool.is_outdated(&root).unwrap());
    assert_eq!(text(&device(&pool, &root)), "", "a running snapshot stays what it is");
    // Also when the revision that it was made of is gone.
    run_once(&pool, &template, "newest");
    assert!(pool.is_outdated(&root).unwrap());
    pool.stop(&root).unwrap();
    assert!(!pool.is_outdated(&root).unwrap());
    pool.start(&root).unwrap();
    assert!(!pool.is_outdated(&root).unwrap());
    assert_eq!(text(&device(&pool, &root)), "newest");
    pool.stop(&root).unwrap();
    pool.remove(&template).unwrap();
}

fn an_import_is_all_or_nothing() {
    let pool = pool();
    let private = origin("imports", "private");
    pool.create(&private).unwrap();
    run_once(&pool, &private, "old");
    let image = PathBuf::from("/lab/import.img");
    fs::write(&image, "from a file").unwrap();
    File::options().write(true).open(&image).unwrap().set_len(80 * MIB).unwrap();
    pool.import(&private, &image).unwrap();
    assert_eq!(text(&pool.export(&private).unwrap()), "from a file");
    assert_eq!(pool.size(&private).unwrap(), 80 * MIB);
    assert!(pool.usage(&private).unwrap() < MIB, "holes stay holes");

    let failed = pool.import_written(&private, &mut |mut image| {
        image.write_all(b"half of it")?;
        Err(std::io::Error::other("the pipe broke"))
    });
    assert!(refusal(failed).ends_with("the pipe broke"));
    assert_eq!(text(&pool.export(&private).unwrap()), "from a file");
    pool.start(&private).unwrap();
    assert!(refusal(pool.import(&private, &image)).contains("shut the qube down before importing"));
    pool.stop(&private).unwrap();
    assert!(refusal(pool.import(&volatile("imports"), &image)).contains("not kept from start to start"));
    assert_eq!(names("imports"), ["private", "private-T-back"]);
    pool.remove(&private).unwrap();
}

fn a_clone_is_a_snapshot() {
    let pool = pool();
    let (source, clone) = (origin("source", "private"), origin("clone", "private"));
    pool.create(&source).unwrap();
    run_once(&pool, &source, "original");
    let committed = pool.open_committed(&source).unwrap();
    // The source goes on meanwhile: what was opened is a revision now.
    run_once(&pool, &source, "later");
    pool.import_committed(&clone, &committed).unwrap();
    assert_eq!(text(&pool.export(&clone).unwrap()), "original");
    assert!(lvs("origin", "vm-clone-private").ends_with("-back"), "it shares its blocks with what was opened");
    drop(committed);

    // A volume of another pool is copied.
    let image = File::options().read(true).write(true).create_new(true).open("/lab/clone.img").unwrap();
    (&image).write_all(b"elsewhere").unwrap();
    image.set_len(64 * MIB).unwrap();
    let other = qubes::storage::Committed { name: "private".into(), file: image, size: 64 * MIB, kept_still: None };
    pool.import_committed(&clone, &other).unwrap();
    assert_eq!(
        (text(&pool.export(&clone).unwrap()), lvs("origin", "vm-clone-private")),
        ("elsewhere".into(), String::new())
    );
    for volume in [&source, &clone] {
        pool.remove(volume).unwrap();
    }
}

fn without_snapshots() {
    let pool = pool();
    let kept = origin("direct", "private");
    let direct = Volume { revisions_to_keep: -1, ..kept.clone() };
    pool.create(&kept).unwrap();
    run_once(&pool, &kept, "before");
    assert_eq!(names("direct"), ["private", "private-T-back"]);
    pool.start(&direct).unwrap();
    assert_eq!(names("direct"), ["private"]);
    assert_eq!(device(&pool, &direct), Path::new("/dev/mapper/qubes_dom0-vm--direct--private"));
    let guest = File::open(device(&pool, &direct)).unwrap();
    assert!(refusal(pool.export(&direct)).contains("in use without snapshots"));
    drop(guest);
    write(&device(&pool, &direct), "at once");
    pool.stop(&direct).unwrap();
    assert_eq!(names("direct"), ["private"]);
    assert_eq!(text(&pool.export(&direct).unwrap()), "at once");
    run_once(&pool, &kept, "with snapshots again");
    assert_eq!(names("direct"), ["private", "private-T-back"]);
    pool.remove(&kept).unwrap();
}

fn crashes_are_recovered_from() {
    let pool = pool();
    let private = origin("crash", "private");
    pool.create(&private).unwrap();
    run_once(&pool, &private, "committed");
    // Power failed while it ran: nobody stopped it. A start goes on with what was written, a stop commits it.
    pool.start(&private).unwrap();
    write(&device(&pool, &private), "synced");
    let after_boot = self::pool();
    assert!(after_boot.is_dirty(&private).unwrap());
    after_boot.start(&private).unwrap();
    assert_eq!(text(&device(&pool, &private)), "synced");
    // It failed between the two renames of a commit: the volume's own name is free, and a start or a stop finds its way.
    lvm(&["lvrename", "-qq", "qubes_dom0/vm-crash-private", "qubes_dom0/vm-crash-private-1700000000-back"]);
    pool.verify(&private).unwrap();
    assert!(pool.is_dirty(&private).unwrap());
    pool.start(&private).unwrap();
    assert_eq!(text(&device(&pool, &private)), "synced");
    pool.stop(&private).unwrap();
    assert_eq!(text(&pool.export(&private).unwrap()), "synced");
    // The same with nothing dirty: the newest revision is the current state.
    let newest = format!("qubes_dom0/vm-crash-private-{}-back", 4_000_000_000_u32);
    lvm(&["lvrename", "-qq", "qubes_dom0/vm-crash-private", &newest]);
    pool.verify(&private).unwrap();
    assert_eq!(text(&pool.export(&private).unwrap()), "synced");
    pool.start(&private).unwrap();
    pool.stop(&private).unwrap();
    assert_eq!(text(&pool.export(&private).unwrap()), "synced");
    // It failed in an import: what had come of it is removed by the next start.
    lvm(&["lvcreate", "-qq", "-V", "64M", "-T", "qubes_dom0/vm-pool", "-n", "vm-crash-private-import"]);
    pool.start(&private).unwrap();
    assert!(!names("crash").contains(&"private-import".to_string()));
    pool.stop(&private).unwrap();
    pool.remove(&private).unwrap();
    assert_eq!(names("crash"), Vec::<String>::new());
}

fn one_call_for_all() {
    let volumes: Vec<Volume> = (0..4).map(|n| origin(&format!("many{n}"), "private")).collect();
    let pool = self::pool();
    volumes.iter().for_each(|v| pool.create(v).unwrap());
    let pool = self::pool();
    let before = calls_of_lvs();
    for volume in &volumes {
        pool.size(volume).unwrap();
        pool.usage(volume).unwrap();
        pool.revisions(volume).unwrap();
        pool.verify(volume).unwrap();
    }
    assert_eq!(pool.volumes().unwrap().len(), 4);
    let (size, used) = pool.capacity().unwrap().unwrap();
    assert!(size == 900 * MIB && used < size);
    assert!(pool.metadata_capacity().unwrap().unwrap().0 >= 2 * MIB);
    assert_eq!(calls_of_lvs() - before, 1);
    volumes.iter().for_each(|v| pool.remove(v).unwrap());
}

fn an_open_volume_stays() {
    let pool = pool();
    let private = origin("open", "private");
    pool.create(&private).unwrap();
    pool.start(&private).unwrap();
    let guest = File::open(device(&pool, &private)).unwrap();
    let open = refusal(pool.stop(&private));
    assert_eq!(
        open,
        "volume open:private: /dev/mapper/qubes_dom0-vm--open--private--snap is still open; end what uses it first"
    );
    assert!(refusal(pool.remove(&private)).contains("still open"));
    drop(guest);
    pool.stop(&private).unwrap();
    pool.remove(&private).unwrap();
}

fn a_full_pool() {
    lvm(&["lvcreate", "-qq", "-L", "32M", "--errorwhenfull", "y", "-T", "qubes_dom0/small"]);
    let pool = LvmThin::new("little", GROUP, "small", locks());
    let (kept, clone) = (origin("kept", "private"), origin("second", "private"));
    pool.create(&kept).unwrap();
    run_once(&pool, &kept, "old");
    let words = "thin pool qubes_dom0/small is full: remove volumes or revisions, or give it room with lvextend qubes_dom0/small";
    let too_much = |mut image: &File| {
        let filling = vec![b'x'; MIB as usize];
        (0..40).try_for_each(|_| image.write_all(&filling)).and_then(|()| image.sync_all())
    };
    let import = refusal(pool.import_written(&kept, &mut |image| too_much(image)));
    assert!(import.contains(words), "{import}");
    assert_eq!(names("kept"), ["private", "private-T-back"]);
    assert_eq!(text(&pool.export(&kept).unwrap()), "old");
    // The guest fills it: what it can no longer write, it hears; what it wrote before is committed.
    pool.start(&kept).unwrap();
    write(&device(&pool, &kept), "newer");
    let guest = File::options().write(true).open(device(&pool, &kept)).unwrap();
    assert!((&guest).seek(SeekFrom::Start(MIB)).is_ok() && too_much(&guest).is_err());
    drop(guest);
    let committed = pool.open_committed(&kept).unwrap();
    let cloned = refusal(pool.import_committed(&clone, &committed));
    assert!(cloned.contains(words), "{cloned}");
    let other = origin("third", "private");
    let created = refusal(pool.create(&other));
    assert!(created.contains(words), "{created}");
    drop(committed);
    pool.stop(&kept).unwrap();
    assert_eq!(text(&pool.export(&kept).unwrap()), "newer");
    let started = refusal(pool.start(&kept));
    assert!(started.contains(words), "{started}");
    assert_eq!(text(&pool.export(&kept).unwrap()), "newer");
    pool.remove(&kept).unwrap();
    assert_eq!(pool.volumes().unwrap(), Vec::<String>::new());
    lvm(&["lvremove", "-qq", "-f", "qubes_dom0/small"]);
}

fn pool() -> LvmThin {
    LvmThin::new("thin", GROUP, "vm-pool", locks())
}

fn locks() -> VolumeLocks {
    VolumeLocks::new(Path::new("/run/qubes-test"), None, Duration::from_secs(60))
}

fn volume(qube: &str, name: &str, kind: Kind) -> Volume {
    Volume {
        owner: qube.into(),
        name: name.into(),
        pool: "thin".into(),
        vid: format!("{GROUP}/vm-{qube}-{name}"),
        kind,
        rw: true,
        size: 64 * MIB,
        revisions_to_keep: 1,
        source: None,
        ephemeral: false,
    }
}

fn origin(qube: &str, name: &str) -> Volume {
    volume(qube, name, Kind::Origin)
}

fn volatile(qube: &str) -> Volume {
    volume(qube, "volatile", Kind::Volatile)
}

/// The root of a qube over the root of a template.
fn snapshot(qube: &str, template: &str) -> Volume {
    Volume { source: Some(format!("{GROUP}/vm-{template}-root")), ..volume(qube, "root", Kind::Snapshot) }
}

fn device(pool: &LvmThin, volume: &Volume) -> PathBuf {
    match pool.attachment(volume).unwrap() {
        Attachment::Device(path) => path,
        other => panic!("{other:?} for {}", volume.label()),
    }
}

/// Starts it, writes, stops it.
fn run_once(pool: &LvmThin, volume: &Volume, words: &str) {
    pool.start(volume).unwrap();
    write(&device(pool, volume), words);
    pool.stop(volume).unwrap();
}

/// Writes these words at the beginning, in place of others.
fn write(device: &Path, words: &str) {
    let mut block = words.as_bytes().to_vec();
    block.resize(4096, 0);
    let mut device = File::options().write(true).open(device).unwrap();
    device.write_all(&block).unwrap();
    device.sync_all().unwrap();
}

/// The words at the beginning.
fn text(device: &Path) -> String {
    let mut block = [0; 4096];
    File::open(device).unwrap().read_exact(&mut block).unwrap();
    String::from_utf8(block.into_iter().take_while(|b| *b != 0).collect()).unwrap()
}

fn length(device: &Path) -> u64 {
    File::open(device).unwrap().seek(SeekFrom::End(0)).unwrap()
}

fn refusal<T>(result: Result<T, StorageError>) -> String {
    result.err().expect("it was not refused").to_string()
}

/// The logical volumes of a qube by what follows its name, the times of revisions as `T`.
fn names(qube: &str) -> Vec<String> {
    let all = lvm(&["lvs", "--noheadings", "-o", "lv_name", GROUP]);
    let prefix = format!("vm-{qube}-");
    let mine = all.lines().filter_map(|line| line.trim().strip_prefix(&prefix));
    let mut names: Vec<String> = mine
        .map(|name| match name.strip_suffix("-back").and_then(|rest| rest.rsplit_once('-')) {
            Some((volume, _)) => format!("{volume}-T-back"),
            None => name.to_string(),
        })
        .collect();
    names.sort();
    names
}

/// One field of one logical volume.
fn lvs(field: &str, name: &str) -> String {
    lvm(&["lvs", "--noheadings", "-o", field, &format!("{GROUP}/{name}")]).trim().to_string()
}

fn lvm(arguments: &[&str]) -> String {
    String::from_utf8(Program::new("/usr/sbin/lvm").args(arguments).output().unwrap()).unwrap()
}

/// How often a tool asked `lvs`: the lab's `lvm` keeps count.
fn calls_of_lvs() -> usize {
    let calls = fs::read_to_string("/tmp/lvm.calls").unwrap_or_default();
    calls.lines().filter(|call| call.starts_with("lvs ")).count()
}
