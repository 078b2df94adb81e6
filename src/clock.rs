//! The machine's clock, which may say anything: a dead battery, a year that no calendar has.

use jiff::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the time. A clock outside the years that a calendar has (-9999 to 9999) counts as the
/// nearest of them.
pub fn now_utc() -> Timestamp {
    nearest(SystemTime::now())
}

/// Returns the local time, as [`now_utc`].
pub fn now() -> Zoned {
    now_utc().to_zoned(TimeZone::system())
}

fn nearest(time: SystemTime) -> Timestamp {
    let limit = if time < UNIX_EPOCH {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::try_from(time).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_beyond_the_calendar_counts_as_its_end() {
        let far = Duration::from_secs(400_000_000_000);
        assert_eq!(nearest(UNIX_EPOCH + far), Timestamp::MAX);
        assert_eq!(nearest(UNIX_EPOCH - far), Timestamp::MIN);
        let day = Duration::from_secs(86_400);
        assert_eq!(
            nearest(UNIX_EPOCH + day),
            Timestamp::from_second(86_400).unwrap()
        );
    }
}
