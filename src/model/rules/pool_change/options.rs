//! The values of pool options: what is accepted and what is stored.

use super::error::PoolError;
use crate::model::boolean::BooleanDialect;
use crate::model::facts::Facts;
use crate::model::pool_driver::{DriverOption, DriverSpec, OptionValue};
use crate::model::release::Release;

/// Returns what is stored of an option of a new pool that need not be set; `None` leaves it out.
pub(super) fn optional_value(
    driver: &DriverSpec,
    option: &DriverOption,
    text: Option<&str>,
    facts: &dyn Facts,
) -> Result<Option<String>, PoolError> {
    let name = option.name;
    match (option.value, text) {
        (OptionValue::Revisions, text) => {
            let most = driver.max_revisions.unwrap_or_default();
            let number =
                text.map_or(Ok(1), |text| revisions(text, most, facts.host().release()))?;
            Ok(Some(number.to_string()))
        }
        (OptionValue::SetupFlag, Some(text)) => {
            let text = if boolean(name, text)? { "yes" } else { "no" };
            Ok(Some(text.to_owned()))
        }
        (OptionValue::Flag, Some(text)) if boolean(name, text)? => {
            refuse_too_new(name, facts.host().release())?;
            Ok(Some("True".to_owned()))
        }
        _ => Ok(None),
    }
}

/// Checks the text of a required option. A directory must be an absolute path.
pub(super) fn check_text(option: &DriverOption, text: &str) -> Result<(), PoolError> {
    let bad = |rule: &str| {
        Err(PoolError::InvalidValue {
            option: option.name.to_owned(),
            text: text.to_owned(),
            rule: rule.to_owned(),
        })
    };
    let is_directory = option.value == OptionValue::Directory;
    if text.is_empty() || text.chars().any(char::is_control) {
        return bad("empty, or has control characters");
    }
    if is_directory && !text.starts_with('/') {
        return bad("not an absolute path");
    }
    if is_directory && text.split('/').any(|part| part == "..") {
        return bad("a path with '..'; write the resolved path");
    }
    if is_directory && is_system_directory(text) {
        return Err(PoolError::SystemDirectory(text.to_owned()));
    }
    Ok(())
}

/// Returns whether a pool in this directory would mix its images with files of the system.
fn is_system_directory(path: &str) -> bool {
    const SYSTEM_TREES: [&str; 9] = [
        "etc", "usr", "boot", "dev", "proc", "sys", "bin", "sbin", "lib",
    ];
    const SYSTEM_DIRECTORIES: [&str; 9] = [
        "", "home", "root", "var", "var/lib", "var/log", "run", "tmp", "opt",
    ];
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_below = parts
        .first()
        .is_some_and(|first| SYSTEM_TREES.contains(first));
    is_below || SYSTEM_DIRECTORIES.contains(&parts.join("/").as_str())
}

/// Parses a number of revisions: −1 (no snapshots at all), 0, or a number up to `most`.
pub(in crate::model) fn revisions(
    text: &str,
    most: i64,
    release: Release,
) -> Result<i64, PoolError> {
    let option = || "revisions_to_keep".to_owned();
    let bad = |rule: String| PoolError::InvalidValue {
        option: option(),
        text: text.to_owned(),
        rule,
    };
    let number: i64 = text
        .trim()
        .parse()
        .map_err(|_| bad("not a number".to_owned()))?;
    match number {
        ..-1 => Err(bad("less than -1 (no snapshots at all)".to_owned())),
        -1 if release < Release::R4_3 => Err(PoolError::TooNew {
            option: "revisions_to_keep -1",
            release,
        }),
        number if number > most => Err(bad(format!(
            "more than the {most} that the pool's driver can keep"
        ))),
        number => Ok(number),
    }
}

/// Parses a boolean option.
pub(in crate::model) fn boolean(option: &str, text: &str) -> Result<bool, PoolError> {
    BooleanDialect::Literal
        .parse(text)
        .ok_or_else(|| PoolError::InvalidValue {
            option: option.to_owned(),
            text: text.to_owned(),
            rule: "neither True nor False".to_owned(),
        })
}

fn refuse_too_new(option: &'static str, release: Release) -> Result<(), PoolError> {
    match option {
        "ephemeral_volatile" if !release.has_ephemeral_volumes() => {
            Err(PoolError::TooNew { option, release })
        }
        _ => Ok(()),
    }
}
