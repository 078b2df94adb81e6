//! An old system below a directory: its store, images and firewall files.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;

use qubes_test_support::{TestSystem, repository, skip};

pub struct OldSystem {
    system: TestSystem,
    pub before: Vec<u8>,
}

impl Deref for OldSystem {
    type Target = TestSystem;

    fn deref(&self) -> &TestSystem {
        &self.system
    }
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
        let system = OldSystem {
            system: TestSystem::with_store(bytes),
            before: bytes.to_vec(),
        };
        system.configure("");
        system
    }

    /// Creates a system from a sample of this repository.
    pub fn from_sample(name: &str) -> OldSystem {
        let sample = repository("tests/data/r3").join(name);
        OldSystem::new(&fs::read(sample).unwrap())
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
        let text = format!("{more}\n[host]\nmemory_mib = 32404\ncpus = 16\n");
        self.system.configure(&text);
    }

    pub fn create_image(&self, path: &str, size: u64) {
        let path = self.base().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().set_len(size).unwrap();
    }

    pub fn base(&self) -> PathBuf {
        self.path("/var/lib/qubes")
    }

    /// Returns a command that may use the hypervisor.
    pub fn online_command(&self, line: &str) -> Command {
        let mut command = self.command(line);
        command.env_remove("QUBES_OFFLINE");
        command
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.base().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub fn is_old(&self) -> bool {
        fs::read(self.store_file()).unwrap() == self.before
    }

    /// Returns the names in `backup/`, sorted.
    pub fn copy_names(&self) -> Vec<String> {
        self.images("backup")
    }

    /// Asserts that the store has the format of R4, without damage.
    pub fn assert_sound(&self, why: &str) {
        assert!(
            self.store().starts_with("<qubes>\n"),
            "{why}: {}",
            self.store()
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
    let path = repository("../shared/data").join(name);
    match fs::read(&path) {
        Ok(bytes) => Some(OldSystem::new(&bytes)),
        Err(_) => {
            skip(format_args!("there is no sample {}", path.display()));
            None
        }
    }
}
