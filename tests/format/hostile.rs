//! Files that are not stores, and hostile files: they are refused quickly, in one line with place
//! and reason.

use std::time::{Duration, Instant};

use qubes::format::{self, FormatError};

/// Returns the message for `bytes`. The strict check always refuses a damaged file; reading may
/// report damage inside a domain as a diagnosis of that qube, so both are tried.
fn refusal(bytes: &[u8]) -> String {
    let begun = Instant::now();
    let message = format::check(bytes).unwrap_err().to_string();
    if let Ok(qubes) = format::read(bytes.to_vec()) {
        assert!(
            qubes.iter().any(|vm| !vm.diagnoses.is_empty()),
            "read without a word: {message}"
        );
        assert!(format::write(bytes, &qubes).is_err(), "and written over");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{message} took {:?}",
        begun.elapsed()
    );
    assert!(!message.contains('\n') && message.len() < 200, "{message}");
    message
}

#[test]
fn malformed_xml_is_reported_with_line_and_column() {
    let store = |inside: &str| {
        format!(
            "<qubes>\n<domains>\n<domain class=\"AppVM\"><properties><property \
             name=\"name\">x</property></properties>{inside}</domain>\n</domains>\n</qubes>\n"
        )
    };
    for (text, expected) in [
        (String::new(), "the file is empty"),
        (" \n ".into(), "the file is empty"),
        (
            "hello".into(),
            "line 1, column 1: text outside the root element",
        ),
        (
            "<qubes>\n  <labels>".into(),
            "line 2, column 11: the file ends before every element is closed",
        ),
        (
            "<qubes/><qubes/>".into(),
            "line 1, column 9: a second root element",
        ),
        (
            "<qubes>&nbsp;</qubes>".into(),
            "line 1, column 8: '&' does not begin a known reference",
        ),
        (
            "<qubes a=1/>".into(),
            "line 1, column 10: the value of an attribute must be in quotation marks",
        ),
        (
            "<qubes a='1' a='2'/>".into(),
            "line 1, column 14: a second attribute of the same name",
        ),
        (
            "<qubes>\u{17C}\u{17C}<a></b></qubes>".into(),
            "line 1, column 13: an end tag that does not match",
        ),
        (
            "<qubes><!-- a -- b --></qubes>".into(),
            "line 1, column 15: '--' inside a comment",
        ),
        ("<qubes>]]></qubes>".into(), "']]>' in text"),
        (
            "\n<?xml version='1.0'?><qubes/>".into(),
            "line 2, column 1: an XML declaration is only allowed",
        ),
        (
            "<?xml version='1.0' encoding='latin1'?><qubes/>".into(),
            "column 31: the encoding is not UTF-8",
        ),
        (
            "<html></html>".into(),
            "not a store of Qubes: the root element is <html>, not <qubes>",
        ),
        (
            "<QubesVmCollection><QubesAppVm></QubesVmCollection>".into(),
            "column 32: an end tag that does not match",
        ),
        (
            store("<tags><tag name='a'></tags>"),
            "line 3, column 102: an end tag that does not match",
        ),
        (store("\0"), "line 3, column 82: a control character"),
    ] {
        let message = refusal(text.as_bytes());
        assert!(message.contains(expected), "{text:?}: {message}");
    }
    for bytes in [&b"\xFF\xFE<\0q\0"[..], b"\xFE\xFF\0<", b"<\0q\0u\0"] {
        assert!(refusal(bytes).contains("the encoding is not UTF-8"));
    }
    assert!(refusal(b"<qubes>\n\xC3(</qubes>").contains("line 2, column 1: not UTF-8"));
}

#[test]
fn an_entity_bomb_is_refused_before_anything_expands() {
    let mut bomb = String::from("<!DOCTYPE qubes [<!ENTITY a \"aaaaaaaaaa\">");
    for (name, of) in ["ba", "cb", "dc", "ed", "fe", "gf", "hg"].map(|p| p.split_at(1)) {
        bomb += &format!("<!ENTITY {name} \"{}\">", format!("&{of};").repeat(10));
    }
    bomb += "]><qubes>&h;</qubes>";
    assert!(refusal(bomb.as_bytes()).contains("line 1, column 1: a DOCTYPE is not accepted"));
    let hidden = "<qubes><domains/>\n<!DOCTYPE x></qubes>";
    assert!(refusal(hidden.as_bytes()).contains("line 2, column 1: a DOCTYPE"));
}

