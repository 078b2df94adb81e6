//! The names of block devices in a guest: `xvdi` and after.

use crate::hypervisor::description::{DeviceKind, DomainDescription};
use crate::model::device::DeviceAssignment;

/// The reason why another disk cannot be attached: disk names end at `z`.
pub(in crate::lifecycle) const NO_FREE_DISK_NAME: &str =
    "the qube has no free name for another disk (i to z)";

/// The letters that disk names of one domain end in: `i` of `xvdi`.
#[derive(Debug)]
pub(in crate::lifecycle) struct DiskLetters {
    taken: Vec<char>,
}

impl DiskLetters {
    /// Creates the set of letters that a description leaves free beside its volumes and block
    /// devices.
    pub(in crate::lifecycle) fn new(description: &DomainDescription) -> DiskLetters {
        let volumes = 'a'..=if description.kernel.is_some() {
            'd'
        } else {
            'c'
        };
        DiskLetters {
            taken: volumes
                .chain(description.block_devices.iter().map(|device| device.letter))
                .collect(),
        }
    }

    /// Reserves this letter; `None` if it is taken.
    fn reserve(&mut self, letter: char) -> Option<char> {
        let free = letter.is_ascii_lowercase() && !self.taken.contains(&letter);
        self.taken.extend(free.then_some(letter));
        free.then_some(letter)
    }

    /// Reserves the next letter for a disk beside the volumes.
    pub(in crate::lifecycle) fn reserve_next(&mut self) -> Option<char> {
        ('i'..='z').find_map(|letter| self.reserve(letter))
    }
}

/// Returns the name of a block device in the guest, and its letter: the requested name, else `xvdd`
/// for a CD if no kernel volume has it, else the next free one.
pub(super) fn choose_disk_name(
    assignment: &DeviceAssignment,
    kind: DeviceKind,
    description: &DomainDescription,
    letters: &mut DiskLetters,
) -> Result<(String, char), String> {
    if let Some(requested) = assignment.options.get("frontend-dev") {
        let one = |text: &str| {
            text.chars()
                .next()
                .filter(|letter| text.len() == letter.len_utf8())
        };
        let letter = requested
            .strip_prefix("xvd")
            .or_else(|| requested.strip_prefix("sd"))
            .and_then(one);
        let free = letter.and_then(|letter| letters.reserve(letter));
        let refused = || {
            format!(
                "option frontend-dev is '{}', expected xvd or sd and a free letter",
                requested.escape_debug()
            )
        };
        return Ok((requested.to_string(), free.ok_or_else(refused)?));
    }
    let preferred = (kind == DeviceKind::Cdrom && description.kernel.is_none()).then_some('d');
    let letter = preferred
        .and_then(|letter| letters.reserve(letter))
        .or_else(|| letters.reserve_next());
    let letter = letter.ok_or(NO_FREE_DISK_NAME)?;
    Ok((format!("xvd{letter}"), letter))
}
