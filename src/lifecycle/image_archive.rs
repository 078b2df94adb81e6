//! One image out of a tar that somebody else made, whose holes may be described in each of the
//! forms that GNU tar has (its manual, "Storing Sparse Files"): that of old GNU, and the three of
//! POSIX archives.
//!
//! Headers are read one by one, and none of them whole before its size is known to be reasonable: a
//! compressed package may unpack to a header of any length.

use std::fs::File;
use std::io::{self, ErrorKind, Read};

use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header, PaxExtensions};

use crate::storage::{write_sparse, write_sparse_at};

/// More pieces than this are a mistake or an attack; a file system has seldom more in one file.
const MOST_PIECES: usize = 1 << 20;
const BLOCK: u64 = 512;
/// The longest description of one member (long name, long link, POSIX extension), bytes: 1 MiB.
/// Names have at most 4 KiB.
const LONGEST_DESCRIPTION: u64 = 1 << 20;
/// All headers and descriptions before the image together, bytes: 64 MiB.
const MOST_HEADERS: u64 = 64 << 20;

/// Writes the file called `name` of an archive, of at most `largest` bytes, into an empty file.
///
/// # Errors
/// There is no such file, it is not whole, its description contradicts itself, or headers are too
/// long.
pub fn unpack(archive: impl Read, name: &str, to: &File, largest: u64) -> io::Result<()> {
    let wrong = |text: String| Err(io::Error::other(text));
    let mut members = Members { archive, headers: 0 };
    while let Some(member) = members.next()? {
        if member.path.strip_prefix(b"./").unwrap_or(&member.path) != name.as_bytes() {
            members.skip(member.stored.checked_next_multiple_of(BLOCK).ok_or_else(too_long)?)?;
            continue;
        }
        if !(member.kind.is_file() || member.kind.is_gnu_sparse()) {
            return wrong(format!("{name} in the archive is no file"));
        }
        let size = member.sparse.as_ref().map_or(member.stored, |sparse| sparse.size);
        if size > largest {
            return wrong(too_large(name, largest));
        }
        let mut data = members.archive.by_ref().take(member.stored);
        let written = match member.sparse {
            None => write_sparse(&mut data, to).and_then(|()| Ok(to.metadata()?.len()))?,
            Some(sparse) => sparse.write(&mut data, to)?,
        };
        return match written == size {
            true => Ok(()),
            false => wrong(format!("{name} in the archive ends after {written} of {size} bytes")),
        };
    }
    wrong(format!("there is no {name} in the archive"))
}

/// A file, directory or link of an archive; its data come next.
struct Member {
    kind: EntryType,
    path: Vec<u8>,
    /// Bytes of data in the archive, without what fills the last block.
    stored: u64,
    sparse: Option<Sparse>,
}

/// The members of an archive, one after the other.
struct Members<R> {
    archive: R,
    /// Bytes of headers and descriptions so far.
    headers: u64,
}

impl<R: Read> Members<R> {
    /// The next member, whose descriptions stand before it; none at the end.
    fn next(&mut self) -> io::Result<Option<Member>> {
        let (mut long_name, mut extensions) = (None, Vec::new());
        while let Some(header) = self.header()? {
            let (kind, size) = (header.entry_type(), header.entry_size()?);
            match kind {
                EntryType::GNULongName => long_name = Some(self.description(size)?),
                EntryType::XHeader => extensions = self.description(size)?,
                // Where links lead, and what is said of all members, does not matter for one file.
                EntryType::GNULongLink | EntryType::XGlobalHeader => {
                    self.count(size)?;
                    self.skip(size.next_multiple_of(BLOCK))?;
                }
                kind => return self.member(&header, kind, size, long_name, &extensions).map(Some),
            }
        }
        match long_name.is_none() && extensions.is_empty() {
            true => Ok(None),
            false => Err(io::Error::other("the archive ends after the description of a file")),
        }
    }

