//! Standard output carries data, standard error words; neither carries what a qube could hide in a name.

use std::io::{self, IsTerminal, Write};

use super::failure::Failure;

/// Collected standard output, written in large pieces. On a terminal, control characters do not get through: names
/// and values come from qubes (promise 6 of the design).
pub struct Output {
    pending: Vec<u8>,
    terminal: bool,
}

/// Written when this much has come together.
const PIECE: usize = 1 << 16;

impl Output {
    /// The process's standard output.
    pub fn new() -> Output {
        Output { pending: Vec::new(), terminal: io::stdout().is_terminal() }
    }

    /// Whether a person reads it.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        if self.terminal && text.chars().any(is_unprintable) {
            let shown: String = text.chars().map(|c| if is_unprintable(c) { '_' } else { c }).collect();
            self.pending.extend_from_slice(shown.as_bytes());
        } else {
            self.pending.extend_from_slice(text.as_bytes());
        }
        if self.pending.len() > PIECE { self.flush() } else { Ok(()) }
    }

    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.text(text)?;
        self.text("\n")
    }

    /// Writes what has come together.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let result = stdout.write_all(&self.pending).and_then(|()| stdout.flush());
        self.pending.clear();
        result.map_err(|e| Failure::of_output(&e))
    }
}

impl Default for Output {
    fn default() -> Output {
        Output::new()
    }
}

fn is_unprintable(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

/// Says one thing to the person, on standard error. Where that is closed there is nobody to tell.
pub fn say(text: &str) {
    let shown: String = text.chars().map(|c| if is_unprintable(c) { '_' } else { c }).collect();
    let _ = writeln!(io::stderr().lock(), "{shown}");
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
