//! Checks pipes in scripts with `pipefail`: a reader that ends early makes the pipe fail at random,
//! because SIGPIPE kills the writer.

use crate::shell::{self, Command};
use crate::sources::{recipes, scripts};

/// Returns whether a command may end before it has read all of its input.
fn ends_early(command: &Command) -> bool {
    let has_flag = |flags: &[char]| {
        let short = |w: &&String| w.starts_with('-') && !w.starts_with("--");
        command
            .words
            .iter()
            .skip(1)
            .filter(short)
            .any(|w| w.contains(flags))
    };
    match command.words[0].as_str() {
        "head" => true,
        "read" => command.keyword.as_deref() != Some("while"),
        // grep also ends at the first match if its output is /dev/null.
        "grep" | "egrep" | "fgrep" | "zgrep" => {
            has_flag(&['q', 'm', 'l', 'L'])
                || command
                    .words
                    .iter()
                    .any(|w| ["--quiet", "--silent"].contains(&w.as_str()))
                || command.output.as_deref() == Some("/dev/null")
        }
        "sed" => command.words.iter().skip(1).any(|w| {
            let commands = w.split([';', '\n', '}']).map(str::trim_end);
            !w.starts_with('-')
                && commands
                    .into_iter()
                    .any(|c| c.ends_with(['q', 'Q']) && !c.starts_with("s/"))
        }),
        "awk" => command.words.iter().any(|w| w.contains("exit")),
        _ => false,
    }
}

#[test]
fn no_reader_ends_early_where_pipefail_is_set() {
    let mut piped = 0;
    let mut wrong = Vec::new();
    for source in scripts().into_iter().chain(recipes()) {
        if !source.text.contains("pipefail") {
            continue;
        }
        let commands = shell::read(&source.text).commands;
        piped += commands.iter().filter(|c| c.is_piped_into).count();
        let early = commands.iter().filter(|c| c.is_piped_into && ends_early(c));
        wrong.extend(early.map(|c| format!("{}:{}: {}", source.path, c.line, c.words.join(" "))));
    }
    assert!(piped > 20, "{piped} pipes were read");
    assert!(
        wrong.is_empty(),
        "these may end before their input does:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn ends_early_recognises_commands() {
    let early = |line: &str| shell::read(line).commands.iter().any(ends_early);
    for line in [
        "grep -q x",
        "grep -aqxF x",
        "grep -m 1 x",
        "grep x > /dev/null",
        "head -n 1",
        "sed 3q",
        "sed -n '/x/{p;q}'",
        "read -r x",
        "awk '{ exit }'",
    ] {
        assert!(early(line), "{line}");
    }
    for line in [
        "grep x",
        "grep -c x",
        "sed -n 1p",
        "sed s/a/q/",
        "while read -r x",
        "tail -n 1",
        "awk '{ print }'",
        "sort",
    ] {
        assert!(!early(line), "{line}");
    }
}
