//! A Qubes system below a directory of its own, changed with the real tools.

use std::any::Any;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::pty::{Winsize, openpty};
use qubes::lifecycle::Context;
use qubes::model::Qubes;
use qubes::system::{System, SystemOptions};

use crate::command_line::CommandLine;
use crate::loop_mount::{FileSystem, LoopMount};
use crate::paths::{binary, repository, sample, small_sample};
use crate::tool_output::ToolOutput;
use crate::tree::{assert_same, list_names, tree};

/// The kernels of the machine on which the samples were recorded.
pub const KERNELS: [&str; 3] = ["6.6.77-1.fc37", "6.12.21-1.fc37", "5.15.124-1"];

/// A system below a root directory. Its tools run offline unless it is [`online`](Self::online).
/// Dropping an online system kills its qubes.
pub struct TestSystem {
    root: PathBuf,
    is_offline: bool,
    /// Whether outputs show paths as if the root was `/`.
    hides_root: bool,
    /// What is removed or unmounted at the end.
    _place: Box<dyn Any + Send + Sync>,
}

/// Systems of several kinds.
impl TestSystem {
    /// Creates a system without a store.
    pub fn empty() -> TestSystem {
        TestSystem::empty_in(&std::env::temp_dir())
    }

    /// Creates a system without a store in this directory, which may be on another file system.
    pub fn empty_in(directory: &Path) -> TestSystem {
        let place = tempfile::Builder::new()
            .prefix("qubes-test-")
            .tempdir_in(directory)
            .unwrap();
        TestSystem::below(place.path().to_path_buf(), place)
    }

    /// Creates a system without a store on a new file system, or returns why that is not possible
    /// on this machine.
    pub fn empty_on(kind: FileSystem) -> Result<TestSystem, String> {
        let mount = LoopMount::new(kind)?;
        let root = mount.path().join("system");
        fs::create_dir(&root).unwrap();
        Ok(TestSystem::below(root, mount))
    }

    /// Creates a system below an existing directory, with what has to be kept as long as it.
    pub fn below(root: PathBuf, place: impl Any + Send + Sync) -> TestSystem {
        TestSystem {
            root,
            is_offline: true,
            hides_root: false,
            _place: Box::new(place),
        }
    }

    /// Creates a system with this store.
    pub fn with_store(bytes: impl AsRef<[u8]>) -> TestSystem {
        let system = TestSystem::empty();
        system.write("/var/lib/qubes/qubes.xml", bytes);
        fs::create_dir_all(system.path("/etc/qubes")).unwrap();
        system
    }

    /// Creates a system with the small sample as its store.
    pub fn small() -> TestSystem {
        TestSystem::with_store(small_store())
    }

    /// Creates the system on which the outputs in `tests/data/r4/cli` were recorded, with one of
    /// the samples as its store. Outputs show paths as they are inside.
    pub fn recorded(store: &str) -> TestSystem {
        let system = TestSystem::recorded_host();
        copy_tree(
            &repository("tests/data/r4/small.tree"),
            &system.path("/var/lib/qubes"),
        );
        fs::copy(sample(store), system.store_file()).unwrap();
        system
    }

    /// Creates the system of the recordings with a store that qubes-create created.
    pub fn created() -> TestSystem {
        let system = TestSystem::recorded_host();
        system.ok("qubes-create");
        system
    }

    /// Creates the system of the recordings with a store that qubes-create created, a template
    /// `tpl` and a qube `work` based on it.
    pub fn furnished() -> TestSystem {
        let system = TestSystem::created();
        system.ok(["qubes-prefs", "default_kernel", KERNELS[0]]);
        system.add_template_and_qube();
        system
    }

    /// Creates a template `tpl`, the default one, and a qube `work` based on it.
    pub fn add_template_and_qube(&self) {
        self.ok("qvm-create -C TemplateVM -l black tpl");
        self.ok("qubes-prefs default_template tpl");
        self.ok("qvm-create -l green work");
    }

    fn recorded_host() -> TestSystem {
        let mut system = TestSystem::empty();
        system.hides_root = true;
        for kernel in KERNELS {
            for file in ["vmlinuz", "initramfs", "modules.img"] {
                let path = format!("/var/lib/qubes/vm-kernels/{kernel}/{file}");
                system.write(&path, "stub\n");
            }
        }
        system.configure("[host]\nmemory_mib = 32404\ncpus = 16\n");
        system
    }

    /// Lets the tools ask the hypervisor.
    pub fn online(mut self) -> TestSystem {
        self.is_offline = false;
        self
    }

    /// Creates a store with the template `tpl`, whose qubes boot nothing: without a bootable disk
    /// they halt in the firmware, which takes no processor time and is enough to test a domain's
    /// life.
    pub fn with_template(self) -> TestSystem {
        self.succeeds("qubes-create");
        self.install_kernel("1.0");
        self.succeeds("qvm-create --class TemplateVM --label black tpl");
        for (property, value) in [
            ("virt_mode", "hvm"),
            ("kernel", ""),
            ("memory", "64"),
            ("maxmem", "0"),
            ("vcpus", "1"),
        ] {
            self.succeeds(["qvm-prefs", "tpl", property, value]);
        }
        self.succeeds("qubes-prefs default_template tpl");
        self
    }

