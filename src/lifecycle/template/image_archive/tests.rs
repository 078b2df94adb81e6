//! Archives of every form, valid and hostile.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use tar::{EntryType, GnuExtSparseHeader, Header};

use crate::exec::Program;
use crate::lifecycle::template::image_archive::*;

const MIB: u64 = 1 << 20;

/// Makes an image with holes at its beginning, in its middle and at its end.
fn image_in(directory: &Path) {
    let image = File::create(directory.join("root.img")).unwrap();
    image.set_len(48 * MIB).unwrap();
    for at in [5 * MIB, 20 * MIB, 21 * MIB + 4096, 33 * MIB] {
        image.write_all_at(b"data", at).unwrap();
    }
    image.sync_all().unwrap();
}

fn packed(directory: &Path, options: &[&str]) -> Vec<u8> {
    let tar = Program::new("tar")
        .args(["--sparse", "-C"])
        .arg(directory)
        .args(options);
    tar.args(["-cf", "-", "./root.img"]).output().unwrap()
}

fn unpacked(archive: &[u8], directory: &Path) -> Result<Vec<u8>, String> {
    let to = File::create(directory.join("to")).unwrap();
    unpack(archive, "root.img", &to, 64 * MIB).map_err(|error| error.to_string())?;
    to.sync_all().unwrap();
    assert!(
        to.metadata().unwrap().blocks() * 512 < MIB,
        "holes stay holes"
    );
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
        assert!(
            archive.len() < 1 << 20,
            "the sample is sparse itself: {options:?}"
        );
        assert!(
            unpacked(&archive, dir.path()).unwrap() == image,
            "{options:?}"
        );
        let cut = unpacked(&archive[..archive.len() / 3], dir.path()).unwrap_err();
        assert!(!cut.contains('\n'), "{options:?}: {cut}");
    }
}

#[test]
fn contradictory_descriptions_are_refused() {
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
    assert!(behind.ends_with("a piece is behind its end"), "{behind}");
    let large = changed(lists, "sparse.size=50331648", "sparse.size=99999999");
    assert!(large.starts_with("root.img has more than"), "{large}");
    let overlap = changed(lists, "sparse.map=5242880,", "sparse.map=9999999999");
    assert!(
        overlap.contains("invalid description of a sparse file"),
        "{overlap}"
    );
    let later = changed(maps, "sparse.major=1", "sparse.major=7");
    assert!(later.ends_with("its form 7.0 is unknown"), "{later}");
}

/// Returns a header of type `kind` that announces `size` bytes. A compressed package can have it at
/// no cost.
fn header(kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_path("././@LongLink").unwrap();
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// An endless archive that counts the bytes read, which must stay far below those announced.
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
fn endless_headers_are_not_read() {
    let to = tempfile::tempfile().unwrap();
    for kind in [
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::GNULongName,
        EntryType::GNULongLink,
    ] {
        for size in [1 << 30, 6 << 30, u64::MAX >> 1] {
            let mut archive = Zeros {
                head: io::Cursor::new(header(kind, size)),
                read: 0,
            };
            let error = unpack(&mut archive, "root.img", &to, 64 * MIB)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("headers of the archive are too long"),
                "{kind:?} {size}: {error}"
            );
            assert!(
                archive.read < 4096,
                "{kind:?} {size}: {} bytes were read",
                archive.read
            );
        }
    }
}

#[test]
fn an_endless_row_of_headers_is_an_error() {
    let to = tempfile::tempfile().unwrap();
    for kind in [
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::GNULongName,
        EntryType::GNULongLink,
    ] {
        let one = [header(kind, MIB), vec![b'a'; MIB as usize]].concat();
        let archive = (0..100).fold(Box::new(io::empty()) as Box<dyn Read>, |all, _| {
            Box::new(all.chain(&*one))
        });
        let error = unpack(archive, "root.img", &to, 64 * MIB)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("headers of the archive are too long"),
            "{kind:?}: {error}"
        );
    }
    // Blocks of pieces, each of which announces another one.
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
        let rest = (0..64).fold(Box::new(io::empty()) as Box<dyn Read>, |all, _| {
            Box::new(all.chain(&*blocks))
        });
        let archive = io::Cursor::new(sparse.as_bytes().to_vec()).chain(rest);
        let error = unpack(archive, "root.img", &to, 64 * MIB)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("too long") || error.contains("too many"),
            "{numbers}: {error}"
        );
    }
}

#[test]
fn names_of_every_length_and_form_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("{}/root.img", "directory".repeat(20));
    fs::create_dir(dir.path().join("directory".repeat(20))).unwrap();
    fs::write(dir.path().join(&name), "image").unwrap();
    for format in ["--format=gnu", "--format=posix"] {
        let tar = Program::new("tar")
            .arg("-C")
            .arg(dir.path())
            .args([format, "-cf", "-", "."]);
        let archive = tar.output().unwrap();
        let to = File::create(dir.path().join("to")).unwrap();
        unpack(&*archive, &name, &to, MIB).unwrap();
        assert_eq!(
            fs::read(dir.path().join("to")).unwrap(),
            b"image",
            "{format}"
        );
    }
}

/// Changed headers give the whole image or an error, never a panic or a larger file.
#[test]
fn changed_headers_give_an_error_or_a_whole_image() {
    let dir = tempfile::tempdir().unwrap();
    image_in(dir.path());
    let mut random = fastrand::Rng::with_seed(5);
    let (mut errors, mut images) = (0, 0);
    for version in [
        "--sparse-version=0.0",
        "--sparse-version=0.1",
        "--sparse-version=1.0",
    ] {
        let good = packed(dir.path(), &["--format=posix", version]);
        for _ in 0..1500 {
            let mut bytes = good.clone();
            for _ in 0..random.usize(1..3) {
                let at = random.usize(512..2600.min(bytes.len()));
                bytes[at] = if random.bool() {
                    random.u8(..)
                } else {
                    random.u8(b'0'..=b'9')
                };
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
