//! Reads the disks in a domain's XML.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::hypervisor::AttachedDisk;

/// A disk with the XML of its element, which identifies it when it is detached.
pub(super) struct DescribedDisk<'x> {
    pub disk: AttachedDisk,
    pub xml: &'x str,
}

/// Returns the disks in libvirt's XML of a domain. Elements without a target are skipped.
pub(super) fn parse_disks(xml: &str) -> Vec<DescribedDisk<'_>> {
    let mut reader = Reader::from_str(xml);
    let mut found = Vec::new();
    let mut path = Vec::new();
    let mut start_position = None;
    let (mut target, mut source) = (None, None);
    loop {
        let position = reader.buffer_position();
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                if path == ["domain", "devices"] && start.name().as_ref() == "disk" {
                    (start_position, target, source) = (Some(position), None, None);
                }
                read_child(&path, &start, &mut target, &mut source);
                path.push(start.name().as_ref().to_string());
            }
            Ok(Event::Empty(empty)) => read_child(&path, &empty, &mut target, &mut source),
            Ok(Event::End(_)) => {
                path.pop();
                if path == ["domain", "devices"]
                    && let (Some(from), Some(target)) = (start_position.take(), target.take())
                    && let Some(xml) = slice(xml, from, reader.buffer_position())
                {
                    let source = source.take().map(Into::into);
                    found.push(DescribedDisk {
                        disk: AttachedDisk { target, source },
                        xml,
                    });
                }
            }
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

/// Reads `target` or `source` from an element, if its parent is a disk.
fn read_child(
    path: &[String],
    element: &BytesStart<'_>,
    target: &mut Option<String>,
    source: &mut Option<String>,
) {
    if path != ["domain", "devices", "disk"] {
        return;
    }
    match element.name().as_ref() {
        "target" => *target = read_attribute(element, "dev"),
        "source" => {
            *source = read_attribute(element, "dev").or_else(|| read_attribute(element, "file"))
        }
        _ => {}
    }
}

fn read_attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element
        .attributes()
        .flatten()
        .find(|a| a.key.as_ref() == name)?;
    Some(quick_xml::escape::unescape(&found.value).ok()?.into_owned())
}

fn slice(xml: &str, from: u64, to: u64) -> Option<&str> {
    xml.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_found_with_its_xml() {
        let xml = "<domain type='xen' id='3'><name>a</name>\
            <metadata><devices><disk><target dev='no'/></disk></devices></metadata><devices>\
            <disk type='block' device='disk'><source dev='/dev/a&amp;b'/>\
            <target dev='xvdi' bus='xen'/><address><target dev='x'/></address></disk>\
            <disk type='file' device='cdrom'><target dev='sda'/></disk>\
            <disk type='file'><source file='/f' index='1'/><target dev='vdb'/></disk>\
            <disk/></devices></domain>";
        let found = parse_disks(xml);
        let disk = |target: &str, source: Option<&str>| AttachedDisk {
            target: target.into(),
            source: source.map(Into::into),
        };
        let expected = [
            disk("xvdi", Some("/dev/a&b")),
            disk("sda", None),
            disk("vdb", Some("/f")),
        ];
        assert_eq!(
            found.iter().map(|d| d.disk.clone()).collect::<Vec<_>>(),
            expected
        );
        assert_eq!(
            found[1].xml,
            "<disk type='file' device='cdrom'><target dev='sda'/></disk>"
        );
        assert!(parse_disks("no xml <").is_empty());
    }
}
