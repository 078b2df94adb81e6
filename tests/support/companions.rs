//! Other processes that lock a store and wait to be told to go on; and Python, which locks as
//! Qubes' own code does.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Waits for what another process or thread is about to do.
#[allow(dead_code, reason = "not every test file that includes this needs it")]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// A process that says a line when it is ready and ends when its standard input does.
pub struct Companion {
    pub child: Child,
    // Kept open: who writes to a pipe that nobody reads is killed.
    output: BufReader<ChildStdout>,
}

impl Companion {
    /// Starts it and waits until it has said `ready`.
    pub fn start(mut command: Command, ready: &str) -> Companion {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let said = output
            .by_ref()
            .lines()
            .map(Result::unwrap)
            .find(|line| line.contains(ready));
        assert!(
            said.is_some(),
            "the other process ended before it was ready"
        );
        Companion { child, output }
    }

    /// Says a line to it and waits until it has said `answer`.
    #[allow(dead_code, reason = "not every test file that includes this needs it")]
    pub fn say(&mut self, line: &str, answer: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        let mut lines = self.output.by_ref().lines().map(Result::unwrap);
        assert!(
            lines.any(|line| line.contains(answer)),
            "the other process ended before it answered"
        );
    }

    /// Lets it go on, and waits until it has ended.
    pub fn finish(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// A Python program working on the store in `dir`, with Qubes' own way to lock it.
pub fn python(program: &str, dir: &Path) -> Command {
    let preamble = "\
import fcntl, os, re, sys
PATH = sys.argv[1] + '/qubes.xml'
def lock(how=fcntl.LOCK_EX):
    while True:
        f = open(PATH, 'r+b')
        fcntl.lockf(f, how)
        a, b = os.fstat(f.fileno()), os.stat(PATH)
        if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino):
            return f
        f.close()
def ready():
    print('READY', flush=True)
    sys.stdin.read()
";
    let mut command = Command::new("python3");
    command
        .arg("-c")
        .arg(format!("{preamble}{program}"))
        .arg(dir);
    command
}
