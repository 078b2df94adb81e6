//! "Did you mean": the name that most likely was meant by an unknown one.

use crate::tools::ui::quoted::quoted;

/// Returns the name that `given` most likely stands for, if one is close: one that differs in case
/// or in `-` and `_` only; else the nearest by insertions, deletions, substitutions and swaps of
/// neighbours, at most one in three characters; else the only one that begins with it or has it as
/// one of its parts (`reflink` in `file-reflink`).
pub fn closest<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let given = normalized(given);
    let length = given.chars().count();
    let mut nearest: Option<(usize, &str)> = None;
    let mut containing: Vec<&str> = Vec::new();
    for name in names {
        let other = normalized(name);
        let limit = (length.max(3) / 3).min(length.min(other.chars().count()).saturating_sub(1));
        let distance = match other == given {
            true => 0,
            false => strsim::osa_distance(&given, &other).max(1),
        };
        let is_close = distance == 0 || distance <= limit;
        if is_close && nearest.is_none_or(|(best, _)| distance < best) {
            nearest = Some((distance, name));
        }
        if has_part(&other, &given) {
            containing.push(name);
        }
    }
    match (nearest, containing.as_slice()) {
        (Some((_, name)), _) => Some(name),
        (None, [name]) => Some(name),
        (None, _) => None,
    }
}

/// Returns `did you mean 'NAME'?` if a name is close.
pub fn did_you_mean<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    closest(given, names).map(|name| format!("did you mean {}?", quoted(name)))
}

fn normalized(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// Whether a name begins with `part` or has it between separators. Too many names have parts of one
/// or two letters, so those do not count.
fn has_part(name: &str, part: &str) -> bool {
    let is_long = part.len() >= 3;
    is_long && name.starts_with(part)
        || part.len() >= 2 && name.split(['-', '.', ':']).any(|word| word == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 9] = [
        "work",
        "vault",
        "sys-net",
        "sys-firewall",
        "memory",
        "AppVM",
        "file-reflink",
        "name",
        "vm1",
    ];

    #[test]
    fn a_close_name_is_found() {
        for (given, meant) in [
            ("wrk", "work"),
            ("Work", "work"),
            ("memroy", "memory"),
            ("AppVm", "AppVM"),
            ("nmae", "name"),
            ("sys_net", "sys-net"),
            ("sys-firewal", "sys-firewall"),
            ("firewall", "sys-firewall"),
            ("reflink", "file-reflink"),
            ("vau", "vault"),
        ] {
            assert_eq!(closest(given, NAMES), Some(meant), "{given}");
        }
    }

    #[test]
    fn distant_or_ambiguous_names_are_not_suggested() {
        for given in ["zzz", "", "x", "sys", "q1", "workstation", "net1234567"] {
            assert_eq!(closest(given, NAMES), None, "{given}");
        }
    }
}
