//! Copies of the store: one before the first save of a day, one before every conversion or repair, thinned with age.
//!
//! They lie in `backup/` beside the store under the names that upstream gives its copies,
//! `qubes-YYYY-MM-DD-HH:MM:SS.xml`, local time (`spec/r4-xml.md` §3).

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};

use crate::fs::replace::{Access, make_shared_directory, replace, uninterrupted};
use crate::fs::{refuse_foreign_link, stale_files};

const FORM: &str = "qubes-%Y-%m-%d-%H:%M:%S.xml";

/// One copy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Copy {
    /// When it was made, local time.
    pub made: DateTime,
    pub path: PathBuf,
}

/// The copies in `directory`, oldest first; none when there is no such directory.
pub fn copies(directory: &Path) -> io::Result<Vec<Copy>> {
    let entries = match uninterrupted(|| fs::read_dir(directory)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut copies = Vec::new();
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            // The next one asks again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if let Ok(made) = DateTime::strptime(FORM, name) {
            copies.push(Copy { made, path });
        }
    }
    copies.sort();
    Ok(copies)
}

/// Copies what `bytes` gives unless there is a copy of this day already; then thins. Returns the copy that was made.
pub fn keep_daily<B: AsRef<[u8]>>(
    directory: &Path,
    access: Access,
    bytes: impl FnOnce() -> io::Result<B>,
    now: DateTime,
) -> io::Result<Option<PathBuf>> {
    let there = copies(directory)?;
    if there.iter().any(|c| c.made.date() == now.date()) {
        return Ok(None);
    }
    let made = keep(directory, access, bytes()?.as_ref(), now)?;
    for old in dispensable(&there, now.date()) {
        // A copy that cannot be removed is no reason not to save.
        let _stays = fs::remove_file(&old.path);
    }
    Ok(Some(made))
}

/// Copies `bytes`, whatever copies there are.
pub fn keep(directory: &Path, access: Access, bytes: &[u8], now: DateTime) -> io::Result<PathBuf> {
    uninterrupted(|| refuse_foreign_link(directory))?;
    uninterrupted(|| make_shared_directory(directory, access.group))?;
    stale_files::clear(directory, |target| DateTime::strptime(FORM, target).is_ok());
    let mut made = now;
    loop {
        let path = directory.join(made.strftime(FORM).to_string());
        match uninterrupted(|| path.try_exists())? {
            // Two within a second: a name that is taken is never written over.
            true => made = made.saturating_add(1.second()),
            false => {
                replace(&path, access, |file| file.write_all(bytes))?;
                return Ok(path);
            }
        }
    }
}

/// What may go: all of the last week stay, the last of each day for a month, of each week for a year, of each month
/// for ever.
pub fn dispensable(copies: &[Copy], today: Date) -> Vec<&Copy> {
    let mut periods = HashSet::new();
    let mut gone: Vec<&Copy> = copies.iter().rev().filter(|copy| !periods.insert(period(copy, today))).collect();
    gone.reverse();
    gone
}

/// The span of time of which one copy stays, as something to compare; a copy of the last week has its own.
fn period(copy: &Copy, today: Date) -> (u8, i32, i32, Option<&Path>) {
    let date = copy.made.date();
    let age = (today - date).get_days();
    let ordinal = i32::from(date.day_of_year());
    match age {
        ..7 => (0, 0, 0, Some(&copy.path)),
        7..31 => (1, i32::from(date.year()), ordinal, None),
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

    fn copy(made: DateTime) -> Copy {
        Copy { made, path: PathBuf::from(made.strftime(FORM).to_string()) }
    }

    #[test]
    fn copies_thin_with_age_and_the_last_of_each_period_stays() {
        let today = jiff::civil::date(2026, 11, 21);
        // Four years, two copies a day.
        let all: Vec<Copy> =
            (0..1460).rev().flat_map(|age| [8, 20].map(|hour| copy((today - age.days()).at(hour, 0, 0, 0)))).collect();
        let gone = dispensable(&all, today);
        let stay: Vec<&Copy> = all.iter().filter(|c| !gone.contains(c)).collect();
        let of = |from: i64, to: i64| {
            let age = |c: &Copy| i64::from((today - c.made.date()).get_days());
            stay.iter().filter(|c| (from..to).contains(&age(c))).count()
        };
        assert_eq!(of(0, 7), 14, "all of a week");
        assert_eq!(of(7, 31), 24, "one a day of a month");
        assert!((48..=50).contains(&of(31, 366)), "one a week of a year: {}", of(31, 366));
        assert!((36..=38).contains(&of(366, 9999)), "one a month: {}", of(366, 9999));
        assert!(stay.iter().skip(2).all(|c| c.made.hour() == 20 || (today - c.made.date()).get_days() < 7));
        assert_eq!(stay.last().unwrap().made, today.at(20, 0, 0, 0));
    }

    #[test]
    fn one_copy_a_day_is_made_and_none_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let backup = dir.path().join("backup");
        let now = jiff::civil::date(2026, 3, 4).at(5, 6, 7, 0);
        let access = Access::shared(None);
        let first = keep_daily(&backup, access, || Ok(b"one"), now).unwrap().unwrap();
        assert!(first.ends_with("qubes-2026-03-04-05:06:07.xml"));
        assert_eq!(keep_daily(&backup, access, || Ok(b"two"), now).unwrap(), None);
        let second = keep(&backup, access, b"two", now).unwrap();
        assert!(second.ends_with("qubes-2026-03-04-05:06:08.xml"));
        assert_eq!(fs::read(first).unwrap(), b"one");
        let tomorrow = now.saturating_add(1.day());
        assert!(keep_daily(&backup, access, || Ok(b"three"), tomorrow).unwrap().is_some());
        assert_eq!(copies(&backup).unwrap().len(), 3);
    }
}
