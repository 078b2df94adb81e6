//! The PCI devices of dom0 in sysfs: their addresses, their ports (`docs/spec/r4-devices.md` §6)
//! and their identities (§2).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::DeviceError;

/// The address of a device: `0000:00:1f.6`.
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
    /// Parses `[SSSS_]BB_DD.F`.
    fn parse_port_element(text: &str) -> Option<PciAddress> {
        let (rest, function) = text.split_once('.')?;
        let mut parts = rest.rsplit('_');
        let (slot, bus, domain) = (
            parse_hex(parts.next()?)?,
            parse_hex(parts.next()?)?,
            parts.next().map_or(Some(0), parse_hex)?,
        );
        let is_valid = parts.next().is_none() && slot < 0x20;
        let function = parse_hex(function).filter(|function| *function < 8 && is_valid)?;
        Some(PciAddress {
            domain,
            bus: u8::try_from(bus).ok()?,
            slot: u8::try_from(slot).ok()?,
            function: u8::try_from(function).ok()?,
        })
    }

    /// Parses the kernel's form, `SSSS:BB:DD.F`.
    fn parse_directory_name(name: &str) -> Option<PciAddress> {
        PciAddress::parse_port_element(&name.replace(':', "_"))
    }
}

/// Parses hexadecimal digits without a sign or a prefix.
fn parse_hex(text: &str) -> Option<u16> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(text, 16).ok().filter(|_| is_digits)
}

/// The PCI devices in sysfs.
#[derive(Debug, Clone)]
pub struct PciBus {
    devices: PathBuf,
}

impl PciBus {
    /// Returns the devices of this host.
    pub fn host() -> PciBus {
        PciBus::below(Path::new("/sys"))
    }

    fn below(sysfs: &Path) -> PciBus {
        PciBus {
            devices: sysfs.join("bus/pci/devices"),
        }
    }

    /// Returns the address of a port. A port is an address, or a path of bridges to the device, in
    /// which each bus number is relative to the secondary bus of the bridge before. R4.2 and older
    /// use only addresses.
    ///
    /// # Errors
    /// The text is not the name of a port, or a bridge on the path is missing.
    pub fn resolve_port(&self, port: &str) -> Result<PciAddress, DeviceError> {
        let invalid = || DeviceError::InvalidPort(port.escape_debug().to_string());
        let mut elements = port
            .split('-')
            .map(|element| PciAddress::parse_port_element(element).ok_or_else(invalid));
        let mut address = elements.next().ok_or_else(invalid)??;
        for element in elements {
            let next = element?;
            let secondary_bus = self
                .read(address, "secondary_bus_number")
                .and_then(|text| text.parse::<u8>().ok());
            let bus = secondary_bus
                .and_then(|secondary_bus| secondary_bus.checked_add(next.bus))
                .ok_or(DeviceError::Missing)?;
            address = PciAddress {
                domain: address.domain,
                bus,
                ..next
            };
        }
        Ok(address)
    }

    /// Returns the identity of the device at this address: `0x8086:0x15fb::p020000`.
    ///
    /// # Errors
    /// There is no device.
    pub fn read_identity(&self, address: PciAddress) -> Result<String, DeviceError> {
        let read = |file| self.read(address, file).ok_or(DeviceError::Missing);
        let (vendor, device, class) = (read("vendor")?, read("device")?, read("class")?);
        Ok(format!(
            "{vendor}:{device}::p{}",
            class.trim_start_matches("0x")
        ))
    }

    /// Returns the device of an assignment with this port and this identity. `*` stands for any
    /// port or any identity.
    ///
    /// # Errors
    /// No device matches, the port has a device of another identity, or several devices match.
    pub fn find(&self, port: &str, identity: &str) -> Result<PciAddress, DeviceError> {
        if port != "*" {
            let address = self.resolve_port(port)?;
            let found = self.read_identity(address)?;
            return match identity == "*" || identity == found {
                true => Ok(address),
                false => Err(DeviceError::DifferentDevice { found }),
            };
        }
        let matches = |address: &PciAddress| {
            self.read_identity(*address)
                .is_ok_and(|found| found == identity)
        };
        let found: Vec<PciAddress> = self.list_addresses().into_iter().filter(matches).collect();
        match found[..] {
            [] => Err(DeviceError::Missing),
            [one] => Ok(one),
            _ => Err(DeviceError::Ambiguous(
                found.iter().map(PciAddress::to_string).collect(),
            )),
        }
    }

    /// Returns whether the device is behind an IOMMU, which QEMU needs to attach it. Xen hides this
    /// from dom0.
    pub fn has_iommu(&self, address: PciAddress) -> bool {
        self.directory(address).join("iommu_group").exists()
    }

    fn list_addresses(&self) -> Vec<PciAddress> {
        let entries = fs::read_dir(&self.devices).into_iter().flatten().flatten();
        let mut addresses: Vec<PciAddress> = entries
            .filter_map(|entry| PciAddress::parse_directory_name(entry.file_name().to_str()?))
            .collect();
        addresses.sort_unstable();
        addresses
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

    /// Returns a host with a network card, and two USB controllers of which one is behind two
    /// bridges (the example of the specification).
    fn host() -> (tempfile::TempDir, PciBus) {
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
    fn a_port_is_an_address_or_a_path_of_bridges() {
        let (_place, bus) = host();
        let address = |port: &str| bus.resolve_port(port).map(|address| address.to_string());
        for (port, expected) in [
            ("00_1f.6", "0000:00:1f.6"),
            ("0001_40_01.0", "0001:40:01.0"),
            ("00_1c.0-00_00.0-01_00.1", "0000:12:00.1"),
            // An address alone, as before R4.3, also of a missing device.
            ("02_00.0", "0000:02:00.0"),
        ] {
            assert_eq!(address(port).as_deref(), Ok(expected), "{port}");
        }
        assert_eq!(
            address("00_1f.6-00_00.0"),
            Err(DeviceError::Missing),
            "a network card is not a bridge"
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
    fn only_the_assigned_device_is_found() {
        let (_place, bus) = host();
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
            "another card is at the port"
        );
        assert_eq!(find("00_14.0", "*"), Err(DeviceError::Missing));
        assert_eq!(
            find("*", "0x8086:0x15fb::p020000").as_deref(),
            Ok("0000:00:1f.6"),
            "at any port"
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
