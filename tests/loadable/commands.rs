//! Random command lines of the tools that change a store.

use fastrand::Rng;
use qubes::model::{Class, Qubes, class_properties, global_properties};
use qubes_test_support::system::KERNELS;

/// Values for any property.
const VALUES: [&str; 38] = [
    "",
    "None",
    "none",
    "True",
    "False",
    "1",
    "0",
    "-1",
    "5",
    "400",
    "5000",
    "1_000",
    "99999999999999999999",
    "9223372036854775807",
    "abc",
    "1.5",
    "a/b",
    "../x",
    "..",
    "a b",
    "żółw",
    "a.b",
    "hvm",
    "pvh",
    "pv",
    "10.137.0.77",
    "fe80::1",
    "fe80::1%eth0",
    "00:16:3e:5e:6c:01",
    "us",
    "us++",
    "label-1",
    "red",
    "blue",
    "99",
    "dom0",
    "default",
    "*default*",
];

const FEATURES: [&str; 22] = [
    "gui",
    "qrexec",
    "os",
    "internal",
    "servicevm",
    "service.meminfo-writer",
    "service.cups",
    "service.a/b",
    "service.clocksync",
    "preload-dispvm-max",
    "preload-dispvm-threshold",
    "preload-dispvm-delay",
    "preload-dispvm",
    "tag-created-vm-with",
    "set-created-guivm",
    "net.fake-ip",
    "vm-config.a",
    "custom-persist.x",
    "supported-rpc.qubes.WaitForSession",
    "supported-rpc.qubes.WaitForRunningSystem",
    "boot-mode.active",
    "bad name",
];

const FEATURE_VALUES: [&str; 18] = [
    "",
    "1",
    "0",
    "True",
    "abc",
    "-1",
    "1.5",
    "Linux",
    "e-cores a=b",
    "created-by-foo created-by-dom0",
    "../x",
    "with.dot",
    "10.0.0.1",
    "/home/x",
    "dir:user:user:0755:/x",
    "disp1 disp2",
    "3",
    "nan",
];

const TAGS: [&str; 9] = [
    "mine",
    "a b",
    "a/b",
    "",
    "guivm-x",
    "created-by-dom0",
    "created-by-gone",
    "audiovm-with.dot",
    "audiovm-dom0",
];

const NEW_NAMES: [&str; 14] = [
    "n1",
    "n2",
    "n3",
    "n.4",
    "with.dot",
    "a.b",
    "Domain-0",
    "1st",
    "-x",
    "a/b",
    "..",
    "none",
    "default",
    "a-name-of-thirty-two-characters-x",
];

const CLASSES: [&str; 8] = [
    "AppVM",
    "AppVM",
    "TemplateVM",
    "StandaloneVM",
    "DispVM",
    "RemoteVM",
    "AdminVM",
    "WonderVM",
];

pub struct Commands {
    random: Rng,
}

impl Commands {
    pub fn new(seed: u64) -> Commands {
        Commands {
            random: Rng::with_seed(seed),
        }
    }

    /// Returns the next command. Most of the names in it exist.
    pub fn next(&mut self, qubes: &Qubes) -> Vec<String> {
        match self.random.u32(..100) {
            0..20 => self.create(qubes),
            20..27 => self.clone(qubes),
            27..31 => vec!["qvm-remove".into(), "-f".into(), self.qube(qubes)],
            31..55 => self.prefs(qubes),
            55..68 => self.global_prefs(qubes),
            68..80 => self.features(qubes),
            80..84 => self.service(qubes),
            84..89 => self.tags(qubes),
            89..94 => self.volume(qubes),
            94..99 => self.pool(qubes),
            _ => self.notes(qubes),
        }
    }

    fn one_of(&mut self, words: &[&str]) -> String {
        words[self.random.usize(..words.len())].to_owned()
    }

    fn rarely(&mut self) -> bool {
        self.random.u32(..8) == 0
    }

    fn often(&mut self) -> bool {
        self.random.u32(..3) != 0
    }

    fn qube(&mut self, qubes: &Qubes) -> String {
        if self.rarely() {
            return self.one_of(&NEW_NAMES);
        }
        let names: Vec<&str> = qubes.names().map(|name| name.as_str()).collect();
        self.one_of(&names)
    }

    fn qube_of(&mut self, qubes: &Qubes, fits: impl Fn(&Class) -> bool) -> String {
        let names: Vec<&str> = qubes
            .names_with_classes()
            .filter(|(_, class)| fits(class))
            .map(|(name, _)| name.as_str())
            .collect();
        if names.is_empty() || self.rarely() {
            self.qube(qubes)
        } else {
            self.one_of(&names)
        }
    }

