//! Many domains, one after the other: a second thread parses what comes next while somebody looks at what is there.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::fetched::Fetched;
use super::plain;
use super::scan::Span;
use super::stored::Stored;
use crate::model::{Vm, Wanted};

/// So many are handed over at once, and so many times before they are taken: a thread that has to be woken for each
/// costs more than it saves.
const AT_ONCE: usize = 16;
const AHEAD: usize = 1;

/// Bytes that are fetched at once. Every qube that somebody looks at keeps what was fetched with it.
const ROOM: usize = 6 << 10;

/// Of fewer than these, whoever looks parses them.
const MANY: usize = 12 * AT_ONCE;

type Batch = Vec<Option<Vm>>;

/// See [`crate::model::DomainSource::in_turn`]. Gives nothing for what only a tree can tell, and for all from the place on
/// where something is wrong with the store.
pub(super) fn parse(
    stored: &dyn Stored,
    domains: &[Span],
    wanted: &[Wanted],
    look: &mut dyn FnMut(Option<Vm>) -> Option<Vm>,
) {
    if wanted.len() < MANY || !parse_aside(stored, domains, wanted, look) {
        let mut parser = Parser::new(stored, domains);
        wanted.iter().fold(None, |passed, wanted| look(parser.parse(wanted, passed)));
    }
}

/// Whether there was a thread to be had.
fn parse_aside(
    stored: &dyn Stored,
    domains: &[Span],
    wanted: &[Wanted],
    look: &mut dyn FnMut(Option<Vm>) -> Option<Vm>,
) -> bool {
    let (ready, next) = sync_channel(AHEAD);
    let (passed, used) = channel();
    thread::scope(move |scope| {
        let parser = Parser::new(stored, domains);
        let aside = thread::Builder::new().spawn_scoped(scope, move || parser.parse_all(wanted, &ready, &used));
        if aside.is_ok() {
            look_at_all(next, passed, look);
        }
        aside.is_ok()
    })
}

/// Gives everything that comes to `look`, and its memory back. Both ends are gone when it returns, however it does: the
/// other thread must not wait for anybody then.
fn look_at_all(next: Receiver<Batch>, passed: Sender<Batch>, look: &mut dyn FnMut(Option<Vm>) -> Option<Vm>) {
    while let Ok(mut batch) = next.recv() {
        for vm in &mut batch {
            *vm = look(vm.take());
        }
        // Nobody takes it when there is nothing more to parse.
        passed.send(batch).ok();
    }
}

struct Parser<'a> {
    stored: &'a dyn Stored,
    domains: &'a [Span],
    fetched: Fetched,
    /// Whether something is wrong with the store; who asks for one domain hears what it is.
    is_over: bool,
}

impl<'a> Parser<'a> {
    fn new(stored: &'a dyn Stored, domains: &'a [Span]) -> Parser<'a> {
        Parser { stored, domains, fetched: Fetched::default(), is_over: false }
    }

    fn parse_all(mut self, wanted: &[Wanted], ready: &SyncSender<Batch>, used: &Receiver<Batch>) {
        for wanted in wanted.chunks(AT_ONCE) {
            let mut batch = used.try_recv().unwrap_or_default();
            batch.resize_with(wanted.len(), || None);
            for (vm, wanted) in batch.iter_mut().zip(wanted) {
                *vm = self.parse(wanted, vm.take());
            }
            if ready.send(batch).is_err() {
                return;
            }
        }
    }

    fn parse(&mut self, wanted: &Wanted, passed: Option<Vm>) -> Option<Vm> {
        let span = *self.domains.get(wanted.position).filter(|_| !self.is_over)?;
        match self.fetched.fetch(self.stored, self.domains, wanted.position, ROOM) {
            // Programs of ours never write into a file that is there.
            Ok(looked) => self.is_over = looked && self.stored.renewed().is_some(),
            Err(_) => self.is_over = true,
        }
        let (place, text) = self.fetched.piece.as_ref().filter(|_| !self.is_over)?;
        let range = span.range().start - place.start..span.range().end - place.start;
        let mut vm = Vm::in_memory_of(passed, wanted.name, wanted.class);
        let read = plain::read(text, range, &mut vm);
        self.fetched.back_in_turn();
        read.map(|()| vm)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Qubes, Vm};

    const N1000: &[u8] = include_bytes!("../../tests/data/r4/n1000.xml");

    fn looks(qubes: &Qubes, names: &[&str]) -> Vec<Vm> {
        let mut looks = Vec::new();
        qubes.glance_at_each(names, |vm| looks.push(vm.clone()));
        looks
    }

    /// As those see it who ask for one after the other.
    fn asked(bytes: &[u8], names: &[&str]) -> Vec<Vm> {
        let qubes = crate::format::read(bytes.to_vec()).unwrap();
        names.iter().filter_map(|name| qubes.get(name).cloned()).collect()
    }

    #[test]
    fn what_another_thread_parses_is_what_everybody_sees() {
        let mut bytes = N1000.to_vec();
        let mut change = |at: &[u8], by: &[u8]| {
            let found = memchr::memmem::find(&bytes, at).unwrap();
            bytes.splice(found..found + at.len(), by.iter().copied());
        };
        change(b">300</property>", b" odd=\"1\">300<!-- no --></property>");
        change(b">500</property>", b">500</property><property name=\"qid\">501</property>");
        change(b">700</property>", b">700</property><oops/>");
        let qubes = crate::format::read(bytes.clone()).unwrap();
        let names: Vec<&str> = qubes.names().map(|name| name.as_str()).collect();
        assert_eq!(looks(&qubes, &names), asked(&bytes, &names));
        // Some are kept, some are nobody's, some come twice, and not in order.
        let again: Vec<&str> =
            names.iter().rev().copied().chain(["nobody"]).chain(names[..250].iter().copied()).collect();
        names.iter().step_by(7).for_each(|name| assert!(qubes.get(name).is_some()));
        assert_eq!(looks(&qubes, &again), asked(&bytes, &again));
    }
}
