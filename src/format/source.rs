//! A store's domains, fetched and parsed when somebody looks at them.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::error::Fault;
use super::reader::{self, diagnosis};
use super::scan::Span;
use super::stored::{Stored, Window};
use super::tree::{MAX_DEPTH, Parts, Shape, Tree};
use super::{plain, read, unreadable, whole};
use crate::model::{Class, DomainSource, Qubes, SharedText, Vm, VmName};

pub(super) struct Source {
    stored: Arc<dyn Stored>,
    domains: Vec<Span>,
    fetched: RefCell<Fetched>,
    /// The store as somebody has written it in place since it was indexed.
    renewed: OnceCell<Qubes>,
}

/// What was fetched last, and memory that one look after the other uses.
#[derive(Default)]
struct Fetched {
    /// Whole domains, with their place in the file; none where there is no text to share.
    piece: Option<(Range<usize>, SharedText)>,
    /// What was there before something out of turn was looked at.
    aside: Option<(Range<usize>, SharedText)>,
    buffer: Vec<u8>,
    /// The one behind the last that was looked at.
    next: usize,
    parts: Parts,
}

impl Source {
    pub fn new(stored: Arc<dyn Stored>, domains: Vec<Span>) -> Source {
        Source { stored, domains, fetched: RefCell::default(), renewed: OnceCell::new() }
    }

    /// Whether the store is still what was indexed. Programs of ours never write into a file that is there.
    fn is_as_indexed(&self) -> bool {
        if self.renewed.get().is_none()
            && let Some(bytes) = self.stored.renewed()
            && let Ok(qubes) = read(bytes)
        {
            return self.renewed.set(qubes).is_err();
        }
        self.renewed.get().is_none()
    }

    fn parse(&self, fetched: &mut Fetched, span: Span, mut vm: Vm) -> Result<Vm, Fault> {
        let range = span.range();
        if let Some((place, text)) = &fetched.piece {
            let range = range.start - place.start..range.end - place.start;
            if plain::read(text, range, &mut vm).is_some() {
                return Ok(vm);
            }
        }
        let (bytes, start) = match &fetched.piece {
            Some((place, text)) => (text.as_bytes(), place.start),
            None => (&fetched.buffer[..range.len()], range.start),
        };
        let range = range.start - start..range.end - start;
        let parts = std::mem::take(&mut fetched.parts);
        let tree = Tree::parse(bytes, range, Shape::Element, MAX_DEPTH, parts).map_err(|f| f.further(start as u32))?;
        let vm = reader::vm(&tree, vm.name, vm.class);
        fetched.parts = tree.into_parts();
        Ok(vm)
    }

    /// Fetches the domain at `position` if it is not there; those behind it as well, where one after the other is looked
    /// at. Returns whether the file was looked into.
    fn fetch(&self, fetched: &mut Fetched, position: usize) -> io::Result<bool> {
        let span = self.domains[position];
        let in_turn = position == fetched.next;
        fetched.next = position + 1;
        let has = |piece: &(Range<usize>, _)| piece.0.start <= span.range().start && span.range().end <= piece.0.end;
        if fetched.piece.as_ref().is_some_and(has) {
            return Ok(false);
        }
        let fits = |end: &Span| end.end as usize <= span.start as usize + Window::ROOM && end.start >= span.start;
        let further = self.domains[position..].iter().take_while(|s| in_turn && fits(s)).last();
        let range = span.range().start..further.unwrap_or(&span).range().end;
        // Who goes through all of them and looks aside does not have to begin again.
        fetched.aside = if in_turn { None } else { fetched.piece.take() };
        if !self.fetch_text(fetched, range)? {
            // What is not UTF-8 may be another domain of the piece.
            self.fetch_text(fetched, span.range())?;
        }
        Ok(true)
    }

    /// Whether it is text, and so to be shared.
    fn fetch_text(&self, fetched: &mut Fetched, range: Range<usize>) -> io::Result<bool> {
        if fetched.buffer.len() < range.len() {
            fetched.buffer.resize(range.len(), 0);
        }
        let buffer = &mut fetched.buffer[..range.len()];
        let mut filled = 0;
        while filled < range.len() {
            match self.stored.read_at(&mut buffer[filled..], range.start + filled)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        fetched.piece = std::str::from_utf8(buffer).ok().map(|text| (range, text.into()));
        Ok(fetched.piece.is_some())
    }

    fn broken(name: &VmName, class: &Class, text: String) -> Vm {
        let mut vm = Vm::new(name.clone(), class.clone());
        vm.diagnoses.push(diagnosis(text));
        vm
    }
}

impl DomainSource for Source {
    fn domain(&self, position: usize, name: &VmName, class: &Class, passed: Option<Vm>) -> Vm {
        let Some(span) = self.domains.get(position) else {
            return Vm::new(name.clone(), class.clone());
        };
        let mut fetched = self.fetched.borrow_mut();
        let found = self.fetch(&mut fetched, position);
        if self.renewed.get().is_some() || (!matches!(found, Ok(false)) && !self.is_as_indexed()) {
            let renewed = self.renewed.get().and_then(|qubes| qubes.get(name.as_str())).cloned();
            let gone = || Source::broken(name, class, "another program took it out of the file meanwhile".to_string());
            return renewed.unwrap_or_else(gone);
        }
        if let Err(error) = found {
            return Source::broken(name, class, unreadable(error).to_string());
        }
        let parsed = self.parse(&mut fetched, *span, Vm::in_memory_of(passed, name, class));
        if let Some(piece) = fetched.aside.take() {
            fetched.piece = Some(piece);
        }
        parsed.unwrap_or_else(|fault| {
            let text = whole(&*self.stored).map_or_else(|e| e.to_string(), |bytes| fault.locate(&bytes).to_string());
            Source::broken(name, class, text)
        })
    }
}
