//! Tags (`docs/spec/r4-properties.md` §6, `docs/spec/r4-features.md` §4, §10).

use smol_str::SmolStr;

use super::features::TAG_CREATED_WITH;
use super::qubes::Qubes;
use super::vm::Vm;

/// Why a tag cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    #[error("no such domain: '{0}'")]
    NoSuchQube(String),
    #[error("tag '{tag}' for qube '{vm}' is not valid: a tag is made of letters, digits, _ and -")]
    Invalid { vm: String, tag: String },
    #[error(
        "tag '{tag}' for qube '{vm}' is not valid: it says which qube made it, and there is no '{creator}'"
    )]
    NoSuchCreator {
        vm: String,
        tag: String,
        creator: String,
    },
}

/// The tag that says which qube asked for another's creation.
pub const CREATED_BY_PREFIX: &str = "created-by-";

/// Whether a text can be a tag: not empty, ASCII letters, digits, `_`, `-`. Upstream does not load
/// others.
pub fn is_valid_tag(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

impl Qubes {
    /// Gives a qube a tag. True when it did not have it before. `created-by-X` brings the tags that
    /// X gives to what it creates (its feature `tag-created-vm-with`).
    ///
    /// # Errors
    /// There is no such qube, or the text is no tag.
    pub fn add_tag(&mut self, vm: &str, tag: &str) -> Result<bool, TagError> {
        let qube = self
            .get(vm)
            .ok_or_else(|| TagError::NoSuchQube(vm.to_owned()))?;
        if !is_valid_tag(tag) {
            return Err(TagError::Invalid {
                vm: vm.to_owned(),
                tag: tag.to_owned(),
            });
        }
        if qube.has_tag(tag) {
            return Ok(false);
        }
        let mut new: Vec<SmolStr> = vec![tag.into()];
        if let Some(creator) = tag.strip_prefix(CREATED_BY_PREFIX) {
            let creator = self.get(creator).ok_or_else(|| TagError::NoSuchCreator {
                vm: vm.to_owned(),
                tag: tag.to_owned(),
                creator: creator.to_owned(),
            })?;
            new.extend(self.tags_for_created_qubes(creator));
        }
        if let Some(qube) = self.edit(vm) {
            for tag in new {
                if !qube.has_tag(&tag) {
                    qube.tags.push(tag);
                }
            }
        }
        Ok(true)
    }

    /// Takes a tag away. True when the qube had it.
    ///
    /// # Errors
    /// There is no such qube, or the qube does not have the text as a tag and no qube can.
    pub fn remove_tag(&mut self, vm: &str, tag: &str) -> Result<bool, TagError> {
        let qube = self
            .get(vm)
            .ok_or_else(|| TagError::NoSuchQube(vm.to_owned()))?;
        if !qube.has_tag(tag) {
            return match is_valid_tag(tag) {
                true => Ok(false),
                false => Err(TagError::Invalid {
                    vm: vm.to_owned(),
                    tag: tag.to_owned(),
                }),
            };
        }
        if let Some(qube) = self.edit(vm) {
            qube.tags.retain(|t| &**t != tag);
        }
        Ok(true)
    }
}

/// The words of the feature by which a qube says which tags it wants on what it creates.
fn words_for_creations(creator: &Vm) -> impl Iterator<Item = &str> {
    creator
        .features
        .get(TAG_CREATED_WITH)
        .unwrap_or_default()
        .split_whitespace()
}

impl Qubes {
    /// The tags that a qube wants on what it creates, without what is not a tag
    /// ([`Qubes::find_creation_tag_problems`]).
    pub(super) fn tags_for_created_qubes<'a>(
        &'a self,
        creator: &'a Vm,
    ) -> impl Iterator<Item = SmolStr> + 'a {
        words_for_creations(creator)
            .filter(|word| self.find_creation_tag_problem(word).is_none())
            .map(Into::into)
    }

    /// Explains each word of a qube's feature `tag-created-vm-with` that what it creates does not
    /// get.
    pub fn find_creation_tag_problems(&self, creator: &str) -> Vec<String> {
        let words = self.get(creator).into_iter().flat_map(words_for_creations);
        words
            .filter_map(|word| self.find_creation_tag_problem(word))
            .collect()
    }

    /// Explains why a word cannot be a tag of what a qube creates: the rules of [`Qubes::add_tag`].
    pub(super) fn find_creation_tag_problem(&self, word: &str) -> Option<String> {
        if !is_valid_tag(word) {
            return Some(format!(
                "'{word}' is not a tag: a tag is made of letters, digits, _ and -"
            ));
        }
        let creator = word.strip_prefix(CREATED_BY_PREFIX)?;
        (!self.contains(creator))
            .then(|| format!("'{word}' says which qube made another, and there is no '{creator}'"))
    }
}
