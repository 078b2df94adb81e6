//! Copies of the store: one before the first save of a day, one before every conversion or repair,
//! thinned with age.
//!
//! They are in `backup/` beside the store under the names that upstream gives its copies,
//! `qubes-YYYY-MM-DD-HH:MM:SS.xml`, local time (`docs/spec/r4-xml.md` §3). If several are made in
//! one second, the later ones have a number: `qubes-YYYY-MM-DD-HH:MM:SS-2.xml`.
//!
//! The clock may be wrong by years for a while. So the age of a copy counts from the newest copy,
//! not from the clock, and a long time without copies adds little to the age of older ones.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::civil::{Date, DateTime};
use jiff::{ToSpan, Zoned};

use crate::fs::list_names;
use crate::fs::owned_paths::{self, create_shared_directory};
use crate::fs::replace::{Access, retry_interrupted};
use crate::fs::{refuse_foreign_link, stale_files};

/// The `strftime` format of a copy's name, without a number and `.xml`.
const NAME_FORMAT: &str = "qubes-%Y-%m-%d-%H:%M:%S";

/// The most days between two copies that count towards age. So the copies of the last weeks stay
/// after a year without use, or after the clock jumped ahead by a year.
const LONGEST_PAUSE: i32 = 7;

/// The most copies that one save removes.
const MAX_REMOVED_AT_ONCE: usize = 8;

/// The largest difference between two time zones in hours: local time can go back this far.
const MAX_ZONE_HOURS: i64 = 26;

/// One copy of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreCopy {
    /// When the copy was made, local time.
    pub made: DateTime,
    /// The number among the copies of that second, from 1.
    pub number: u32,
    /// The file that holds the copy.
    pub path: PathBuf,
}

impl StoreCopy {
    /// Returns the copy at this path, or `None` if the name is not that of a copy.
    fn from_path(path: PathBuf) -> Option<StoreCopy> {
        let (made, number) = parse_name(path.file_name()?.to_str()?)?;
        Some(StoreCopy { made, number, path })
    }

    /// Returns whether the copy was made by a clock that was ahead of `now`. A name that is ahead
    /// only because local time went back (a time zone, the end of summer time) does not count.
    pub fn is_from_future(&self, now: &Zoned) -> bool {
        let local = now.datetime();
        if self.made <= local {
            return false;
        }
        let written = fs::metadata(&self.path).and_then(|metadata| metadata.modified());
        let is_ahead = written.is_ok_and(|written| written > SystemTime::from(now.timestamp()));
        is_ahead || self.made > local.saturating_add(MAX_ZONE_HOURS.hours())
    }
}

/// Parses the time and the number in the name of a copy.
fn parse_name(name: &str) -> Option<(DateTime, u32)> {
    let stem = name.strip_suffix(".xml")?;
    let plain = |stem| DateTime::strptime(NAME_FORMAT, stem).ok();
    match plain(stem) {
        Some(made) => Some((made, 1)),
        None => {
            let (stem, number) = stem.rsplit_once('-')?;
            let number = number.parse().ok().filter(|number| *number > 1)?;
            Some((plain(stem)?, number))
        }
    }
}

/// Returns the copies in `directory`, oldest first; none if the directory does not exist.
pub fn list_copies(directory: &Path) -> io::Result<Vec<StoreCopy>> {
    let names = match list_names(directory) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut copies: Vec<StoreCopy> = names
        .iter()
        .filter_map(|name| StoreCopy::from_path(directory.join(name)))
        .collect();
    copies.sort();
    Ok(copies)
}

/// Returns the copies from the newest to the oldest. Those from a clock ahead of `now` come last,
/// because their age is unknown.
pub fn newest_first<'c>(copies: &'c [StoreCopy], now: &Zoned) -> Vec<&'c StoreCopy> {
    let (ahead, others): (Vec<&StoreCopy>, Vec<&StoreCopy>) = copies
        .iter()
        .rev()
        .partition(|copy| copy.is_from_future(now));
    others.into_iter().chain(ahead).collect()
}

/// Copies what `bytes` returns unless a copy of this day exists, then removes expired copies.
/// Returns the path of the new copy.
pub fn write_daily_copy<B: AsRef<[u8]>>(
    directory: &Path,
    access: Access,
    bytes: impl FnOnce() -> io::Result<B>,
    now: DateTime,
) -> io::Result<Option<PathBuf>> {
    let existing = list_copies(directory)?;
    if existing.iter().any(|c| c.made.date() == now.date()) {
        return Ok(None);
    }
    let made = write_copy(directory, access, bytes()?.as_ref(), now)?;
    for old in expired_copies(&existing, now.date())
        .into_iter()
        .take(MAX_REMOVED_AT_ONCE)
    {
        // A copy that cannot be removed must not prevent the save.
        let _stays = owned_paths::remove_file(&old.path);
    }
    Ok(Some(made))
}

