//! Measures how long a reader waits, at the 99th percentile, while others write.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::sample;
use crate::table::Row;
use crate::timing::{Job, median, quantile, run_alternately, sorted};
use crate::{QUBE, milliseconds, ratio, store_in};

/// The qubes that are changed, each by its own writer.
const WRITTEN: [&str; 10] = [
    "work-980", "work-983", "work-984", "work-986", "work-987", "work-988", "work-990", "work-991",
    "work-992", "work-993",
];
const WRITERS: usize = WRITTEN.len();
const READS: usize = 300;

/// Measures one reader beside ten loops of `qvm-prefs VM memory VALUE` on a real disk, with fsync.
pub fn measure_reader_beside_writers(tools: &Path) -> io::Result<Row> {
    let disk = tempfile::Builder::new()
        .prefix("budget-")
        .tempdir_in(tools)?;
    let store = store_in(disk.path(), "crowd", sample::THOUSAND)?;
    // /run is in memory on any running system.
    let run = tempfile::Builder::new()
        .prefix("qubes-budget-")
        .tempdir_in("/dev/shm")?;
    let mut reader =
        Job::new(tools.join("qvm-prefs"), &[QUBE, "netvm"], &store).with_run(run.path());
    let idle = (0..READS)
        .map(|_| reader.run())
        .collect::<io::Result<Vec<_>>>()?;

    let end = AtomicBool::new(false);
    let written = AtomicUsize::new(0);
    let crowded = std::thread::scope(|scope| {
        let writers: Vec<_> = WRITTEN
            .into_iter()
            .map(|qube| {
                let writer = Job::new(tools.join("qvm-prefs"), &[qube, "memory", "%"], &store);
                let writer = writer.with_values(&["410", "420"]).with_run(run.path());
                let (end, written) = (&end, &written);
                scope.spawn(move || write_until(end, written, writer))
            })
            .collect();
        // The measurement begins once the writers are running.
        while written.load(Ordering::Relaxed) < WRITERS && writers.iter().all(|w| !w.is_finished())
        {
            std::thread::yield_now();
        }
        // A process that does nothing takes turns with the reader: its waiting time is due to the
        // machine.
        let crowded = run_alternately(&mut [reader, Job::new("/bin/true", &[], &store)], READS);
        end.store(true, Ordering::Relaxed);
        for writer in writers {
            writer
                .join()
                .map_err(|_| io::Error::other("a writer of the crowd panicked"))??;
        }
        crowded
    })?;
    let crowded = crowded.into_iter().map(sorted).collect::<Vec<_>>();
    let (slowest, bare) = (quantile(&crowded[0], 0.99), quantile(&crowded[1], 0.99));
    Ok(Row {
        what: format!(
            "a reader's p99 while {WRITERS} writers write ({} writes beside {READS} reads)",
            written.into_inner()
        ),
        measured: ratio(slowest, median(&idle)),
        limit: 4.0,
        unit: "× its idle median",
        plain: format!(
            "{} (a bare process: {})",
            milliseconds(slowest),
            milliseconds(bare)
        ),
    })
}

fn write_until(end: &AtomicBool, written: &AtomicUsize, mut writer: Job) -> io::Result<()> {
    while !end.load(Ordering::Relaxed) {
        writer.run()?;
        written.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
