//! Copies of the store: one before the first save of a day, one before every conversion or repair,
//! thinned with age.
//!
//! They lie in `backup/` beside the store under the names that upstream gives its copies,
//! `qubes-YYYY-MM-DD-HH:MM:SS.xml`, local time (`docs/spec/r4-xml.md` §3); of several within a
//! second the later ones have a number, `qubes-YYYY-MM-DD-HH:MM:SS-2.xml`.
//!
//! The clock may be wrong by years and right again. So how old a copy is counts from the newest
//! other one, not from the clock, and a long time without copies makes those before it hardly
//! older.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::civil::{Date, DateTime};
use jiff::{ToSpan, Zoned};

use crate::fs::list_names;
use crate::fs::owned_paths;
use crate::fs::replace::{Access, create_shared_directory, retry_interrupted};
use crate::fs::{refuse_foreign_link, stale_files};

const FORM: &str = "qubes-%Y-%m-%d-%H:%M:%S";

/// Days between two copies count as at most so many: whoever comes back after a year, or has a
/// clock that went ahead by one, keeps the copies of the last weeks before.
const LONGEST_PAUSE: i32 = 7;

/// A save removes at most so many copies.
const MOST_AT_ONCE: usize = 8;

/// Hours by which local time can go back: the largest difference between two time zones.
const TIME_ZONES: i64 = 26;

/// One copy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreCopy {
    /// When it was made, local time.
    pub made: DateTime,
    /// Which of the copies of that second, from 1.
    pub number: u32,
    /// Path of the copy.
    pub path: PathBuf,
}

impl StoreCopy {
    /// The copy that has this path; `None` where its name is not that of a copy.
    fn at(path: PathBuf) -> Option<StoreCopy> {
        let (made, number) = parsed(path.file_name()?.to_str()?)?;
        Some(StoreCopy { made, number, path })
    }

    /// Whether it was made by a clock that was ahead of `now`. That local time has gone back
    /// (another time zone, the end of summer time) is not meant.
    pub fn is_from_future(&self, now: &Zoned) -> bool {
        let local = now.datetime();
        if self.made <= local {
            return false;
        }
        let written = fs::metadata(&self.path).and_then(|metadata| metadata.modified());
        let is_ahead = written.is_ok_and(|written| written > SystemTime::from(now.timestamp()));
        is_ahead || self.made > local.saturating_add(TIME_ZONES.hours())
    }
}

/// Time and number in the name of a copy.
fn parsed(name: &str) -> Option<(DateTime, u32)> {
    let stem = name.strip_suffix(".xml")?;
    let plain = |stem| DateTime::strptime(FORM, stem).ok();
    match plain(stem) {
        Some(made) => Some((made, 1)),
        None => {
            let (stem, number) = stem.rsplit_once('-')?;
            Some((
                plain(stem)?,
                number.parse().ok().filter(|number| *number > 1)?,
            ))
        }
    }
}

/// The copies in `directory`, oldest first; none when there is no such directory.
pub fn list_copies(directory: &Path) -> io::Result<Vec<StoreCopy>> {
    let names = match list_names(directory) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut copies: Vec<StoreCopy> = names
        .iter()
        .filter_map(|name| StoreCopy::at(directory.join(name)))
        .collect();
    copies.sort();
    Ok(copies)
}

/// The copies from the newest to the oldest. Those that a clock made that was ahead of `now` come
/// last: which of them is how old cannot be told.
pub fn newest_first<'c>(copies: &'c [StoreCopy], now: &Zoned) -> Vec<&'c StoreCopy> {
    let (ahead, others): (Vec<&StoreCopy>, Vec<&StoreCopy>) = copies
        .iter()
        .rev()
        .partition(|copy| copy.is_from_future(now));
    others.into_iter().chain(ahead).collect()
}

/// Copies what `bytes` gives unless there is a copy of this day already; then thins. Returns the
/// copy that was made.
pub fn write_daily_copy<B: AsRef<[u8]>>(
    directory: &Path,
    access: Access,
    bytes: impl FnOnce() -> io::Result<B>,
    now: DateTime,
) -> io::Result<Option<PathBuf>> {
    let there = list_copies(directory)?;
    if there.iter().any(|c| c.made.date() == now.date()) {
        return Ok(None);
    }
    let made = write_copy(directory, access, bytes()?.as_ref(), now)?;
    for old in expired_copies(&there, now.date())
        .into_iter()
        .take(MOST_AT_ONCE)
    {
        // A copy that cannot be removed is no reason not to save.
        let _stays = owned_paths::remove_file(&old.path);
    }
    Ok(Some(made))
}

/// Copies `bytes`, whatever copies there are.
pub fn write_copy(
    directory: &Path,
    access: Access,
    bytes: &[u8],
    now: DateTime,
) -> io::Result<PathBuf> {
    retry_interrupted(|| refuse_foreign_link(directory))?;
    retry_interrupted(|| create_shared_directory(directory, access.group))?;
    let opened = retry_interrupted(|| owned_paths::open_directory(directory))?;
    stale_files::clear_in(&opened, |target| parsed(target).is_some());
    let path = find_unused_name(directory, &now.strftime(FORM).to_string())?;
    owned_paths::replace(&path, access, |file| file.write_all(bytes))?;
    Ok(path)
}

