//! Values of the form `NAME=VALUE`.

use super::failure::Failure;

/// Splits pairs.
///
/// # Errors
/// One of them has no `=`: a usage error with the text that `wrong` returns for it.
pub fn parse_pairs(
    texts: &[String],
    wrong: impl Fn(&str) -> String,
) -> Result<Vec<(&str, &str)>, Failure> {
    texts
        .iter()
        .map(|text| {
            text.split_once('=')
                .ok_or_else(|| Failure::usage(wrong(text)))
        })
        .collect()
}

/// Splits the values of `-p VOLUME=POOL`.
///
/// # Errors
/// One of them has no `=`: a usage error.
pub fn parse_pool_choices(texts: &[String]) -> Result<Vec<(&str, &str)>, Failure> {
    parse_pairs(texts, |_| {
        "Pool argument must be of form: -p volume_name=pool_name".to_string()
    })
}
