//! The sections at the end of manual pages.

use super::roff::Roff;

/// Writes the examples: command lines with what they do.
pub(super) fn write_examples(roff: &mut Roff, examples: &[(&str, &str)]) {
    roff.heading("examples");
    for (at, (commands, explanation)) in examples.iter().enumerate() {
        if at == 0 {
            roff.paragraphs(explanation);
            roff.literal(commands);
        } else {
            roff.example(explanation, commands);
        }
    }
}

/// Writes the names of other pages.
pub(super) fn write_see_also(roff: &mut Roff, names: &[&str]) {
    roff.heading("see also");
    let names = names.iter().map(|name| match name.split_once('(') {
        Some((name, section)) => format!("`{name}`({section}"),
        None => (*name).to_owned(),
    });
    roff.paragraphs(&names.collect::<Vec<_>>().join(", "));
}
