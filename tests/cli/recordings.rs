//! Every command that was recorded from upstream's tools (`tests/data/r4/cli/README.md`) is run
//! with ours, on a fresh copy of the same store, and must print the same and end with the same exit
//! code. What differs on purpose is listed in `docs/differences.md`, with the reason; an entry
//! there that does not differ any more is an error, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use qubes_test_support::{TestSystem, ToolOutput, binary, repository};

use crate::recording::{self, Block};

/// Whether a tool of this name exists here.
fn exists(tool: &str) -> bool {
    binary(tool).exists()
}

/// The recorded commands whose tools exist here, with their setups.
fn blocks() -> Vec<Block> {
    let mut files: Vec<PathBuf> = fs::read_dir(repository("tests/data/r4/cli"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "txt"));
    files.sort();
    let all = files.iter().flat_map(|file| recording::read(file));
    all.filter(|b| b.commands().all(|words| exists(&words[0])))
        .collect()
}

/// The commands of `docs/differences.md`: in the first column, between backticks.
fn differences() -> BTreeMap<String, bool> {
    let text = fs::read_to_string(repository("docs/differences.md")).unwrap();
    let commands = text.lines().filter_map(|l| {
        l.strip_prefix("| `")?
            .split_once('`')
            .map(|(c, _)| c.to_string())
    });
    commands.map(|c| (c, false)).collect()
}

fn run(block: &Block) -> Compared {
    let store = TestSystem::recorded("small.xml");
    for words in block.setup_commands() {
        let run = store.run(&words);
        if run.code != 0 {
            return Compared::Wrong(format!("setup {words:?} failed: {}", run.stderr));
        }
    }
    let words = block.words();
    let before = fs::read(store.store_file()).unwrap();
    let got = if block.terminal {
        assert_eq!(block.stdin, "", "standard input with a terminal");
        store.run_on_terminal(&words)
    } else {
        store.run_with_input(&words, &block.stdin)
    };
    let got = ToolOutput {
        stderr: recording::sorted_uses(&got.stderr),
        ..got
    };
    let compared = block.compare(&got);
    if block.is_crash() && got.code != 0 && fs::read(store.store_file()).unwrap() != before {
        return Compared::Wrong(format!("it failed and changed the store: {got:?}"));
    }
    match compared {
        Ok(()) => Compared::Same,
        Err(difference) if block.ends_alike(&got) => Compared::Differs(difference),
        Err(difference) => Compared::Wrong(difference),
    }
}

/// The result of running a recorded command.
enum Compared {
    Same,
    /// It prints something else, but ends with the recorded exit code, or does what upstream
    /// refused.
    Differs(String),
    /// It ends differently, which is never allowed.
    Wrong(String),
}

/// Runs all blocks, each with a store of its own.
fn run_all(blocks: &[Block]) -> Vec<(&Block, Compared)> {
    let results: Mutex<Vec<(&Block, Compared)>> = Mutex::default();
    let next = Mutex::new(blocks.iter());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(block) = { next.lock().unwrap().next() } {
                    let result = run(block);
                    results.lock().unwrap().push((block, result));
                }
            });
        }
    });
    results.into_inner().unwrap()
}

#[test]
fn recorded_commands_print_the_same_or_differ_as_documented() {
    let mut differences = differences();
    let mut wrong = Vec::new();
    let blocks = blocks();
    assert!(blocks.len() > 420, "only {} blocks found", blocks.len());
    for (block, result) in run_all(&blocks) {
        match (result, differences.get_mut(&block.command)) {
            (Compared::Same, _) => {}
            (Compared::Differs(_), Some(seen)) => *seen = true,
            (Compared::Wrong(difference) | Compared::Differs(difference), _) => {
                wrong.push(format!("$ {}\n{difference}", block.command));
            }
        }
    }
    for (command, _) in differences.into_iter().filter(|(_, seen)| !seen) {
        wrong.push(format!(
            "$ {command}\ndocs/differences.md lists it, but it was not recorded, or prints the same"
        ));
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n\n{}",
        wrong.len(),
        blocks.len(),
        wrong.join("\n")
    );
}
