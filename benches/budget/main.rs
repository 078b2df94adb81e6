//! Measures the budgets of the design: `make bench` or `cargo bench --bench budget`. Prints a table
//! and exits with 1 if a budget is exceeded. Times are compared with `xmllint --noout` on the same
//! file in the same run.

mod crowd;
mod guests;
mod sample;
mod table;
mod timing;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use table::Row;
use timing::{Job, median, median_ratio, run_alternately};

/// Rounds of each comparison; odd, so that the median is a measured value.
const ROUNDS: usize = 51;
/// Every built-in column of `qvm-ls`, and some properties.
const COLUMNS: &str = "NAME,STATE,CLASS,LABEL,TEMPLATE,NETVM,QID,UUID,XID,FLAGS,MEMORY,DISK,\
                       PRIV-CURR,PRIV-MAX,PRIV-USED,ROOT-CURR,ROOT-MAX,ROOT-USED,IP,GATEWAY,\
                       KERNEL,KERNELOPTS,VCPUS,MAXMEM,VIRT_MODE,TAGS";
/// The qube of the sample that is read and changed: an AppVM near the end.
const QUBE: &str = "work-998";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(position) = arguments.iter().position(|a| a == "--usage") {
        return timing::print_usage(&arguments[position + 1..]);
    }
    match measure() {
        Ok(rows) => {
            print!("{}", table::markdown(&rows));
            if rows.iter().all(Row::is_kept) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("budget: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns the directory with the tools, as built by cargo for this benchmark.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_qubes"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

fn measure() -> io::Result<Vec<Row>> {
    let tools = tools();
    // In memory, where fsync costs nothing: the budget of a write covers our own work, not the
    // disk.
    let memory = tempfile::Builder::new()
        .prefix("qubes-budget-")
        .tempdir_in("/dev/shm")?;
    let small = store_in(memory.path(), "n1000", sample::THOUSAND)?;
    let large = store_in(memory.path(), "n5000", &sample::repeated(5))?;
    let reference = |store: &Path| {
        let mut job = Job::new("xmllint", &["--noout", &store.to_string_lossy()], store);
        job.run()
            .map(|_| job)
            .map_err(|e| io::Error::new(e.kind(), format!("xmllint: {e}")))
    };

    let mut rows = Vec::new();
    let unseen = store_in(memory.path(), "unseen", sample::THOUSAND)?;
    rows.extend(compare_with_xmllint(
        &tools,
        &small,
        &unseen,
        reference(&small)?,
    )?);
    rows.push(measure_growth(&tools, &small, &large)?);
    rows.extend(measure_memory(&tools, &small, "1000 qubes")?);
    rows.extend(measure_memory(&tools, &large, "5000 qubes")?);
    rows.push(crowd::measure_reader_beside_writers(&tools)?);
    rows.extend(guests::measure_starts(&tools)?);
    Ok(rows)
}

/// Creates a store in its own directory, because backup copies are written beside it.
fn store_in(directory: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    let directory = directory.join(name);
    std::fs::create_dir(&directory)?;
    let store = directory.join("qubes.xml");
    std::fs::write(&store, text)?;
    Ok(store)
}

/// Returns the commands that only read, with the share of xmllint's time that they may take.
fn read_jobs(tools: &Path, store: &Path) -> Vec<(&'static str, f64, Job)> {
    let job = |name: &str, arguments: &[&str]| Job::new(tools.join(name), arguments, store);
    vec![
        (
            "`qvm-prefs VM PROP`",
            0.15,
            job("qvm-prefs", &[QUBE, "netvm"]),
        ),
        ("`qvm-check VM`", 0.15, job("qvm-check", &[QUBE])),
        ("`qvm-ls --raw-list`", 0.15, job("qvm-ls", &["--raw-list"])),
        (
            "name completion",
            0.15,
            job("qubes-complete", &["bash", "1", "qvm-prefs", "work-9"]),
        ),
        (
            "`qvm-ls` offline, every column",
            0.5,
            job("qvm-ls", &["--fields", COLUMNS]),
        ),
    ]
}

fn write_job(tools: &Path, store: &Path) -> Job {
    Job::new(tools.join("qvm-prefs"), &[QUBE, "memory", "%"], store).with_values(&["410", "420"])
}

/// Compares readers and a writer with xmllint; each reader sees every change of the writer.
/// `unseen` is a store that no tool has written or cached anything about, so each reader must find
/// the qubes itself.
fn compare_with_xmllint(
    tools: &Path,
    store: &Path,
    unseen: &Path,
    reference: Job,
) -> io::Result<Vec<Row>> {
    let mut named = read_jobs(tools, store);
    named.push((
        "`qvm-prefs VM PROP VALUE` without the fsyncs",
        0.3,
        write_job(tools, store),
    ));
    let first_look = Job::new(tools.join("qvm-prefs"), &[QUBE, "netvm"], unseen);
    let mut jobs = vec![reference, Job::new("/bin/true", &[], store), first_look];
    jobs.extend(named.iter().map(|(_, _, job)| job.clone()));
    let times = run_alternately(&mut jobs, ROUNDS)?;
    println!(
        "xmllint --noout: {}; a process that does nothing: {}; `qvm-prefs VM PROP` where nobody \
         has looked before: {}, {:.3} ×\n",
        milliseconds(median(&times[0])),
        milliseconds(median(&times[1])),
        milliseconds(median(&times[2])),
        median_ratio(&times[2], &times[0])
    );
    let reference = &times[0];
    let rows = named
        .iter()
        .zip(&times[3..])
        .map(|((what, limit, _), times)| Row {
            what: (*what).to_string(),
            measured: median_ratio(times, reference),
            limit: *limit,
            unit: "×",
            plain: milliseconds(median(times)),
        });
    Ok(rows.collect())
}

fn measure_growth(tools: &Path, small: &Path, large: &Path) -> io::Result<Row> {
    let times = run_alternately(
        &mut [write_job(tools, small), write_job(tools, large)],
        ROUNDS,
    )?;
    let (small, large) = (&times[0], &times[1]);
    Ok(Row {
        what: "the same at 5000 qubes".to_string(),
        measured: median_ratio(large, small),
        limit: 5.0,
        unit: "× the time at 1000",
        plain: milliseconds(median(large)),
    })
}

/// Measures the command that needs the most memory.
fn measure_memory(tools: &Path, store: &Path, size: &str) -> io::Result<Option<Row>> {
    let file = std::fs::metadata(store)?.len();
    let mut jobs: Vec<(&str, Job)> = read_jobs(tools, store)
        .into_iter()
        .map(|(what, _, job)| (what, job))
        .collect();
    jobs.push(("`qvm-prefs VM PROP VALUE`", write_job(tools, store)));
    let mut most: Option<(u64, &str)> = None;
    for (what, job) in &mut jobs {
        let resident = job.usage()?.resident;
        if most.is_none_or(|(bytes, _)| resident > bytes) {
            most = Some((resident, what));
        }
    }
    Ok(most.map(|(bytes, what)| Row {
        what: format!("resident memory at {size}, most of all: {what}"),
        measured: bytes as f64 / file as f64,
        limit: 6.0,
        unit: "× the file",
        plain: format!("{:.1} MiB of {:.1}", mebibytes(bytes), mebibytes(file)),
    }))
}

fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
