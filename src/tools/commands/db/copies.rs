//! Finds the copies of the store, and the best one to go back to.

use std::path::{Path, PathBuf};

use crate::clock;
use crate::lifecycle::Context;
use crate::store::history::{StoreCopy, list_copies, newest_first};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::store_copies::copy_time;

/// A version of the store: a copy, or the store as it is.
pub struct Version {
    /// Its title in messages: `the store`, or the time of the copy.
    pub title: String,
    /// Its file.
    pub path: PathBuf,
}

/// Returns the copies in `backup/`, oldest first.
pub fn list(context: &Context) -> Result<Vec<StoreCopy>, Failure> {
    let directory = context.system.backup_dir();
    list_copies(&directory).map_err(|e| {
        let reason = crate::fs::errno_text(&e);
        Failure::error(format!(
            "cannot list the copies in {}: {reason}",
            directory.display()
        ))
    })
}

/// Returns the copy that `word` names: a time, a prefix of it, `last`, or a file.
pub fn find(context: &Context, word: &str) -> Result<Version, Failure> {
    if word.contains('/') {
        return Ok(Version {
            title: word.to_owned(),
            path: word.into(),
        });
    }
    let copies = list(context)?;
    let time = copy_time(Path::new(word));
    let exact = copies.iter().find(|c| copy_time(&c.path) == time);
    let matching: Vec<&StoreCopy> = match (word, exact) {
        ("last", _) => newest_first(&copies, &clock::now())
            .first()
            .copied()
            .into_iter()
            .collect(),
        (_, Some(copy)) => vec![copy],
        _ => copies
            .iter()
            .filter(|c| copy_time(&c.path).starts_with(time))
            .collect(),
    };
    match matching.as_slice() {
        [copy] => Ok(copy_version(copy)),
        [] if copies.is_empty() => Err(Failure::error(format!(
            "there is no copy in {}",
            context.system.backup_dir().display()
        ))),
        [] => Err(Failure::error(format!(
            "no copy is called {}; qubes-db history lists them",
            quoted(word)
        ))),
        several => {
            let times: Vec<&str> = several.iter().map(|c| copy_time(&c.path)).collect();
            Err(Failure::error(format!(
                "{} could mean {}",
                quoted(word),
                times.join(", ")
            )))
        }
    }
}

fn copy_version(copy: &StoreCopy) -> Version {
    Version {
        title: copy_time(&copy.path).to_owned(),
        path: copy.path.clone(),
    }
}

/// Returns the present store.
pub fn current_store(context: &Context) -> Version {
    Version {
        title: "the store".to_owned(),
        path: context.system.store_file().to_path_buf(),
    }
}
