//! Small text files written by hand, possibly below a root directory of somebody else.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

use super::directory::OpenMode;
use super::{owned_paths, retry_leased};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a regular file. A FIFO or a device is refused without blocking on it.
///
/// # Errors
/// It cannot be opened or read, is not a regular file, is longer than 1 MiB, or is not UTF-8.
pub fn read(path: &Path) -> io::Result<String> {
    let mut options = File::options();
    options
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    read_opened(retry_leased(|| options.open(path))?)
}

/// Reads a regular file as [`read`] does, without following symbolic links of other users.
///
/// # Errors
/// The errors of [`read`], and a symbolic link of another user in the path.
pub fn read_owned(path: &Path) -> io::Result<String> {
    read_opened(owned_paths::open(path, OpenMode::Read)?)
}

fn read_opened(file: File) -> io::Result<String> {
    let refused = |rule: &str| io::Error::new(io::ErrorKind::InvalidInput, rule);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(refused("it is not a regular file"));
    }
    if found.len() > MAX_BYTES {
        return Err(refused("it is longer than 1 MiB"));
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn only_regular_files_are_read_without_blocking() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        std::fs::write(at("text"), "a\n").unwrap();
        assert_eq!(read(&at("text")).unwrap(), "a\n");
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        File::create(at("long"))
            .unwrap()
            .set_len(MAX_BYTES + 1)
            .unwrap();
        for (path, words) in [
            (at("fifo"), "it is not a regular file"),
            (scratch.path().to_path_buf(), "it is not a regular file"),
            ("/dev/zero".into(), "it is not a regular file"),
            (at("long"), "it is longer than 1 MiB"),
        ] {
            assert_eq!(
                read(&path).unwrap_err().to_string(),
                words,
                "{}",
                path.display()
            );
        }
        assert_eq!(
            read(&at("missing")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