/// `STEM.xml` in a directory, or the first of `STEM-2.xml`, … that nothing has: a name that is
/// taken is never written over.
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

/// What may go, oldest first: all of the last week stay, the last of each day for a month, of each
/// week for a year, of each month for ever. Ages count from the newest of `copies` up to `today`;
/// later ones stay.
pub fn expired_copies(copies: &[StoreCopy], today: Date) -> Vec<&StoreCopy> {
    let (mut periods, mut gone) = (HashSet::new(), Vec::new());
    let (mut age, mut later) = (0, None);
    for copy in copies.iter().rev().filter(|copy| copy.made.date() <= today) {
        let date = copy.made.date();
        let pause = later.map_or(0, |later: Date| (later - date).get_days());
        age += pause.min(LONGEST_PAUSE);
        later = Some(date);
        if !periods.insert(period(copy, age)) {
            gone.push(copy);
        }
    }
    gone.reverse();
    gone
}

/// The span of time of which one copy stays, as something to compare; a copy of the last week has
/// its own. `age` in days.
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
            path: PathBuf::from(made.strftime(FORM).to_string()),
        }
    }

    #[test]
    fn copies_thin_with_age_and_the_last_of_each_period_stays() {
        let today = jiff::civil::date(2026, 11, 21);
        // Four years, two copies a day.
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
    fn one_copy_a_day_is_made_and_none_is_written_over() {
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

    /// Makes a copy each day for `days` days from `first` on, at noon.
    fn daily(backup: &Path, first: Date, days: i32) {
        for day in 0..days {
            let now = (first + day.days()).at(12, 0, 0, 0);
            write_daily_copy(backup, Access::shared(None), || Ok(b"content"), now).unwrap();
        }
    }

    #[test]
    fn a_clock_that_is_wrong_by_years_takes_next_to_no_copies() {
        let dir = tempfile::tempdir().unwrap();
        let backup = dir.path().join("backup");
        let today = jiff::civil::date(2026, 11, 21);
        daily(&backup, today - 400.days(), 400);
        let before = list_copies(&backup).unwrap();
        assert!(before.len() > 70, "{}", before.len());
        // Once; then for a month; then back at the beginning of time; then right again.
        daily(&backup, today + 2.years(), 1);
        assert!(
            before.len()
                - list_copies(&backup)
                    .unwrap()
                    .iter()
                    .filter(|c| before.contains(c))
                    .count()
                <= 1
        );
        daily(&backup, today + 3.years(), 30);
        daily(&backup, jiff::civil::date(1970, 1, 1), 30);
        daily(&backup, today, 1);
        let after = list_copies(&backup).unwrap();
        let left = before.iter().filter(|copy| after.contains(copy)).count();
        // Forty days of true time take as many: of each week one stays of seven.
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
    fn copies_that_many_restores_made_go_few_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let backup = dir.path().join("backup");
        let day = jiff::civil::date(2026, 3, 4);
        for _ in 0..50 {
            write_copy(
                &backup,
                Access::shared(None),
                b"content",
                day.at(5, 6, 7, 0),
            )
            .unwrap();
        }
        assert!(
            list_copies(&backup)
                .unwrap()
                .iter()
                .all(|copy| copy.made == day.at(5, 6, 7, 0))
        );
        assert_eq!(list_copies(&backup).unwrap().last().unwrap().number, 50);
        daily(&backup, day + 1.days(), 7);
        assert_eq!(list_copies(&backup).unwrap().len(), 57, "all of a week");
        daily(&backup, day + 8.days(), 1);
        assert_eq!(list_copies(&backup).unwrap().len(), 50);
        daily(&backup, day + 9.days(), 12);
        assert_eq!(
            list_copies(&backup)
                .unwrap()
                .iter()
                .filter(|copy| copy.made.date() == day)
                .count(),
            1
        );
    }

    #[test]
    fn the_newest_copy_is_not_one_from_the_future() {
        let dir = tempfile::tempdir().unwrap();
        let now = crate::clock::now();
        let name = |span: jiff::Span| {
            let made = now.datetime().saturating_add(span);
            let path = dir.path().join(format!("{}.xml", made.strftime(FORM)));
            fs::write(&path, "").unwrap();
            path
        };
        let (ahead, yesterday, old) = (name(2.years()), name(-1.days()), name(-9.days()));
        // Made in a time zone further east, a moment ago.
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
    fn the_ends_of_the_calendar_are_times_like_others() {
        let dir = tempfile::tempdir().unwrap();
        for now in [DateTime::MAX, DateTime::MIN, DateTime::MAX] {
            write_daily_copy(dir.path(), Access::shared(None), || Ok(b"content"), now).unwrap();
            write_copy(dir.path(), Access::shared(None), b"content", now).unwrap();
        }
        assert!(list_copies(dir.path()).unwrap().len() >= 3);
    }
}
