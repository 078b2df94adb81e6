//! Warns of a pool that is nearly full, while there is still time to free space.

use super::{Driver, StorageError};

/// The usage in percent from which a pool counts as nearly full, unless core.toml sets another: the
/// threshold of Qubes' disk space widget.
pub const NEARLY_FULL: u64 = 90;

/// The size and the usage of a pool, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceUsage {
    /// The size in bytes.
    pub size: u64,
    /// The usage in bytes.
    pub used: u64,
}

impl SpaceUsage {
    /// Returns the free space in bytes.
    pub fn free(self) -> u64 {
        self.size.saturating_sub(self.used)
    }

    /// Returns the usage in whole percent, rounded down; 0 for a size of 0, which means unknown.
    pub fn percent(self) -> u64 {
        let share = (u128::from(self.used) * 100)
            .checked_div(u128::from(self.size))
            .unwrap_or(0);
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Whether the usage has reached `threshold`, in percent.
    pub fn is_nearly_full(self, threshold: u64) -> bool {
        self.percent() >= threshold
    }
}

impl From<(u64, u64)> for SpaceUsage {
    /// Converts what [`super::PoolSpace::capacity`] returns.
    fn from((size, used): (u64, u64)) -> SpaceUsage {
        SpaceUsage { size, used }
    }
}

/// Returns the warnings about the pool `name`: one for its data and one for its metadata, each if
/// the usage has reached `threshold` percent ([`NEARLY_FULL`] by default).
///
/// # Errors
/// The driver cannot determine the usage.
pub fn warnings(
    name: &str,
    driver: &dyn Driver,
    threshold: Option<u64>,
) -> Result<Vec<String>, StorageError> {
    let threshold = threshold.unwrap_or(NEARLY_FULL);
    let data = driver.capacity()?.map(SpaceUsage::from);
    let metadata = driver.metadata_capacity()?.map(SpaceUsage::from);
    let data_warning = data.and_then(|usage| warning(name, "", usage, threshold));
    let metadata_warning = metadata
        .and_then(|usage| warning(name, " for its bookkeeping (metadata)", usage, threshold));
    Ok(data_warning.into_iter().chain(metadata_warning).collect())
}

/// Returns the warning about one part of a pool, if it is nearly full. `purpose` follows the word
/// "room".
fn warning(name: &str, purpose: &str, usage: SpaceUsage, threshold: u64) -> Option<String> {
    if !usage.is_nearly_full(threshold) {
        return None;
    }
    let (percent, left) = (usage.percent(), format_bytes(usage.free()));
    Some(format!(
        "pool {name} is nearly full: {percent}% of its room{purpose} is in use, {left} are left; \
         when it is full, qubes can neither start nor save what they write"
    ))
}

/// Formats bytes for people: `312 MiB`, `1.5 GiB`.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        None => format!("{bytes} bytes"),
        Some((name, unit)) if bytes / unit < 10 && !bytes.is_multiple_of(*unit) => {
            format!("{}.{} {name}", bytes / unit, (bytes % unit) * 10 / unit)
        }
        Some((name, unit)) => format!("{} {name}", bytes / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_reported_from_90_percent_on() {
        let room = |size, used| SpaceUsage { size, used };
        let warning = |usage| warning("p", "", usage, NEARLY_FULL);
        assert_eq!(warning(room(1000, 899)), None);
        let message = warning(room(10 << 30, 9 << 30)).unwrap();
        assert!(
            message
                .starts_with("pool p is nearly full: 90% of its room is in use, 1 GiB are left; "),
            "{message}"
        );
        assert!(
            warning(room(u64::MAX, u64::MAX))
                .unwrap()
                .contains(" 100% ")
        );
        assert_eq!(warning(room(0, 0)), None, "nothing is known of it");
        assert_eq!(room(10, 12).free(), 0);
    }

    #[test]
    fn bytes_are_formatted_in_the_largest_unit() {
        let shown: Vec<String> = [
            0,
            1023,
            1024,
            1536,
            300 << 20,
            (3 << 29) + 5,
            10 << 30,
            5 << 40,
        ]
        .map(format_bytes)
        .into();
        assert_eq!(
            shown,
            [
                "0 bytes",
                "1023 bytes",
                "1 KiB",
                "1.5 KiB",
                "300 MiB",
                "1.5 GiB",
                "10 GiB",
                "5 TiB"
            ]
        );
    }
}
