//! Manual pages in roff, as man(7) has it, without a line that `mandoc -T lint` warns about.

/// The date in the pages' footers. Change it when the texts change.
const DATE: &str = "2026-12-01";

/// The longest line of roff source, in bytes.
const WIDTH: usize = 76;

/// A manual page that is being written.
pub struct Roff {
    text: String,
}

impl Roff {
    /// Begins a page with its title, section and name line.
    pub fn new(name: &str, section: u8, about: &str) -> Roff {
        let (date, version) = (DATE, env!("CARGO_PKG_VERSION"));
        let title = escape(&name.to_uppercase());
        let mut roff = Roff {
            text: format!(
                ".TH \"{title}\" {section} \"{date}\" \"qubes {version}\" \"Qubes OS\"\n"
            ),
        };
        roff.heading("name");
        let about = lower_first(about);
        roff.fill(&format!("{name} - {about}"));
        roff
    }

    /// Begins a section.
    pub fn heading(&mut self, heading: &str) {
        let heading = escape(&heading.to_uppercase());
        self.text.push_str(&format!(".SH \"{heading}\"\n"));
    }

    /// Begins a part of a section.
    pub fn subheading(&mut self, heading: &str) {
        self.text
            .push_str(&format!(".SS \"{}\"\n", escape(heading)));
    }

    /// Adds paragraphs; an empty line separates two of them. The first follows a heading.
    pub fn paragraphs(&mut self, text: &str) {
        for (at, paragraph) in text.split("\n\n").enumerate() {
            if at > 0 {
                self.text.push_str(".PP\n");
            }
            self.fill(paragraph);
        }
    }

    /// Adds a paragraph after a list.
    pub fn note(&mut self, text: &str) {
        self.text.push_str(".PP\n");
        self.fill(text);
    }

    /// Adds a tag with its description.
    pub fn definition(&mut self, tag: &str, text: &str) {
        self.text.push_str(".TP\n");
        self.text.push_str(&format!("\\fB{}\\fR\n", escape(tag)));
        self.fill(text);
    }

    /// Adds a section of tags with their descriptions.
    pub fn definitions<T: AsRef<str>, U: AsRef<str>>(&mut self, heading: &str, entries: &[(T, U)]) {
        self.heading(heading);
        for (tag, text) in entries {
            self.definition(tag.as_ref(), text.as_ref());
        }
    }

    /// Adds lines that keep their breaks, indented.
    pub fn literal(&mut self, lines: &str) {
        self.text.push_str(".RS 4\n.nf\n");
        for line in lines.lines() {
            self.text.push_str(&escape_line(&escape(line)));
            self.text.push('\n');
        }
        self.text.push_str(".fi\n.RE\n");
    }

    /// Adds an example: what it does, and the commands.
    pub fn example(&mut self, explanation: &str, commands: &str) {
        self.note(explanation);
        self.literal(commands);
    }

    /// Returns the page.
    pub fn finish(self) -> String {
        self.text
    }

    /// Breaks a text into lines. What stands between backticks becomes bold.
    fn fill(&mut self, text: &str) {
        let mut is_bold = false;
        let mut marked = String::new();
        for (at, part) in text.split('`').enumerate() {
            if at > 0 {
                is_bold = !is_bold;
                marked.push_str(if is_bold { "\\fB" } else { "\\fR" });
            }
            marked.push_str(&escape(part));
        }
        let mut line = String::new();
        for word in marked.split_whitespace() {
            if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
                self.text.push_str(&escape_line(&line));
                self.text.push('\n');
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.text.push_str(&escape_line(&line));
        self.text.push('\n');
    }
}

/// Returns a text that roff shows as it is.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '"' => escaped.push_str("\\(dq"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Returns a line that roff does not take for a request.
fn escape_line(line: &str) -> String {
    match line.starts_with('.') {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    }
}

/// Name lines begin with a small letter, unless the word is an abbreviation.
fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), text.chars().nth(1)) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_wrapped() {
        let mut roff = Roff::new("try", 1, "Try it");
        let words = "word ".repeat(40);
        roff.paragraphs(&format!(".dot `-x 'y'` \\ {words}\n\nSecond."));
        let page = roff.finish();
        assert!(page.contains("\ntry \\- try it\n"), "{page}");
        assert!(
            page.contains("\n\\&.dot \\fB\\-x \\(aqy\\(aq\\fR \\e word"),
            "{page}"
        );
        assert!(page.contains("\n.PP\nSecond.\n"), "{page}");
        assert!(page.lines().all(|line| line.len() <= 80), "{page}");
    }
}
