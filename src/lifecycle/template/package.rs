//! The settings in a template's package (`docs/spec/installer.md`, "R4 template package"). Packages
//! are untrusted: a name or value that is not on an allow-list is ignored with a warning.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::path::Path;

use crate::lifecycle::template::{InstalledTemplate, PackageFiles, RootData, root_data};
use crate::lifecycle::{Context, LifecycleError};

/// The largest list or configuration that is read, bytes.
const MAX_TEXT_BYTES: u64 = 64 << 10;
/// The longest name of a desktop file, bytes: the limit of file names.
const MAX_NAME_BYTES: usize = 255;

/// The lists in a package, and the features that they set.
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
/// Features that template.conf may set to an IPv4 address.
const ADDRESSES: [&str; 3] = ["net.fake-ip", "net.fake-gateway", "net.fake-netmask"];

/// An unpacked package.
#[derive(Debug)]
pub struct TemplatePackage {
    files: PackageFiles,
    /// The data of the root volume.
    pub root: RootData,
    /// Features that the package sets.
    pub features: Vec<(&'static str, String)>,
    /// Properties that the package sets.
    pub properties: Vec<(&'static str, String)>,
    /// What was ignored, one line each.
    pub warnings: Vec<String>,
}

impl TemplatePackage {
    /// Reads a package's directory. `allow_pv` permits the template to ask for mode pv, in which
    /// the guest is isolated by the hypervisor's software alone.
    ///
    /// # Errors
    /// The directory has no root image, or a file in it cannot be read.
    pub fn read(directory: &Path, allow_pv: bool) -> Result<TemplatePackage, LifecycleError> {
        let root = RootData::find(directory)?;
        let names = root
            .files()
            .iter()
            .filter_map(|file| file.file_name())
            .map(OsString::from);
        let names = names
            .chain(LISTS.map(|(file, _)| file.into()))
            .chain([CONFIGURATION.into()]);
        let mut package = TemplatePackage {
            files: PackageFiles::find(directory, names.collect())?,
            root,
            features: Vec::new(),
            properties: Vec::new(),
            warnings: Vec::new(),
        };
        for (file, feature) in LISTS {
            match read_text(&directory.join(file))? {
                Some(text) => {
                    let items = menu_items(file, &text, &mut package.warnings);
                    package.features.push((feature, items));
                }
                None => package.warnings.push(format!(
                    "{file} does not exist; feature {feature} is not set"
                )),
            }
        }
        if let Some(text) = read_text(&directory.join(CONFIGURATION))? {
            package.apply_configuration(&text, allow_pv);
        }
        Ok(package)
    }

    fn apply_configuration(&mut self, text: &[u8], allow_pv: bool) {
        for line in text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let pair = std::str::from_utf8(line)
                .ok()
                .filter(|l| l.is_ascii())
                .and_then(|l| l.split_once('='));
            let parsed = match pair {
                Some((key, value)) => parse_setting(key.trim(), value.trim(), allow_pv),
                None => Err("it is not KEY=VALUE in ASCII"),
            };
            match parsed {
                Ok(Setting::Feature(name, value)) => self.features.push((name, value)),
                Ok(Setting::Property(name, value)) => self.properties.push((name, value)),
                Err(reason) => self.warnings.push(format!(
                    "template.conf: '{}' is ignored: {reason}",
                    escape_excerpt(line)
                )),
            }
        }
    }

    /// Removes the files of the package, and its directory if it is empty then.
    ///
    /// # Errors
    /// The store cannot be read, or a file of the package cannot be removed.
    pub fn remove(
        &self,
        context: &Context,
        installed: &InstalledTemplate,
    ) -> Result<(), LifecycleError> {
        self.files.remove(context, installed)
    }
}

/// A setting from a line of template.conf.
enum Setting {
    Feature(&'static str, String),
    Property(&'static str, String),
}

/// Checks a line of template.conf against the allow-list. Returns the reason if it is ignored.
fn parse_setting(key: &str, value: &str, allow_pv: bool) -> Result<Setting, &'static str> {
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
            .map_err(|_| "it is not an IPv4 address")?;
        return Ok(Setting::Feature(feature, address.to_string()));
    }
    match (key, value) {
        ("virt-mode", "pv") if !allow_pv => Err("mode pv needs --allow-pv"),
        ("virt-mode", "pvh" | "hvm" | "pv") => Ok(Setting::Property("virt_mode", value.into())),
        ("virt-mode", _) => Err("the mode is neither pvh nor hvm"),
        ("kernel", "") => Ok(Setting::Property("kernel", String::new())),
        ("kernel", _) => Err("a template may only choose to bring its own kernel"),
        _ => Err("unknown setting"),
    }
}

/// The features with the items of application menus.
pub type MenuItems = Vec<(&'static str, String)>;

/// Reads the lists of menu items in a directory. Returns the features that they set, and warnings
/// about lines that were ignored. Missing lists are skipped.
///
/// # Errors
/// A list cannot be read, is too large, or is not a regular file.
pub fn read_menu_items(directory: &Path) -> Result<(MenuItems, Vec<String>), LifecycleError> {
    let (mut features, mut warnings) = (Vec::new(), Vec::new());
    for (file, feature) in LISTS {
        if let Some(text) = read_text(&directory.join(file))? {
            features.push((feature, menu_items(file, &text, &mut warnings)));
        }
    }
    Ok((features, warnings))
}

/// Returns the names in a list, separated by spaces.
fn menu_items(file: &str, text: &[u8], warnings: &mut Vec<String>) -> String {
    let mut items = Vec::new();
    for line in text
        .split(|b| *b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
    {
        let is_name = line.len() <= MAX_NAME_BYTES && line.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(line).ok().filter(|_| is_name) {
            Some(name) => items.push(name),
            None => warnings.push(format!(
                "{file}: '{}' is not the name of a menu item",
                escape_excerpt(line)
            )),
        }
    }
    items.join(" ")
}

/// Reads a regular file; `None` if it does not exist.
fn read_text(path: &Path) -> Result<Option<Vec<u8>>, LifecycleError> {
    if fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let mut text = Vec::new();
    let read = root_data::open_regular_file(path)?
        .take(MAX_TEXT_BYTES + 1)
        .read_to_end(&mut text);
    read.map_err(LifecycleError::cannot("read", &path.display()))?;
    match text.len() as u64 > MAX_TEXT_BYTES {
        true => Err(LifecycleError::Package(format!(
            "{} has more than {MAX_TEXT_BYTES} bytes",
            path.display()
        ))),
        false => Ok(Some(text)),
    }
}

/// Returns the beginning of `bytes`, escaped for a message.
fn escape_excerpt(bytes: &[u8]) -> String {
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
    fn lists_become_features_and_invalid_lines_are_ignored() {
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
            "netvm-whitelisted-appmenus.list does not exist; \
             feature netvm-menu-items is not set"
        );
    }

    #[test]
    fn only_allowed_settings_and_values_are_applied() {
        let conf = b"gui=1\n# a comment\nqrexec = 1\nselinux=0\nnet.fake-ip=192.168.1.2\n\
            net.fake-gateway=1.2.3\nvirt-mode=pv\nvirt-mode=hvm\nkernel=\nkernel=6.1\n\
            service.x=1\ninstalled_by_rpm=False\nna\xc3\xafve=1\nnonsense\ngui=1\x1b[2J\n";
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
    fn a_file_that_is_too_large_is_refused() {
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
