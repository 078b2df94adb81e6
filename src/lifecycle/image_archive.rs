//! One image out of a tar that somebody else made, whose holes may be described in each of the forms that GNU tar has
//! (its manual, "Storing Sparse Files"): that of old GNU, which crate tar reads, and the three of POSIX archives.

use std::fs::File;
use std::io::{self, Read};

use crate::storage::{write_sparse, write_sparse_at};

/// More pieces than this are a mistake or an attack; a file system has seldom more in one file.
const MOST_PIECES: usize = 1 << 20;
const BLOCK: u64 = 512;

/// Writes the file called `name` of an archive, of at most `largest` bytes, into an empty file.
///
/// # Errors
/// There is no such file, it is not whole, or its description contradicts itself.
pub fn unpack(archive: impl Read, name: &str, to: &File, largest: u64) -> io::Result<()> {
    let wrong = |text: String| Err(io::Error::other(text));
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let mut sparse = Sparse::of(&mut entry)?;
        let path = match sparse.as_mut().and_then(|sparse| sparse.name.take()) {
            Some(path) => path,
            None => entry.path_bytes().into_owned(),
        };
        if path.strip_prefix(b"./").unwrap_or(&path) != name.as_bytes() {
            continue;
        }
        let kind = entry.header().entry_type();
        if !(kind.is_file() || kind.is_gnu_sparse()) {
            return wrong(format!("{name} in the archive is no file"));
        }
        let size = sparse.as_ref().map_or(entry.size(), |sparse| sparse.size);
        if size > largest {
            return wrong(too_large(name, largest));
        }
        let written = match sparse {
            None => write_sparse(&mut entry, to).and_then(|()| Ok(to.metadata()?.len()))?,
            Some(sparse) => sparse.write(&mut entry, to)?,
        };
        return match written == size {
            true => Ok(()),
            false => wrong(format!("{name} in the archive ends after {written} of {size} bytes")),
        };
    }
    wrong(format!("there is no {name} in the archive"))
}

pub fn too_large(name: &str, largest: u64) -> String {
    format!("{name} has more than {} TiB", largest >> 40)
}

/// How a POSIX archive describes a file with holes.
#[derive(Debug, Default)]
struct Sparse {
    /// The file's own name, where the entry has another.
    name: Option<Vec<u8>>,
    /// Bytes, holes among them.
    size: u64,
    /// Form 1.0: the map stands before the data.
    is_map_in_data: bool,
    /// Where each piece of data begins and how long it is.
    pieces: Vec<(u64, u64)>,
}

