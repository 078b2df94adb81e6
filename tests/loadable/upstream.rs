//! A checkout of qubes-core-admin that loads stores in its own process (`load_store.py`).

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Upstream {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Upstream {
    /// Returns the checkout that `QUBES_ADMIN` names, if it is set.
    pub fn of_environment() -> Option<Upstream> {
        let checkout = env::var_os("QUBES_ADMIN")?;
        let python = env::var_os("QUBES_ADMIN_PYTHON").unwrap_or_else(|| "python3".into());
        let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/loadable/load_store.py");
        let mut command = Command::new(python);
        command
            .arg(driver)
            .arg(checkout)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (asked, answers) = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        Some(Upstream {
            child,
            asked,
            answers,
        })
    }

    /// Returns `ok`, or the error of the load.
    pub fn load(&mut self, store: &Path) -> String {
        writeln!(self.asked, "{}", store.display()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}