    /// Installs a kernel that is never booted, and makes it the default.
    pub fn install_kernel(&self, version: &str) {
        let file = format!("/var/lib/qubes/vm-kernels/{version}/vmlinuz");
        self.write(&file, "never booted");
        self.succeeds(["qubes-prefs", "default_kernel", version]);
    }

    /// Replaces `core.toml`.
    pub fn configure(&self, text: &str) {
        self.write("/etc/qubes/core.toml", text);
    }
}

/// Files.
impl TestSystem {
    /// Returns the root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of a file below the root.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// Writes a file, and creates its directory.
    pub fn write(&self, inside: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Returns the path of the store.
    pub fn store_file(&self) -> PathBuf {
        self.path("/var/lib/qubes/qubes.xml")
    }

    /// Reads the text of the store.
    pub fn store(&self) -> String {
        fs::read_to_string(self.store_file()).unwrap()
    }

    /// Parses the store.
    pub fn qubes(&self) -> Qubes {
        parse(&self.store_file())
    }

    /// Returns the explicit value of a property, or an empty string.
    pub fn stored_property(&self, qube: &str, property: &str) -> String {
        stored_property(&self.store_file(), qube, property)
    }

    /// Returns an attribute of a qube's volume as the store has it.
    pub fn stored_attribute(&self, qube: &str, volume: &str, attribute: &str) -> Option<String> {
        let qubes = self.qubes();
        let volume = qubes.get(qube).unwrap().volume(volume).unwrap();
        volume.attributes.get(attribute).map(String::from)
    }

    /// Returns the path of a file in the default pool.
    pub fn image(&self, below: &str) -> PathBuf {
        self.path("/var/lib/qubes").join(below)
    }

    /// Returns the names of the images in one volume directory, sorted.
    pub fn images(&self, below: &str) -> Vec<String> {
        list_names(self.image(below))
    }

    /// Returns whether an image of the qube, which must have images, has uncommitted data.
    pub fn has_dirty_image(&self, qube: &str) -> bool {
        let images = self.images(&format!("appvms/{qube}"));
        assert!(!images.is_empty(), "{qube} has no images");
        images.iter().any(|image| image.contains("dirty"))
    }

    /// Returns the path of the copy of the store from a time, as `2026-11-18-08:00:00`.
    pub fn copy_path(&self, time: &str) -> PathBuf {
        self.path("/var/lib/qubes/backup")
            .join(format!("qubes-{time}.xml"))
    }

    /// Writes a copy of the store.
    pub fn write_copy(&self, time: &str, text: &str) {
        let copy = self.copy_path(time);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(copy, text).unwrap();
    }

    /// Returns the paths of all copies of the store, sorted.
    pub fn copies(&self) -> Vec<PathBuf> {
        let directory = self.path("/var/lib/qubes/backup");
        let names = list_names(&directory).into_iter();
        names.map(|name| directory.join(name)).collect()
    }

    /// Returns the path of a qube's record.
    pub fn record(&self, qube: &str) -> PathBuf {
        self.path("/run/qubes/vm").join(qube)
    }
}

/// Tools.
impl TestSystem {
    /// Returns the command that runs a tool of this build on this system.
    pub fn command(&self, line: impl CommandLine) -> Command {
        let words = line.words();
        let mut command = self.program(binary(&words[0]));
        command.args(&words[1..]);
        command
    }

    /// Returns the command that runs another program, which may call tools, on this system.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("QUBES_ROOT", &self.root)
            .env("RUST_BACKTRACE", "0")
            // The width, language and colours of the recordings.
            .env("COLUMNS", "80")
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .env_remove("QUBES_XML_PATH")
            .env_remove("QUBES_OFFLINE")
            .stdin(Stdio::null());
        if self.is_offline {
            command.env("QUBES_OFFLINE", "1");
        }
        command
    }

    /// Starts a tool with pipes to it.
    pub fn spawn(&self, line: impl CommandLine) -> Child {
        spawn_with_pipes(self.command(line))
    }

    /// Runs a tool and returns its output.
    pub fn run(&self, line: impl CommandLine) -> ToolOutput {
        self.finish(self.command(line).output().unwrap())
    }

    /// Runs a tool with something on its standard input.
    pub fn run_with_input(&self, line: impl CommandLine, input: impl AsRef<[u8]>) -> ToolOutput {
        self.run_command(self.command(line), input)
    }

    /// Runs a command of this system with something on its standard input.
    pub fn run_command(&self, command: Command, input: impl AsRef<[u8]>) -> ToolOutput {
        let mut child = spawn_with_pipes(command);
        // A reader that has read enough closes the pipe.
        let _closed = child.stdin.take().unwrap().write_all(input.as_ref());
        self.finish(child.wait_with_output().unwrap())
    }

    /// Runs a tool whose standard output is a terminal.
    pub fn run_on_terminal(&self, line: impl CommandLine) -> ToolOutput {
        self.run_command_on_terminal(self.command(line), None)
    }

