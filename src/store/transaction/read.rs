//! Reading the store without waiting for writers of ours.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::{StoreLocation, refuse_too_large};
use crate::format::{self, Bytes};
use crate::fs::file_lock::{LockMode, lock_with_timeout, posix_holder, try_lock, unlock};
use crate::fs::replace::retry_interrupted;
use crate::model::Qubes;
use crate::store::cache::{self, Digest};
use crate::store::error::StoreError;
use crate::store::lock::{Locked, lock_path, open};
use crate::store::version::{FileVersion, read_version};

/// A file that a foreign program has locked is taken for complete when nobody has written to it for
/// this long.
const REST: Duration = Duration::from_secs(5);

/// How often a file is read again because somebody without a lock writes to it.
const ATTEMPTS: usize = 8;

/// The store as it was when it was read.
pub struct Read {
    qubes: Qubes,
    content: Content,
    _held: Option<Locked>,
}

impl Read {
    /// Reads the store. Never waits for a writer of ours: they rename, so what one descriptor gives
    /// is one whole version even where a writer holds the lock. Waits for a foreign program that
    /// has just written to the file under its lock.
    pub fn open(place: &StoreLocation) -> Result<Read, StoreError> {
        let file = open(&place.file, LockMode::Shared)?;
        // Where writers wait, readers that overlap would keep them out for long.
        if place.note().nobody_queues() && is_granted(&file) {
            let read = Read::of(&file, place, None);
            // The descriptor is closed next, which releases the lock as well.
            let _closed_next = unlock(&file);
            return read;
        }
        if posix_holder(&file).is_some() {
            return Read::beside_foreign_holder(&file, place);
        }
        let before = FileVersion::try_read(&file);
        let read = Read::of(&file, place, None);
        let is_same = before
            .zip(FileVersion::try_read(&file))
            .is_some_and(|(before, after)| !before.has_other_content(after));
        if let (true, Ok(_)) = (is_same, &read) {
            return read;
        }
        // A foreign program may write in place under its lock: then what was read is not a whole
        // version.
        let locked = lock_path(&place.file, LockMode::Shared, place.wait, &place.note())?;
        Read::of(locked.file(), place, None)
    }

    /// Reads the store and keeps writers out until this is dropped. Waits for a writer as a writer
    /// would.
    pub fn hold(place: &StoreLocation) -> Result<Read, StoreError> {
        let locked = lock_path(&place.file, LockMode::Shared, place.wait, &place.note())?;
        let file = retry_interrupted(|| locked.file().try_clone())
            .map_err(StoreError::io("read", &place.file))?;
        Read::of(&file, place, Some(locked))
    }

    /// Qubes' own Python holds its lock while it prepares a file that it renames into place:
    /// waiting for that could take long and gain nothing. A program that writes in place shows in
    /// the time of the last change: then the lock is waited for, until the file has been at rest.
    fn beside_foreign_holder(file: &File, place: &StoreLocation) -> Result<Read, StoreError> {
        let begun = Instant::now();
        loop {
            let seen = read_version(file, &place.file)?;
            let rest = REST.saturating_sub(age_of(file)).min(place.wait.limit());
            if !rest.is_zero() && lock_with_timeout(file, LockMode::Shared, rest).unwrap_or(false) {
                let read = Read::of(file, place, None);
                let _closed_next = unlock(file);
                return read;
            }
            let first = read_once(file, &place.file)?;
            let is_whole =
                age_of(file) >= REST && !seen.has_other_content(read_version(file, &place.file)?);
            if is_whole
                && *first == *read_once(file, &place.file)?
                && let Ok(read) = Read::of_bytes(first, place, None)
            {
                return Ok(read);
            }
            let left = place.wait.limit().saturating_sub(begun.elapsed());
            if left.is_zero() || rest.is_zero() {
                // It keeps changing, or is not a store as it stands: only the lock helps.
                let place = StoreLocation {
                    wait: crate::store::LockWait::up_to(left),
                    ..place.clone()
                };
                let locked = lock_path(&place.file, LockMode::Shared, place.wait, &place.note())?;
                return Read::of(locked.file(), &place, None);
            }
        }
    }

