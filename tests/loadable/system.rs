//! A scratch system for the commands.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use qubes::format::{Damage, find_damage};
use qubes::model::check::Harm;
use qubes::model::{Qubes, Release};
use qubes_test_support::paths::small_sample;
use qubes_test_support::system::KERNELS;
use qubes_test_support::{SampleHost, TestSystem, ToolOutput};

pub struct System {
    system: TestSystem,
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
        let mut system = System {
            system: TestSystem::empty(),
            release,
            known: HashSet::new(),
        };
        for kernel in KERNELS {
            for file in ["vmlinuz", "initramfs", "modules.img"] {
                let path = format!("/var/lib/qubes/vm-kernels/{kernel}/{file}");
                system.system.write(&path, b"");
            }
        }
        system
            .system
            .configure(&format!("[store]\nrelease = \"{word}\"\n"));
        match seed % 3 {
            0 => system.make_fresh(),
            _ => {
                fs::copy(small_sample(), system.store()).unwrap();
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
            self.system.succeeds(line);
        }
    }

    pub fn store(&self) -> PathBuf {
        self.system.store_file()
    }

    pub fn bytes(&self) -> Vec<u8> {
        fs::read(self.store()).unwrap()
    }

    pub fn qubes(&self) -> Qubes {
        self.system.qubes()
    }

    pub fn run(&self, words: &[String]) -> ToolOutput {
        self.system.run(words)
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
