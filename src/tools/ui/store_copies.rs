//! The copies of the store: which can be read, and the best one to go back to.

use std::path::Path;

use crate::clock;
use crate::format::{self, Bytes, Damage};
use crate::lifecycle::Context;
use crate::model::check::Harm;
use crate::store::history::{StoreCopy, list_copies, newest_first};
use crate::store::{StoreError, read_bytes};

/// Returns the copies, oldest first; none if they cannot be listed.
fn list_or_none(context: &Context) -> Vec<StoreCopy> {
    list_copies(&context.system.backup_dir()).unwrap_or_default()
}

/// Returns the times of the copies; none if they cannot be listed.
pub fn copy_times(context: &Context) -> Vec<String> {
    list_or_none(context)
        .iter()
        .map(|copy| copy_time(&copy.path).to_owned())
        .collect()
}

/// Returns the time in the name of a copy.
pub fn copy_time(path: &Path) -> &str {
    let name = path
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let name = name.strip_prefix("qubes-").unwrap_or(name);
    name.strip_suffix(".xml").unwrap_or(name)
}

/// Returns the number of errors, for which qubesd refuses the store.
pub fn count_errors(damages: &[Damage]) -> usize {
    damages
        .iter()
        .filter(|damage| damage.harm == Harm::Refused)
        .count()
}

/// Reads a version and checks that it loads.
pub fn read_loadable(path: &Path) -> Result<Bytes, StoreError> {
    let bytes = read_bytes(path)?;
    let wrong = StoreError::format(path);
    format::check_any_release(&bytes).map_err(wrong)?;
    format::read(bytes.clone()).map_err(wrong)?;
    Ok(bytes)
}

/// A copy that can be read.
pub struct ReadableCopy {
    /// Its time.
    pub time: String,
    /// Its content.
    pub bytes: Bytes,
    /// The number of errors for which qubesd would refuse it.
    pub errors: usize,
}

/// Returns the best of the copies that can be read and are usable: the newest that qubesd would
/// load, else the newest.
pub fn find_best(context: &Context, is_usable: impl Fn(&Bytes) -> bool) -> Option<ReadableCopy> {
    let copies = list_or_none(context);
    let readable = newest_first(&copies, &clock::now())
        .into_iter()
        .filter_map(|copy| {
            let bytes = read_loadable(&copy.path).ok().filter(&is_usable)?;
            let errors = count_errors(&format::find_damage(&bytes, context.facts()));
            Some(ReadableCopy {
                time: copy_time(&copy.path).to_owned(),
                bytes,
                errors,
            })
        });
    let mut newest = None;
    for copy in readable {
        if copy.errors == 0 {
            return Some(copy);
        }
        newest.get_or_insert(copy);
    }
    newest
}

/// Returns what to do if the store cannot be used: go back to the newest copy that loads.
pub fn recovery_advice(context: &Context) -> String {
    match find_best(context, |_| true) {
        Some(ReadableCopy {
            time, errors: 0, ..
        }) => {
            format!(
                "the newest copy that loads is {time}: qubes-db diff {time}, qubes-db restore \
                 {time}"
            )
        }
        Some(ReadableCopy { time, errors, .. }) => {
            let things = if errors == 1 {
                "one thing".to_owned()
            } else {
                format!("{errors} things")
            };
            format!(
                "qubesd would refuse every copy; the newest that can be read is {time}, with \
                 {things} to repair: \
                 qubes-db check {time}"
            )
        }
        None => format!(
            "no copy in {} can be read",
            context.system.backup_dir().display()
        ),
    }
}

/// Returns [`recovery_advice`] for a store that cannot be opened, which may have to be moved away.
pub fn recovery_advice_for(context: &Context, error: &StoreError) -> String {
    match error {
        StoreError::NotAFile { .. }
        | StoreError::DanglingLink { .. }
        | StoreError::TooLarge { .. } => move_away_advice(context),
        StoreError::Io { source, .. } if source.raw_os_error() == Some(nix::libc::ELOOP) => {
            move_away_advice(context)
        }
        _ => recovery_advice(context),
    }
}

/// Returns the advice to move the file away, because no store can be written in its place.
pub fn move_away_advice(context: &Context) -> String {
    let file = context.system.store_file().display();
    format!(
        "move it away first: mv {file} {file}.odd; {}",
        recovery_advice(context)
    )
}
