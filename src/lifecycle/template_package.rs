//! What a template's package says of the template (`docs/spec/installer.md`, "R4 template
//! package"). It was made by others: each name and value is one that is known, or it is left out
//! with a warning.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::path::Path;

use super::package_files::PackageFiles;
use super::root_data::{self, RootData};
use super::template::TemplateInstalled;
use super::{LifecycleError, Session};

/// No list or configuration is longer than this.
const LONGEST: u64 = 64 << 10;
/// No name of a desktop file is longer than this: file names have at most 255 bytes.
const LONGEST_NAME: usize = 255;

/// The lists of a package, and the features that they become.
const LISTS: [(&str, &str); 3] = [
    ("vm-whitelisted-appmenus.list", "default-menu-items"),
    ("whitelisted-appmenus.list", "menu-items"),
    ("netvm-whitelisted-appmenus.list", "netvm-menu-items"),
];
const CONFIGURATION: &str = "template.conf";
/// Features that template.conf may switch on.
const SWITCHES: [&str; 7] = [
    "no-monitor-layout",
    "pci-e820-host",
    "linux-stubdom",
    "gui",
    "selinux",
    "gui-emulated",
    "qrexec",
];
/// Features that template.conf may set to an address.
const ADDRESSES: [&str; 3] = ["net.fake-ip", "net.fake-gateway", "net.fake-netmask"];

