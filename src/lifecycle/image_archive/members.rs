//! The members of an archive and what is said of them, header by header.

use std::io::{self, ErrorKind, Read};

use tar::{EntryType, GnuExtSparseHeader, Header, PaxExtensions};

use super::sparse::{Sparse, contradiction, number};

pub(super) const BLOCK: u64 = 512;
/// The longest description of one member (long name, long link, POSIX extension), bytes: 1 MiB.
/// Names have at most 4 KiB.
const LONGEST_DESCRIPTION: u64 = 1 << 20;
/// All headers and descriptions before the image together, bytes: 64 MiB.
const MOST_HEADERS: u64 = 64 << 20;

/// A file, directory or link of an archive; its data come next.
pub(super) struct Member {
    pub kind: EntryType,
    pub path: Vec<u8>,
    /// Bytes of data in the archive, without what fills the last block.
    pub stored: u64,
    pub sparse: Option<Sparse>,
}

/// The members of an archive, one after the other.
pub(super) struct Members<R> {
    pub archive: R,
    /// Bytes of headers and descriptions so far.
    headers: u64,
}

impl<R: Read> Members<R> {
    /// Reads an archive from its beginning.
    pub fn of(archive: R) -> Members<R> {
        Members {
            archive,
            headers: 0,
        }
    }

    /// The next member, whose descriptions stand before it; none at the end.
    pub fn next(&mut self) -> io::Result<Option<Member>> {
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
                kind => {
                    return self
                        .member(&header, kind, size, long_name, &extensions)
                        .map(Some);
                }
            }
        }
        match long_name.is_none() && extensions.is_empty() {
            true => Ok(None),
            false => Err(io::Error::other(
                "the archive ends after the description of a file",
            )),
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
            Some(name) => name
                .split(|byte| *byte == 0)
                .next()
                .unwrap_or_default()
                .to_vec(),
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
        Ok(Member {
            kind,
            path,
            stored,
            sparse,
        })
    }

    /// The pieces of a file in the form of old GNU: four in its header, the others in blocks
    /// between that and the data.
    fn old_sparse(&mut self, header: &Header, stored: u64) -> io::Result<Sparse> {
        let gnu = header
            .as_gnu()
            .ok_or_else(|| contradiction("the header is not one of GNU"))?;
        let mut sparse = Sparse {
            size: gnu.real_size()?,
            ..Sparse::default()
        };
        sparse.add_old(&gnu.sparse)?;
        let mut is_extended = gnu.is_extended();
        while is_extended {
            let mut block = GnuExtSparseHeader::new();
            self.archive.read_exact(block.as_mut_bytes())?;
            self.count(BLOCK)?;
            sparse.add_old(&block.sparse)?;
            is_extended = block.is_extended();
        }
        let data = sparse
            .pieces
            .iter()
            .try_fold(0_u64, |sum, (_, length)| sum.checked_add(*length));
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
        let plain = block.iter().enumerate().map(|(at, byte)| {
            if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            }
        });
        match header.cksum()? == plain.map(u32::from).sum::<u32>() {
            true => Ok(Some(header)),
            false => Err(io::Error::other(
                "a header of the archive has a wrong checksum",
            )),
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
        if self.headers > MOST_HEADERS {
            Err(too_long())
        } else {
            Ok(())
        }
    }

    pub fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match io::copy(&mut self.archive.by_ref().take(bytes), &mut io::sink())? == bytes {
            true => Ok(()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

pub(super) fn too_long() -> io::Error {
    io::Error::other(format!(
        "headers of the archive are too long: one may have {} MiB, all before the image {} MiB",
        LONGEST_DESCRIPTION >> 20,
        MOST_HEADERS >> 20
    ))
}
