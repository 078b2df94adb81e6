//! The texts of true and false.

/// Who reads a text as a boolean: they accept different words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BooleanDialect {
    /// Properties, options of devices and of pools, and users' words: 1, yes, true, on, 0, no,
    /// false, off, in any case (`docs/spec/r4-xml.md` §1.3, `docs/spec/r4-devices.md` §5).
    Literal,
    /// Flags of volumes, as releases after 4.4.0 read them: all but `False` and the empty text is
    /// true (`docs/spec/r4-xml.md` §1.8).
    VolumeFlag,
    /// Flags of pools, as releases after 4.4.0 read them: exactly `True`, 1, on, `False`, 0, off or
    /// the empty text (`docs/spec/r4-xml.md` §1.8).
    PoolFlag,
    /// Features: all but the empty text is true (`docs/spec/r4-features.md` §1).
    Feature,
    /// Features in listings, for which `1`, `true` and `True` are true and all else is false.
    ListedFeature,
    /// Attributes of stores of R3: true and 1, the empty text, 0, false and none, in any case
    /// (`docs/spec/r3-model.md` §3.1).
    R3,
}

impl BooleanDialect {
    /// Parses a boolean; `None` if the text is neither true nor false.
    pub fn parse(self, text: &str) -> Option<bool> {
        // The words for true, the words for false, and what every other text means.
        let (on, off, other): (&[&str], &[&str], Option<bool>) = match self {
            BooleanDialect::Literal => (
                &["true", "1", "yes", "on"],
                &["false", "0", "no", "off"],
                None,
            ),
            BooleanDialect::VolumeFlag => (&[], &["False", ""], Some(true)),
            BooleanDialect::PoolFlag => (&["True", "1", "on"], &["False", "0", "off", ""], None),
            BooleanDialect::Feature => (&[], &[""], Some(true)),
            BooleanDialect::ListedFeature => (&["1", "true", "True"], &[], Some(false)),
            BooleanDialect::R3 => (&["true", "1"], &["", "0", "false", "none"], None),
        };
        let any_case = matches!(self, BooleanDialect::Literal | BooleanDialect::R3);
        let is_word = |word: &&str| match any_case {
            true => text.eq_ignore_ascii_case(word),
            false => text == *word,
        };
        match text {
            _ if on.iter().any(is_word) => Some(true),
            _ if off.iter().any(is_word) => Some(false),
            _ => other,
        }
    }

    /// Returns whether the text means true.
    pub fn is_true(self, text: &str) -> bool {
        self.parse(text) == Some(true)
    }
}

/// Returns the text of a boolean in the store and in listings.
pub fn boolean_text(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_words() {
        use BooleanDialect::{Feature, ListedFeature, Literal, PoolFlag, R3, VolumeFlag};
        let dialects = [Literal, VolumeFlag, PoolFlag, Feature, ListedFeature, R3];
        // In the order of `dialects`: + true, - false, ? neither.
        for (text, expected) in [
            ("True", "++++++"),
            ("true", "++?+++"),
            ("TRUE", "++?+-+"),
            ("1", "++++++"),
            ("on", "++++-?"),
            ("oN", "++?+-?"),
            ("yes", "++?+-?"),
            ("False", "---+--"),
            ("false", "-+?+--"),
            ("0", "-+-+--"),
            ("off", "-+-+-?"),
            ("no", "-+?+-?"),
            ("None", "?+?+--"),
            ("", "?-----"),
            (" 1", "?+?+-?"),
            ("maybe", "?+?+-?"),
        ] {
            let read: String = dialects
                .map(|dialect| match dialect.parse(text) {
                    Some(true) => '+',
                    Some(false) => '-',
                    None => '?',
                })
                .iter()
                .collect();
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
