//! Reads the members of a tar archive, header by header.

use std::io::{self, ErrorKind, Read};

use tar::{EntryType, GnuExtSparseHeader, Header, PaxExtensions};

use crate::lifecycle::template::image_archive::sparse::{
    BLOCK, SparseMap, invalid_map, parse_number,
};
/// The longest description of one member (long name, long link, POSIX extension), bytes: 1 MiB.
/// Names have at most 4 KiB.
const MAX_DESCRIPTION_BYTES: u64 = 1 << 20;
/// The limit of all headers and descriptions before the image, bytes: 64 MiB.
const MAX_HEADER_BYTES: u64 = 64 << 20;

/// A file, directory or link of an archive, whose data are read next.
pub(super) struct Member {
    /// The kind of member.
    pub kind: EntryType,
    /// The member's path, as bytes.
    pub path: Vec<u8>,
    /// Bytes of data in the archive, without the padding of the last block.
    pub stored: u64,
    /// The description of its holes, if it has one.
    pub sparse: Option<SparseMap>,
}

/// The members of an archive, in order.
pub(super) struct Members<R> {
    /// The archive, positioned at the data of the last member.
    pub archive: R,
    /// Bytes of headers and descriptions read so far.
    headers: u64,
}

impl<R: Read> Members<R> {
    /// Starts at the beginning of an archive.
    pub fn new(archive: R) -> Members<R> {
        Members {
            archive,
            headers: 0,
        }
    }

    /// Reads the descriptions and the header of the next member; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Member>> {
        let (mut long_name, mut extensions) = (None, Vec::new());
        while let Some(header) = self.read_header()? {
            let (kind, size) = (header.entry_type(), header.entry_size()?);
            match kind {
                EntryType::GNULongName => long_name = Some(self.read_description(size)?),
                EntryType::XHeader => extensions = self.read_description(size)?,
                // Link targets and global extensions do not matter for one file.
                EntryType::GNULongLink | EntryType::XGlobalHeader => {
                    self.count(size)?;
                    self.skip(size.next_multiple_of(BLOCK))?;
                }
                kind => {
                    return self
                        .build_member(&header, kind, size, long_name, &extensions)
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

    fn build_member(
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
                b"size" => stored = parse_number(extension.value_bytes())?,
                _ => {}
            }
        }
        let mut sparse = match kind {
            EntryType::GNUSparse => Some(self.read_old_sparse(header, stored)?),
            _ => SparseMap::from_extensions(extensions)?,
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

    /// Reads the pieces of a file in old GNU form: four in its header, the others in blocks between
    /// the header and the data.
    fn read_old_sparse(&mut self, header: &Header, stored: u64) -> io::Result<SparseMap> {
        let gnu = header
            .as_gnu()
            .ok_or_else(|| invalid_map("the header is not one of GNU"))?;
        let mut sparse = SparseMap {
            size: gnu.real_size()?,
            ..SparseMap::default()
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
            false => Err(invalid_map("its pieces are not as long as its data")),
        }
    }

    /// Reads the next header; `None` at the end of the archive.
    fn read_header(&mut self) -> io::Result<Option<Header>> {
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

    /// Reads a description of the next member.
    fn read_description(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_DESCRIPTION_BYTES {
            return Err(too_long());
        }
        self.count(size)?;
        let mut text = vec![0; size as usize];
        self.archive.read_exact(&mut text)?;
        self.skip(size.next_multiple_of(BLOCK) - size)?;
        Ok(text)
    }

    /// Counts bytes of headers against the limit.
    fn count(&mut self, bytes: u64) -> io::Result<()> {
        self.headers = self.headers.saturating_add(bytes);
        if self.headers > MAX_HEADER_BYTES {
            Err(too_long())
        } else {
            Ok(())
        }
    }

    /// Skips bytes of the archive.
    pub fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match io::copy(&mut self.archive.by_ref().take(bytes), &mut io::sink())? == bytes {
            true => Ok(()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Makes the error for headers that are too long.
pub(super) fn too_long() -> io::Error {
    io::Error::other(format!(
        "headers of the archive are too long: one may have {} MiB, all before the image {} MiB",
        MAX_DESCRIPTION_BYTES >> 20,
        MAX_HEADER_BYTES >> 20
    ))
}
