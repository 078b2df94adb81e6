//! An old system below a directory: its store, images and firewall files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use qubes_test_support::tool_output::run;
use qubes_test_support::{ToolOutput, binary};

pub struct OldSystem {
    pub dir: tempfile::TempDir,
    pub before: Vec<u8>,
}

/// The sizes of private and root images in these tests, in bytes.
pub const PRIVATE_SIZE: u64 = 3 << 20;
pub const ROOT_SIZE: u64 = 5 << 20;

/// Restrictive rules in the format of R3.
pub const RESTRICTIVE_R3_RULES: &str = r#"<QubesFirewallRules dns="allow" icmp="deny" policy="deny" yumProxy="deny">
  <rule address="10.0.0.0" proto="tcp" netmask="8" port="22"/>
  <rule address="5.6.7.8" proto="tcp" port="80" expire="1"/>
</QubesFirewallRules>
"#;

/// The same rules as R4 writes them.
pub const RESTRICTIVE_R4_RULES: &str = "<firewall version=\"2\">\n  <rules>\n    <rule>\n      <properties>\
    \n        \
<property name=\"action\">accept</property>\n        <property \
name=\"specialtarget\">dns</property>\n      \
</properties>\n    </rule>\n    <rule>\n      <properties>\n        <property \
name=\"action\">accept</property>\n        \
<property name=\"dsthost\">10.0.0.0/8</property>\n        <property name=\"proto\">tcp</property>\
\n        \
<property name=\"dstports\">22</property>\n      </properties>\n    </rule>\n    <rule>\
\n      <properties>\n        \
<property name=\"action\">drop</property>\n        <property name=\"proto\">icmp</property>\
\n      </properties>\n    \
</rule>\n    <rule>\n      <properties>\n        <property name=\"action\">drop</property>\
\n      </properties>\n    \
</rule>\n  </rules>\n</firewall>\n";

impl OldSystem {
    pub fn new(bytes: &[u8]) -> OldSystem {
        let dir = tempfile::Builder::new()
            .prefix("qubes-conversion-")
            .tempdir()
            .unwrap();
        let system = OldSystem {
            dir,
            before: bytes.to_vec(),
        };
        fs::create_dir_all(system.base()).unwrap();
        fs::write(system.store(), bytes).unwrap();
        system.configure("");
        system
    }

    /// Creates a system from a sample of this repository.
    pub fn from_sample(name: &str) -> OldSystem {
        OldSystem::new(
            &fs::read(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/data/r3")
                    .join(name),
            )
            .unwrap(),
        )
    }

    /// Creates a system from a store that R3 wrote, with its images and the rules of three qubes.
    pub fn with_images() -> OldSystem {
        let system = OldSystem::from_sample("saved.xml");
        for (directory, has_root) in [
            ("vm-templates/fedora-23", true),
            ("vm-templates/win-tpl", true),
            ("servicevms/sys-net", false),
            ("servicevms/sys-firewall", false),
            ("appvms/work", false),
            ("appvms/vault", false),
            ("appvms/standalone", true),
            ("appvms/win7", true),
            ("appvms/win-app", false),
        ] {
            system.create_image(&format!("{directory}/private.img"), PRIVATE_SIZE);
            if has_root {
                system.create_image(&format!("{directory}/root.img"), ROOT_SIZE);
            }
        }
        for directory in [
            "appvms/work",
            "servicevms/sys-firewall",
            "vm-templates/win-tpl",
        ] {
            fs::write(
                system.base().join(directory).join("firewall.xml"),
                RESTRICTIVE_R3_RULES,
            )
            .unwrap();
        }
        system
    }

    /// Writes the configuration, with fixed values for what is detected on the host.
    pub fn configure(&self, more: &str) {
        let configuration = self.dir.path().join("etc/qubes");
        fs::create_dir_all(&configuration).unwrap();
        let text = format!("{more}\n[host]\nmemory_mib = 32404\ncpus = 16\n");
        fs::write(configuration.join("core.toml"), text).unwrap();
    }

    pub fn create_image(&self, path: &str, size: u64) {
        let path = self.base().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().set_len(size).unwrap();
    }

    pub fn base(&self) -> PathBuf {
        self.dir.path().join("var/lib/qubes")
    }

    pub fn store(&self) -> PathBuf {
        self.base().join("qubes.xml")
    }

    /// Returns a command that may use the hypervisor.
    pub fn online_command(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = Command::new(binary(words.next().unwrap()));
        command.env("QUBES_ROOT", self.dir.path()).args(words);
        command
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = self.online_command(line);
        command.arg("--offline-mode");
        command
    }

    pub fn run(&self, line: &str) -> ToolOutput {
        run(&mut self.command(line))
    }

    pub fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        ran.stdout
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.base().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub fn text(&self) -> String {
        self.read("qubes.xml")
    }

    pub fn is_old(&self) -> bool {
        fs::read(self.store()).unwrap() == self.before
    }

    /// Returns the names in `backup/`, sorted.
    pub fn copies(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.base().join("backup")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Asserts that the store has the format of R4, without damage.
    pub fn assert_sound(&self, why: &str) {
        assert!(
            self.text().starts_with("<qubes>\n"),
            "{why}: {}",
            self.text()
        );
        let checked = self.run("qubes-db check");
        assert_eq!(
            (checked.code, &*checked.stdout),
            (0, ""),
            "{why}: {checked:?}"
        );
    }
}

/// Loads a sample that cannot be distributed with this repository; `None` if it is not installed
/// beside it.
pub fn find_sample(name: &str) -> Option<OldSystem> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    match fs::read(&path) {
        Ok(bytes) => Some(OldSystem::new(&bytes)),
        Err(_) => {
            qubes_test_support::skip(format_args!("there is no sample {}", path.display()));
            None
        }
    }
}
