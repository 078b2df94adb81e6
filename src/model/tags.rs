//! Tags of qubes (`docs/spec/r4-properties.md` §6, `docs/spec/r4-features.md` §4, §10).

use smol_str::SmolStr;

use super::draft::Draft;
use super::effect::Change;
use super::qubes::Qubes;
use super::vm::Vm;

/// Why a tag cannot be added or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The store has no qube of this name.
    #[error("no such domain: '{0}'")]
    NoSuchQube(String),
    /// The tag is empty or has other characters than ASCII letters, digits, `_` and `-`.
    #[error("tag '{tag}' for qube '{vm}' is not valid: a tag is made of letters, digits, _ and -")]
    Invalid {
        /// The name of the qube.
        vm: String,
        /// The refused tag.
        tag: String,
    },
    /// The tag is `created-by-X`, and qube X does not exist.
    #[error(
        "tag '{tag}' for qube '{vm}' is not valid: it names its creator, and qube \
         '{creator}' does not exist"
    )]
    NoSuchCreator {
        /// The name of the qube that would get the tag.
        vm: String,
        /// The refused tag.
        tag: String,
        /// The name X of the missing qube.
        creator: String,
    },
}

/// The feature that lists the tags for created qubes.
pub(super) const TAG_CREATED_WITH: &str = "tag-created-vm-with";

/// Prefix of the tag that names the qube that requested the creation of another.
pub const CREATED_BY_PREFIX: &str = "created-by-";

/// Returns whether the text is a valid tag: not empty, only ASCII letters, digits, `_` and `-`.
/// Upstream does not load others.
pub fn is_valid_tag(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Adds a tag to a qube. One that it has stays as it is.
///
/// `created-by-X` also adds the tags that X sets on the qubes it creates (its feature
/// `tag-created-vm-with`).
///
/// # Errors
/// There is no such qube, or the tag is invalid.
pub fn add(draft: &mut Draft, vm: &str, tag: &str) -> Result<Change, TagError> {
    let qubes = &mut draft.qubes;
    let qube = qubes
        .get(vm)
        .ok_or_else(|| TagError::NoSuchQube(vm.to_owned()))?;
    if !is_valid_tag(tag) {
        return Err(TagError::Invalid {
            vm: vm.to_owned(),
            tag: tag.to_owned(),
        });
    }
    if qube.has_tag(tag) {
        return Ok(Change::STORE_ONLY);
    }
    let mut new: Vec<SmolStr> = vec![tag.into()];
    if let Some(creator) = tag.strip_prefix(CREATED_BY_PREFIX) {
        let creator = qubes.get(creator).ok_or_else(|| TagError::NoSuchCreator {
            vm: vm.to_owned(),
            tag: tag.to_owned(),
            creator: creator.to_owned(),
        })?;
        new.extend(for_created_qubes(qubes, creator));
    }
    if let Some(qube) = qubes.edit(vm) {
        for tag in new {
            if !qube.has_tag(&tag) {
                qube.tags.push(tag);
            }
        }
    }
    Ok(Change::STORE_ONLY)
}

/// Removes a tag from a qube, if it has it.
///
/// # Errors
/// There is no such qube, or the qube lacks the tag and the text is not a valid tag.
pub fn remove(draft: &mut Draft, vm: &str, tag: &str) -> Result<Change, TagError> {
    let qubes = &mut draft.qubes;
    let qube = qubes
        .get(vm)
        .ok_or_else(|| TagError::NoSuchQube(vm.to_owned()))?;
    if !qube.has_tag(tag) {
        return match is_valid_tag(tag) {
            true => Ok(Change::STORE_ONLY),
            false => Err(TagError::Invalid {
                vm: vm.to_owned(),
                tag: tag.to_owned(),
            }),
        };
    }
    if let Some(qube) = qubes.edit(vm) {
        qube.tags.retain(|t| &**t != tag);
    }
    Ok(Change::STORE_ONLY)
}

/// Iterates over the words of the feature that lists the tags for created qubes.
fn creation_tag_words(creator: &Vm) -> impl Iterator<Item = &str> {
    creator
        .features
        .get(TAG_CREATED_WITH)
        .unwrap_or_default()
        .split_whitespace()
}

/// Iterates over the tags that `creator` sets on the qubes it creates, without the invalid ones
/// ([`find_creation_problems`]).
pub(super) fn for_created_qubes<'a>(
    qubes: &'a Qubes,
    creator: &'a Vm,
) -> impl Iterator<Item = SmolStr> + 'a {
    creation_tag_words(creator)
        .filter(|word| find_creation_problem(qubes, word).is_none())
        .map(Into::into)
}

/// Explains each word of a qube's feature `tag-created-vm-with` that is not added to the qubes
/// it creates.
pub fn find_creation_problems(qubes: &Qubes, creator: &str) -> Vec<String> {
    let words = qubes.get(creator).into_iter().flat_map(creation_tag_words);
    words
        .filter_map(|word| find_creation_problem(qubes, word))
        .collect()
}

/// Explains why a word cannot be a tag of a created qube, by the rules of [`add`].
pub(super) fn find_creation_problem(qubes: &Qubes, word: &str) -> Option<String> {
    if !is_valid_tag(word) {
        return Some(format!(
            "'{word}' is not a tag: a tag is made of letters, digits, _ and -"
        ));
    }
    let creator = word.strip_prefix(CREATED_BY_PREFIX)?;
    (!qubes.contains(creator)).then(|| {
        format!("'{word}' names the creator of a qube, and qube '{creator}' does not exist")
    })
}
