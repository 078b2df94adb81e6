//! The texts of each command's manual page, by what the commands are for.

mod power;
mod qubes;
mod settings;
mod shared_texts;
mod storage;
mod store;
mod templates;

use super::page::Page;

/// The pages of all commands that are not hidden.
pub(super) fn all() -> impl Iterator<Item = &'static Page> {
    let groups = [
        qubes::PAGES,
        power::PAGES,
        settings::PAGES,
        storage::PAGES,
        store::PAGES,
        templates::PAGES,
    ];
    groups.into_iter().flatten()
}
