//! Comparison of kernel versions.

use std::cmp::Ordering;

/// Compares two versions as package managers do: runs of digits as numbers, runs of letters as
/// text, letters before numbers. Separators do not count.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a), parts(b));
    loop {
        let ordering = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => compare_parts(a, b),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}

fn compare_parts(a: &str, b: &str) -> Ordering {
    let is_number = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    match (is_number(a), is_number(b)) {
        (true, true) => {
            // Numbers may exceed 64 bits, so they are compared as digits: the longer one is larger.
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        }
        (a_number, b_number) => a_number.cmp(&b_number).then_with(|| a.cmp(b)),
    }
}

/// Splits a version into runs of digits and runs of letters.
fn parts(version: &str) -> impl Iterator<Item = &str> {
    let mut rest = version;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let digits = rest.chars().next()?.is_ascii_digit();
        let same = |c: char| c.is_ascii_alphanumeric() && c.is_ascii_digit() == digits;
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_digits_compare_as_numbers() {
        for (older, newer) in [
            ("6.6.77-1.fc37", "6.12.21-1.fc37"),
            ("5.15.124-1", "6.6.77-1.fc37"),
            ("4.9.56-21", "4.9.56-21.1"),
            ("6.12.fc37", "6.12.1"),
            ("6.1.099", "6.1.100"),
            ("6.1-rc1", "6.1-rc2"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{older} {newer}");
        }
        assert_eq!(compare("6.1-1", "6.1.01"), Ordering::Equal);
    }
}
