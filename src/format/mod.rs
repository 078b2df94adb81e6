//! Reads and writes qubes.xml: an index of the domains, a reader that parses a domain on demand,
//! and a writer that copies untouched spans.
//!
//! [`read`] takes the bytes of a file and returns a [`Qubes`] that parses a domain when it is first
//! accessed. [`write()`] takes the same bytes and the collection and returns the new bytes: an
//! untouched domain is copied byte for byte, and in a touched domain only the differences are
//! changed. The grammar is `docs/spec/r4-xml.md`.

use std::sync::Arc;

mod document;
mod error;
mod r3;
mod repair;
pub(crate) mod xml;

pub use document::all_domains::list_all_domains;
pub use document::changes::{OriginalStore, StoreChanges};
pub use document::index;
pub use error::FormatError;
pub use r3::python_literal::parse_device_list;
pub use r3::{ConversionLoss, OldPools, OldQubeFiles, OldStore, OldSystem, import_old_store};
pub use repair::{
    Damage, LostPiece, RepairedStore, SalvageStep, SalvagedStore, SourceLines, complete_from_copy,
    find_damage, repair, salvage,
};
pub use xml::token::Span;

use crate::model::Qubes;
use document::{emit_store, verify};

/// Largest store that is read, in bytes: thirty times what a thousand qubes need.
pub const MAX_BYTES: usize = 64 << 20;

/// The bytes of a store, shared by everything that parses domains out of them.
pub type Bytes = Arc<Vec<u8>>;

/// Reads a store of any release. Domains are parsed on first access; an error inside a domain
/// becomes a diagnosis of that qube. A store of R1 to R3 is read as a whole and cannot be changed
/// in place, only written as a new store.
///
/// # Errors
/// The bytes are not a store, or not well-formed outside the domains.
pub fn read(bytes: impl Into<Bytes>) -> Result<Qubes, FormatError> {
    let bytes = bytes.into();
    match read_r4(bytes.clone()) {
        Err(FormatError::OldFormat) => r3::read(&bytes),
        read => read,
    }
}

/// Reads a store of R4.
///
/// # Errors
/// The bytes are not a store of R4. A store of R1 to R3 is [`FormatError::OldFormat`].
pub fn read_r4(bytes: impl Into<Bytes>) -> Result<Qubes, FormatError> {
    document::open(&bytes.into()).map(|(qubes, _)| qubes)
}

/// Returns the bytes of `qubes`, which was read from `source` and may have been changed since.
/// Where nothing differs, they are the bytes of `source`.
///
/// # Errors
/// `source` is not well-formed, or a value cannot be written in XML.
pub fn write(source: &[u8], qubes: &Qubes) -> Result<Vec<u8>, FormatError> {
    let (_, original) = OriginalStore::open(&source.to_vec().into())?;
    apply_changes(source, &original.changes(qubes)?, qubes).map(|new| new.to_vec())
}

/// Applies `changes` to `source` and reads the result back before anybody writes it.
///
/// # Errors
/// The result would not be read as a store, or not as `qubes`.
pub fn apply_changes(
    source: &[u8],
    changes: &StoreChanges,
    qubes: &Qubes,
) -> Result<Bytes, FormatError> {
    let written = Bytes::from(changes.apply(source));
    verify::verify(&written, qubes)?;
    Ok(written)
}

/// Returns the bytes of a new store, in the form upstream writes.
///
/// # Errors
/// A value cannot be written in XML.
pub fn write_new(qubes: &Qubes) -> Result<Vec<u8>, FormatError> {
    emit_store::emit_store(qubes).map(String::into_bytes)
}

/// Checks every byte strictly, as is done before each write. What passes can be parsed by
/// upstream's XML parser.
///
/// # Errors
/// The bytes are not a well-formed store of R4.
pub fn check(bytes: &[u8]) -> Result<(), FormatError> {
    document::parse_outline(bytes).map(|_| ())
}

/// Checks every byte of a store that is only read: a store of R1 to R3 passes, too.
///
/// # Errors
/// The bytes are not a well-formed store of any release.
pub fn check_any_release(bytes: &[u8]) -> Result<(), FormatError> {
    match check(bytes) {
        Err(FormatError::OldFormat) => Ok(()),
        checked => checked,
    }
}
