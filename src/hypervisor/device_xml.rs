//! The disks in a domain's XML.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::AttachedDisk;

/// A disk with the text that describes it, which is how libvirt is told which one is meant.
pub(super) struct DescribedDisk<'x> {
    pub disk: AttachedDisk,
    pub xml: &'x str,
}

/// The disks in the XML that libvirt gives of a domain. What has no target is none.
pub(super) fn disks(xml: &str) -> Vec<DescribedDisk<'_>> {
    let mut reader = Reader::from_str(xml);
    let mut found = Vec::new();
    let mut path = Vec::new();
    let mut begun = None;
    let (mut target, mut source) = (None, None);
    loop {
        let at = reader.buffer_position();
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                if path == ["domain", "devices"] && start.name().as_ref() == "disk" {
                    (begun, target, source) = (Some(at), None, None);
                }
                note(&path, &start, &mut target, &mut source);
                path.push(start.name().as_ref().to_string());
            }
            Ok(Event::Empty(empty)) => note(&path, &empty, &mut target, &mut source),
            Ok(Event::End(_)) => {
                path.pop();
                if path == ["domain", "devices"]
                    && let (Some(from), Some(target)) = (begun.take(), target.take())
                    && let Some(xml) = text(xml, from, reader.buffer_position())
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

fn note(
    path: &[String],
    element: &BytesStart<'_>,
    target: &mut Option<String>,
    source: &mut Option<String>,
) {
    if path != ["domain", "devices", "disk"] {
        return;
    }
    match element.name().as_ref() {
        "target" => *target = attribute(element, "dev"),
        "source" => *source = attribute(element, "dev").or_else(|| attribute(element, "file")),
        _ => {}
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element
        .attributes()
        .flatten()
        .find(|a| a.key.as_ref() == name)?;
    Some(quick_xml::escape::unescape(&found.value).ok()?.into_owned())
}

fn text(xml: &str, from: u64, to: u64) -> Option<&str> {
    xml.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_found_with_its_text() {
        let xml = "<domain type='xen' id='3'><name>a</name><metadata><devices><disk><target dev='no'/></disk></devices>\
            </metadata><devices><disk type='block' device='disk'><source dev='/dev/a&amp;b'/><target dev='xvdi' \
            bus='xen'/><address><target dev='x'/></address></disk><disk type='file' device='cdrom'><target dev='sda'/>\
            </disk><disk type='file'><source file='/f' index='1'/><target dev='vdb'/></disk><disk/></devices></domain>";
        let found = disks(xml);
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
        assert!(disks("no xml <").is_empty());
    }
}
