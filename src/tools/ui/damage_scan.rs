//! Finds damaged qubes while a tool lists them, and reports them in one line.

use std::cell::{Cell, RefCell};

use super::invocation::Invocation;
use crate::lifecycle::{Context, soundness};
use crate::model::check::{NetvmLoops, UniqueNumbers};
use crate::model::{Qubes, Vm, VmName, check};
use crate::store::Read;

/// Collects the damage of the qubes that a tool lists.
pub struct DamageScan<'q> {
    qubes: &'q Qubes,
    context: &'q Context,
    /// Whether damage outside qubes is reported too.
    includes_store: bool,
    /// The numbers of all qubes, if all of them are listed.
    numbers: Option<RefCell<UniqueNumbers>>,
    ways: RefCell<NetvmLoops<'q>>,
    broken: RefCell<Vec<(VmName, Vec<String>)>>,
    /// How many qubes were inspected.
    inspected: Cell<usize>,
    /// The store, and whether it is recorded that no qube in it is broken.
    known: Option<(&'q Read, bool)>,
}

impl<'q> DamageScan<'q> {
    /// Starts a scan for a listing of all qubes or some.
    pub fn for_listing(read: &'q Read, context: &'q Context, all: bool) -> DamageScan<'q> {
        let is_known = soundness::is_cached_unbroken(context, read);
        let numbers = all.then(RefCell::default);
        DamageScan {
            includes_store: true,
            numbers,
            known: Some((read, is_known)),
            ..DamageScan::new(read, context)
        }
    }

    /// Scans one qube and ignores other damage.
    pub fn for_qube(qubes: &'q Qubes, vm: &Vm, context: &'q Context) -> DamageScan<'q> {
        let scan = DamageScan::new(qubes, context);
        scan.inspect(vm);
        scan
    }

    fn new(qubes: &'q Qubes, context: &'q Context) -> DamageScan<'q> {
        let (ways, broken, inspected) = (RefCell::default(), RefCell::default(), Cell::default());
        DamageScan {
            qubes,
            context,
            includes_store: false,
            numbers: None,
            ways,
            broken,
            inspected,
            known: None,
        }
    }

    /// Whether it is recorded that no qube is broken.
    pub fn is_known_sound(&self) -> bool {
        self.known.is_some_and(|(_, is_unbroken)| is_unbroken)
    }

    /// Returns what is wrong with a qube.
    pub fn inspect(&self, vm: &Vm) -> Vec<String> {
        self.inspected.set(self.inspected.get() + 1);
        if self.is_known_sound() {
            return Vec::new();
        }
        let mut texts = check::qube_problems(
            self.qubes,
            vm,
            self.context.facts(),
            &mut self.ways.borrow_mut(),
        );
        if let Some(numbers) = &self.numbers
            && !self.qubes.needs_conversion
        {
            let twice = numbers.borrow_mut().find_duplicates(vm);
            texts.extend(
                twice
                    .into_iter()
                    .filter(|f| f.is_breaking())
                    .map(|f| f.text),
            );
        }
        if !texts.is_empty() {
            self.broken
                .borrow_mut()
                .push((vm.name.clone(), texts.clone()));
        }
        texts
    }

    /// Warns in one line about the damage that was found. In a store of R1 to R3 each problem has a
    /// line, because a conversion drops it.
    pub fn warn(&self, call: &Invocation, tool: &'static str) {
        self.record_if_sound();
        let of_store = self.qubes.diagnoses.iter().filter(|_| self.includes_store);
        let of_store: Vec<&str> = of_store.map(|d| d.text.as_str()).collect();
        let broken = self.broken.borrow();
        if self.qubes.needs_conversion {
            of_store.iter().for_each(|text| call.warn(tool, text));
            let each = broken
                .iter()
                .flat_map(|(name, texts)| texts.iter().map(move |text| (name, text)));
            each.for_each(|(name, text)| call.warn(name.as_str(), text));
        } else if let Some((who, text)) = summary(tool, &of_store, &broken) {
            call.warn(&who, &text);
        }
    }

    /// Records that the store is sound if every qube was inspected and none is broken, so that the
    /// next listing need not inspect them.
    fn record_if_sound(&self) {
        if let Some((read, false)) = self.known
            && self.numbers.is_some()
            && self.inspected.get() == self.qubes.len()
            && self.broken.borrow().is_empty()
            && !self.qubes.needs_conversion
        {
            soundness::cache_unbroken(self.context, read);
        }
    }
}

/// Returns the prefix and the text of the warning, if anything is wrong.
fn summary(
    tool: &str,
    of_store: &[&str],
    broken: &[(VmName, Vec<String>)],
) -> Option<(String, String)> {
    let more = "qubes-db check tells more";
    match (of_store, broken) {
        ([], []) => None,
        ([one], []) => Some((tool.to_owned(), (*one).to_owned())),
        ([], [(name, texts)]) => {
            let first = texts.first().map(String::as_str).unwrap_or_default();
            let others = texts.len().saturating_sub(1);
            let more = if others > 0 {
                format!(" (and {others} more; {more})")
            } else {
                String::new()
            };
            Some((name.to_string(), format!("{first}{more}")))
        }
        (of_store, broken) => {
            let names: Vec<&str> = broken
                .iter()
                .map(|(name, _)| name.as_str())
                .take(5)
                .collect();
            let others = if broken.len() > names.len() {
                ", …"
            } else {
                ""
            };
            let mut parts = Vec::new();
            match names.as_slice() {
                [] => {}
                [name] => parts.push(format!("'{name}' is broken")),
                _ => parts.push(format!(
                    "{} qubes are broken ({}{others})",
                    broken.len(),
                    names.join(", ")
                )),
            }
            match of_store {
                [] => {}
                [one] => parts.push((*one).to_owned()),
                [one, others @ ..] => {
                    parts.push(format!("{one}, and {} things more", others.len()))
                }
            }
            Some((tool.to_owned(), format!("{}; {more}", parts.join("; "))))
        }
    }
}
