//! Reads values from xenstore with Xen's program `xenstore-read`. All of them are optional for the
//! callers.

use std::ffi::OsStr;
use std::time::Duration;

use uuid::Uuid;

use crate::exec::{self, Program};
use crate::model::facts::Stubdom;

/// The time limit for an answer. It is short because listings read xenstore, too.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the value at a path of xenstore; `None` if there is no value, no xenstore, or no answer.
fn read(program_path: &OsStr, path: &str) -> Option<String> {
    let program = exec::find_program("xenstore-read", program_path)?;
    let answer = Program::new(program)
        .arg(path)
        .timeout(TIMEOUT)
        .output()
        .ok()?;
    Some(String::from_utf8(answer).ok()?.trim().to_string())
}

/// Returns the stub domain that emulates devices for the running domain `id`
/// (`docs/spec/r3-start.md` §9). Its uuid is nil if unknown.
pub fn find_stubdom(program_path: &OsStr, id: u32) -> Option<Stubdom> {
    let stubdom = read(
        program_path,
        &format!("/local/domain/{id}/image/device-model-domid"),
    )?
    .parse()
    .ok()?;
    let uuid = read(program_path, &format!("/local/domain/{stubdom}/vm"));
    let uuid = uuid.and_then(|path| Uuid::parse_str(path.strip_prefix("/vm/")?).ok());
    (stubdom != 0).then(|| Stubdom {
        id: stubdom,
        uuid: uuid.unwrap_or_default(),
    })
}

/// Returns the maximum memory of dom0, MiB (`memory/static-max` is in KiB).
pub fn dom0_maxmem_mib(program_path: &OsStr) -> Option<u64> {
    read(program_path, "/local/domain/0/memory/static-max")?
        .parse::<u64>()
        .ok()
        .map(|kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// Returns the directory of a substitute for xenstore-read: the tests run without Xen.
    fn fake_xenstore_read(script: &str) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("xenstore-read");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        place
    }

    #[test]
    fn a_stub_domain_is_found_with_its_uuid_if_xenstore_answers() {
        let uuid = "6d8e21b4-3f5c-4a8b-9c53-0fe9f2a4c2b1";
        let place = fake_xenstore_read(&format!(
            "case $1 in */7/image/device-model-domid) echo 8;; */8/vm) echo /vm/{uuid};; \
             *) exit 1;; esac"
        ));
        let found = find_stubdom(place.path().as_os_str(), 7).unwrap();
        assert_eq!((found.id, found.uuid.to_string().as_str()), (8, uuid));
        assert_eq!(
            find_stubdom(place.path().as_os_str(), 9),
            None,
            "the domain has no stub domain"
        );
        for script in ["exit 1", "echo no number", "echo -1", "echo 0"] {
            assert_eq!(
                find_stubdom(fake_xenstore_read(script).path().as_os_str(), 7),
                None,
                "{script}"
            );
        }
        assert_eq!(find_stubdom(OsStr::new("/nonexistent"), 7), None);
    }

    #[test]
    fn a_xenstore_that_hangs_times_out() {
        let place = fake_xenstore_read("exec sleep 600");
        assert_eq!(dom0_maxmem_mib(place.path().as_os_str()), None);
        assert_eq!(
            dom0_maxmem_mib(fake_xenstore_read("echo 4194304").path().as_os_str()),
            Some(4096)
        );
    }
}
