//! Volumes for tests of storage, and data for them.

use std::fmt::Debug;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write as _};
use std::os::unix::fs::FileExt;
use std::path::Path;

use qubes::storage::{StorageError, Volume, VolumeData, VolumeRevisions, copy_file_data};

/// Bytes of a MiB.
pub const MIB: u64 = 1 << 20;

/// Returns bytes that cannot be compressed and contain no zeros to skip.
pub fn random_bytes(count: u64, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(count).unwrap()];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// Fills the file system of `directory` with files `filler-N`: in large pieces first, then in smaller
/// ones of these sizes in bytes.
pub fn fill_disk(directory: &Path, sizes: &[usize], seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for (number, size) in sizes.iter().enumerate() {
        let Ok(mut file) = File::create(directory.join(format!("filler-{number}"))) else {
            break;
        };
        let mut piece = vec![0; *size];
        random.fill(&mut piece);
        while file.write_all(&piece).is_ok() {}
        let _full = file.sync_all();
    }
}

/// Returns a volume of a qube that keeps what is written; `debian` is a template.
pub fn origin(pool: &str, qube: &str, name: &str, size: u64) -> Volume {
    let prefix = if qube == "debian" {
        "vm-templates"
    } else {
        "appvms"
    };
    Volume {
        owner: qube.into(),
        name: name.into(),
        pool: pool.into(),
        vid: format!("{prefix}/{qube}/{name}"),
        save_on_stop: true,
        rw: true,
        size,
        revisions_to_keep: 1,
        ..Volume::default()
    }
}

/// Returns a snapshot, which belongs to `qube`, of a volume.
pub fn snapshot(qube: &str, source: &Volume) -> Volume {
    Volume {
        snap_on_start: true,
        save_on_stop: false,
        source: Some(source.vid.clone()),
        ..origin(&source.pool, qube, &source.name, source.size)
    }
}

/// Returns the ids of a volume's revisions, oldest first.
pub fn revision_ids(driver: &dyn VolumeRevisions, volume: &Volume) -> Vec<String> {
    let revisions = driver.revisions(volume).unwrap();
    revisions.into_iter().map(|revision| revision.id).collect()
}

/// Returns the text of at most 16 bytes that a guest wrote at this place of an image.
pub fn text_in(image: &Path, at: u64) -> String {
    let mut bytes = [0; 16];
    let file = File::open(image).unwrap();
    file.read_exact_at(&mut bytes, at).unwrap();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .to_string()
}

/// Returns the message of an error, which is one line.
pub fn refusal<T: Debug>(result: Result<T, StorageError>) -> String {
    let text = result.unwrap_err().to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

/// Replaces the data of a volume with those of a file or device.
pub fn import_file(
    driver: &dyn VolumeData,
    volume: &Volume,
    from: &Path,
) -> Result<(), StorageError> {
    let mut from = File::open(from).unwrap();
    let wanted = Volume {
        size: from.seek(SeekFrom::End(0)).unwrap(),
        ..volume.clone()
    };
    from.rewind().unwrap();
    driver.import_with(&wanted, &mut |to| copy_file_data(&from, to, &|_| ()))
}