    fn pool_name(&mut self, qubes: &Qubes) -> String {
        if self.rarely() {
            return self.one_of(&["gone", "", "p1", "a/b", "p2"]);
        }
        let names: Vec<&str> = qubes.pools.iter().map(|pool| pool.name()).collect();
        self.one_of(&names)
    }

    fn label(&mut self, qubes: &Qubes) -> String {
        if self.rarely() {
            return self.one_of(&["", "99", "label-2", "1", "pink"]);
        }
        let names: Vec<&str> = qubes.labels.iter().map(|label| &*label.name).collect();
        self.one_of(&names)
    }

    /// Returns a value that is often valid for the property.
    fn value(&mut self, qubes: &Qubes, property: &str) -> String {
        if self.random.u32(..4) == 0 {
            return self.one_of(&VALUES);
        }
        match property {
            "label" => self.label(qubes),
            "template" => self.qube_of(qubes, |class| {
                matches!(class, Class::TemplateVM | Class::AppVM)
            }),
            "default_template" => self.qube_of(qubes, |class| *class == Class::TemplateVM),
            "kernel" | "default_kernel" => self.one_of(&KERNELS),
            name if name.starts_with("default_pool") => self.pool_name(qubes),
            name if name.ends_with("vm") || name.ends_with("dispvm") => {
                match self.random.u32(..5) {
                    0 => "None".to_owned(),
                    _ => self.qube(qubes),
                }
            }
            "memory" | "maxmem" | "vcpus" => self.random.u32(..6000).to_string(),
            _ => self.one_of(&VALUES),
        }
    }

