//! Standard output carries data, standard error words; neither carries what a qube could hide in a
//! name.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use anstyle::Style;

use super::failure::Failure;
use crate::model::notes::sanitize_text;
use crate::system::TerminalSettings;

/// Collected standard output, written in large pieces. What a person may look at on a terminal has
/// no control characters and none that are invisible or turn the direction: names and values come
/// from qubes (promise 6 of the design).
pub struct Output {
    pending: Vec<u8>,
    terminal: Option<TerminalSettings>,
    colors: Colors,
}

/// Whether colours are wanted: what `--color` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colors {
    /// On a terminal whose person has nothing against them.
    #[default]
    Auto,
    Always,
    Never,
}

/// Written when this much has come together.
const BUFFER_SIZE: usize = 1 << 16;

impl Output {
    /// The process's standard output.
    pub fn new() -> Output {
        let terminal = io::stdout()
            .is_terminal()
            .then(TerminalSettings::from_environment);
        Output {
            pending: Vec::new(),
            terminal,
            colors: Colors::Auto,
        }
    }

    /// Whether a person reads it.
    pub fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Whether a person may come to see it on a terminal: also what is coloured on its way through
    /// a pager.
    pub fn is_for_display(&self) -> bool {
        self.is_terminal() || self.has_colors()
    }

    pub fn set_colors(&mut self, colors: Colors) {
        self.colors = colors;
    }

    pub fn has_colors(&self) -> bool {
        match self.colors {
            Colors::Auto => self.terminal.is_some_and(|t| !t.is_plain),
            Colors::Always => true,
            Colors::Never => false,
        }
    }

    /// Whether it is a terminal that shows box-drawing characters.
    pub fn is_unicode_terminal(&self) -> bool {
        self.terminal.is_some_and(|t| t.is_unicode)
    }

    /// How many columns the terminal has; `None` where it is none, or does not know.
    pub fn width(&self) -> Option<usize> {
        let measured =
            || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        self.terminal?
            .columns
            .or_else(measured)
            .filter(|width| *width > 0)
    }

    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        let shown = self.sanitized(text);
        self.pending.extend_from_slice(shown.as_bytes());
        self.flush_if_full()
    }

    /// Bytes of a text as they are, where [`Output::is_for_display`] says that nobody looks.
    pub fn bytes(&mut self, text: &[u8]) -> Result<(), Failure> {
        self.pending.extend_from_slice(text);
        self.flush_if_full()
    }

    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.text(text)?;
        self.text("\n")
    }

    /// JSON, for people to read as well.
    pub fn json(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(&text)
    }

    /// A text as it may come before eyes: [`Output::text`] does this by itself.
    pub fn sanitized<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_for_display() {
            sanitize(text)
        } else {
            Cow::Borrowed(text)
        }
    }

    /// A text that [`Output::sanitized`] has seen, in a style where there are colours.
    pub fn styled(&mut self, shown: &str, style: Style) -> Result<(), Failure> {
        let style = if self.has_colors() {
            style
        } else {
            Style::new()
        };
        self.pending
            .extend_from_slice(format!("{style}{shown}{style:#}").as_bytes());
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Result<(), Failure> {
        if self.pending.len() > BUFFER_SIZE {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes what has come together.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let result = stdout
            .write_all(&self.pending)
            .and_then(|()| stdout.flush());
        self.pending.clear();
        result.map_err(|e| Failure::from_output_error(&e))
    }
}

impl Default for Output {
    fn default() -> Output {
        Output::new()
    }
}

/// Plain text stays as it is; the rest without what could deceive.
fn sanitize(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) || byte == b'\n' || byte == b'\t';
    if text.bytes().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(sanitize_text(text))
    }
}

/// Says one thing to the person, in one line on standard error. Where that is closed there is
/// nobody to tell.
pub fn print_message(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", one_line(text));
}

/// Says how a command is used, in as many lines as that takes, and then what was wrong.
pub fn print_usage_error(usage: &str, mistake: &str) {
    usage.lines().for_each(print_message);
    print_message(mistake);
}

/// A message without line feeds within: one comes from the name of a file or from what a file
/// holds, and what follows it would pass for a message of its own. One at the end may stay;
/// upstream ends some texts so.
fn one_line(text: &str) -> Cow<'_, str> {
    let shown = sanitize(text);
    let (line, end) = shown
        .strip_suffix('\n')
        .map_or((&*shown, ""), |line| (line, "\n"));
    if line.contains('\n') {
        Cow::Owned(line.replace('\n', "_") + end)
    } else {
        shown
    }
}

/// Says what to do next, on a line of its own that upstream's tools do not have.
pub fn print_hint(text: &str) {
    print_message(&format!("hint: {text}"));
}

/// Says that a command line means nothing that there is, on a line of its own that upstream's tools
/// do not have: a pattern that fits nothing, an unknown column.
pub fn print_warning(text: &str) {
    print_message(&format!("warning: {text}"));
}

/// Asks on standard output and reads one line from standard input; `None` at its end.
pub fn ask(out: &mut Output, question: &str) -> Result<Option<String>, Failure> {
    out.text(question)?;
    out.flush()?;
    let mut answer = String::new();
    match io::stdin().read_line(&mut answer) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(answer.trim_end_matches(['\n', '\r']).to_string())),
        Err(error) => Err(Failure::error(format!("cannot read the answer: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(one_line("an\tordinary one"), "an\tordinary one");
        assert_eq!(
            one_line("a\nwork: all is well\x1b[2J"),
            "a_work: all is well_[2J"
        );
        assert_eq!(one_line("as upstream's\n"), "as upstream's\n");
        assert_eq!(one_line("a\n\n"), "a_\n");
    }
}
