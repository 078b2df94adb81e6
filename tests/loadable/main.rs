//! qubesd loads every store that a command accepts: runs random commands of all tools, with valid
//! and invalid values, and checks after each change of the store that `qubes-db check` finds no new
//! reason for which qubesd refuses it.
//!
//! `QUBES_LOADABLE_SEED` repeats a run, `QUBES_LOADABLE_SECONDS` makes it longer. If `QUBES_ADMIN`
//! names a checkout of qubes-core-admin, that loads every result, too, with the Python that
//! `QUBES_ADMIN_PYTHON` names.

mod accepted;
mod commands;
mod system;
mod upstream;

use std::time::{Duration, Instant};

use commands::Commands;
use system::System;
use upstream::Upstream;

/// The maximum number of commands on one store; short histories are easier to understand.
const COMMANDS_PER_STORE: usize = 60;

#[test]
fn accepted_changes_are_loadable() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seed: u64 = number("QUBES_LOADABLE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let seconds: u64 = number("QUBES_LOADABLE_SECONDS").unwrap_or(15);
    println!("QUBES_LOADABLE_SEED={seed}");
    let mut upstream = Upstream::of_environment();
    if upstream.is_none() {
        println!("QUBES_ADMIN is not set: only our own check looks at the results");
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut ran, mut accepted, mut changed) = (0, 0, 0);
    // Each store has its own seed, which the failure message contains.
    for seed in seed.. {
        let system = System::new(seed);
        let mut commands = Commands::new(seed);
        let mut history = Vec::new();
        for _ in 0..COMMANDS_PER_STORE {
            let command = commands.next(&system.qubes());
            let before = system.bytes();
            let done = system.run(&command);
            ran += 1;
            accepted += usize::from(done.code == 0);
            history.push(format!("{} {command:?}", done.code));
            let tell = || format!("QUBES_LOADABLE_SEED={seed}\n{}", history.join("\n"));
            assert!(
                done.code >= 0 && done.code != 101,
                "a crash: {done:?}\n{}",
                tell()
            );
            if system.bytes() == before {
                continue;
            }
            changed += 1;
            let new = system.new_refusals();
            assert!(
                new.is_empty(),
                "qubesd would refuse it for {new:?}\n{}",
                tell()
            );
            if let Some(upstream) = &mut upstream {
                let answer = upstream.load(&system.store());
                assert_eq!(answer, "ok", "upstream\n{}", tell());
            }
        }
        if Instant::now() > end {
            break;
        }
    }
    println!("{ran} commands, {accepted} accepted, {changed} changed the store");
    // A generator of only invalid commands would prove nothing.
    assert!(
        accepted * 4 > ran,
        "{accepted} of {ran} commands were accepted"
    );
}
