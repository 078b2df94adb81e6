//! The completion files in real shells: types a line with tabs, and enters the result.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use qubes_test_support::{TestSystem, binary, repository, skip};

/// Lines with tabs, and the arguments of the entered command.
const LINES: [(&str, &[&str]); 12] = [
    (
        "qvm-prefs wor\tnetv\tsys-n\t",
        &["work", "netvm", "sys-net"],
    ),
    ("qvm-start sys-f\t", &["sys-firewall"]),
    ("qvm-clone person\tnew", &["personal", "new"]),
    (
        "qvm-clone --cl\tStand\twork new",
        &["--class", "StandaloneVM", "work", "new"],
    ),
    (
        "qvm-clone -p priv\tslow\twork new",
        &["-p", "private=slow-hdd", "work", "new"],
    ),
    (
        "qvm-create --prop\tnetv\tsys-n\t-l pur\tnew",
        &["--property", "netvm=sys-net", "-l", "purple", "new"],
    ),
    ("qvm-ls --format=net\t", &["--format=network"]),
    ("qvm-features work men\t", &["work", "menu-items"]),
    (
        "qvm-service work netw\ton",
        &["work", "network-manager", "on"],
    ),
    ("qvm-tags work del zz\t", &["work", "del", "zz-last"]),
    (
        "qubes-prefs default_kern\t6.12\t",
        &["default_kernel", "6.12.21-1.fc37"],
    ),
    ("qubes-db chec\t", &["check"]),
];

/// Lines where the name of a file fits, and where it does not. The shell is in the store's root,
/// and the store cannot be read.
const FILES: [(&str, &[&str]); 3] = [
    (
        "qvm-ls --qubesxml etc/qubes/core.t\t",
        &["--qubesxml", "etc/qubes/core.toml"],
    ),
    ("qvm-start et\tc", &["etc"]),
    (
        "qvm-prefs work template et\tc",
        &["work", "template", "etc"],
    ),
];

/// Returns the file that records entered commands, and the shell's home directory.
fn setting(store: &TestSystem) -> (PathBuf, PathBuf) {
    let (entered, home) = (store.root().join("entered"), store.root().join("home"));
    fs::create_dir_all(&home).unwrap();
    (entered, home)
}

fn tools() -> Vec<&'static str> {
    let mut tools: Vec<&str> = LINES
        .iter()
        .map(|(line, _)| line.split_whitespace().next().unwrap())
        .collect();
    tools.sort_unstable();
    tools.dedup();
    tools
}

fn is_installed(shell: &str) -> bool {
    let there = Command::new(shell)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !there {
        skip(format_args!("{shell} is not installed"));
    }
    there
}

/// A shell on a terminal of its own.
struct Typed {
    keys: File,
    shown: mpsc::Receiver<Vec<u8>>,
    screen: String,
    shell: std::process::Child,
}