impl Sparse {
    /// None of an entry without such a description.
    fn of(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Option<Sparse>> {
        let Some(extensions) = entry.pax_extensions()? else { return Ok(None) };
        let (mut sparse, mut found, mut size) = (Sparse::default(), false, None);
        let (mut begin, mut version) = (None, (0, 0));
        for extension in extensions {
            let extension = extension?;
            let Some(key) = extension.key_bytes().strip_prefix(b"GNU.sparse.") else { continue };
            found = true;
            let value = extension.value_bytes();
            match key {
                b"name" => sparse.name = Some(value.to_vec()),
                b"realsize" | b"size" => size = Some(number(value)?),
                b"major" => version.0 = number(value)?,
                b"minor" => version.1 = number(value)?,
                // Form 0.0: the two take turns.
                b"offset" => begin = Some(number(value)?),
                b"numbytes" => {
                    let begin = begin.take().ok_or_else(|| contradiction("a piece has no beginning"))?;
                    sparse.add(begin, number(value)?)?;
                }
                // Form 0.1: both in one list.
                b"map" => {
                    let numbers = value.split(|byte| *byte == b',').map(number).collect::<io::Result<Vec<u64>>>()?;
                    for pair in numbers.chunks(2) {
                        let &[begin, length] = pair else { return Err(contradiction("a piece has no length")) };
                        sparse.add(begin, length)?;
                    }
                }
                // How many pieces follow; they say so themselves.
                b"numblocks" => {}
                _ => return Err(contradiction("it has a form that is not known")),
            }
        }
        if !found {
            return Ok(None);
        }
        sparse.is_map_in_data = match version {
            (0, 0 | 1) => false,
            (1, 0) => true,
            (major, minor) => return Err(contradiction(&format!("its form {major}.{minor} is not known"))),
        };
        sparse.size = size.ok_or_else(|| contradiction("the size is not said"))?;
        Ok(Some(sparse))
    }

    fn add(&mut self, begin: u64, length: u64) -> io::Result<()> {
        let end_of_last = self.pieces.last().map_or(0, |(begin, length)| begin + length);
        if begin < end_of_last || begin.checked_add(length).is_none() || self.pieces.len() >= MOST_PIECES {
            return Err(contradiction("pieces of it overlap, or are too many"));
        }
        self.pieces.push((begin, length));
        Ok(())
    }

    /// Writes the pieces where they belong; returns how far the data and the holes reach.
    fn write(mut self, entry: &mut impl Read, to: &File) -> io::Result<u64> {
        if self.is_map_in_data {
            self.read_map(entry)?;
        }
        let end = self.pieces.last().map_or(0, |(begin, length)| begin + length);
        if end > self.size {
            return Err(contradiction("a piece lies behind its end"));
        }
        for (begin, length) in &self.pieces {
            let reached = write_sparse_at(entry.by_ref().take(*length), to, *begin)?;
            if reached != begin + length {
                return Ok(reached);
            }
        }
        to.set_len(self.size)?;
        Ok(self.size)
    }

    /// The map of form 1.0: the number of pieces, then where each begins and how long it is, a line each; zeros fill its
    /// last block.
    fn read_map(&mut self, entry: &mut impl Read) -> io::Result<()> {
        let mut passed = 0_u64;
        let mut next = || {
            let mut line = Vec::new();
            loop {
                let mut byte = [0];
                entry.read_exact(&mut byte)?;
                passed += 1;
                match byte[0] {
                    b'\n' => return number(&line),
                    _ if line.len() < 20 => line.push(byte[0]),
                    _ => return Err(contradiction("a number of its map has no end")),
                }
            }
        };
        for _ in 0..next()? {
            let (begin, length) = (next()?, next()?);
            self.add(begin, length)?;
        }
        let filling = passed.next_multiple_of(BLOCK) - passed;
        io::copy(&mut entry.by_ref().take(filling), &mut io::sink()).map(drop)
    }
}

fn number(text: &[u8]) -> io::Result<u64> {
    let digits = text.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten();
    digits.ok_or_else(|| contradiction("what should be a number is none"))
}

fn contradiction(why: &str) -> io::Error {
    io::Error::other(format!("the holes of a file in the archive are not described as GNU tar does it: {why}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::path::Path;

    use super::*;
    use crate::exec::Program;

    const MIB: u64 = 1 << 20;

    /// An image with holes at its beginning, in it and at its end.
    fn image_in(directory: &Path) {
        let image = File::create(directory.join("root.img")).unwrap();
        image.set_len(48 * MIB).unwrap();
        for at in [5 * MIB, 20 * MIB, 21 * MIB + 4096, 33 * MIB] {
            image.write_all_at(b"data", at).unwrap();
        }
        image.sync_all().unwrap();
    }

    fn packed(directory: &Path, options: &[&str]) -> Vec<u8> {
        let tar = Program::new("tar").args(["--sparse", "-C"]).arg(directory).args(options);
        tar.args(["-cf", "-", "./root.img"]).output().unwrap()
    }

    fn unpacked(archive: &[u8], directory: &Path) -> Result<Vec<u8>, String> {
        let to = File::create(directory.join("to")).unwrap();
        unpack(archive, "root.img", &to, 64 * MIB).map_err(|error| error.to_string())?;
        to.sync_all().unwrap();
        assert!(to.metadata().unwrap().blocks() * 512 < MIB, "holes stay holes");
        Ok(fs::read(directory.join("to")).unwrap())
    }

    #[test]
    fn every_form_of_holes_becomes_the_same_image() {
        let dir = tempfile::tempdir().unwrap();
        image_in(dir.path());
        let image = fs::read(dir.path().join("root.img")).unwrap();
        for options in [
            &["--format=gnu"][..],
            &["--format=posix", "--sparse-version=0.0"],
            &["--format=posix", "--sparse-version=0.1"],
            &["--format=posix", "--sparse-version=1.0"],
        ] {
            let archive = packed(dir.path(), options);
            assert!(archive.len() < 1 << 20, "the sample is sparse itself: {options:?}");
            assert!(unpacked(&archive, dir.path()).unwrap() == image, "{options:?}");
            let cut = unpacked(&archive[..archive.len() / 3], dir.path()).unwrap_err();
            assert!(!cut.contains('\n'), "{options:?}: {cut}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        image_in(dir.path());
        let changed = |version: &str, from: &str, to: &str| {
            let mut bytes = packed(dir.path(), &["--format=posix", version]);
            let at = memchr::memmem::find(&bytes, from.as_bytes()).unwrap();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            unpacked(&bytes, dir.path()).unwrap_err()
        };
        let (lists, maps) = ("--sparse-version=0.1", "--sparse-version=1.0");
        let behind = changed(lists, "sparse.size=50331648", "sparse.size=00000648");
        assert!(behind.ends_with("a piece lies behind its end"), "{behind}");
        let large = changed(lists, "sparse.size=50331648", "sparse.size=99999999");
        assert!(large.starts_with("root.img has more than"), "{large}");
        let overlap = changed(lists, "sparse.map=5242880,", "sparse.map=9999999999");
        assert!(overlap.contains("not described as GNU tar does it"), "{overlap}");
        let later = changed(maps, "sparse.major=1", "sparse.major=7");
        assert!(later.ends_with("its form 7.0 is not known"), "{later}");
    }

    /// Whatever stands in an archive, the answer is the whole image or an error.
    #[test]
    fn odd_bytes_in_the_headers_are_an_error_or_an_image() {
        let dir = tempfile::tempdir().unwrap();
        image_in(dir.path());
        let mut random = fastrand::Rng::with_seed(5);
        let (mut errors, mut images) = (0, 0);
        for version in ["--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0"] {
            let good = packed(dir.path(), &["--format=posix", version]);
            for _ in 0..1500 {
                let mut bytes = good.clone();
                for _ in 0..random.usize(1..3) {
                    let at = random.usize(512..2600.min(bytes.len()));
                    bytes[at] = if random.bool() { random.u8(..) } else { random.u8(b'0'..=b'9') };
                }
                let to = tempfile::tempfile_in(dir.path()).unwrap();
                match unpack(&*bytes, "root.img", &to, 64 * MIB) {
                    Ok(()) => images += 1,
                    Err(_) => errors += 1,
                }
                assert!(to.metadata().unwrap().len() <= 64 * MIB);
            }
        }
        assert!(errors > 0 && images > 0, "{errors} errors, {images} images");
    }
}
