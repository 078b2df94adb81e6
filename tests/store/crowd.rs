//! Sixty-four processes use one store, half of them readers: no change is lost, every read is
//! whole, and no process starves.

use std::fs;
use std::io::{Read as _, stdin};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use qubes::store::{LockWait, Read, SaveOutcome, Write};
use qubes_test_support::scratch_store::edit;
use qubes_test_support::store_location::{store_location, store_location_with_wait};
use qubes_test_support::store_processes::{job, prepare_helper};

const WRITERS: usize = 32;
const READERS: usize = 32;
const TRANSACTIONS: u64 = 200;

/// The longest wait for the store, which all processes want all the time.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The counter that every writer adds to.
const SHARED: &str = "counter-shared";

const HELPER: &str = "crowd::helper_process";

/// Not a test: does the job of a helper process.
#[test]
fn helper_process() {
    let Some((job, dir)) = job() else { return };
    // Standard input is closed when all processes are started, so that they begin together.
    stdin().read_to_end(&mut Vec::new()).unwrap();
    let longest = match job.as_str() {
        "read" => read(&dir),
        writer => write(&dir, &format!("counter-{writer}")),
    };
    println!("WAITED {}", longest.as_micros());
}

/// Adds one to its own counter and to the shared one in each transaction. Returns the longest wait
/// for the lock.
fn write(dir: &Path, own: &str) -> Duration {
    let place = store_location_with_wait(dir, LockWait::up_to(MAX_WAIT));
    let mut longest = Duration::ZERO;
    for _ in 0..TRANSACTIONS {
        let begun = Instant::now();
        let mut write = Write::open(&place).unwrap();
        longest = longest.max(begun.elapsed());
        for counter in [own, SHARED] {
            let work = edit(&mut write, "work");
            let next = 1 + work
                .features
                .get(counter)
                .map_or(0, |text| text.parse::<u64>().unwrap());
            work.features.set(counter, &next.to_string());
        }
        assert_eq!(write.save().unwrap(), SaveOutcome::Written);
    }
    longest
}

/// Checks that every read is whole: the counters add up to the shared one, which never decreases.
/// Returns the longest time for a read.
fn read(dir: &Path) -> Duration {
    let place = store_location(dir);
    let (mut longest, mut last) = (Duration::ZERO, 0);
    for _ in 0..TRANSACTIONS {
        let begun = Instant::now();
        let read = Read::open(&place).unwrap();
        longest = longest.max(begun.elapsed());
        let (own, shared) = counters(&read);
        assert!(
            own == shared && shared >= last,
            "{own} of {shared} after {last}"
        );
        last = shared;
    }
    longest
}

/// Returns the sum of the writers' own counters, and the shared one.
fn counters(read: &Read) -> (u64, u64) {
    let features = &read.get("work").unwrap().features;
    let own = features
        .iter()
        .filter(|(name, _)| name.starts_with("counter-") && *name != SHARED);
    let own = own.map(|(_, text)| text.parse::<u64>().unwrap()).sum();
    (
        own,
        features.get(SHARED).map_or(0, |text| text.parse().unwrap()),
    )
}

/// Waits for the end of a process and returns its longest wait.
fn finish(child: Child) -> Duration {
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let micros = printed
        .lines()
        .find_map(|line| Some(line.split_once("WAITED ")?.1.parse().unwrap()));
    Duration::from_micros(micros.unwrap())
}

#[test]
fn sixty_four_processes_lose_no_change_and_none_starves() {
    // In memory, because thousands of syncs of a disk would be slow.
    let dir = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let place = store_location(dir.path());
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4/small.xml"),
        &place.file,
    )
    .unwrap();
    let jobs = (0..WRITERS)
        .map(|n| n.to_string())
        .chain((0..READERS).map(|_| "read".to_string()));
    let mut crowd: Vec<Child> = jobs
        .map(|job| {
            let mut command = prepare_helper(HELPER, &job, dir.path());
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let begun = Instant::now();
    let start: Vec<_> = crowd.iter_mut().map(|child| child.stdin.take()).collect();
    drop(start);
    let readers = crowd.split_off(WRITERS);
    let writers: Vec<Duration> = crowd.into_iter().map(finish).collect();
    let readers: Vec<Duration> = readers.into_iter().map(finish).collect();
    println!(
        "{} transactions in {:.1} s; the longest wait of a writer {:.2} s, of a reader {:.3} s",
        (WRITERS + READERS) as u64 * TRANSACTIONS,
        begun.elapsed().as_secs_f32(),
        writers.iter().max().unwrap().as_secs_f32(),
        readers.iter().max().unwrap().as_secs_f32(),
    );

    let read = Read::open(&place).unwrap();
    let all = WRITERS as u64 * TRANSACTIONS;
    assert_eq!(counters(&read), (all, all), "a change was lost");
    for writer in 0..WRITERS {
        let counted = read
            .get("work")
            .unwrap()
            .features
            .get(&format!("counter-{writer}"));
        assert_eq!(counted, Some(&*TRANSACTIONS.to_string()), "writer {writer}");
    }
    let names = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(
        names.into_iter().all(|name| !name.contains('~')),
        "temporary files are left"
    );
}
