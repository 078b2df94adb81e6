//! Sizes as people write them.

/// Parses a size: bytes, or an integer with K, KB, M, MB, G, GB (powers of 1000) or Ki, KiB, Mi,
/// MiB, Gi, GiB (1024), in any case (`docs/spec/r4-tools.md` §1.5). `None` for anything else,
/// fractions included.
pub fn parse(text: &str) -> Option<u64> {
    let units = [
        ("KIB", 1 << 10),
        ("MIB", 1 << 20),
        ("GIB", 1 << 30),
        ("KI", 1 << 10),
        ("MI", 1 << 20),
        ("GI", 1 << 30),
    ];
    let decimal = [
        ("KB", 1000),
        ("MB", 1000_u64.pow(2)),
        ("GB", 1000_u64.pow(3)),
    ];
    let short = [("K", 1000), ("M", 1000_u64.pow(2)), ("G", 1000_u64.pow(3))];
    with_units(text, units.into_iter().chain(decimal).chain(short))
}

/// Parses a size as R3 did: K, KB, M, MB, G, GB are powers of 1024 (`docs/spec/r3-tools.md` §4).
pub fn parse_as_r3(text: &str) -> Option<u64> {
    let units = [
        ("KB", 1 << 10),
        ("MB", 1 << 20),
        ("GB", 1 << 30),
        ("K", 1 << 10),
        ("M", 1 << 20),
        ("G", 1 << 30),
    ];
    with_units(text, units.into_iter())
}

fn with_units(text: &str, mut units: impl Iterator<Item = (&'static str, u64)>) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let (number, unit) = match units.find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
    {
        Some((number, unit)) => (number.trim_end(), unit),
        None => (text.as_str(), 1),
    };
    let is_plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    if is_plain {
        number.parse::<u64>().ok()?.checked_mul(unit)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_with_units_of_r4_and_r3() {
        let today = [
            ("5", 5),
            ("2k", 2000),
            ("2 KB", 2000),
            ("3MiB", 3 << 20),
            ("3mi", 3 << 20),
            ("1G", 1_000_000_000),
        ];
        for (text, bytes) in today {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "3T",
            "1.5G",
            "-1",
            "G",
            "0x10",
            "99999999999999999999",
            "99999999999G",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse_as_r3("2 GB"), Some(2 << 30));
        assert_eq!(parse_as_r3("1m"), Some(1 << 20));
        assert_eq!(parse_as_r3("1MiB"), None);
    }
}
