//! One look at a qube that nobody keeps: listings of a thousand need none of them twice.

use std::cell::Cell;
use std::ops::Deref;

use super::class::Class;
use super::name::VmName;
use super::vm::Vm;

/// A qube for one look. One that was parsed for it leaves its memory to the next one.
pub struct Glance<'a>(Looked<'a>);

enum Looked<'a> {
    /// The collection has it anyway.
    Kept(&'a Vm),
    Passing {
        vm: Vm,
        next: &'a Cell<Option<Vm>>,
    },
}

impl<'a> Glance<'a> {
    pub(super) fn kept(vm: &'a Vm) -> Glance<'a> {
        Glance(Looked::Kept(vm))
    }

    /// Goes to `next` when the look is over.
    pub(super) fn passing(vm: Vm, next: &'a Cell<Option<Vm>>) -> Glance<'a> {
        Glance(Looked::Passing { vm, next })
    }
}

impl Deref for Glance<'_> {
    type Target = Vm;

    fn deref(&self) -> &Vm {
        match &self.0 {
            Looked::Kept(vm) => vm,
            Looked::Passing { vm, .. } => vm,
        }
    }
}

impl Drop for Glance<'_> {
    fn drop(&mut self) {
        if let Looked::Passing { vm, next } = &mut self.0 {
            next.set(Some(std::mem::replace(vm, Vm::of_file(VmName::dom0(), Class::AdminVM))));
        }
    }
}