/// A package that was unpacked.
#[derive(Debug)]
pub struct TemplatePackage {
    files: PackageFiles,
    pub root: RootData,
    pub features: Vec<(&'static str, String)>,
    pub properties: Vec<(&'static str, String)>,
    /// What was left out, one line each.
    pub warnings: Vec<String>,
}

impl TemplatePackage {
    /// Looks at a directory. `allow_pv` says whether the template may ask for a mode in which
    /// nothing protects the hypervisor from it but the hypervisor's own care.
    ///
    /// # Errors
    /// There is no root image in it, or something in it cannot be read.
    pub fn read(directory: &Path, allow_pv: bool) -> Result<TemplatePackage, LifecycleError> {
        let root = RootData::find_in(directory)?;
        let names = root
            .files()
            .iter()
            .filter_map(|file| file.file_name())
            .map(OsString::from);
        let names = names
            .chain(LISTS.map(|(file, _)| file.into()))
            .chain([CONFIGURATION.into()]);
        let mut package = TemplatePackage {
            files: PackageFiles::find_in(directory, names.collect())?,
            root,
            features: Vec::new(),
            properties: Vec::new(),
            warnings: Vec::new(),
        };
        for (file, feature) in LISTS {
            match text_of(&directory.join(file))? {
                Some(text) => {
                    let items = menu_items(file, &text, &mut package.warnings);
                    package.features.push((feature, items));
                }
                None => package
                    .warnings
                    .push(format!("{file} is not there; no {feature} set")),
            }
        }
        if let Some(text) = text_of(&directory.join(CONFIGURATION))? {
            package.take_configuration(&text, allow_pv);
        }
        Ok(package)
    }

    fn take_configuration(&mut self, text: &[u8], allow_pv: bool) {
        for line in text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let pair = std::str::from_utf8(line)
                .ok()
                .filter(|l| l.is_ascii())
                .and_then(|l| l.split_once('='));
            let taken = match pair {
                Some((key, value)) => setting(key.trim(), value.trim(), allow_pv),
                None => Err("it is no KEY=VALUE in ASCII"),
            };
            match taken {
                Ok(Setting::Feature(name, value)) => self.features.push((name, value)),
                Ok(Setting::Property(name, value)) => self.properties.push((name, value)),
                Err(reason) => self.warnings.push(format!(
                    "template.conf: '{}' is ignored: {reason}",
                    shown(line)
                )),
            }
        }
    }

    /// Removes the files of the package, and its directory if nothing else lies in it.
    ///
    /// # Errors
    /// The store cannot be read, or something of the package cannot be removed.
    pub fn remove(
        &self,
        session: &Session,
        installed: &TemplateInstalled,
    ) -> Result<(), LifecycleError> {
        self.files.remove(session, installed)
    }
}

/// What a line of template.conf sets.
enum Setting {
    Feature(&'static str, String),
    Property(&'static str, String),
}

/// The allow-list of template.conf; else the reason why the line is ignored.
fn setting(key: &str, value: &str, allow_pv: bool) -> Result<Setting, &'static str> {
    let known = |names: &[&'static str]| names.iter().copied().find(|name| *name == key);
    if let Some(feature) = known(&SWITCHES) {
        return match value {
            "1" => Ok(Setting::Feature(feature, "1".into())),
            _ => Err("the only value it may have is 1"),
        };
    }
    if let Some(feature) = known(&ADDRESSES) {
        let address = value
            .parse::<Ipv4Addr>()
            .map_err(|_| "it is no IPv4 address")?;
        return Ok(Setting::Feature(feature, address.to_string()));
    }
    match (key, value) {
        ("virt-mode", "pv") if !allow_pv => Err("mode pv needs --allow-pv"),
        ("virt-mode", "pvh" | "hvm" | "pv") => Ok(Setting::Property("virt_mode", value.into())),
        ("virt-mode", _) => Err("the mode is neither pvh nor hvm"),
        ("kernel", "") => Ok(Setting::Property("kernel", String::new())),
        ("kernel", _) => Err("a template may only choose to bring its own kernel"),
        _ => Err("there is no such setting"),
    }
}

/// Features that say what stands in menus.
pub type MenuItems = Vec<(&'static str, String)>;

/// The lists of menu items in a directory, as features, and what was left out. Lists that are not
/// there are none.
pub fn menu_items_in(directory: &Path) -> Result<(MenuItems, Vec<String>), LifecycleError> {
    let (mut features, mut warnings) = (Vec::new(), Vec::new());
    for (file, feature) in LISTS {
        if let Some(text) = text_of(&directory.join(file))? {
            features.push((feature, menu_items(file, &text, &mut warnings)));
        }
    }
    Ok((features, warnings))
}

/// The names of a list, joined by blanks.
fn menu_items(file: &str, text: &[u8], warnings: &mut Vec<String>) -> String {
    let mut items = Vec::new();
    for line in text
        .split(|b| *b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
    {
        let is_name = line.len() <= LONGEST_NAME && line.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(line).ok().filter(|_| is_name) {
            Some(name) => items.push(name),
            None => warnings.push(format!(
                "{file}: '{}' is no name of a menu item",
                shown(line)
            )),
        }
    }
    items.join(" ")
}

/// The content of a regular file; `None` where there is none.
fn text_of(path: &Path) -> Result<Option<Vec<u8>>, LifecycleError> {
    if fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let mut text = Vec::new();
    let read = root_data::open(path)?
        .take(LONGEST + 1)
        .read_to_end(&mut text);
    read.map_err(|source| LifecycleError::Io {
        what: format!("reading {}", path.display()),
        source,
    })?;
    match text.len() as u64 > LONGEST {
        true => Err(LifecycleError::Package(format!(
            "{} has more than {LONGEST} bytes",
            path.display()
        ))),
        false => Ok(Some(text)),
    }
}

/// A part of a file as a message may show it: not long, and without what could deceive.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
        .escape_debug()
        .to_string();
    if bytes.len() > 60 {
        format!("{text}…")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(files: &[(&str, &[u8])]) -> TemplatePackage {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("root.img"), "image").unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        TemplatePackage::read(dir.path(), false).unwrap()
    }

    #[test]
    fn lists_become_features_and_odd_lines_are_left_out() {
        let long = [b"x".repeat(300), b"\n".to_vec()].concat();
        let list = [
            b"firefox.desktop\n\n  org.gnome.Nautilus.desktop \na b\n\xff\n\x1b[31m\n".to_vec(),
            long,
        ]
        .concat();
        let package = package(&[
            ("whitelisted-appmenus.list", &list),
            ("vm-whitelisted-appmenus.list", b""),
        ]);
        assert_eq!(
            package.features,
            [
                ("default-menu-items", String::new()),
                (
                    "menu-items",
                    "firefox.desktop org.gnome.Nautilus.desktop".to_string()
                )
            ]
        );
        assert_eq!(package.warnings.len(), 5, "{:?}", package.warnings);
        assert!(
            package
                .warnings
                .iter()
                .all(|w| w.len() < 200 && !w.contains(char::is_control))
        );
        assert_eq!(
            package.warnings[4],
            "netvm-whitelisted-appmenus.list is not there; no netvm-menu-items set"
        );
    }

    #[test]
    fn only_known_settings_with_harmless_values_are_taken() {
        let conf = b"gui=1\n# a comment\nqrexec = 1\nselinux=0\nnet.fake-ip=192.168.1.2\nnet.fake-gateway=1.2.3\nvirt-mode=pv\n\
            virt-mode=hvm\nkernel=\nkernel=6.1\nservice.x=1\ninstalled_by_rpm=False\nna\xc3\xafve=1\nnonsense\ngui=1\x1b[2J\n";
        let package = package(&[("template.conf", conf)]);
        assert_eq!(
            package.features,
            [
                ("gui", "1".to_string()),
                ("qrexec", "1".to_string()),
                ("net.fake-ip", "192.168.1.2".to_string())
            ]
        );
        assert_eq!(
            package.properties,
            [("virt_mode", "hvm".to_string()), ("kernel", String::new())]
        );
        let ignored: Vec<_> = package
            .warnings
            .iter()
            .filter(|w| w.starts_with("template.conf: "))
            .collect();
        assert_eq!(ignored.len(), 9, "{ignored:?}");
        assert!(ignored.iter().all(|w| !w.contains(char::is_control)));
    }

    #[test]
    fn a_file_that_never_ends_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("root.img"), "image").unwrap();
        fs::File::create(dir.path().join("template.conf"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let error = TemplatePackage::read(dir.path(), false)
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("template.conf has more than 65536 bytes"),
            "{error}"
        );
    }
}
