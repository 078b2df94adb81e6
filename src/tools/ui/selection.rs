//! The qubes that a command line selects: names, shell patterns, `--all`, `--exclude`
//! (`docs/spec/r4-tools.md` §1.4).

use clap::Args;

use super::failure::Failure;
use super::hint::Hint;
use super::output::print_warning;
use super::suggestion::did_you_mean;
use crate::lifecycle::Context;
use crate::model::VmName;
use crate::tools::completion;
use crate::tools::ui::quoted::quoted;

/// The arguments that select qubes.
#[derive(Debug, Default, Args)]
pub struct Selection {
    /// Select all qubes except dom0
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// With --all, leave out this qube (can be repeated)
    #[arg(long, value_name = "EXCLUDE", add = completion::SELECTED)]
    pub exclude: Vec<String>,
    /// Names of qubes or shell patterns
    #[arg(value_name = "VMNAME", num_args = 0.., add = completion::SELECTED)]
    pub names: Vec<String>,
}

impl Selection {
    /// Returns the qubes that the command line selects; warns about arguments without effect.
    ///
    /// # Errors
    /// No qubes are named, or one does not exist.
    pub fn qubes(&self, context: &Context) -> Result<Vec<VmName>, Failure> {
        self.check()?;
        let qubes = context.read()?;
        let all: Vec<&str> = qubes.names().map(VmName::as_str).collect();
        let names = self.resolve(&all, false)?;
        self.unmatched(&all)
            .iter()
            .for_each(|text| print_warning(text));
        Ok(names
            .into_iter()
            .filter_map(|n| qubes.name(n).cloned())
            .collect())
    }

    /// Checks that qubes are named, and that `--exclude` is used with `--all` only.
    ///
    /// # Errors
    /// A usage error.
    pub fn check(&self) -> Result<(), Failure> {
        if !self.all && self.names.is_empty() {
            return Err(Failure::usage(
                "one of the arguments --all VMNAME is required",
            ));
        }
        self.check_exclude()
    }

    fn excludes(&self, name: &str) -> bool {
        self.exclude.iter().any(|excluded| excluded == name)
    }

    /// Checks that `--exclude` is used with `--all` only.
    ///
    /// # Errors
    /// A usage error.
    pub fn check_exclude(&self) -> Result<(), Failure> {
        if !self.all && !self.exclude.is_empty() {
            return Err(Failure::usage("--exclude can only be used with --all"));
        }
        Ok(())
    }

    /// Returns a warning for each argument without effect: patterns that match no qube, and values
    /// of `--exclude` that are not the name of a qube.
    pub fn unmatched(&self, names: &[&str]) -> Vec<String> {
        let fits_none = |given: &&String| {
            is_pattern(given) && !names.iter().any(|name| matches_pattern(given, name))
        };
        let patterns = self
            .names
            .iter()
            .filter(fits_none)
            .map(|given| format!("no qube matches {}", quoted(given)));
        let unknown = self
            .exclude
            .iter()
            .filter(|given| !names.contains(&given.as_str()))
            .map(|given| {
                let quoted = quoted(given);
                match is_pattern(given) {
                    true => {
                        format!("--exclude takes names, not patterns: {quoted} leaves nothing out")
                    }
                    false => {
                        let close = did_you_mean(given, names.iter().copied());
                        format!(
                            "there is no qube {quoted} to leave out{}",
                            close.map_or_else(String::new, |c| format!("; {c}"))
                        )
                    }
                }
            });
        patterns.chain(unknown).collect()
    }

    /// Returns the selected names among all `names` of the system, dom0 included. `with_dom0` says
    /// whether `--all` includes dom0. Names keep their order and appear once; those of `--all` and
    /// of a pattern are in byte order. A pattern without a match is not an error, see
    /// [`Selection::unmatched`].
    ///
    /// # Errors
    /// A name does not exist.
    pub fn resolve<'n>(&self, names: &[&'n str], with_dom0: bool) -> Result<Vec<&'n str>, Failure> {
        let mut found: Vec<&'n str> = Vec::new();
        if self.all {
            found.extend(
                names
                    .iter()
                    .filter(|n| (with_dom0 || **n != "dom0") && !self.excludes(n)),
            );
            found.sort_unstable();
            return Ok(found);
        }
        for given in &self.names {
            let before = found.len();
            if is_pattern(given) {
                found.extend(names.iter().filter(|n| matches_pattern(given, n)));
                found[before..].sort_unstable();
            } else {
                let name = names
                    .iter()
                    .find(|n| *n == given)
                    .ok_or_else(|| Failure::no_such_domain(given))?;
                found.push(*name);
            }
        }
        let mut kept: Vec<&'n str> = Vec::with_capacity(found.len());
        for name in found {
            if !kept.contains(&name) {
                kept.push(name);
            }
        }
        Ok(kept)
    }
}

/// Returns the qube that the argument of a tool for one qube names: a name, or a pattern, of whose
/// matches the last is taken.
pub fn resolve_one<'n>(
    given: &str,
    mut names: impl Iterator<Item = &'n str>,
) -> Result<&'n str, Failure> {
    if is_pattern(given) {
        return names
            .filter(|n| matches_pattern(given, n))
            .max()
            .ok_or_else(|| no_match(given));
    }
    names
        .find(|n| *n == given)
        .ok_or_else(|| Failure::no_such_domain(given))
}