#[test]
fn extreme_depth_size_and_attribute_counts_are_handled() {
    let deep = format!("<qubes>{}", "<a>".repeat(1_000_000));
    assert!(refusal(deep.as_bytes()).contains("column 773: elements nest deeper than 256 levels"));

    let many: String = (0..60_000).map(|n| format!(" a{n}='x'")).collect();
    format::check(format!("<qubes{many}/>").as_bytes()).unwrap();
    let double = format!("<qubes{many} a7='x'/>");
    assert!(refusal(double.as_bytes()).contains("a second attribute of the same name"));

    let large = vec![b' '; format::MAX_BYTES + 1];
    assert!(matches!(
        format::read(large),
        Err(FormatError::TooLarge { .. })
    ));
}

#[test]
fn a_qube_with_thirty_thousand_features_is_read_in_time_and_written_back_whole() {
    let features: String = (0..30_000)
        .map(|n| format!("<feature name=\"f{n}\">v</feature>\n"))
        .collect();
    let store = format!(
        "<qubes><domains><domain class=\"AppVM\"><properties><property \
         name=\"name\">x</property></properties>\
         <features>{features}</features></domain></domains></qubes>"
    );
    let begun = Instant::now();
    let mut qubes = format::read(store.clone().into_bytes()).unwrap();
    qubes.edit("x").unwrap().features.set("f1", "changed");
    let written = String::from_utf8(format::write(store.as_bytes(), &qubes).unwrap()).unwrap();
    assert_eq!(written, store.replace("\"f1\">v<", "\"f1\">changed<"));
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn one_broken_qube_does_not_hide_the_others() {
    let store = "<qubes><domains>\n\
        <domain class=\"AppVM\"><properties><property \
        name=\"name\">good</property></properties></domain>\n\
        <domain class=\"AppVM\"><properties><property \
        name=\"name\">a/../b</property></properties></domain>\n\
        <domain class=\"AppVM\"><properties/></domain>\n\
        <domain class=\"FutureVM\"><properties><property \
        name=\"name\">new</property></properties></domain>\n\
        <domain class=\"AppVM\"><properties><property \
        name=\"name\">good</property></properties></domain>\n\
        <domain class=\"AppVM\"><properties><property name=\"name\">twice</property><property \
        name=\"qid\">1</property>\
        <property name=\"qid\">2</property></properties></domain>\n\
        </domains></qubes>";
    let qubes = format::read(store.as_bytes().to_vec()).unwrap();
    assert_eq!(
        qubes.names().map(|n| n.as_str()).collect::<Vec<_>>(),
        ["dom0", "good", "new", "twice"]
    );
    let diagnoses: Vec<&str> = qubes.diagnoses.iter().map(|d| &*d.text).collect();
    assert_eq!(
        diagnoses,
        [
            "a second qube is called 'good'; only the first is used",
            "the domain at line 3 cannot be used: a name with a slash, a control character, or \
             made of dots cannot name files",
            "the domain at line 4 cannot be used: VM name must not be empty",
        ]
    );
    assert_eq!(
        qubes.get("new").unwrap().diagnoses[0].text,
        "'FutureVM' is not a class of qubes"
    );
    let twice = qubes.get("twice").unwrap();
    assert_eq!(twice.properties.get("qid"), Some("2"));
    assert!(
        twice.diagnoses[0]
            .text
            .starts_with("property 'qid' occurs twice")
    );
    assert_eq!(
        format::write(store.as_bytes(), &qubes).unwrap(),
        store.as_bytes()
    );
}

#[test]
fn values_that_xml_cannot_hold_are_refused_with_the_name_of_the_qube() {
    let bytes = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/r4/small.xml"
    ))
    .unwrap();
    let mut qubes = format::read(bytes.clone()).unwrap();
    qubes
        .edit("work")
        .unwrap()
        .features
        .set("gui", "a\u{1b}[31m");
    let message = format::write(&bytes, &qubes).unwrap_err().to_string();
    assert_eq!(
        message,
        "qube 'work', gui: the value contains the character U+001B, which XML cannot hold"
    );

    let mut qubes = format::read(bytes.clone()).unwrap();
    qubes.edit("work").unwrap().volumes[0]
        .attributes
        .set("a b", "x");
    let message = format::write(&bytes, &qubes).unwrap_err().to_string();
    assert_eq!(
        message,
        "qube 'work': 'a b' cannot be the name of an XML attribute"
    );
}
