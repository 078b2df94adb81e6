//! Damage that was there before a write stays, and is told once. Whether there is any takes a look at every qube, which
//! costs more than the write; so a store that was found sound, or made of a sound one by us (who add no damage), is
//! remembered in `RUN/sound`. That note is of no value: whoever finds another looks again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::model::check::{Harm, Numbers};
use crate::model::{Facts as _, Finding, Qubes};
use crate::store::Write;
use crate::store::replace::Access;

use super::Session;

impl Session {
    /// Sees to it that damage is told when `write` is saved, and that its absence is remembered.
    pub(super) fn watch_over_damage(&self, write: &mut Write) {
        let note = self.system.run_dir().join("sound");
        // What is sound for one release may not be for another, and a later version of ours may know more.
        let front = format!("{} {}", env!("CARGO_PKG_VERSION"), self.release());
        let is_known = fs::read_to_string(&note).is_ok_and(|known| known == format!("{front} {}\n", write.stamp()));
        match if is_known { None } else { self.damage_in_words(write) } {
            None => {
                let access = Access::shared(self.system.qubes_group());
                write.once_saved(move |stamp| {
                    let _looks_again = remember(&note, access, &format!("{front} {stamp}\n"));
                });
            }
            Some(text) => {
                let (file, told) = (self.system.store_file().display().to_string(), self.told_of_damage.clone());
                let tell = self.teller();
                write.once_saved(move |_| {
                    if !told.replace(true) {
                        tell(&format!("{file}: {text}"));
                    }
                });
            }
        }
    }

    /// What upstream would refuse the store for; nothing when it would not. No qube stays in memory for it.
    fn damage_in_words(&self, qubes: &Qubes) -> Option<String> {
        let mut found: Vec<String> = qubes.diagnoses.iter().map(|d| d.text.clone()).collect();
        let mut numbers = Numbers::default();
        let refused = |finding: Finding| (finding.harm == Harm::Refused).then_some(finding.text);
        for vm in qubes.names().filter_map(|name| qubes.glance(name.as_str())) {
            let of_form = vm.diagnoses.iter().map(|d| d.text.clone());
            let own = qubes.findings_of(&vm, self).into_iter().chain(numbers.clashes(&vm)).filter_map(refused);
            found.extend(of_form.chain(own).map(|text| format!("{}: {text}", vm.name)));
        }
        found.extend(qubes.findings_of_system(self).into_iter().filter_map(refused));
        let mut all = found.iter();
        let first: String = all.next()?.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
        let others = match all.count() {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        Some(format!("qubesd would refuse it: {first}{others}; that stays as it was (qubes-db check, qubes-db repair)"))
    }
}

/// Writes the note, for every member of group qubes. One that was cut short is like none.
fn remember(note: &Path, access: Access, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o660).open(note)?;
    // One of another member has had its access from him.
    let _not_ours = access.apply(&file);
    file.write_all(text.as_bytes())
}
