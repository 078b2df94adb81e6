//! Standard output for data, standard error for messages. Neither passes control characters of
//! names or values to a terminal.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use anstyle::Style;

use super::failure::Failure;
use crate::model::notes::sanitize_text;
use crate::system::TerminalSettings;

/// Buffered standard output. Text for a terminal has no control characters and none that are
/// invisible or change the direction: names and values come from qubes, which are hostile.
pub struct Output {
    pending: Vec<u8>,
    terminal: Option<TerminalSettings>,
    colors: Colors,
}

/// The value of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Colors {
    /// On a terminal, unless the environment disables colours.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// The buffer is written when it exceeds this size, in bytes.
const BUFFER_SIZE: usize = 1 << 16;

impl Output {
    /// Returns the process's standard output.
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

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Whether it may be displayed on a terminal: it is one, or colours were requested for a pager.
    pub fn is_for_display(&self) -> bool {
        self.is_terminal() || self.has_colors()
    }

    /// Sets when colours are used.
    pub fn set_colors(&mut self, colors: Colors) {
        self.colors = colors;
    }

    /// Whether colours are used.
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

    /// Returns the number of columns of the terminal; `None` if it is not one or does not know.
    pub fn width(&self) -> Option<usize> {
        let measured =
            || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        self.terminal?
            .columns
            .or_else(measured)
            .filter(|width| *width > 0)
    }

    /// Writes a text, sanitized for display.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        let shown = self.sanitized(text);
        self.pending.extend_from_slice(shown.as_bytes());
        self.flush_if_full()
    }

    /// Writes a text and a line feed.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.text(text)?;
        self.text("\n")
    }

    /// Writes indented JSON.
    pub fn json(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(&text)
    }

    /// Returns a text as it may be displayed, as [`Output::text`] writes it.
    pub fn sanitized<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_for_display() {
            sanitize(text)
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Writes a text that [`Output::sanitized`] returned, in a style if colours are used.
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

    /// Writes the buffer.
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

/// Replaces characters that could deceive a reader; plain text is returned unchanged.
fn sanitize(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) || byte == b'\n' || byte == b'\t';
    if text.bytes().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(sanitize_text(text))
    }
}

/// Prints a message on standard error, in one line. A closed standard error is ignored.
pub fn print_message(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", one_line(text));
}

/// Prints a usage and the error below it.
pub fn print_usage_error(usage: &str, mistake: &str) {
    usage.lines().for_each(print_message);
    print_message(mistake);
}

/// Replaces line feeds in a message: one in the name or the content of a file could forge a further
/// message. One at the end stays, because some texts of upstream end so.
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

/// Prints what to do next, on a line of its own that upstream's tools do not have.
pub fn print_hint(text: &str) {
    print_message(&format!("hint: {text}"));
}

/// Prints that a part of the command line has no effect (a pattern without a match, an unknown
/// column), on a line of its own that upstream's tools do not have.
pub fn print_warning(text: &str) {
    print_message(&format!("warning: {text}"));
}

/// Asks on standard output and returns one line of standard input; `None` at its end.
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

/// Asks a question whose answer is y or n; everything but y means no. `None` at the end of standard
/// input.
pub fn confirm(out: &mut Output, question: &str) -> Result<Option<bool>, Failure> {
    let answer = ask(out, question)?;
    Ok(answer.map(|answer| answer.trim().eq_ignore_ascii_case("y")))
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