    fn member(
        &mut self,
        header: &Header,
        kind: EntryType,
        size: u64,
        long_name: Option<Vec<u8>>,
        extensions: &[u8],
    ) -> io::Result<Member> {
        let mut stored = size;
        let mut path = match long_name {
            Some(name) => name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec(),
            None => header.path_bytes().into_owned(),
        };
        for extension in PaxExtensions::new(extensions) {
            let extension = extension?;
            match extension.key_bytes() {
                b"path" => path = extension.value_bytes().to_vec(),
                b"size" => stored = number(extension.value_bytes())?,
                _ => {}
            }
        }
        let mut sparse = match kind {
            EntryType::GNUSparse => Some(self.old_sparse(header, stored)?),
            _ => Sparse::of(extensions)?,
        };
        if let Some(name) = sparse.as_mut().and_then(|sparse| sparse.name.take()) {
            path = name;
        }
        Ok(Member { kind, path, stored, sparse })
    }

    /// The pieces of a file in the form of old GNU: four in its header, the others in blocks
    /// between that and the data.
    fn old_sparse(&mut self, header: &Header, stored: u64) -> io::Result<Sparse> {
        let gnu = header.as_gnu().ok_or_else(|| contradiction("the header is not one of GNU"))?;
        let mut sparse = Sparse { size: gnu.real_size()?, ..Sparse::default() };
        sparse.add_old(&gnu.sparse)?;
        let mut is_extended = gnu.is_extended();
        while is_extended {
            let mut block = GnuExtSparseHeader::new();
            self.archive.read_exact(block.as_mut_bytes())?;
            self.count(BLOCK)?;
            sparse.add_old(&block.sparse)?;
            is_extended = block.is_extended();
        }
        let data = sparse.pieces.iter().try_fold(0_u64, |sum, (_, length)| sum.checked_add(*length));
        match data == Some(stored) {
            true => Ok(sparse),
            false => Err(contradiction("its pieces are not as long as its data")),
        }
    }

