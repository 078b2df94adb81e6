//! The candidates of a completion.

/// A candidate with its description.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The word.
    pub word: String,
    /// Its description; may be empty.
    pub about: String,
}

/// Creates a candidate.
pub(crate) fn candidate(word: &str, about: &str) -> Candidate {
    Candidate {
        word: word.to_string(),
        about: about.to_string(),
    }
}

/// The completions at the cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// Whether the name of a file fits.
    pub file: bool,
}

impl From<Vec<Candidate>> for Completions {
    fn from(candidates: Vec<Candidate>) -> Completions {
        Completions {
            candidates,
            file: false,
        }
    }
}

impl Completions {
    /// Returns the candidates with `front` before each.
    pub(super) fn with_prefix(mut self, front: &str) -> Completions {
        let words = self.candidates.iter_mut().map(|c| &mut c.word);
        words.for_each(|word| word.insert_str(0, front));
        self
    }
}
