//! PCI devices of this machine, as the kernel shows them: addresses, the names that Qubes gives
//! their places (`docs/spec/r4-devices.md` §6), and what they are (§2).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::DeviceError;

/// Where a device is on the bus: `0000:00:1f.6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciAddress {
    /// PCI segment, `0000` on most machines.
    pub domain: u16,
    /// Bus number.
    pub bus: u8,
    /// Slot (device) number on the bus, below 32.
    pub slot: u8,
    /// Function number, below 8.
    pub function: u8,
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04x}:{:02x}:{:02x}.{:x}",
            self.domain, self.bus, self.slot, self.function
        )
    }
}

impl PciAddress {
    /// Reads `[SSSS_]BB_DD.F`.
    fn parse_port_element(text: &str) -> Option<PciAddress> {
        let (rest, function) = text.split_once('.')?;
        let mut parts = rest.rsplit('_');
        let (slot, bus, domain) = (
            hex(parts.next()?)?,
            hex(parts.next()?)?,
            parts.next().map_or(Some(0), hex)?,
        );
        let whole = parts.next().is_none() && slot < 0x20;
        let function = hex(function).filter(|function| *function < 8 && whole)?;
        Some(PciAddress {
            domain,
            bus: u8::try_from(bus).ok()?,
            slot: u8::try_from(slot).ok()?,
            function: u8::try_from(function).ok()?,
        })
    }

    /// Reads the kernel's way to write it: `SSSS:BB:DD.F`.
    fn parse_directory_name(name: &str) -> Option<PciAddress> {
        PciAddress::parse_port_element(&name.replace(':', "_"))
    }
}

fn hex(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(text, 16).ok().filter(|_| plain)
}

/// The PCI devices that the kernel knows.
#[derive(Debug, Clone)]
pub struct PciBus {
    devices: PathBuf,
}

impl PciBus {
    /// This machine's.
    pub fn host() -> PciBus {
        PciBus::below(Path::new("/sys"))
    }

    fn below(sysfs: &Path) -> PciBus {
        PciBus {
            devices: sysfs.join("bus/pci/devices"),
        }
    }

    /// The address that a port names. One that begins at a bridge says of each further device how
    /// far its bus is from the bridge's own; R4.2 and older named every device by its address
    /// alone.
    ///
    /// # Errors
    /// The text names no port, or leads past a bridge that is not there.
    pub fn resolve_port(&self, port: &str) -> Result<PciAddress, DeviceError> {
        let none = || DeviceError::InvalidPort(port.escape_debug().to_string());
        let mut elements = port
            .split('-')
            .map(|element| PciAddress::parse_port_element(element).ok_or_else(none));
        let mut address = elements.next().ok_or_else(none)??;
        for element in elements {
            let next = element?;
            let behind = self
                .read(address, "secondary_bus_number")
                .and_then(|text| text.parse::<u8>().ok());
            let bus = behind
                .and_then(|behind| behind.checked_add(next.bus))
                .ok_or(DeviceError::Missing)?;
            address = PciAddress {
                domain: address.domain,
                bus,
                ..next
            };
        }
        Ok(address)
    }

    /// What the device at this address is: `0x8086:0x15fb::p020000`.
    ///
    /// # Errors
    /// There is none.
    pub fn read_identity(&self, address: PciAddress) -> Result<String, DeviceError> {
        let read = |file| self.read(address, file).ok_or(DeviceError::Missing);
        let (vendor, device, class) = (read("vendor")?, read("device")?, read("class")?);
        Ok(format!(
            "{vendor}:{device}::p{}",
            class.trim_start_matches("0x")
        ))
    }

    /// The device that an assignment means: at this port, or at any when that is `*`; of this
    /// identity, or any when that is `*`.
    ///
    /// # Errors
    /// There is none, another one, or more than one.
    pub fn find(&self, port: &str, identity: &str) -> Result<PciAddress, DeviceError> {
        if port != "*" {
            let address = self.resolve_port(port)?;
            let found = self.read_identity(address)?;
            return match identity == "*" || identity == found {
                true => Ok(address),
                false => Err(DeviceError::DifferentDevice { found }),
            };
        }
        let is_meant = |address: &PciAddress| {
            self.read_identity(*address)
                .is_ok_and(|found| found == identity)
        };
        let found: Vec<PciAddress> = self.all().into_iter().filter(is_meant).collect();
        match found[..] {
            [] => Err(DeviceError::Missing),
            [one] => Ok(one),
            _ => Err(DeviceError::Ambiguous(
                found.iter().map(PciAddress::to_string).collect(),
            )),
        }
    }

    /// Whether the kernel keeps what the device does to memory within bounds (an IOMMU), without
    /// which no guest under QEMU can have it. Xen's dom0 is not shown that.
    pub fn has_iommu(&self, address: PciAddress) -> bool {
        self.directory(address).join("iommu_group").exists()
    }

