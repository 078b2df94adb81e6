//! Reads recorded commands and compares their output.

use std::fs;
use std::path::Path;

use qubes_test_support::ToolOutput;

/// One recorded command.
#[derive(Debug, Default)]
pub struct Block {
    pub command: String,
    pub setups: Vec<String>,
    pub stdin: String,
    pub terminal: bool,
    stdout: String,
    stderr: String,
    exit: i32,
}

impl Block {
    pub fn words(&self) -> Vec<String> {
        shell_words(&self.command)
    }

    pub fn setup_commands(&self) -> impl Iterator<Item = Vec<String>> + '_ {
        self.setups.iter().map(|s| shell_words(s))
    }

    pub fn commands(&self) -> impl Iterator<Item = Vec<String>> + '_ {
        std::iter::once(self.words()).chain(self.setup_commands())
    }

    /// Whether upstream's tool crashed or gave no reason. Then any clean failure matches.
    pub fn is_crash(&self) -> bool {
        self.stderr.contains("<TRACEBACK") || self.stderr.contains("Got empty response from qubesd")
    }

    /// Whether a command with another output ends as upstream's.
    pub fn ends_alike(&self, got: &ToolOutput) -> bool {
        !got.stderr.contains("panicked") && (self.exit == got.code || got.code == 0)
    }

    pub fn compare(&self, got: &ToolOutput) -> Result<(), String> {
        if self.is_crash() {
            let panicked = got.stderr.contains("panicked");
            let clean = (1..=3).contains(&got.code) && !panicked && !got.stderr.trim().is_empty();
            return if clean {
                Ok(())
            } else {
                Err(format!("no clean failure: {got:?}"))
            };
        }
        let mut wrong = String::new();
        // Upstream's progress spinner, which we do not have.
        let stderr: String = self
            .stderr
            .split_inclusive('\n')
            .filter(|l| *l != "<SPINNER>\n")
            .collect();
        let sizes = self.with_placeholders(&got.stdout);
        let said = without_ours(&got.stderr);
        for (name, wanted, got) in [("stdout", &self.stdout, &sizes), ("stderr", &stderr, &said)] {
            if wanted != got {
                wrong += &format!("{name}, recorded:\n{wanted}{name}, ours:\n{got}");
            }
        }
        if self.exit != got.code {
            wrong += &format!("exit code {}, recorded {}\n", got.code, self.exit);
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

impl Block {
    /// Replaces sizes of file systems with the placeholders of the recording.
    fn with_placeholders(&self, stdout: &str) -> String {
        let line = |line: &str| {
            let recorded = self.stdout.split_inclusive('\n').find(|recorded| {
                let front = recorded.strip_suffix("<BYTES>\n").unwrap_or("\n");
                line.strip_prefix(front)
                    .is_some_and(|bytes| bytes.trim_end().parse::<u64>().is_ok_and(|n| n > 0))
            });
            recorded.unwrap_or(line).to_string()
        };
        stdout.split_inclusive('\n').map(line).collect()
    }
}

/// Standard error without the lines that upstream's tools do not have: hints, and warnings about
/// arguments without effect (`docs/differences.md`). The transcripts have those.
pub fn without_ours(stderr: &str) -> String {
    let is_ours = |line: &&str| line.starts_with("hint: ") || line.starts_with("warning: ");
    stderr
        .split_inclusive('\n')
        .filter(|line| !is_ours(line))
        .collect()
}

/// Reads a file of blocks.
pub fn read(file: &Path) -> Vec<Block> {
    let text = fs::read_to_string(file).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_error = false;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            blocks.push(Block {
                command: command.to_string(),
                ..Block::default()
            });
            continue;
        }
        let Some(block) = blocks.last_mut() else {
            continue;
        };
        let stream = if is_error {
            &mut block.stderr
        } else {
            &mut block.stdout
        };
        match line {
            "stdout:" => is_error = false,
            "stderr:" => is_error = true,
            "tty: stdout" => block.terminal = true,
            "|" => stream.push('\n'),
            "" => {}
            _ => match line.split_at(2) {
                ("| ", rest) => *stream += &format!("{rest}\n"),
                ("\\ ", rest) => *stream += rest,
                _ => match line
                    .split_once(": ")
                    .unwrap_or_else(|| panic!("{}: {line:?}", file.display()))
                {
                    ("setup", command) => block.setups.push(command.to_string()),
                    ("stdin", json) => block.stdin = serde_json::from_str(json).unwrap(),
                    ("exit", code) => block.exit = code.parse().unwrap(),
                    _ => panic!("{}: {line:?}", file.display()),
                },
            },
        }
    }
    blocks
}

/// Sorts the lines ` - …` of a refusal, as the recordings have them.
pub fn sorted_uses(text: &str) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let first = lines
        .iter()
        .position(|l| l.starts_with(" - "))
        .unwrap_or(lines.len());
    let end = first
        + lines[first..]
            .iter()
            .take_while(|l| l.starts_with(" - "))
            .count();
    lines[first..end].sort_unstable();
    lines.concat()
}

/// Splits a line as a shell does, with both quotes and the backslash.
pub fn shell_words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().extend(characters.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
