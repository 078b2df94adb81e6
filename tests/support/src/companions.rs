//! Helper processes that lock a store and continue on request, and Python programs that lock it as
//! Qubes' own code does.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A process that prints a line when it is ready and ends at the end of its standard input.
pub struct Companion {
    pub child: Child,
    // Kept open: a process that writes to a closed pipe is killed.
    output: BufReader<ChildStdout>,
}

impl Companion {
    /// Starts the process and waits until it has printed `ready`.
    pub fn start(mut command: Command, ready: &str) -> Companion {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let ready_line = output
            .by_ref()
            .lines()
            .map(Result::unwrap)
            .find(|line| line.contains(ready));
        assert!(
            ready_line.is_some(),
            "the other process ended before it was ready"
        );
        Companion { child, output }
    }

    /// Sends a line to the process and waits until it has printed `answer`.
    pub fn send(&mut self, line: &str, answer: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        let mut lines = self.output.by_ref().lines().map(Result::unwrap);
        assert!(
            lines.any(|line| line.contains(answer)),
            "the other process ended before it answered"
        );
    }

    /// Closes the standard input of the process and waits until it has ended.
    pub fn finish(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Returns a Python program that works on the store in `dir` and locks it as Qubes' own code does.
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