/// Returns the usage error for a pattern that matches no qube.
pub fn no_match(pattern: &str) -> Failure {
    let text = format!("no domain matches {}", quoted(pattern));
    Failure::usage(text).with_hint(Hint::text("qvm-ls lists the qubes"))
}

/// Whether an argument is a shell pattern.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '!', ']'])
}

/// Matches a shell pattern as Python's `fnmatchcase` does it: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`;
/// a `[` without its `]` stands for itself.
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where to backtrack if the rest does not match: the position after the last star, and the
    // first character that the star did not take.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == '*' {
            retry = Some((p + 1, n));
            p += 1;
            continue;
        }
        if n == name.len() && p == pattern.len() {
            return true;
        }
        if n < name.len()
            && let Some(next) = step(&pattern, p, name[n])
        {
            p = next;
            n += 1;
            continue;
        }
        match &mut retry {
            Some((after_star, eaten)) if *eaten < name.len() => {
                *eaten += 1;
                (p, n) = (*after_star, *eaten);
            }
            _ => return false,
        }
    }
}

/// Returns the position after the element of the pattern at `p` if that matches `c`.
fn step(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match *pattern.get(p)? {
        '?' => Some(p + 1),
        '[' => match class_end(pattern, p) {
            Some(end) => class_has(&pattern[p + 1..end], c).then_some(end + 1),
            None => (c == '[').then_some(p + 1),
        },
        literal => (literal == c).then_some(p + 1),
    }
}

/// Returns the position of the `]` that closes the class that opens at `p`.
fn class_end(pattern: &[char], p: usize) -> Option<usize> {
    let mut at = p + 1;
    if pattern.get(at) == Some(&'!') {
        at += 1;
    }
    if pattern.get(at) == Some(&']') {
        at += 1;
    }
    pattern[at.min(pattern.len())..]
        .iter()
        .position(|c| *c == ']')
        .map(|i| at + i)
}

fn class_has(class: &[char], c: char) -> bool {
    let (negated, class) = match class.split_first() {
        Some(('!', rest)) => (true, rest),
        _ => (false, class),
    };
    let mut at = 0;
    let mut found = false;
    while at < class.len() {
        if at + 2 < class.len() && class[at + 1] == '-' {
            found |= class[at] <= c && c <= class[at + 2];
            at += 3;
        } else {
            found |= class[at] == c;
            at += 1;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = [
        "dom0",
        "sys-firewall",
        "sys-net",
        "sys-usb",
        "vault",
        "work",
    ];

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn resolve(given: &Selection, with_dom0: bool) -> Vec<&'static str> {
        given.resolve(&NAMES, with_dom0).unwrap()
    }

    #[test]
    fn names_keep_their_order_and_matches_are_sorted() {
        let given = Selection {
            names: texts(&["work", "sys-[!n]*", "work", "zz*", "w???", "dom0"]),
            ..Selection::default()
        };
        assert_eq!(
            resolve(&given, false),
            ["work", "sys-firewall", "sys-usb", "dom0"]
        );
    }

    #[test]
    fn all_excludes_dom0_and_the_values_of_exclude() {
        let given = Selection {
            all: true,
            exclude: texts(&["work", "nope"]),
            ..Selection::default()
        };
        assert_eq!(
            resolve(&given, false),
            ["sys-firewall", "sys-net", "sys-usb", "vault"]
        );
        assert_eq!(resolve(&given, true)[0], "dom0");
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let given = Selection {
            names: texts(&["nope"]),
            ..Selection::default()
        };
        let Err(Failure::Hinted(error, _)) = given.resolve(&NAMES, false) else {
            panic!("no hint")
        };
        assert!(matches!(*error, Failure::Usage(text) if text == "no such domain: 'nope'"));
    }

    #[test]
    fn arguments_without_effect_are_reported() {
        let given = Selection {
            names: texts(&["work", "zz*", "sys-*", "[q]"]),
            ..Selection::default()
        };
        assert_eq!(
            given.unmatched(&NAMES),
            ["no qube matches 'zz*'", "no qube matches '[q]'"]
        );
        let given = Selection {
            all: true,
            exclude: texts(&["wrk", "work", "sys-*", "nope"]),
            ..Selection::default()
        };
        let told = [
            "there is no qube 'wrk' to leave out; did you mean 'work'?",
            "--exclude takes names, not patterns: 'sys-*' leaves nothing out",
            "there is no qube 'nope' to leave out",
        ];
        assert_eq!(given.unmatched(&NAMES), told);
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("*", "work", true),
            ("w*k", "work", true),
            ("w*k", "works", false),
            ("*a*u*t", "vault", true),
            ("w???", "work", true),
            ("[a-w]ork", "work", true),
            ("[!a-w]ork", "work", false),
            ("a[", "a[", true),
            ("[]]x", "]x", true),
            ("W*", "work", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), fits, "{pattern} {name}");
        }
    }
}
