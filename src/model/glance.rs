//! One look at a qube that nobody keeps: listings of a thousand need none of them twice.

use std::cell::Cell;
use std::ops::Deref;

use super::class::Class;
use super::name::VmName;
use super::vm::Vm;

/// A qube for one look. One that was parsed for it leaves its memory to the next one.
pub struct Glance<'a> {
    /// The collection has it anyway.
    kept: Option<&'a Vm>,
    /// Else this is it.
    passing: Vm,
    next: &'a Cell<Option<Vm>>,
}

impl<'a> Glance<'a> {
    /// Of a qube that is kept, or of what `parse` makes in the memory that `next` has; there it goes when the look is over.
    pub(super) fn new(
        kept: Option<&'a Vm>,
        next: &'a Cell<Option<Vm>>,
        parse: impl FnOnce(Option<Vm>) -> Vm,
    ) -> Glance<'a> {
        let passing = if kept.is_some() { nobody() } else { parse(next.take()) };
        Glance { kept, passing, next }
    }
}

/// What stands where no qube does: it takes no memory.
fn nobody() -> Vm {
    Vm::of_file(VmName::dom0(), Class::AdminVM)
}

impl Deref for Glance<'_> {
    type Target = Vm;

    fn deref(&self) -> &Vm {
        self.kept.unwrap_or(&self.passing)
    }
}

impl Drop for Glance<'_> {
    fn drop(&mut self) {
        if self.kept.is_none() {
            self.next.set(Some(std::mem::replace(&mut self.passing, nobody())));
        }
    }
}