    /// The next header; none at the end of the archive.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; BLOCK as usize];
        let mut filled = 0;
        while filled < block.len() {
            match self.archive.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::Error::other("the archive ends within a header")),
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.count(BLOCK)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        let plain = block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
        match header.cksum()? == plain.map(u32::from).sum::<u32>() {
            true => Ok(Some(header)),
            false => Err(io::Error::other("a header of the archive has a wrong checksum")),
        }
    }

    /// Reads what is said of the next member.
    fn description(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > LONGEST_DESCRIPTION {
            return Err(too_long());
        }
        self.count(size)?;
        let mut text = vec![0; size as usize];
        self.archive.read_exact(&mut text)?;
        self.skip(size.next_multiple_of(BLOCK) - size)?;
        Ok(text)
    }

    fn count(&mut self, bytes: u64) -> io::Result<()> {
        self.headers = self.headers.saturating_add(bytes);
        if self.headers > MOST_HEADERS { Err(too_long()) } else { Ok(()) }
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match io::copy(&mut self.archive.by_ref().take(bytes), &mut io::sink())? == bytes {
            true => Ok(()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn too_long() -> io::Error {
    io::Error::other(format!(
        "headers of the archive are too long: one may have {} MiB, all before the image {} MiB",
        LONGEST_DESCRIPTION >> 20,
        MOST_HEADERS >> 20
    ))
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
    /// None of a member without such a description.
    fn of(extensions: &[u8]) -> io::Result<Option<Sparse>> {
        let (mut sparse, mut found, mut size) = (Sparse::default(), false, None);
        let (mut begin, mut version) = (None, (0, 0));
        for extension in PaxExtensions::new(extensions) {
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

    /// Adds pieces as the form of old GNU has them; one without a beginning is none.
    fn add_old(&mut self, pieces: &[GnuSparseHeader]) -> io::Result<()> {
        pieces.iter().filter(|piece| !piece.is_empty()).try_for_each(|piece| self.add(piece.offset()?, piece.length()?))
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

    /// A header of type `kind` that says that `size` bytes follow, as a compressed package could
    /// have it for nothing.
    fn header(kind: tar::EntryType, size: u64) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_path("././@LongLink").unwrap();
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    /// Counts what is read, which must stay far below what the headers announce.
    struct Zeros {
        head: io::Cursor<Vec<u8>>,
        read: u64,
    }

    impl Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let got = match self.head.read(buffer)? {
                0 => {
                    buffer.fill(0);
                    buffer.len()
                }
                got => got,
            };
            self.read += got as u64;
            Ok(got)
        }
    }

    #[test]
    fn headers_without_an_end_are_not_read() {
        let to = tempfile::tempfile().unwrap();
        for kind in [EntryType::XHeader, EntryType::XGlobalHeader, EntryType::GNULongName, EntryType::GNULongLink] {
            for size in [1 << 30, 6 << 30, u64::MAX >> 1] {
                let mut archive = Zeros { head: io::Cursor::new(header(kind, size)), read: 0 };
                let error = unpack(&mut archive, "root.img", &to, 64 * MIB).unwrap_err().to_string();
                assert!(error.starts_with("headers of the archive are too long"), "{kind:?} {size}: {error}");
                assert!(archive.read < 4096, "{kind:?} {size}: {} bytes were read", archive.read);
            }
        }
    }

    #[test]
    fn headers_in_a_row_without_an_end_are_an_error() {
        let to = tempfile::tempfile().unwrap();
        for kind in [EntryType::XHeader, EntryType::XGlobalHeader, EntryType::GNULongName, EntryType::GNULongLink] {
            let one = [header(kind, MIB), vec![b'a'; MIB as usize]].concat();
            let archive = (0..100).fold(Box::new(io::empty()) as Box<dyn Read>, |all, _| Box::new(all.chain(&*one)));
            let error = unpack(archive, "root.img", &to, 64 * MIB).unwrap_err().to_string();
            assert!(error.starts_with("headers of the archive are too long"), "{kind:?}: {error}");
        }
        // Blocks of pieces, each of which says that another follows.
        let mut sparse = Header::new_gnu();
        sparse.set_entry_type(EntryType::GNUSparse);
        sparse.set_path("root.img").unwrap();
        sparse.as_gnu_mut().unwrap().isextended = [1];
        sparse.as_gnu_mut().unwrap().set_real_size(0);
        sparse.set_size(0);
        sparse.set_cksum();
        let mut block = GnuExtSparseHeader::new();
        block.isextended = [1];
        for numbers in [false, true] {
            if numbers {
                block.sparse.iter_mut().for_each(|piece| {
                    piece.offset = *b"00000000000\0";
                    piece.numbytes = *b"00000000000\0";
                });
            }
            let blocks = block.as_bytes().repeat(4096);
            let rest = (0..64).fold(Box::new(io::empty()) as Box<dyn Read>, |all, _| Box::new(all.chain(&*blocks)));
            let archive = io::Cursor::new(sparse.as_bytes().to_vec()).chain(rest);
            let error = unpack(archive, "root.img", &to, 64 * MIB).unwrap_err().to_string();
            assert!(error.contains("too long") || error.contains("too many"), "{numbers}: {error}");
        }
    }

    #[test]
    fn names_of_every_length_and_form_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("{}/root.img", "directory".repeat(20));
        fs::create_dir(dir.path().join("directory".repeat(20))).unwrap();
        fs::write(dir.path().join(&name), "image").unwrap();
        for format in ["--format=gnu", "--format=posix"] {
            let tar = Program::new("tar").arg("-C").arg(dir.path()).args([format, "-cf", "-", "."]);
            let archive = tar.output().unwrap();
            let to = File::create(dir.path().join("to")).unwrap();
            unpack(&*archive, &name, &to, MIB).unwrap();
            assert_eq!(fs::read(dir.path().join("to")).unwrap(), b"image", "{format}");
        }
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
