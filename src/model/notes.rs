//! Notes: free text of the user about a qube, kept in a file of the qube's directory
//! (`docs/spec/r4-adminapi.md`, admin.vm.notes).

use unicode_general_category::{GeneralCategory, get_general_category};

/// The maximum length of notes in bytes of UTF-8; the limit of upstream's daemon.
pub const MAX_BYTES: usize = 256_000;

/// Why the notes of a qube cannot be saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotesError {
    /// The new notes are longer than [`MAX_BYTES`].
    #[error(
        "cannot save the notes of {qube}: they would have {bytes} bytes, and the limit is \
         {MAX_BYTES}; shorten them"
    )]
    TooLong {
        /// The name of the qube.
        qube: String,
        /// The length of the new notes in bytes of UTF-8.
        bytes: usize,
    },
    /// The qube is not a local guest, so it has no directory for its notes.
    #[error("{qube} has no notes: it has no directory on this machine to keep them in")]
    NoDirectory {
        /// The name of the qube.
        qube: String,
    },
}

/// Replaces every character that could deceive a reader by `_`: controls other than tab and line
/// feed, invisible and direction-changing ones (general category Cf and similar), private ones, and
/// those that Unicode 16.0 does not assign.
pub fn sanitize_text(text: &str) -> String {
    text.chars()
        .map(|c| if is_displayable(c) { c } else { '_' })
        .collect()
}

fn is_displayable(c: char) -> bool {
    let is_deceptive = matches!(c as u32,
        0xad | 0x34f | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
        | 0xfff0..=0xfffb | 0xe0000..=0xe0fff);
    use GeneralCategory::{Control, Format, PrivateUse, Surrogate, Unassigned};
    let is_invisible = matches!(
        get_general_category(c),
        Control | Format | PrivateUse | Surrogate | Unassigned
    );
    matches!(c, '\t' | '\n') || !(is_invisible || is_deceptive)
}

/// Appends `more` to the old notes, on a line of its own.
pub fn append_note(old: &str, more: &str) -> String {
    let feed = if old.is_empty() || old.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{old}{feed}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_become_underscores() {
        assert_eq!(
            sanitize_text("a\tzażółć ☃\n漢字 🦀"),
            "a\tzażółć ☃\n漢字 🦀"
        );
        assert_eq!(
            sanitize_text("a\r\x1b[31m\u{202e}b\u{200b}\u{e000}\u{1fffe}"),
            "a__[31m_b___"
        );
    }

    /// Characters of general category Cf, and some unassigned ones.
    #[test]
    fn format_characters_and_unassigned_ones_become_underscores() {
        let format = [
            0x600..=0x605,
            0x6dd..=0x6dd,
            0x70f..=0x70f,
            0x890..=0x891,
            0x8e2..=0x8e2,
            0x110bd..=0x110bd,
        ]
        .into_iter()
        .chain([
            0x110cd..=0x110cd,
            0x13430..=0x13438,
            0x1bca0..=0x1bca3,
            0x1d173..=0x1d17a,
            0xe0001..=0xe007f,
        ]);
        let unassigned = [
            0x378..=0x379,
            0x2fe0..=0x2fef,
            0xfdd0..=0xfdef,
            0x1ffff..=0x1ffff,
            0x30000 - 2..=0x30000 - 1,
        ];
        for code in format
            .chain(unassigned)
            .flatten()
            .filter_map(char::from_u32)
        {
            assert_eq!(
                sanitize_text(&code.to_string()),
                "_",
                "U+{:04X}",
                code as u32
            );
        }
        for kept in ["שלום", "مرحبا", "😀", "e\u{301}", "२", "\u{a0}\u{3000}"] {
            assert_eq!(sanitize_text(kept), kept);
        }
    }

    #[test]
    fn an_appended_note_begins_a_line() {
        assert_eq!(append_note("", "x"), "x");
        assert_eq!(append_note("a", "x"), "a\nx");
        assert_eq!(append_note("a\n", "x"), "a\nx");
    }
}
