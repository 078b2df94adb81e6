//! The system's clock. It may show any time, even one outside the calendar, for example after its
//! battery has failed.

use jiff::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the current time. A clock outside the calendar's years (-9999 to 9999) counts as the
/// nearest time within them.
pub fn now_utc() -> Timestamp {
    clamp_to_calendar(SystemTime::now())
}

/// Returns the current time in the local time zone, limited as in [`now_utc`].
pub fn now() -> Zoned {
    now_utc().to_zoned(TimeZone::system())
}

fn clamp_to_calendar(time: SystemTime) -> Timestamp {
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
        assert_eq!(clamp_to_calendar(UNIX_EPOCH + far), Timestamp::MAX);
        assert_eq!(clamp_to_calendar(UNIX_EPOCH - far), Timestamp::MIN);
        let day = Duration::from_secs(86_400);
        assert_eq!(
            clamp_to_calendar(UNIX_EPOCH + day),
            Timestamp::from_second(86_400).unwrap()
        );
    }
}