    fn all(&self) -> Vec<PciAddress> {
        let entries = fs::read_dir(&self.devices).into_iter().flatten().flatten();
        let mut all: Vec<PciAddress> = entries
            .filter_map(|entry| PciAddress::parse_directory_name(entry.file_name().to_str()?))
            .collect();
        all.sort_unstable();
        all
    }

    fn directory(&self, address: PciAddress) -> PathBuf {
        self.devices.join(address.to_string())
    }

    fn read(&self, address: PciAddress, file: &str) -> Option<String> {
        Some(
            fs::read_to_string(self.directory(address).join(file))
                .ok()?
                .trim()
                .to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with a network card, and two USB controllers behind two bridges: the
    /// specification's example.
    fn machine() -> (tempfile::TempDir, PciBus) {
        let place = tempfile::tempdir().unwrap();
        let bus = PciBus::below(place.path());
        for (address, files) in [
            (
                "0000:00:1f.6",
                &[
                    ("vendor", "0x8086"),
                    ("device", "0x15fb"),
                    ("class", "0x020000"),
                ][..],
            ),
            (
                "0000:00:1c.0",
                &[
                    ("vendor", "0x8086"),
                    ("device", "0x1"),
                    ("class", "0x060400"),
                    ("secondary_bus_number", "16"),
                ],
            ),
            (
                "0000:10:00.0",
                &[
                    ("vendor", "0x8086"),
                    ("device", "0x2"),
                    ("class", "0x060400"),
                    ("secondary_bus_number", "17"),
                ],
            ),
            (
                "0000:12:00.1",
                &[
                    ("vendor", "0x1912"),
                    ("device", "0x0014"),
                    ("class", "0x0c0330"),
                ],
            ),
            (
                "0001:40:01.0",
                &[
                    ("vendor", "0x1912"),
                    ("device", "0x0014"),
                    ("class", "0x0c0330"),
                ],
            ),
        ] {
            let directory = bus.devices.join(address);
            fs::create_dir_all(&directory).unwrap();
            for (file, text) in files {
                fs::write(directory.join(file), format!("{text}\n")).unwrap();
            }
        }
        (place, bus)
    }

    #[test]
    fn a_port_names_an_address_or_a_way_through_bridges() {
        let (_place, bus) = machine();
        let address = |port: &str| bus.resolve_port(port).map(|address| address.to_string());
        for (port, expected) in [
            ("00_1f.6", "0000:00:1f.6"),
            ("0001_40_01.0", "0001:40:01.0"),
            ("00_1c.0-00_00.0-01_00.1", "0000:12:00.1"),
            // An address alone, as before 4.3, whether the device is there or not.
            ("02_00.0", "0000:02:00.0"),
        ] {
            assert_eq!(address(port).as_deref(), Ok(expected), "{port}");
        }
        assert_eq!(
            address("00_1f.6-00_00.0"),
            Err(DeviceError::Missing),
            "a card is no bridge"
        );
        for port in [
            "",
            "*",
            "00_1f",
            "1f.6",
            "00_20.0",
            "00_1f.8",
            "+0_1f.6",
            "00_1f.6-",
            "1_0000_00_1f.6",
            "100_00.0",
        ] {
            assert!(
                matches!(address(port), Err(DeviceError::InvalidPort(_))),
                "{port}: {:?}",
                address(port)
            );
        }
    }

    #[test]
    fn the_device_is_the_one_that_was_assigned() {
        let (_place, bus) = machine();
        let find = |port, identity| bus.find(port, identity).map(|address| address.to_string());
        assert_eq!(find("00_1f.6", "*").as_deref(), Ok("0000:00:1f.6"));
        assert_eq!(
            find("00_1f.6", "0x8086:0x15fb::p020000").as_deref(),
            Ok("0000:00:1f.6")
        );
        let another = DeviceError::DifferentDevice {
            found: "0x8086:0x15fb::p020000".to_string(),
        };
        assert_eq!(
            find("00_1f.6", "0x8086:0x15fc::p020000"),
            Err(another),
            "another card is in its place"
        );
        assert_eq!(find("00_14.0", "*"), Err(DeviceError::Missing));
        assert_eq!(
            find("*", "0x8086:0x15fb::p020000").as_deref(),
            Ok("0000:00:1f.6"),
            "wherever it is"
        );
        assert_eq!(
            find("*", "0x8086:0x9999::p020000"),
            Err(DeviceError::Missing)
        );
        let both =
            DeviceError::Ambiguous(vec!["0000:12:00.1".to_string(), "0001:40:01.0".to_string()]);
        assert_eq!(find("*", "0x1912:0x0014::p0c0330"), Err(both));
    }
}
