//! Reading a store of R1 to R3 with what the old system keeps beside it.

use std::fs;
use std::path::PathBuf;

use crate::format::{FormatError, OldPools, OldStore, OldSystem, import_old_store};
use crate::fs::text_file;
use crate::lifecycle::Context;

/// Reads a store of R1 to R3 into R4's model.
///
/// # Errors
/// The bytes are not such a store.
pub(in crate::lifecycle) fn read_old_store(
    context: &Context,
    bytes: &[u8],
) -> Result<OldStore, FormatError> {
    import_old_store(bytes, &surroundings(context))
}

/// Reads what the old system keeps outside its store. Files that cannot be read are skipped.
fn surroundings(context: &Context) -> OldSystem {
    let pools = text_file::read(&context.system.path_below_root("/etc/qubes/storage.conf"));
    let link = fs::read_link(
        context
            .system
            .link_path_below_root("/var/lib/qubes/dvmdata/vmdir"),
    );
    let name = |target: PathBuf| Some(target.file_name()?.to_str()?.to_owned());
    OldSystem {
        pools: pools.map(|text| OldPools::parse(&text)).unwrap_or_default(),
        dispvm: link.ok().and_then(name),
    }
}
