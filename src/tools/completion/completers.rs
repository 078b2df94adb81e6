//! What completes an argument, stored with its definition.

use super::cursor::Cursor;
use super::offer::{Offer, QubeSubset};
use clap::builder::{ArgExt, CommandExt};

/// Says what an argument can be, from what is before the cursor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Completer(pub for<'a> fn(&Cursor<'a>) -> Offer<'a>);

impl ArgExt for Completer {}

/// Marks a switch that takes the place of the first positional argument, as `--all` of qvm-prefs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplacesFirst;

impl ArgExt for ReplacesFirst {}

impl CommandExt for QubeSubset {}

/// Qubes of the subset that is stored with the command: any by default.
pub(crate) const SELECTED: Completer = Completer(|cursor| Offer::Qubes(cursor.subset));
/// Any qube.
pub(crate) const QUBES: Completer = Completer(|_| Offer::Qubes(QubeSubset::Any));
/// Qubes except dom0.
pub(crate) const BUT_DOM0: Completer = Completer(|_| Offer::Qubes(QubeSubset::ButDom0));
/// Qubes with a domain on this machine.
pub(crate) const GUESTS: Completer = Completer(|_| Offer::Qubes(QubeSubset::Guests));
pub(crate) const TEMPLATES: Completer = Completer(|_| Offer::Templates);
pub(crate) const CLASSES: Completer = Completer(|_| Offer::Classes);
pub(crate) const LABELS: Completer = Completer(|_| Offer::Labels);
pub(crate) const POOLS: Completer = Completer(|_| Offer::Pools);
pub(crate) const TAGS: Completer = Completer(|_| Offer::Tags);
pub(crate) const FILES: Completer = Completer(|_| Offer::Files);
/// Classes separated by commas.
pub(crate) const CLASS_LIST: Completer = Completer(|_| Offer::Classes.list());
/// Labels separated by commas.
pub(crate) const LABEL_LIST: Completer = Completer(|_| Offer::Labels.list());
/// Tags separated by commas.
pub(crate) const TAG_LIST: Completer = Completer(|_| Offer::Tags.list());
/// A switch.
pub(crate) const YES_OR_NO: Completer = Completer(|_| Offer::words(["y", "n"]));
/// A volume with its pool: `NAME=POOL`.
pub(crate) const VOLUME_POOL: Completer =
    Completer(|cursor| match cursor.current.split_once('=') {
        None => Offer::Name(Box::new(Offer::words(["root", "private", "volatile"]))),
        Some((name, _)) => Offer::Value(name, Box::new(Offer::Pools)),
    });
