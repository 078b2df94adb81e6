//! Measures with real guests: our own share of a start, and readers beside twenty starts. Needs
//! libvirt, QEMU and the small guest (`make guest`); `make bench` prepares them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::table::Row;
use crate::timing::{Job, median, quantile};
use crate::{milliseconds, ratio};

const STARTED: usize = 20;
/// Memory of a guest in MiB, the least it boots with.
const MEMORY: &str = "memory=112";

/// A system in a scratch directory, with one template and the qubes to start, which are killed and
/// removed at the end.
struct Scratch {
    tools: PathBuf,
    directory: tempfile::TempDir,
    qubes: Vec<String>,
}

impl Scratch {
    fn new(tools: &Path, guest: &Path) -> io::Result<Scratch> {
        let directory = tempfile::Builder::new()
            .prefix("qubes-budget-")
            .tempdir_in("/var/tmp")?;
        let qubes: Vec<String> = (0..STARTED).map(|n| format!("crowd-{n}")).collect();
        let scratch = Scratch {
            tools: tools.to_path_buf(),
            directory,
            qubes,
        };
        let version = fs::read_to_string(guest.join("kernel-version"))?;
        let version = version.trim();
        scratch.run("qubes-create", &[])?;
        let from = guest.join("vm-kernels").join(version);
        let to = scratch
            .directory
            .path()
            .join("var/lib/qubes/vm-kernels")
            .join(version);
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        scratch.run("qubes-prefs", &["default_kernel", version])?;
        let image = guest.join("root.img");
        let image = image.to_string_lossy();
        scratch.run(
            "qvm-create",
            &[
                "--class",
                "TemplateVM",
                "--label",
                "black",
                "--root-copy-from",
                &image,
                "tiny",
            ],
        )?;
        scratch.run("qubes-prefs", &["default_template", "tiny"])?;
        for qube in &scratch.qubes {
            scratch.run(
                "qvm-create",
                &["--label", "red", "--property", MEMORY, qube],
            )?;
        }
        Ok(scratch)
    }

    fn job(&self, tool: &str, arguments: &[&str]) -> Job {
        Job::for_system(self.tools.join(tool), arguments, self.directory.path())
    }

    fn run(&self, tool: &str, arguments: &[&str]) -> io::Result<Duration> {
        self.job(tool, arguments).run()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let qubes = self.qubes.iter().map(String::as_str);
        let remove: Vec<&str> = ["--force"].into_iter().chain(qubes).collect();
        for (tool, arguments) in [("qvm-kill", ["--all"].as_slice()), ("qvm-remove", &remove)] {
            if let Err(error) = self.run(tool, arguments) {
                eprintln!("budget: cleaning up: {error}");
            }
        }
    }
}

/// Returns the rows about starts; none without a guest to start.
pub fn measure_starts(tools: &Path) -> io::Result<Vec<Row>> {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guest");
    if !guest.join("kernel-version").exists() {
        eprintln!(
            "budget: no guest in {}, so nothing is started; `make bench` builds it",
            guest.display()
        );
        return Ok(Vec::new());
    }
    let scratch = Scratch::new(tools, &guest)?;
    Ok(vec![
        measure_processor_time(&scratch)?,
        measure_reader_beside_starts(&scratch)?,
    ])
}

/// Measures the processor time of `qvm-start`, without the time spent waiting for libvirt, QEMU or
/// the disk.
fn measure_processor_time(scratch: &Scratch) -> io::Result<Row> {
    let qube = scratch.qubes[0].as_str();
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(scratch.job("qvm-start", &[qube]).usage()?.processor);
        scratch.run("qvm-kill", &[qube])?;
    }
    Ok(Row {
        what: "work of our own in `qvm-start` (processor time)".to_string(),
        measured: median(&times).as_secs_f64() * 1e3,
        limit: 50.0,
        unit: "ms",
        plain: String::new(),
    })
}

/// Measures a reader during `qvm-start` of twenty qubes; a process that does nothing takes turns
/// with it.
fn measure_reader_beside_starts(scratch: &Scratch) -> io::Result<Row> {
    let names: Vec<&str> = scratch.qubes.iter().map(String::as_str).collect();
    let mut reader = scratch.job("qvm-prefs", &[names[0], "netvm"]);
    let mut nothing = scratch.job("/bin/true", &[]);
    let mut starting = scratch.job("qvm-start", &names).spawn()?;
    let (mut reads, mut bare) = (Vec::new(), Vec::new());
    let status = loop {
        reads.push(reader.run()?);
        bare.push(nothing.run()?);
        if let Some(status) = starting.try_wait()? {
            break status;
        }
    };
    if !status.success() {
        return Err(io::Error::other(format!(
            "qvm-start of {STARTED} qubes ended with {status}"
        )));
    }
    reads.sort_unstable();
    bare.sort_unstable();
    let (slowest, bare) = (quantile(&reads, 0.99), quantile(&bare, 0.99));
    Ok(Row {
        what: format!(
            "a reader's p99 while {STARTED} qubes start ({} reads)",
            reads.len()
        ),
        measured: ratio(slowest, bare),
        limit: 4.0,
        unit: "× that of a bare process",
        plain: milliseconds(slowest),
    })
}
