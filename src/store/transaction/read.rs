//! Reads the store without waiting for this program's writers.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::ops::Deref;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::format::{self, Bytes};
use crate::fs::file_lock::{LockMode, lock_with_timeout, posix_holder, try_lock, unlock};
use crate::fs::replace::retry_interrupted;
use crate::model::Qubes;
use crate::store::cache::{self, Digest};
use crate::store::error::StoreError;
use crate::store::location::StoreLocation;
use crate::store::lock::{Locked, lock_path, open};
use crate::store::version::{FileVersion, read_version};

/// A file that a foreign program has locked counts as complete if it was not modified for this
/// long.
const QUIET_TIME: Duration = Duration::from_secs(5);

/// How often a file is read that a program without a lock keeps modifying.
const MAX_ATTEMPTS: usize = 8;

/// The store as it was when it was read.
pub struct Read {
    qubes: Qubes,
    content: Content,
    _held: Option<Locked>,
}

impl Read {
    /// Reads the store. Does not wait for this program's writers: they rename, so one descriptor
    /// reads one whole version even while a writer holds the lock. Waits for a foreign program that
    /// holds the lock and has just modified the file.
    pub fn open(place: &StoreLocation) -> Result<Read, StoreError> {
        let file = open(&place.file, LockMode::Shared)?;
        // Overlapping shared locks would keep waiting writers out for long.
        if place.lock_files().is_queue_empty() && try_lock_shared(&file) {
            let read = Read::from_file(&file, place, None);
            // The descriptor is closed next, which releases the lock as well.
            let _closed_next = unlock(&file);
            return read;
        }
        if posix_holder(&file).is_some() {
            return Read::beside_foreign_holder(&file, place);
        }
        let before = FileVersion::try_read(&file);
        let read = Read::from_file(&file, place, None);
        let is_same = before
            .zip(FileVersion::try_read(&file))
            .is_some_and(|(before, after)| !before.has_other_content(after));
        if let (true, Ok(_)) = (is_same, &read) {
            return read;
        }
        // A foreign program may write in place under its lock: then the bytes are not one whole
        // version.
        let locked = lock_path(
            &place.file,
            LockMode::Shared,
            place.wait,
            &place.lock_files(),
        )?;
        Read::from_file(locked.file(), place, None)
    }

    /// Reads the store and keeps writers out until this is dropped. Waits for a writer up to
    /// [`StoreLocation::wait`].
    pub fn hold(place: &StoreLocation) -> Result<Read, StoreError> {
        let locked = lock_path(
            &place.file,
            LockMode::Shared,
            place.wait,
            &place.lock_files(),
        )?;
        let file = retry_interrupted(|| locked.file().try_clone())
            .map_err(StoreError::io("read", &place.file))?;
        Read::from_file(&file, place, Some(locked))
    }

    /// Reads the store while a foreign program holds the lock.
    ///
    /// Qubes' own Python holds its lock while it prepares a file that it renames into place:
    /// waiting for that is slow and useless. A program that writes in place is detected by the
    /// modification time: then this waits for the lock until the file was not modified for
    /// [`QUIET_TIME`].
    fn beside_foreign_holder(file: &File, place: &StoreLocation) -> Result<Read, StoreError> {
        let begun = Instant::now();
        loop {
            let version = read_version(file, &place.file)?;
            let pause = QUIET_TIME
                .saturating_sub(age_of(file))
                .min(place.wait.limit());
            if !pause.is_zero() && lock_with_timeout(file, LockMode::Shared, pause).unwrap_or(false)
            {
                let read = Read::from_file(file, place, None);
                let _closed_next = unlock(file);
                return read;
            }
            let first = read_once(file, &place.file)?;
            let is_whole = age_of(file) >= QUIET_TIME
                && !version.has_other_content(read_version(file, &place.file)?);
            if is_whole
                && *first == *read_once(file, &place.file)?
                && let Ok(read) = Read::from_bytes(first, place, None)
            {
                return Ok(read);
            }
            let left = place.wait.limit().saturating_sub(begun.elapsed());
            if left.is_zero() || pause.is_zero() {
                // The file keeps changing, or is not a valid store: read it under the lock.
                let place = StoreLocation {
                    wait: crate::store::LockWait::up_to(left),
                    ..place.clone()
                };
                let locked = lock_path(
                    &place.file,
                    LockMode::Shared,
                    place.wait,
                    &place.lock_files(),
                )?;
                return Read::from_file(locked.file(), &place, None);
            }
        }
    }