    fn property_of(&mut self, qubes: &Qubes, name: &str) -> &'static str {
        let class = qubes.class(name).cloned().unwrap_or(Class::AppVM);
        let class = if self.rarely() {
            Class::TemplateVM
        } else {
            class
        };
        let names: Vec<&'static str> = class_properties(&class)
            .map(|property| property.name)
            .collect();
        names[self.random.usize(..names.len())]
    }

    fn pools(&mut self, qubes: &Qubes, words: &mut Vec<String>) {
        if self.random.u32(..4) == 0 {
            let volume = self.one_of(&["root", "private", "volatile", "kernel", "gone"]);
            let pool = self.pool_name(qubes);
            words.extend(["-p".to_owned(), format!("{volume}={pool}")]);
        } else if self.rarely() {
            words.extend(["-P".to_owned(), self.pool_name(qubes)]);
        }
    }

    fn create(&mut self, qubes: &Qubes) -> Vec<String> {
        let mut words = vec!["qvm-create".to_owned()];
        let class = self.one_of(&CLASSES);
        words.extend([
            "-C".to_owned(),
            class.clone(),
            format!("--label={}", self.label(qubes)),
        ]);
        let fits = |of: &Class| match &*class {
            "DispVM" => *of == Class::AppVM,
            _ => *of == Class::TemplateVM,
        };
        if matches!(&*class, "AppVM" | "DispVM") && self.often() || self.rarely() {
            let template = self.qube_of(qubes, fits);
            words.push(format!("--template={template}"));
        }
        self.pools(qubes, &mut words);
        for _ in 0..self.random.u32(..3) {
            let property = self.property_of(qubes, "");
            let value = self.value(qubes, property);
            words.push(format!("--property={property}={value}"));
        }
        let name = self.one_of(&NEW_NAMES);
        words.extend(["--".to_owned(), name]);
        words
    }

    fn clone(&mut self, qubes: &Qubes) -> Vec<String> {
        let mut words = vec!["qvm-clone".to_owned()];
        if self.random.u32(..4) == 0 {
            words.extend(["-C".to_owned(), self.one_of(&CLASSES)]);
        }
        if self.rarely() {
            words.push("--ignore-errors".to_owned());
        }
        self.pools(qubes, &mut words);
        let (source, name) = (self.qube(qubes), self.one_of(&NEW_NAMES));
        words.extend(["--".to_owned(), source, name]);
        words
    }

    fn prefs(&mut self, qubes: &Qubes) -> Vec<String> {
        let name = self.qube(qubes);
        let property = self.property_of(qubes, &name);
        if self.random.u32(..5) == 0 {
            return ["qvm-prefs", "-D", "--", &name, property]
                .map(str::to_owned)
                .into();
        }
        let value = self.value(qubes, property);
        ["qvm-prefs", "--", &name, property, &value]
            .map(str::to_owned)
            .into()
    }

    fn global_prefs(&mut self, qubes: &Qubes) -> Vec<String> {
        let names: Vec<&'static str> = global_properties().map(|property| property.name).collect();
        let property = names[self.random.usize(..names.len())];
        if self.random.u32(..4) == 0 {
            return ["qubes-prefs", "-D", "--", property]
                .map(str::to_owned)
                .into();
        }
        let value = self.value(qubes, property);
        ["qubes-prefs", "--", property, &value]
            .map(str::to_owned)
            .into()
    }

    fn features(&mut self, qubes: &Qubes) -> Vec<String> {
        let name = if self.rarely() {
            "dom0".to_owned()
        } else {
            self.qube(qubes)
        };
        let feature = match self.random.u32(..12) {
            0 => format!(
                "service.app-dispvm.{}",
                "a".repeat(self.random.usize(1..300))
            ),
            _ => self.one_of(&FEATURES),
        };
        if self.random.u32(..6) == 0 {
            return ["qvm-features", "-D", "--", &name, &feature]
                .map(str::to_owned)
                .into();
        }
        let value = self.one_of(&FEATURE_VALUES);
        ["qvm-features", "--", &name, &feature, &value]
            .map(str::to_owned)
            .into()
    }

    fn service(&mut self, qubes: &Qubes) -> Vec<String> {
        let name = if self.rarely() {
            "dom0".to_owned()
        } else {
            self.qube(qubes)
        };
        let service = self.one_of(&["meminfo-writer", "cups", "clocksync", "a/b", "crond"]);
        let state = self.one_of(&["on", "off"]);
        match self.rarely() {
            true => ["qvm-service", "-D", "--", &name, &service]
                .map(str::to_owned)
                .into(),
            false => ["qvm-service", "--", &name, &service, &state]
                .map(str::to_owned)
                .into(),
        }
    }

    fn tags(&mut self, qubes: &Qubes) -> Vec<String> {
        let (name, tag) = (self.qube(qubes), self.one_of(&TAGS));
        let verb = self.one_of(&["add", "add", "del"]);
        vec!["qvm-tags".into(), name, verb, tag]
    }

    fn volume(&mut self, qubes: &Qubes) -> Vec<String> {
        let name = self.qube(qubes);
        let volume = format!(
            "{name}:{}",
            self.one_of(&["root", "private", "volatile", "kernel"])
        );
        let (option, value) = match self.random.u32(..4) {
            0 => ("rw", self.one_of(&["True", "False", "", "x"])),
            1 => ("ephemeral", self.one_of(&["True", "False", "", "x"])),
            2 => (
                "revisions_to_keep",
                self.one_of(&[
                    "0",
                    "1",
                    "2",
                    "-1",
                    "-2",
                    "x",
                    "99999999999999999999",
                    "1_0",
                ]),
            ),
            _ => {
                let size = self.one_of(&[
                    "1",
                    "3G",
                    "20G",
                    "-1",
                    "x",
                    "99999999999999999999",
                    "16777216T",
                ]);
                return vec!["qvm-volume".into(), "resize".into(), volume, size];
            }
        };
        vec![
            "qvm-volume".into(),
            "config".into(),
            volume,
            option.into(),
            value,
        ]
    }

    fn pool(&mut self, qubes: &Qubes) -> Vec<String> {
        let option = |text: String| ["-o".to_owned(), text];
        match self.random.u32(..4) {
            0 => {
                let driver = self.one_of(&[
                    "file",
                    "file-reflink",
                    "linux-kernel",
                    "lvm_thin",
                    "zfs",
                    "callback",
                    "x",
                ]);
                let name = self.one_of(&["p1", "p2", "p.3", "a/b", "-x", "linux-kernel"]);
                let mut words = vec![
                    "qvm-pool".to_owned(),
                    "add".to_owned(),
                    name.clone(),
                    driver,
                ];
                words.extend(option(format!("dir_path=/srv/{}", name.replace('/', "_"))));
                if self.often() {
                    words.extend(option("setup_check=no".into()));
                }
                if self.rarely() {
                    let keep =
                        self.one_of(&["0", "1", "5", "-1", "-2", "x", "99999999999999999999"]);
                    words.extend(option(format!("revisions_to_keep={keep}")));
                }
                words
            }
            1 => vec!["qvm-pool".into(), "remove".into(), self.pool_name(qubes)],
            _ => {
                let mut words = vec![
                    "qvm-pool".to_owned(),
                    "set".to_owned(),
                    self.pool_name(qubes),
                ];
                let text = match self.often() {
                    true => format!(
                        "revisions_to_keep={}",
                        self.one_of(&["0", "1", "2", "-1", "-2", "x", "1_0"])
                    ),
                    false => format!(
                        "ephemeral_volatile={}",
                        self.one_of(&["True", "False", "1", "x", ""])
                    ),
                };
                words.extend(option(text));
                words
            }
        }
    }

    fn notes(&mut self, qubes: &Qubes) -> Vec<String> {
        let name = self.qube(qubes);
        vec![
            "qvm-notes".into(),
            "--set".into(),
            "some words".into(),
            name,
        ]
    }
}
