//! Whether a pool is about to be full: told while there is still time to do something about it.

use super::{Driver, StorageError};

/// From this share of a place on, in percent, its pool counts as nearly full unless core.toml says
/// otherwise. The share at which Qubes' own disk space widget begins to warn.
pub const NEARLY_FULL: u64 = 90;

/// How large a place is and how much of it is in use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceUsage {
    pub size: u64,
    pub used: u64,
}

impl SpaceUsage {
    /// Bytes that can still be written.
    pub fn free(self) -> u64 {
        self.size.saturating_sub(self.used)
    }

    /// The share in use, in whole percent, rounded down; of a place without size nothing is known,
    /// and it counts as empty.
    pub fn percent(self) -> u64 {
        let share = (u128::from(self.used) * 100)
            .checked_div(u128::from(self.size))
            .unwrap_or(0);
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Whether somebody should hear of it who wants to from this share on, in percent.
    pub fn is_nearly_full(self, from: u64) -> bool {
        self.percent() >= from
    }
}

impl From<(u64, u64)> for SpaceUsage {
    /// What [`Driver::capacity`] answers: size and use.
    fn from((size, used): (u64, u64)) -> SpaceUsage {
        SpaceUsage { size, used }
    }
}

/// What a person should hear before the pool `name` is full: one line for its data and one for its
/// bookkeeping, each only when that is nearly full: from so many percent on, [`NEARLY_FULL`] unless
/// said.
///
/// # Errors
/// The driver cannot tell how much room there is.
pub fn warnings(
    name: &str,
    driver: &dyn Driver,
    from: Option<u64>,
) -> Result<Vec<String>, StorageError> {
    let from = from.unwrap_or(NEARLY_FULL);
    let data = driver.capacity()?.map(SpaceUsage::from);
    let metadata = driver.metadata_capacity()?.map(SpaceUsage::from);
    let of_data = data.and_then(|room| warning(name, "", room, from));
    let of_metadata =
        metadata.and_then(|room| warning(name, " for its bookkeeping (metadata)", room, from));
    Ok(of_data.into_iter().chain(of_metadata).collect())
}

/// The line about one place; `purpose` follows the word room.
fn warning(name: &str, purpose: &str, room: SpaceUsage, from: u64) -> Option<String> {
    if !room.is_nearly_full(from) {
        return None;
    }
    let (percent, left) = (room.percent(), format_bytes(room.free()));
    Some(format!(
        "pool {name} is nearly full: {percent}% of its room{purpose} is in use, {left} are left; when it is full, qubes can \
         neither start nor save what they write"
    ))
}

/// Bytes as people read them: `312 MiB`, `1.5 GiB`.
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
    fn a_pool_is_told_of_from_nine_tenths_on() {
        let room = |size, used| SpaceUsage { size, used };
        let warning = |room| warning("p", "", room, NEARLY_FULL);
        assert_eq!(warning(room(1000, 899)), None);
        let told = warning(room(10 << 30, 9 << 30)).unwrap();
        assert!(
            told.starts_with("pool p is nearly full: 90% of its room is in use, 1 GiB are left; "),
            "{told}"
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
    fn bytes_in_words() {
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
