//! A scratch system for the commands.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use qubes::format::{Damage, find_damage};
use qubes::model::check::Harm;
use qubes::model::{Qubes, Release};
use qubes_test_support::{SampleHost, ToolOutput, binary, tool_output};

pub const KERNELS: [&str; 3] = ["6.6.77-1.fc37", "6.12.21-1.fc37", "5.15.124-1"];

pub struct System {
    dir: tempfile::TempDir,
    release: Release,
    /// The initial reasons for which qubesd refuses the store.
    known: HashSet<(Option<String>, String)>,
}

impl System {
    /// Creates one of a few kinds of systems, by the seed.
    pub fn new(seed: u64) -> System {
        let (release, word) = if seed.is_multiple_of(2) {
            (Release::R4_4, "4.4")
        } else {
            (Release::R4_3, "4.3")
        };
        let dir = tempfile::Builder::new()
            .prefix("qubes-loadable-")
            .tempdir()
            .unwrap();
        let mut system = System {
            dir,
            release,
            known: HashSet::new(),
        };
        let kernels = system.path("var/lib/qubes/vm-kernels");
        for kernel in KERNELS {
            let kernel = kernels.join(kernel);
            fs::create_dir_all(&kernel).unwrap();
            for file in ["vmlinuz", "initramfs", "modules.img"] {
                fs::write(kernel.join(file), b"").unwrap();
            }
        }
        fs::create_dir_all(system.path("etc/qubes")).unwrap();
        fs::write(
            system.path("etc/qubes/core.toml"),
            format!("[store]\nrelease = \"{word}\"\n"),
        )
        .unwrap();
        match seed % 3 {
            0 => system.make_fresh(),
            _ => {
                let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4/small.xml");
                fs::copy(sample, system.store()).unwrap();
            }
        }
        system.known = system.refusals();
        system
    }

    /// Creates a new system with a template, a qube and a disposable template, all with images.
    fn make_fresh(&self) {
        for line in [
            "qubes-create",
            "qvm-create -q --class TemplateVM -l black base",
            "qubes-prefs default_template base",
            "qvm-create -q -l red --property provides_network=True --property netvm= net",
            "qubes-prefs default_netvm net",
            "qvm-create -q -l red --property template_for_dispvms=True dvm",
            "qubes-prefs default_dispvm dvm",
            "qvm-create -q -l green work",
            "qvm-create -q -l blue with.dot",
        ] {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let done = self.run(&words);
            assert_eq!(done.code, 0, "{line}: {done:?}");
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub fn store(&self) -> PathBuf {
        self.path("var/lib/qubes/qubes.xml")
    }

    pub fn bytes(&self) -> Vec<u8> {
        fs::read(self.store()).unwrap()
    }

    pub fn qubes(&self) -> Qubes {
        qubes::format::read(self.bytes()).unwrap()
    }

    pub fn run(&self, words: &[String]) -> ToolOutput {
        let mut command = Command::new(binary(&words[0]));
        command
            .arg("--offline-mode")
            .args(&words[1..])
            .env("QUBES_ROOT", self.dir.path());
        tool_output::run(&mut command)
    }

    /// Returns the reasons for which qubesd refuses the store that are not initial ones.
    pub fn new_refusals(&self) -> Vec<(Option<String>, String)> {
        self.refusals().difference(&self.known).cloned().collect()
    }

    fn refusals(&self) -> HashSet<(Option<String>, String)> {
        let host = SampleHost {
            release: self.release,
            ..SampleHost::default()
        };
        let found = find_damage(&self.bytes().into(), &host);
        let key = |d: Damage| (d.qube.map(|name| name.to_string()), d.text);
        found
            .into_iter()
            .filter(|d| d.harm == Harm::Refused)
            .map(key)
            .collect()
    }
}