    /// Runs a command of this system whose standard output is a terminal, of this many columns if
    /// its size is known.
    pub fn run_command_on_terminal(
        &self,
        mut command: Command,
        columns: Option<u16>,
    ) -> ToolOutput {
        let size = columns.map(|ws_col| Winsize {
            ws_row: 24,
            ws_col,
            ws_xpixel: 0,
            ws_ypixel: 0,
        });
        let ends = openpty(size.as_ref(), None).unwrap();
        command.stdout(ends.slave).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        // Closes the terminal's other end.
        drop(command);
        let mut printed = Vec::new();
        // A terminal ends with an error when its last writer is gone.
        let _closed = fs::File::from(ends.master).read_to_end(&mut printed);
        let mut output = child.wait_with_output().unwrap();
        output.stdout = String::from_utf8(printed)
            .unwrap()
            .replace("\r\n", "\n")
            .into_bytes();
        self.finish(output)
    }

    fn finish(&self, output: std::process::Output) -> ToolOutput {
        let output = ToolOutput::new(output);
        if self.hides_root {
            output.inside(&self.root)
        } else {
            output
        }
    }

    /// Runs a tool that must succeed without a message on standard error; returns its standard
    /// output.
    pub fn ok(&self, line: impl CommandLine) -> String {
        let ran = self.run(&line);
        let line = line.describe();
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{line}: {ran:?}");
        ran.stdout
    }

    /// Runs a tool that must succeed, but may have messages; returns its standard output.
    pub fn succeeds(&self, line: impl CommandLine) -> String {
        let ran = self.run(&line);
        assert_eq!(ran.code, 0, "{}: {ran:?}", line.describe());
        ran.stdout
    }

    /// Runs a tool that must fail with this exit code, one line on standard error and nothing on
    /// standard output; returns the line.
    pub fn fails(&self, code: i32, line: impl CommandLine) -> String {
        let ran = self.run(&line);
        let line = line.describe();
        assert_eq!((ran.code, &*ran.stdout), (code, ""), "{line}: {ran:?}");
        let is_usage = |line: &&str| line.starts_with("usage:") || line.starts_with(' ');
        let complaints: Vec<_> = ran.complaints().filter(|line| !is_usage(line)).collect();
        assert_eq!(complaints.len(), 1, "{line}: {ran:?}");
        complaints[0].to_string()
    }

    /// Runs a tool that must fail with this exit code, one error and these words, and change no
    /// file except in RUN.
    pub fn refuses(&self, code: i32, line: impl CommandLine, words: &str) {
        let before = tree(&self.root, &["run"]);
        let ran = self.run(&line);
        let line = line.describe();
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        let is_error = |line: &&str| line.contains("error: ") || line.starts_with("Error: ");
        let errors = ran.complaints().filter(is_error).count();
        assert!(errors == 1 && ran.stderr.contains(words), "{line}: {ran:?}");
        assert_same(&before, &tree(&self.root, &["run"]), &line);
    }

    /// Runs a tool that must succeed without a message, and parses the JSON that it prints.
    pub fn json(&self, line: impl CommandLine) -> serde_json::Value {
        serde_json::from_str(&self.ok(line)).unwrap()
    }

    /// Returns the state that qvm-ls prints.
    pub fn state(&self, qube: &str) -> String {
        let line = self.succeeds(["qvm-ls", "--raw-data", "--fields", "STATE", qube]);
        line.trim().to_string()
    }

    /// Returns the UUID of a qube.
    pub fn uuid(&self, qube: &str) -> uuid::Uuid {
        let uuid = self.succeeds(["qvm-prefs", qube, "uuid"]);
        uuid.trim().parse().unwrap()
    }
}

impl Drop for TestSystem {
    fn drop(&mut self) {
        if self.is_offline || !self.path("/run/qubes/vm").is_dir() {
            return;
        }
        let _all_halted = self.command("qvm-kill --all").output();
        // Only the domains' definitions are outside the directory; they are removed as well.
        let Ok(system) = System::new(SystemOptions {
            root: Some(self.root().to_path_buf()),
            ..SystemOptions::default()
        }) else {
            return;
        };
        let context = Context::new(system);
        let Ok(qubes) = context.read() else { return };
        for uuid in qubes.iter().filter_map(|vm| vm.uuid()) {
            let _forgotten = context.hypervisor().undefine(uuid);
        }
    }
}

/// Returns the text of the small sample, a store with a qube of every class.
pub fn small_store() -> String {
    fs::read_to_string(small_sample()).unwrap()
}

/// Parses a store.
pub fn parse(file: &Path) -> Qubes {
    qubes::format::read(fs::read(file).unwrap()).unwrap()
}

/// Returns the explicit value of a property in a store, or an empty string.
pub fn stored_property(file: &Path, qube: &str, property: &str) -> String {
    let qubes = parse(file);
    let properties = &qubes.get(qube).unwrap().properties;
    properties.get(property).unwrap_or_default().to_string()
}

fn spawn_with_pipes(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
