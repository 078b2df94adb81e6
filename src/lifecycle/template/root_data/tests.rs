use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};

use super::*;

fn sparse_tar(directory: &Path, name: &str) -> Vec<u8> {
    let image = File::create_new(directory.join("made")).unwrap();
    image.set_len(48 << 20).unwrap();
    for at in [0, 5 << 20, 20 << 20, 21 << 20, 33 << 20, (48 << 20) - 4] {
        image.write_all_at(b"data", at).unwrap();
    }
    let mut builder = tar::Builder::new(Vec::new());
    builder.sparse(true);
    builder
        .append_path_with_name(directory.join("made"), name)
        .unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn pieces_of_a_sparse_tar_become_the_image_with_its_holes() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["root.img", "./root.img"] {
        let scratch = tempfile::tempdir().unwrap();
        let bytes = sparse_tar(scratch.path(), name);
        assert!(bytes.len() < 2 << 20, "the sample itself is sparse");
        for (number, piece) in bytes.chunks(bytes.len() / 3).enumerate() {
            fs::write(dir.path().join(format!("root.img.part.{number:02}")), piece).unwrap();
        }
        let RootData::Archive(pieces) = RootData::find(dir.path()).unwrap() else {
            panic!("an archive")
        };
        assert_eq!(pieces.len(), 4);
        let to = File::create(dir.path().join("to")).unwrap();
        unpack(
            PieceReader::open(&pieces).unwrap(),
            IMAGE,
            &to,
            MAX_IMAGE_BYTES,
        )
        .unwrap();
        let (made, unpacked) = (scratch.path().join("made"), dir.path().join("to"));
        assert!(fs::read(made).unwrap() == fs::read(&unpacked).unwrap());
        to.sync_all().unwrap();
        assert!(
            fs::metadata(unpacked).unwrap().blocks() * 512 < 2 << 20,
            "holes stay holes"
        );
    }
}

#[test]
fn incomplete_or_foreign_images_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let to = File::create(dir.path().join("to")).unwrap();
    let bytes = sparse_tar(dir.path(), "root.img");
    let cut = unpack(&bytes[..bytes.len() / 2], IMAGE, &to, MAX_IMAGE_BYTES)
        .unwrap_err()
        .to_string();
    assert!(!cut.is_empty());
    let other = tempfile::tempdir().unwrap();
    let error = unpack(
        &*sparse_tar(other.path(), "other.img"),
        IMAGE,
        &to,
        MAX_IMAGE_BYTES,
    )
    .unwrap_err()
    .to_string();
    assert_eq!(error, "no root.img found in the archive");
    assert!(unpack(&b"not an archive"[..], IMAGE, &to, MAX_IMAGE_BYTES).is_err());

    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder
        .append_link(&mut header, "root.img", "/etc/shadow")
        .unwrap();
    let error = unpack(&*builder.into_inner().unwrap(), IMAGE, &to, MAX_IMAGE_BYTES)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("root.img in the archive is not a file"),
        "{error}"
    );
}

/// Changed bytes give the whole image or an error, never a panic or a larger file.
#[test]
fn changed_bytes_give_an_error_or_a_whole_image() {
    let dir = tempfile::tempdir().unwrap();
    let good = sparse_tar(dir.path(), "root.img");
    let mut random = fastrand::Rng::with_seed(3);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(2);
    let (mut errors, mut images) = (0, 0);
    while std::time::Instant::now() < until {
        let mut bytes = good.clone();
        for _ in 0..random.usize(1..4) {
            // Most of the archive is data, in which any byte is valid. The headers come first.
            let at = random.usize(..1024);
            bytes[at] = if random.bool() {
                random.u8(..)
            } else {
                random.u8(b'0'..=b'8')
            };
        }
        bytes.truncate(
            random
                .usize(bytes.len() / 2..bytes.len() * 2)
                .min(bytes.len()),
        );
        let to = tempfile::tempfile_in(dir.path()).unwrap();
        match unpack(&*bytes, IMAGE, &to, 64 << 20) {
            Ok(()) => images += 1,
            Err(_) => errors += 1,
        }
        assert!(to.metadata().unwrap().len() <= 64 << 20);
    }
    assert!(errors > 0 && images > 0, "{errors} errors, {images} images");
}

#[test]
fn links_pipes_and_missing_pieces_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = |dir: &Path| RootData::find(dir).unwrap_err().to_string();
    assert!(
        error(dir.path()).ends_with("no root.img, root.img.tar or root.img.part.00 found in it")
    );
    symlink("/etc/shadow", dir.path().join("root.img")).unwrap();
    assert!(error(dir.path()).contains("root.img"));
    File::create(dir.path().join("root.img.part.01"))
        .unwrap()
        .write_all(b"x")
        .unwrap();
    assert!(error(dir.path()).ends_with("piece root.img.part.00 is missing"));
    let pipe = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&pipe.path().join("root.img"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(error(pipe.path()).ends_with("is not a regular file"));
}