/// Writes `bytes` as a copy, even if there is one of this day.
pub fn write_copy(
    directory: &Path,
    access: Access,
    bytes: &[u8],
    now: DateTime,
) -> io::Result<PathBuf> {
    retry_interrupted(|| refuse_foreign_link(directory))?;
    retry_interrupted(|| create_shared_directory(directory, access.group))?;
    let opened = retry_interrupted(|| owned_paths::open_directory(directory))?;
    stale_files::clear_in(&opened, |target| parse_name(target).is_some());
    let path = find_unused_name(directory, &now.strftime(NAME_FORMAT).to_string())?;
    owned_paths::replace(&path, access, |file| file.write_all(bytes))?;
    Ok(path)
}

/// Returns the first unused path of `STEM.xml`, `STEM-2.xml`, … in a directory, so that no copy is
/// overwritten.
pub fn find_unused_name(directory: &Path, stem: &str) -> io::Result<PathBuf> {
    let mut path = directory.join(format!("{stem}.xml"));
    let mut number = 1_u32;
    while exists(&path)? {
        number += 1;
        path = directory.join(format!("{stem}-{number}.xml"));
    }
    Ok(path)
}

fn exists(path: &Path) -> io::Result<bool> {
    match retry_interrupted(|| fs::symlink_metadata(path)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the copies to remove, oldest first. All of the last week are kept, the last of each day
/// for a month, of each week for a year, and of each month for ever. Ages count from the newest of
/// `copies` up to `today`; copies from later days are kept.
pub fn expired_copies(copies: &[StoreCopy], today: Date) -> Vec<&StoreCopy> {
    let (mut periods, mut expired) = (HashSet::new(), Vec::new());
    let (mut age, mut later_date) = (0, None);
    for copy in copies.iter().rev().filter(|copy| copy.made.date() <= today) {
        let date = copy.made.date();
        let pause = later_date.map_or(0, |later: Date| (later - date).get_days());
        age += pause.min(LONGEST_PAUSE);
        later_date = Some(date);
        if !periods.insert(period(copy, age)) {
            expired.push(copy);
        }
    }
    expired.reverse();
    expired
}

/// Returns a key for the period of which one copy is kept; a copy of the last week has its own
/// period. `age` is in days.
fn period(copy: &StoreCopy, age: i32) -> (u8, i32, i32, Option<&Path>) {
    let date = copy.made.date();
    match age {
        ..7 => (0, 0, 0, Some(&copy.path)),
        7..31 => (
            1,
            i32::from(date.year()),
            i32::from(date.day_of_year()),
            None,
        ),
        31..366 => {
            let week = date.iso_week_date();
            (2, i32::from(week.year()), i32::from(week.week()), None)
        }
        _ => (3, i32::from(date.year()), i32::from(date.month()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(made: DateTime) -> StoreCopy {
        StoreCopy {
            made,
            number: 1,
            path: PathBuf::from(made.strftime(NAME_FORMAT).to_string()),
        }
    }

    #[test]
    fn copies_thin_with_age_and_the_last_of_each_period_stays() {
        let today = jiff::civil::date(2026, 11, 21);
        // Two copies a day for four years.
        let all: Vec<StoreCopy> = (0..1460)
            .rev()
            .flat_map(|age| [8, 20].map(|hour| copy((today - age.days()).at(hour, 0, 0, 0))))
            .collect();
        let gone = expired_copies(&all, today);
        let stay: Vec<&StoreCopy> = all.iter().filter(|c| !gone.contains(c)).collect();
        let of = |from: i64, to: i64| {
            let age = |c: &StoreCopy| i64::from((today - c.made.date()).get_days());
            stay.iter().filter(|c| (from..to).contains(&age(c))).count()
        };
        assert_eq!(of(0, 7), 14, "all of a week");
        assert_eq!(of(7, 31), 24, "one a day of a month");
        assert!(
            (48..=50).contains(&of(31, 366)),
            "one a week of a year: {}",
            of(31, 366)
        );
        assert!(
            (36..=38).contains(&of(366, 9999)),
            "one a month: {}",
            of(366, 9999)
        );
        assert!(
            stay.iter()
                .skip(2)
                .all(|c| c.made.hour() == 20 || (today - c.made.date()).get_days() < 7)
        );
        assert_eq!(stay.last().unwrap().made, today.at(20, 0, 0, 0));
    }

    #[test]
    fn one_copy_a_day_is_made_and_none_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let backup = dir.path().join("backup");
        let now = jiff::civil::date(2026, 3, 4).at(5, 6, 7, 0);
        let access = Access::shared(None);
        let first = write_daily_copy(&backup, access, || Ok(b"one"), now)
            .unwrap()
            .unwrap();
        assert!(first.ends_with("qubes-2026-03-04-05:06:07.xml"));
        assert_eq!(
            write_daily_copy(&backup, access, || Ok(b"two"), now).unwrap(),
            None
        );
        let second = write_copy(&backup, access, b"two", now).unwrap();
        assert!(second.ends_with("qubes-2026-03-04-05:06:07-2.xml"));
        assert_eq!(fs::read(first).unwrap(), b"one");
        let tomorrow = now.saturating_add(1.day());
        assert!(
            write_daily_copy(&backup, access, || Ok(b"three"), tomorrow)
                .unwrap()
                .is_some()
        );
        assert_eq!(list_copies(&backup).unwrap().len(), 3);
    }

    /// Makes a copy each day at noon for `days` days from `first` on.
    fn write_daily_copies(backup: &Path, first: Date, days: i32) {
        for day in 0..days {
            let now = (first + day.days()).at(12, 0, 0, 0);
            write_daily_copy(backup, Access::shared(None), || Ok(b"content"), now).unwrap();
        }
    }

    #[test]
    fn a_clock_that_is_wrong_by_years_costs_few_copies() {
        let dir = tempfile::tempdir().unwrap();
        let backup = dir.path().join("backup");
        let today = jiff::civil::date(2026, 11, 21);
        write_daily_copies(&backup, today - 400.days(), 400);
        let before = list_copies(&backup).unwrap();
        assert!(before.len() > 70, "{}", before.len());
        // Wrong for a day, wrong for a month, reset to 1970 for a month, then right again.
        write_daily_copies(&backup, today + 2.years(), 1);
        assert!(
            before.len()
                - list_copies(&backup)
                    .unwrap()
                    .iter()
                    .filter(|c| before.contains(c))
                    .count()
                <= 1
        );
        write_daily_copies(&backup, today + 3.years(), 30);
        write_daily_copies(&backup, jiff::civil::date(1970, 1, 1), 30);
        write_daily_copies(&backup, today, 1);
        let after = list_copies(&backup).unwrap();
        let left = before.iter().filter(|copy| after.contains(copy)).count();
        // Forty days of right time remove as many: one of the seven of each week is kept.
        assert!(left + 40 >= before.len(), "{left} of {}", before.len());
        let recent = |copies: &[StoreCopy]| {
            copies
                .iter()
                .filter(|c| (today - c.made.date()).get_days() < 7)
                .count()
        };
        assert!(recent(&after) >= 6);
    }

    #[test]
    fn many_copies_of_one_day_are_removed_a_few_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let backup = dir.path().join("backup");
        let day = jiff::civil::date(2026, 3, 4);
        let (made, copies) = (day.at(5, 6, 7, 0), || list_copies(&backup).unwrap());
        for _ in 0..50 {
            write_copy(&backup, Access::shared(None), b"content", made).unwrap();
        }
        assert!(copies().iter().all(|copy| copy.made == made));
        assert_eq!(copies().last().unwrap().number, 50);
        write_daily_copies(&backup, day + 1.days(), 7);
        assert_eq!(copies().len(), 57, "all of a week");
        write_daily_copies(&backup, day + 8.days(), 1);
        assert_eq!(copies().len(), 50);
        write_daily_copies(&backup, day + 9.days(), 12);
        let of_day = |copy: &&StoreCopy| copy.made.date() == day;
        assert_eq!(copies().iter().filter(of_day).count(), 1);
    }

    #[test]
    fn copies_from_the_future_come_last() {
        let dir = tempfile::tempdir().unwrap();
        let now = crate::clock::now();
        let name = |span: jiff::Span| {
            let made = now.datetime().saturating_add(span);
            let path = dir
                .path()
                .join(format!("{}.xml", made.strftime(NAME_FORMAT)));
            fs::write(&path, "").unwrap();
            path
        };
        let (ahead, yesterday, old) = (name(2.years()), name(-1.days()), name(-9.days()));
        // Made a moment ago in a time zone further east.
        let east = name(9.hours());
        // Made by a clock that was an hour ahead.
        let hasty = name(1.hours());
        let soon = SystemTime::now() + std::time::Duration::from_secs(3600);
        fs::File::options()
            .write(true)
            .open(&hasty)
            .unwrap()
            .set_modified(soon)
            .unwrap();
        let later = crate::clock::now();
        let there = list_copies(dir.path()).unwrap();
        let order: Vec<&PathBuf> = newest_first(&there, &later)
            .iter()
            .map(|copy| &copy.path)
            .collect();
        assert_eq!(order, [&east, &yesterday, &old, &ahead, &hasty]);
    }

    #[test]
    fn copies_can_be_made_at_the_ends_of_the_calendar() {
        let dir = tempfile::tempdir().unwrap();
        for now in [DateTime::MAX, DateTime::MIN, DateTime::MAX] {
            write_daily_copy(dir.path(), Access::shared(None), || Ok(b"content"), now).unwrap();
            write_copy(dir.path(), Access::shared(None), b"content", now).unwrap();
        }
        assert!(list_copies(dir.path()).unwrap().len() >= 3);
    }
}
