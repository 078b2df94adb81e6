//! What is stored for a user's text.

use crate::model::Property;

/// Returns the text to store: `none` in any case becomes empty where it means no qube.
pub(crate) fn stored_text<'a>(property: &Property, text: &'a str) -> &'a str {
    if text.eq_ignore_ascii_case("none") && property.accepts_none {
        ""
    } else {
        text
    }
}
