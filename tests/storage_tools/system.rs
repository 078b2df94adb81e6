//! A system on a file system of its own, with a template `tpl` and a qube `work` based on it.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use qubes_test_support::tree::list_images;
pub use qubes_test_support::volumes::{MIB, random_bytes};
use qubes_test_support::{FileSystem, TestSystem, skip};

/// A [`TestSystem`] with a template `tpl` and a qube `work` based on it.
pub struct System(TestSystem);

impl Deref for System {
    type Target = TestSystem;

    fn deref(&self) -> &TestSystem {
        &self.0
    }
}

impl System {
    /// Creates a system in the directory of temporary files.
    pub fn new() -> System {
        System::furnish(TestSystem::empty())
    }

    /// Creates a system on a new file system; `None` if this machine cannot have it.
    pub fn on(kind: FileSystem) -> Option<System> {
        let empty = TestSystem::empty_on(kind)
            .inspect_err(|reason| skip(format_args!("{kind:?}: {reason}")));
        empty.ok().map(System::furnish)
    }

    /// Returns one system on each kind of file system that this machine can have.
    pub fn everywhere() -> impl Iterator<Item = (FileSystem, System)> {
        let kinds = [FileSystem::Btrfs, FileSystem::Xfs, FileSystem::Ext4];
        kinds
            .into_iter()
            .filter_map(|kind| Some((kind, System::on(kind)?)))
    }

    fn furnish(system: TestSystem) -> System {
        system.ok("qubes-create");
        system.install_kernel("1.0");
        system.add_template_and_qube();
        System(system)
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
        list_images(self.image(directory))
    }

    /// Creates a file beside the system with these bytes.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.root().join(name);
        fs::write(&file, bytes).unwrap();
        file
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
            .replace(&*self.root().to_string_lossy(), "")
    }

    /// Runs such a command with something on standard input.
    pub fn refuses_with_input(&self, line: &str, input: &[u8]) -> String {
        let before = self.everything();
        let ran = self.run_with_input(line, input);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        assert_eq!(self.everything(), before, "{line} left something behind");
        ran.complaints().next_back().unwrap_or_default().to_string()
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