    /// Reads the store from a file, which `held` keeps locked.
    fn from_file(
        file: &File,
        place: &StoreLocation,
        held: Option<Locked>,
    ) -> Result<Read, StoreError> {
        Read::from_bytes(read_stable(file, &place.file)?, place, held)
    }

    /// Loads the store from its bytes.
    fn from_bytes(
        bytes: Bytes,
        place: &StoreLocation,
        held: Option<Locked>,
    ) -> Result<Read, StoreError> {
        let wrong = StoreError::format(&place.file);
        let qubes = format::read(bytes.clone()).map_err(wrong)?;
        Ok(Read {
            qubes,
            content: Content::new(bytes, place),
            _held: held,
        })
    }

    /// Returns what an earlier command cached in RUN under `name` about exactly this content.
    pub fn read_cache(&self, name: &str) -> Option<String> {
        self.content.read_cache(name)
    }

    /// Caches in RUN under `name` what was found out about this content, for the next command. An
    /// error is ignored: the next command then finds out by itself.
    pub fn write_cache(&self, name: &str, text: &str) {
        cache::write(&self.content.place, self.content.digest(), name, text);
    }

    /// Returns the bytes that the collection was read from.
    pub fn bytes(&self) -> &Bytes {
        &self.content.bytes
    }

    /// Returns the collection without the transaction.
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

/// The bytes of a store, with their digest once it is computed.
pub(super) struct Content {
    pub bytes: Bytes,
    place: StoreLocation,
    digest: OnceCell<Digest>,
}

impl Content {
    /// Wraps the bytes of the store at `place`.
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

    /// Returns what is cached in RUN under `name` about these bytes.
    pub fn read_cache(&self, name: &str) -> Option<String> {
        cache::read(&self.place, || self.digest(), name)
    }
}

/// Reads the bytes of a store or of a copy, valid or not. Reads under the shared lock if it is
/// free, and never waits for it.
pub fn read_bytes(path: &Path) -> Result<Bytes, StoreError> {
    let file = open(path, LockMode::Shared)?;
    let is_locked = try_lock_shared(&file);
    let bytes = read_stable(&file, path);
    if is_locked {
        let _closed_next = unlock(&file);
    }
    bytes
}

/// Takes the shared lock if it is free. Returns false as well where files cannot be locked (NFS
/// without lockd): no other process has a lock there either.
fn try_lock_shared(file: &File) -> bool {
    try_lock(file, LockMode::Shared).unwrap_or(false)
}

/// Reads the whole file, and reads it again while a program without a lock modifies it.
pub(super) fn read_stable(file: &File, path: &Path) -> Result<Bytes, StoreError> {
    for attempt in 1_u64.. {
        let before = read_version(file, path)?;
        let bytes = read_once(file, path)?;
        if !before.has_other_content(read_version(file, path)?) || attempt >= MAX_ATTEMPTS as u64 {
            return Ok(bytes);
        }
        thread::sleep(Duration::from_millis(attempt));
    }
    read_once(file, path)
}

/// Reads the whole file once.
pub(super) fn read_once(file: &File, path: &Path) -> Result<Bytes, StoreError> {
    let size = refuse_too_large(file, path)?;
    let bytes = read_whole(file, size as usize).map_err(StoreError::io("read", path))?;
    // The file may have grown since its size was checked.
    match bytes.len() > format::MAX_BYTES {
        true => refuse_too_large(file, path).map(|_shorter_again| bytes),
        false => Ok(bytes),
    }
}

/// Returns the size of a file in bytes, or an error if it is longer than a store can be.
fn refuse_too_large(file: &File, path: &Path) -> Result<u64, StoreError> {
    match retry_interrupted(|| file.metadata())
        .map_err(StoreError::io("read", path))?
        .len()
    {
        bytes if bytes > format::MAX_BYTES as u64 => Err(StoreError::TooLarge {
            path: path.into(),
            bytes,
        }),
        bytes => Ok(bytes),
    }
}

/// Reads `file` from its beginning to its end, or to one byte more than a store can have. `size` is
/// the expected length in bytes.
fn read_whole(mut file: &File, size: usize) -> io::Result<Bytes> {
    retry_interrupted(|| file.rewind())?;
    let mut bytes = Vec::with_capacity(size + 1);
    file.take(format::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// Returns how long ago the file was modified; zero for a time in the future.
fn age_of(file: &File) -> Duration {
    let changed = file.metadata().and_then(|metadata| metadata.modified());
    changed
        .ok()
        .and_then(|changed| SystemTime::now().duration_since(changed).ok())
        .unwrap_or_default()
}
