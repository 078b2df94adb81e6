//! A system on a file system of its own, with a template `tpl` and a qube `work` based on it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use qubes_test_support::{FileSystem, LoopMount, ToolOutput, binary, skip, tool_output};

pub const MIB: u64 = 1 << 20;

pub struct System {
    root: PathBuf,
    _mount: Option<LoopMount>,
    _temporary: Option<tempfile::TempDir>,
}

impl System {
    /// Creates a system in the directory of temporary files.
    pub fn new() -> System {
        let temporary = tempfile::Builder::new()
            .prefix("qubes-storage-")
            .tempdir()
            .unwrap();
        System::below(temporary.path().join("system"), None, Some(temporary))
    }

    /// Creates a system on a new file system; `None` if this machine cannot have it.
    pub fn on(kind: FileSystem) -> Option<System> {
        match LoopMount::new(kind) {
            Ok(mount) => Some(System::below(
                mount.path().join("system"),
                Some(mount),
                None,
            )),
            Err(reason) => {
                skip(format_args!("{kind:?}: {reason}"));
                None
            }
        }
    }

    /// Returns one system on each kind of file system that this machine can have.
    pub fn everywhere() -> impl Iterator<Item = (FileSystem, System)> {
        let kinds = [FileSystem::Btrfs, FileSystem::Xfs, FileSystem::Ext4];
        kinds
            .into_iter()
            .filter_map(|kind| Some((kind, System::on(kind)?)))
    }

    fn below(
        root: PathBuf,
        mount: Option<LoopMount>,
        temporary: Option<tempfile::TempDir>,
    ) -> System {
        fs::create_dir_all(&root).unwrap();
        let system = System {
            root,
            _mount: mount,
            _temporary: temporary,
        };
        system.ok("qubes-create");
        let kernel = system.path("/var/lib/qubes/vm-kernels/1.0");
        fs::create_dir_all(&kernel).unwrap();
        fs::write(kernel.join("vmlinuz"), "never booted").unwrap();
        system.ok("qubes-prefs default_kernel 1.0");
        system.ok("qvm-create -C TemplateVM -l black tpl");
        system.ok("qubes-prefs default_template tpl");
        system.ok("qvm-create -l green work");
        system
    }

    /// Returns a path of the system as it is seen from outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// Returns the path of a file in the default pool.
    pub fn image(&self, below: &str) -> PathBuf {
        self.path("/var/lib/qubes").join(below)
    }

    pub fn bytes(&self, image: &str) -> Vec<u8> {
        fs::read(self.image(image)).unwrap()
    }

    /// Whether the image begins with these bytes. Images are large, so no more is read.
    pub fn begins_with(&self, image: &str, bytes: &[u8]) -> bool {
        let mut begin = vec![0; bytes.len()];
        let file = fs::File::open(self.image(image)).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut begin, 0).is_ok() && begin == bytes
    }

    /// Returns the bytes that the image takes on disk.
    pub fn disk_usage(&self, image: &str) -> u64 {
        fs::File::open(self.image(image))
            .unwrap()
            .sync_all()
            .unwrap();
        fs::metadata(self.image(image)).unwrap().blocks() * 512
    }

    /// Returns the names of everything beside the volumes of a qube, sorted, with revisions without
    /// their times.
    pub fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.image(directory)).into_iter().flatten();
        let name = |entry: fs::DirEntry| {
            entry
                .file_name()
                .into_string()
                .unwrap()
                .split('@')
                .next()
                .unwrap_or_default()
                .to_string()
        };
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    pub fn store(&self) -> String {
        fs::read_to_string(self.image("qubes.xml")).unwrap()
    }

    /// Returns an attribute of a qube's volume as the store has it.
    pub fn stored(&self, qube: &str, volume: &str, attribute: &str) -> Option<String> {
        let qubes = qubes::format::read(fs::read(self.image("qubes.xml")).unwrap()).unwrap();
        let volume = qubes.get(qube).unwrap().volume(volume).unwrap();
        volume.attributes.get(attribute).map(String::from)
    }

    /// Creates a file beside the system with these bytes.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.root.join(name);
        fs::write(&file, bytes).unwrap();
        file
    }

    pub fn command(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = Command::new(binary(words.next().unwrap()));
        command
            .arg("--offline-mode")
            .args(words)
            .env("QUBES_ROOT", &self.root);
        command
    }

    pub fn run(&self, line: &str) -> ToolOutput {
        tool_output::run(&mut self.command(line))
    }

    /// Runs a command that must succeed without messages on standard error.
    pub fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{line}: {ran:?}");
        ran.stdout
    }

    /// Runs a command that must fail with this exit code and change nothing. Returns its last line
    /// that is not empty.
    pub fn refuses(&self, exit: i32, line: &str) -> String {
        let before = self.everything();
        let ran = self.run(line);
        assert_eq!(ran.code, exit, "{line}: {ran:?}");
        assert_eq!(self.everything(), before, "{line} left something behind");
        ran.complaints()
            .rfind(|line| !line.is_empty())
            .unwrap_or_default()
            .replace(&*self.root.to_string_lossy(), "")
    }

    /// Runs such a command with something on standard input.
    pub fn refuses_with_input(&self, line: &str, input: &[u8]) -> String {
        let before = self.everything();
        let ran = self.run_with_input(line, input);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        assert_eq!(self.everything(), before, "{line} left something behind");
        ran.complaints().next_back().unwrap_or_default().to_string()
    }

    pub fn run_with_input(&self, line: &str, input: &[u8]) -> ToolOutput {
        let mut child = self.spawn(line);
        // A reader that has read enough closes the pipe.
        let _closed = child.stdin.take().unwrap().write_all(input);
        wait_for(child)
    }

    /// Starts a command with pipes to it.
    pub fn spawn(&self, line: &str) -> Child {
        let mut command = self.command(line);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.env("RUST_BACKTRACE", "0").spawn().unwrap()
    }

    /// Returns the store, and the names, sizes and contents of the qubes' files. Holes of 2 GiB are
    /// not read.
    fn everything(&self) -> Vec<String> {
        let mut all = vec![self.store()];
        for directory in ["appvms", "vm-templates"] {
            for qube in self.names(directory) {
                let entries = fs::read_dir(self.image(directory).join(&qube)).unwrap();
                let mut files: Vec<String> = entries
                    .map(|entry| described(&entry.unwrap().path()))
                    .collect();
                files.sort();
                all.extend(files);
            }
        }
        all
    }
}

fn described(file: &Path) -> String {
    let metadata = fs::metadata(file).unwrap();
    let of_bytes = (metadata.len() <= 16 * MIB).then(|| {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        fs::read(file).unwrap().hash(&mut hasher);
        hasher.finish()
    });
    format!("{} {} {of_bytes:?}", file.display(), metadata.len())
}

/// Waits for a command.
pub fn wait_for(child: Child) -> ToolOutput {
    let output = child.wait_with_output().unwrap();
    ToolOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Returns bytes that cannot be compressed and contain no zeros to skip.
pub fn random_bytes(count: u64, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(count).unwrap()];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}
