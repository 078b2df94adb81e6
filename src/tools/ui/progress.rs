//! Progress bars for copies of data, on standard error if it is a terminal.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::lifecycle::Context;
use crate::progress::{Progress, SharedProgress};
use crate::system::System;

/// Adds progress bars for copies of data to a system, if standard error is a terminal.
pub fn with_progress_bars(system: System, is_enabled: bool) -> System {
    if is_enabled && io::stderr().is_terminal() {
        system.with_progress(Arc::new(TerminalProgress::new()))
    } else {
        system
    }
}

/// A terminal with a bar for each thread that copies.
struct TerminalProgress {
    bars: MultiProgress,
    shown: Mutex<HashMap<ThreadId, ThreadBar>>,
}

struct ThreadBar {
    bar: ProgressBar,
    reached: u64,
}

impl TerminalProgress {
    fn new() -> TerminalProgress {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        TerminalProgress {
            bars,
            shown: Mutex::default(),
        }
    }

    /// Replaces the bar of this thread.
    fn replace(&self, new: Option<ProgressBar>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = thread::current().id();
        if let Some(old) = shown.remove(&thread) {
            old.bar.finish_and_clear();
            self.bars.remove(&old.bar);
        }
        if let Some(bar) = new {
            shown.insert(thread, ThreadBar { bar, reached: 0 });
        }
    }
}

impl Progress for TerminalProgress {
    fn start(&self, what: &str, bytes: Option<u64>) {
        let bar = match bytes {
            Some(bytes) => ProgressBar::new(bytes).with_style(style(KNOWN_LENGTH)),
            None => ProgressBar::new_spinner().with_style(style(UNKNOWN_LENGTH)),
        };
        let bar = self.bars.add(bar.with_message(what.to_string()));
        bar.enable_steady_tick(Duration::from_millis(500));
        self.replace(Some(bar));
    }

    fn update(&self, bytes: u64) {
        // A copy that is shown every few MiB costs nothing; one that is shown every few KiB does.
        const WORTH_SHOWING: u64 = 1 << 20;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = shown.get_mut(&thread::current().id())
            && bytes.saturating_sub(shown.reached) >= WORTH_SHOWING
        {
            shown.reached = bytes;
            shown.bar.set_position(bytes);
        }
    }

    fn finish(&self) {
        self.replace(None);
    }
}

/// Reports the progress of volumes with the name of their qube.
pub struct QubeProgress<'a> {
    progress: SharedProgress,
    /// The qube of the volumes.
    qube: &'a str,
    /// Called with each volume before its data are copied.
    on_volume: &'a dyn Fn(&str),
}

impl<'a> QubeProgress<'a> {
    /// Reports the volumes of `qube` to the progress of the context.
    pub fn new(context: &Context, qube: &'a str) -> QubeProgress<'a> {
        QubeProgress::with_callback(context, qube, &|_| ())
    }

    /// Reports the volumes of `qube`, and calls `on_volume` with each.
    pub fn with_callback(
        context: &Context,
        qube: &'a str,
        on_volume: &'a dyn Fn(&str),
    ) -> QubeProgress<'a> {
        QubeProgress {
            progress: context.system.progress(),
            qube,
            on_volume,
        }
    }
}

impl Progress for QubeProgress<'_> {
    fn start(&self, what: &str, bytes: Option<u64>) {
        (self.on_volume)(what);
        self.progress.start(&format!("{}:{what}", self.qube), bytes);
    }

    fn update(&self, bytes: u64) {
        self.progress.update(bytes);
    }

    fn finish(&self) {
        self.progress.finish();
    }
}

const KNOWN_LENGTH: &str =
    "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
const UNKNOWN_LENGTH: &str = "{msg} {spinner} {binary_bytes} {binary_bytes_per_sec}";

/// Returns the style of a template; the default one if the template is not well-formed, which a
/// test excludes.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_well_formed() {
        for template in [KNOWN_LENGTH, UNKNOWN_LENGTH] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
