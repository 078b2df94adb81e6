//! Showing how far a copy has come: on standard error, where that is a terminal, and nowhere else.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::invocation::Invocation;
use crate::storage::CopyWatcher;

/// A bar for each volume whose data are copied, one after the other.
pub struct Bars<'a> {
    /// Whose volumes they are.
    qube: &'a str,
    is_shown: bool,
    /// Hears of each volume before its data are copied.
    told: &'a dyn Fn(&str),
    bar: RefCell<Option<ProgressBar>>,
    reached: Cell<u64>,
}

impl<'a> Bars<'a> {
    /// Bars for volumes of `qube`, if somebody looks and did not ask for silence.
    pub fn new(call: &Invocation, qube: &'a str) -> Bars<'a> {
        Bars::telling(call, qube, &|_| ())
    }

    /// The same; `told` hears of each volume, whether somebody looks or not.
    pub fn telling(call: &Invocation, qube: &'a str, told: &'a dyn Fn(&str)) -> Bars<'a> {
        let is_shown = call.is_talkative() && io::stderr().is_terminal();
        Bars { qube, is_shown, told, bar: RefCell::new(None), reached: Cell::new(0) }
    }
}

impl CopyWatcher for Bars<'_> {
    fn begins(&self, what: &str, bytes: Option<u64>) {
        (self.told)(what);
        if !self.is_shown {
            return;
        }
        let bar = match bytes {
            Some(bytes) => ProgressBar::new(bytes).with_style(style(KNOWN)),
            None => ProgressBar::new_spinner().with_style(style(UNKNOWN)),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        bar.set_message(format!("{}:{what}", self.qube));
        bar.enable_steady_tick(Duration::from_millis(500));
        self.reached.set(0);
        self.bar.replace(Some(bar));
    }

    fn reached(&self, bytes: u64) {
        // A copy that is shown every few MiB costs nothing; one that is shown every few KiB does.
        const WORTH_SHOWING: u64 = 1 << 20;
        if let Some(bar) = &*self.bar.borrow()
            && bytes.saturating_sub(self.reached.get()) >= WORTH_SHOWING
        {
            self.reached.set(bytes);
            bar.set_position(bytes);
        }
    }

    fn ends(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

const KNOWN: &str = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
const UNKNOWN: &str = "{msg} {spinner} {binary_bytes} {binary_bytes_per_sec}";

/// A style of these templates, which are known to be well-formed; the plain one stands in for one that is not.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_well_formed() {
        for template in [KNOWN, UNKNOWN] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