    fn of(file: &File, place: &StoreLocation, held: Option<Locked>) -> Result<Read, StoreError> {
        Read::of_bytes(read_stable(file, &place.file)?, place, held)
    }

    fn of_bytes(
        bytes: Bytes,
        place: &StoreLocation,
        held: Option<Locked>,
    ) -> Result<Read, StoreError> {
        let wrong = |source| StoreError::Format {
            path: place.file.clone(),
            source,
        };
        let qubes = format::open(Arc::new(bytes.clone())).map_err(wrong)?;
        Ok(Read {
            qubes,
            content: Content::new(bytes, place),
            _held: held,
        })
    }

    /// What an earlier reader has left in RUN under `name` about a store of this very content.
    pub fn read_cache(&self, name: &str) -> Option<String> {
        self.content.read_cache(name)
    }

    /// Leaves in RUN under `name` what was found out about this content, for the next reader. Where
    /// that is not possible, the next reader finds out by itself.
    pub fn write_cache(&self, name: &str, text: &str) {
        cache::write(&self.content.place, self.content.digest(), name, text);
    }

    /// The whole text that the collection was read from.
    pub fn bytes(&self) -> &Bytes {
        &self.content.bytes
    }

    /// The collection without the transaction.
    pub fn into_qubes(self) -> Qubes {
        self.qubes
    }
}

impl Deref for Read {
    type Target = Qubes;

    fn deref(&self) -> &Qubes {
        &self.qubes
    }
}

/// The bytes of a store, and what others have said about them.
pub(super) struct Content {
    pub bytes: Bytes,
    place: StoreLocation,
    digest: OnceCell<Digest>,
}

impl Content {
    pub fn new(bytes: Bytes, place: &StoreLocation) -> Content {
        Content {
            bytes,
            place: place.clone(),
            digest: OnceCell::new(),
        }
    }

    fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::new(&self.bytes))
    }

    pub fn read_cache(&self, name: &str) -> Option<String> {
        cache::read(&self.place, || self.digest(), name)
    }
}

/// Reads a store or a copy of one, whatever the bytes mean, with the same care as [`Read::open`]
/// but without waiting.
pub fn read_bytes(path: &Path) -> Result<Bytes, StoreError> {
    let file = open(path, LockMode::Shared)?;
    let is_locked = is_granted(&file);
    let bytes = read_stable(&file, path);
    if is_locked {
        let _closed_next = unlock(&file);
    }
    bytes
}

/// Whether the shared lock was granted. Where files cannot be locked (NFS without lockd) nobody
/// else has a lock either.
fn is_granted(file: &File) -> bool {
    try_lock(file, LockMode::Shared).unwrap_or(false)
}

/// Reads the whole file, and again while somebody who does not lock it writes to it.
pub(super) fn read_stable(file: &File, path: &Path) -> Result<Bytes, StoreError> {
    for attempt in 1_u64.. {
        let before = read_version(file, path)?;
        let bytes = read_once(file, path)?;
        if !before.has_other_content(read_version(file, path)?) || attempt >= ATTEMPTS as u64 {
            return Ok(bytes);
        }
        thread::sleep(Duration::from_millis(attempt));
    }
    read_once(file, path)
}

pub(super) fn read_once(file: &File, path: &Path) -> Result<Bytes, StoreError> {
    let size = refuse_too_large(file, path)?;
    let bytes = read_whole(file, size as usize).map_err(StoreError::io("read", path))?;
    // It may have grown meanwhile.
    match bytes.len() > format::MAX_BYTES {
        true => refuse_too_large(file, path).map(|_shorter_again| bytes),
        false => Ok(bytes),
    }
}

/// Reads `file`, which is said to have `size` bytes, from its beginning to its end, or to where it
/// is longer than a store.
fn read_whole(mut file: &File, size: usize) -> io::Result<Bytes> {
    retry_interrupted(|| file.rewind())?;
    let mut bytes = Vec::with_capacity(size + 1);
    file.take(format::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// How long ago the content changed; zero for a time in the future.
fn age_of(file: &File) -> Duration {
    let changed = file.metadata().and_then(|metadata| metadata.modified());
    changed
        .ok()
        .and_then(|changed| SystemTime::now().duration_since(changed).ok())
        .unwrap_or_default()
}
