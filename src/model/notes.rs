//! Notes: what a person wrote down about a qube. Free text, kept in a file of the qube's directory
//! (`spec/r4-adminapi.md`, admin.vm.notes).

/// The longest notes, bytes of UTF-8; the limit of upstream's daemon.
pub const MAX_BYTES: usize = 256_000;

/// Why a text cannot be the notes about a qube.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotesError {
    #[error("the notes of {qube} would have {bytes} bytes; the most is {MAX_BYTES}: shorten them")]
    TooLong { qube: String, bytes: usize },
    #[error("{qube} has no notes: it has no directory on this machine to keep them in")]
    NoPlace { qube: String },
}

/// The text with `_` for every character that could deceive who reads it: controls other than tab and line feed,
/// invisible and direction-changing ones, those that no standard gives a meaning.
pub fn displayable(text: &str) -> String {
    text.chars().map(|c| if is_displayable(c) { c } else { '_' }).collect()
}

fn is_displayable(c: char) -> bool {
    let deceives = matches!(c as u32,
        0xad | 0x34f | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
        | 0xe000..=0xf8ff | 0xfdd0..=0xfdef | 0xfff0..=0xfffb | 0xe0000..=0x10_ffff)
        || (c as u32) & 0xfffe == 0xfffe;
    matches!(c, '\t' | '\n') || !(c.is_control() || deceives)
}

/// Old notes with `more` behind them, on a line of its own.
pub fn appended(old: &str, more: &str) -> String {
    let feed = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
    format!("{old}{feed}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_a_reader_becomes_an_underscore() {
        assert_eq!(displayable("a\tzażółć ☃\n漢字 🦀"), "a\tzażółć ☃\n漢字 🦀");
        assert_eq!(displayable("a\r\x1b[31m\u{202e}b\u{200b}\u{e000}\u{1fffe}"), "a__[31m_b___");
    }

    #[test]
    fn what_is_appended_begins_a_line() {
        assert_eq!(appended("", "x"), "x");
        assert_eq!(appended("a", "x"), "a\nx");
        assert_eq!(appended("a\n", "x"), "a\nx");
    }
}