impl Typed {
    /// Starts the shell with the programs of this build in its path, and waits for its first
    /// prompt.
    fn new(store: &TestSystem, shell: &[&str]) -> Typed {
        let ends = nix::pty::openpty(None, None).unwrap();
        let programs = binary("qubes").parent().unwrap().to_path_buf();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        // The shell needs a session of its own to get the terminal.
        let mut command = store.program("setsid");
        command
            .arg("--ctty")
            .args(shell)
            .env("PATH", path)
            .env("HOME", store.root().join("home"))
            .env("TERM", "dumb");
        let slave = |end: &std::os::fd::OwnedFd| Stdio::from(end.try_clone().unwrap());
        command
            .stdin(slave(&ends.slave))
            .stdout(slave(&ends.slave))
            .stderr(slave(&ends.slave));
        let shell = command.spawn().unwrap();
        drop((command, ends.slave));
        let keys = File::from(ends.master);
        let mut screen = keys.try_clone().unwrap();
        let (show, shown) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error when the shell has gone.
            while let Ok(count) = screen.read(&mut bytes) {
                if count == 0 || show.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut typed = Typed {
            keys,
            shown,
            screen: String::new(),
            shell,
        };
        typed.wait_for("a prompt", |screen| screen.contains("READY>"));
        typed
    }

    fn wait_for(&mut self, what: &str, done: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done(&self.screen) {
            assert!(
                Instant::now() < deadline,
                "no {what} within 60 s: {}",
                self.screen
            );
            if let Ok(bytes) = self.shown.recv_timeout(Duration::from_millis(50)) {
                self.screen.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }

    /// Types a line and enters it; returns the arguments that the command got.
    fn enter(&mut self, line: &str, entered: &Path) -> Vec<String> {
        let _from_before = fs::remove_file(entered);
        self.screen.clear();
        self.keys.write_all(line.as_bytes()).unwrap();
        self.keys.write_all(b"\r").unwrap();
        self.wait_for(&format!("command for {line:?}"), |_| {
            fs::read_to_string(entered).is_ok_and(|text| text.ends_with("END\n"))
        });
        let text = fs::read_to_string(entered).unwrap();
        text.lines()
            .filter(|word| *word != "END")
            .map(String::from)
            .collect()
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _gone_already = self.shell.kill();
        let _status = self.shell.wait();
    }
}

/// Returns shell functions in the place of the tools that write their arguments to `entered`.
fn recorders(entered: &Path) -> String {
    let record = |tool: &str| {
        let entered = entered.display();
        format!(
            "function {tool} {{ {{ printf '%s\\n' \"$@\"; echo END; }} > {entered}.new; mv \
             {entered}.new {entered}; }}\n"
        )
    };
    tools().into_iter().map(record).collect()
}

fn check(shell: &mut Typed, store: &TestSystem, entered: &Path) {
    for (line, words) in LINES {
        assert_eq!(
            shell.enter(line, entered),
            words,
            "{line:?}\n{}",
            shell.screen
        );
    }
    fs::write(store.store_file(), "<qubes><domains>").unwrap();
    for (line, words) in FILES {
        assert_eq!(
            shell.enter(line, entered),
            words,
            "{line:?}\n{}",
            shell.screen
        );
    }
}

#[test]
fn bash_completes() {
    if !is_installed("bash") {
        return;
    }
    let store = TestSystem::recorded("small.xml");
    let (entered, home) = setting(&store);
    let rc = home.join("bashrc");
    let completion = repository("completions/qubes.bash");
    let text = format!(
        "PS1='READY>'\nbind 'set enable-bracketed-paste off'\n{}. {}\n",
        recorders(&entered),
        completion.display()
    );
    fs::write(&rc, text).unwrap();
    let mut bash = Typed::new(
        &store,
        &[
            "bash",
            "--noprofile",
            "--rcfile",
            rc.to_str().unwrap(),
            "-i",
        ],
    );
    check(&mut bash, &store, &entered);
}

#[test]
fn zsh_completes() {
    if !is_installed("zsh") {
        return;
    }
    let store = TestSystem::recorded("small.xml");
    let (entered, home) = setting(&store);
    let text = format!(
        "PS1='READY>'\nfpath=({} $fpath)\nautoload -U compinit\ncompinit -u -D\nunsetopt \
         zle_bracketed_paste\n\
         zstyle ':completion:*' list-prompt ''\n{}",
        repository("completions").display(),
        recorders(&entered)
    );
    fs::write(home.join(".zshrc"), text).unwrap();
    let mut zsh = Typed::new(&store, &["zsh", "-d", "-i"]);
    check(&mut zsh, &store, &entered);
}

/// Asks fish for its candidates, without a terminal.
#[test]
fn fish_completes() {
    if !is_installed("fish") {
        return;
    }
    let store = TestSystem::recorded("small.xml");
    setting(&store);
    let programs = binary("qubes").parent().unwrap().to_path_buf();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let completion = repository("completions/qubes.fish");
    for (line, _) in LINES {
        let pieces: Vec<&str> = line.split('\t').collect();
        let (typed, _) = line.split_once('\t').unwrap();
        let mut fish = store.program("fish");
        fish.args([
            "--no-config",
            "-c",
            &format!("source {}; complete -C '{typed}'", completion.display()),
        ]);
        fish.env("PATH", &path)
            .env("HOME", store.root().join("home"));
        let output = fish.output().unwrap();
        let offered = String::from_utf8(output.stdout).unwrap();
        let begun = typed.rsplit(' ').next().unwrap();
        let words: Vec<&str> = offered
            .lines()
            .map(|l| l.split('\t').next().unwrap())
            .collect();
        assert!(
            !words.is_empty() && words.iter().all(|w| w.starts_with(begun)),
            "{pieces:?}: {offered}"
        );
    }
    let offered = |typed: &str| {
        let mut fish = store.program("fish");
        fish.args([
            "--no-config",
            "-c",
            &format!("source {}; complete -C '{typed}'", completion.display()),
        ]);
        fish.env("PATH", &path)
            .env("HOME", store.root().join("home"));
        String::from_utf8(fish.output().unwrap().stdout).unwrap()
    };
    assert_eq!(offered("qvm-start sys-f"), "sys-firewall\tAppVM\n");
    assert_eq!(
        offered("true; qvm-prefs work netvm sys-n"),
        "sys-net\tAppVM\n",
        "what stands before is another command"
    );
    assert_eq!(
        offered("qvm-clone -p private=slow"),
        "private=slow-hdd\tfile\n"
    );
    assert!(
        offered("qvm-ls --qubesxml /et").contains("/etc/"),
        "where a file is wanted, files are offered"
    );
    assert_eq!(offered("qvm-start et"), "", "and nowhere else");
}
