//! A reader of shell commands that knows enough grammar for the scripts of this repository.

use std::collections::BTreeSet;

/// A simple command: its words as they are written, without redirections and assignments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub line: usize,
    /// Whether its input is the output of another command.
    pub is_piped_into: bool,
    /// The keyword before it, such as `while`.
    pub keyword: Option<String>,
    pub words: Vec<String>,
    /// The target of its output, if redirected.
    pub output: Option<String>,
}

/// The commands of a script and the functions that it defines.
#[derive(Debug, Default)]
pub struct Script {
    pub commands: Vec<Command>,
    pub functions: BTreeSet<String>,
}

/// Keywords after which another command begins.
const PREFIXES: [&str; 12] = [
    "if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "time", "coproc",
];

/// Reads a whole script.
pub fn read(text: &str) -> Script {
    let mut script = Script::default();
    Reader {
        text: text.as_bytes(),
        at: 0,
        line: 1,
        script: &mut script,
        heredocs: Vec::new(),
    }
    .commands(None);
    script
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    script: &'a mut Script,
    /// The delimiters of the here-documents that begin on the next line.
    heredocs: Vec<String>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn starts_with(&self, text: &str) -> bool {
        self.text[self.at..].starts_with(text.as_bytes())
    }

    fn advance(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    /// Reads commands until `end` or the end of the text.
    fn commands(&mut self, end: Option<u8>) {
        let mut command = self.new_command(false);
        let mut cases: Vec<bool> = Vec::new();
        while let Some(byte) = self.peek() {
            if Some(byte) == end && cases.is_empty() {
                self.advance();
                break;
            }
            match byte {
                b' ' | b'\t' | b'\r' => drop(self.advance()),
                b'\\' if self.starts_with("\\\n") => drop((self.advance(), self.advance())),
                b'#' => self.skip_line(),
                b'\n' | b';' | b'&' | b'|' | b'(' | b')' => {
                    if byte == b'(' && command.words.len() == 1 && self.starts_with("()") {
                        self.script.functions.insert(command.words.remove(0));
                        self.at += 2;
                        continue;
                    }
                    let piped = byte == b'|' && !self.starts_with("||");
                    // A pipe may continue on the next line.
                    let piped =
                        piped || byte == b'\n' && command.is_piped_into && command.words.is_empty();
                    self.finish(command, &mut cases);
                    self.separator(byte, &mut cases);
                    command = self.new_command(piped);
                }
                b'<' | b'>' => self.redirection(&mut command),
                _ if self.in_pattern(&cases) => self.pattern(&mut cases),
                _ => self.command_word(&mut command, &mut cases),
            }
        }
        self.finish(command, &mut cases);
    }

    fn new_command(&self, is_piped_into: bool) -> Command {
        Command {
            line: self.line,
            is_piped_into,
            keyword: None,
            words: Vec::new(),
            output: None,
        }
    }

    fn finish(&mut self, command: Command, _cases: &mut [bool]) {
        if !command.words.is_empty() {
            self.script.commands.push(command);
        }
    }

    fn separator(&mut self, byte: u8, cases: &mut [bool]) {
        if self.starts_with(";;") {
            self.at += 2;
            if let Some(in_pattern) = cases.last_mut() {
                *in_pattern = true;
            }
            return;
        }
        self.advance();
        if byte == b'\n' {
            for end in std::mem::take(&mut self.heredocs) {
                self.skip_heredoc(&end);
            }
        }
    }

    fn in_pattern(&self, cases: &[bool]) -> bool {
        cases.last().copied().unwrap_or(false)
    }

    /// Reads a pattern of `case` with its parenthesis, or `esac`.
    fn pattern(&mut self, cases: &mut Vec<bool>) {
        if self.starts_with("esac") {
            self.at += 4;
            cases.pop();
            return;
        }
        while let Some(byte) = self.peek() {
            match byte {
                b')' => break,
                b' ' | b'|' | b'\n' | b'\t' => drop(self.advance()),
                _ => drop(self.word()),
            }
        }
        self.advance();
        if let Some(in_pattern) = cases.last_mut() {
            *in_pattern = false;
        }
    }

    fn command_word(&mut self, command: &mut Command, cases: &mut Vec<bool>) {
        if command.words.is_empty() {
            command.line = self.line;
        }
        let word = self.word();
        if command.words.is_empty() {
            if PREFIXES.contains(&word.as_str()) || is_assignment(&word) {
                if self.peek() == Some(b'(') && word.ends_with('=') {
                    self.array();
                } else if !is_assignment(&word) {
                    command.keyword = Some(word);
                }
                return;
            }
            if word == "[[" {
                self.condition();
                return;
            }
            if word == "esac" && cases.pop().is_some() {
                return;
            }
        }
        let is_case = command.words.len() == 2 && command.words[0] == "case" && word == "in";
        command.words.push(word);
        if is_case {
            command.words.clear();
            cases.push(true);
        }
    }

    /// Reads the elements of an array, which are words, not commands.
    fn array(&mut self) {
        self.advance();
        while let Some(byte) = self.peek() {
            match byte {
                b')' => {
                    self.advance();
                    return;
                }
                b' ' | b'\t' | b'\n' => drop(self.advance()),
                b'#' => self.skip_line(),
                _ => drop(self.word()),
            }
        }
    }

    fn condition(&mut self) {
        while self.at < self.text.len() && !self.starts_with(" ]]") {
            match self.peek() {
                Some(b'$' | b'"' | b'\'' | b'\\') => drop(self.word()),
                _ => drop(self.advance()),
            }
        }
        self.at = (self.at + 3).min(self.text.len());
    }

    fn redirection(&mut self, command: &mut Command) {
        if command
            .words
            .last()
            .is_some_and(|w| w.bytes().all(|b| b.is_ascii_digit()))
        {
            command.words.pop();
        }
        let heredoc = self.starts_with("<<") && !self.starts_with("<<<");
        let to = self.peek() == Some(b'>');
        if self.starts_with("<(") {
            self.at += 2;
            self.commands(Some(b')'));
            return;
        }
        while matches!(self.peek(), Some(b'<' | b'>' | b'&' | b'-' | b' ')) {
            self.advance();
        }
        let target = self.word();
        if heredoc {
            self.heredocs.push(target);
        } else if to && command.output.is_none() {
            command.output = Some(target);
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|b| b != b'\n') {
            self.advance();
        }
    }

    fn skip_heredoc(&mut self, end: &str) {
        while self.at < self.text.len() {
            let start = self.at;
            self.skip_line();
            let line = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
            self.advance();
            if line.trim_start_matches('\t') == end {
                return;
            }
        }
    }

    /// Reads one word without quotes; commands inside it become commands of the script.
    fn word(&mut self) -> String {
        let mut word = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'\'' => self.single_quoted(&mut word),
                b'"' => self.double_quoted(&mut word),
                b'\\' => {
                    self.advance();
                    word.extend(self.advance());
                }
                b'$' => self.expansion(&mut word),
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => break,
                _ => word.extend(self.advance()),
            }
        }
        if word.is_empty() && self.peek().is_some_and(|b| b == b'(') {
            self.advance();
        }
        String::from_utf8_lossy(&word).into_owned()
    }

    fn single_quoted(&mut self, word: &mut Vec<u8>) {
        self.advance();
        while let Some(byte) = self.advance() {
            if byte == b'\'' {
                return;
            }
            word.push(byte);
        }
    }

    fn double_quoted(&mut self, word: &mut Vec<u8>) {
        self.advance();
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.advance();
                    return;
                }
                b'\\' => {
                    self.advance();
                    word.extend(self.advance());
                }
                b'$' => self.expansion(word),
                _ => word.extend(self.advance()),
            }
        }
    }

    fn expansion(&mut self, word: &mut Vec<u8>) {
        word.extend(self.advance());
        if self.starts_with("((") {
            self.skip_nested(b'(', b')');
        } else if self.starts_with("(") {
            self.advance();
            self.commands(Some(b')'));
        } else if self.starts_with("{") {
            self.skip_nested(b'{', b'}');
        } else if self.starts_with("'") {
            self.single_quoted(word);
        }
    }

    fn skip_nested(&mut self, open: u8, close: u8) {
        let mut depth = 0;
        while let Some(byte) = self.advance() {
            depth += i32::from(byte == open) - i32::from(byte == close);
            if depth == 0 {
                return;
            }
        }
    }
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else {
        return false;
    };
    let name = name.trim_end_matches('+');
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[test]
fn reader_finds_the_commands_of_a_script() {
    let script = read(concat!(
        "# no command\n",
        "name() { first \"$(second 'not one')\" | third; }\n",
        "if ! fourth; then X=1 fifth > file 2>&1; fi\n",
        "case $(sixth) in a | b) seventh ;; *) eighth ;; esac\n",
        "list=(not commands $(ninth)); [[ $a == *\"b c\"* ]] && tenth |\n  eleventh <<'END'\nnothing\nEND\n",
        "for x in nothing; do twelfth; done\n",
    ));
    let first = |c: &Command| c.words[0].clone();
    let names: Vec<String> = script.commands.iter().map(first).collect();
    let expected = [
        "second", "first", "third", "fourth", "fifth", "fi", "sixth", "seventh", "eighth", "ninth",
        "tenth", "eleventh", "for", "twelfth", "done",
    ];
    assert_eq!(names, expected);
    assert_eq!(script.functions, BTreeSet::from(["name".to_string()]));
    let piped: Vec<String> = script
        .commands
        .iter()
        .filter(|c| c.is_piped_into)
        .map(first)
        .collect();
    assert_eq!(piped, ["third", "eleventh"]);
    let fifth = script
        .commands
        .iter()
        .find(|c| c.words[0] == "fifth")
        .unwrap();
    assert_eq!(
        (fifth.words.len(), fifth.output.as_deref(), fifth.line),
        (1, Some("file"), 3)
    );
}
