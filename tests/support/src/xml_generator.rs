//! Generates unusual stores: every way in which XML can express the same content, and bytes that
//! only resemble it.

use fastrand::Rng;

/// Returns a well-formed store full of content that could mislead a search for `<domain`.
pub fn store(rng: &mut Rng) -> String {
    let prolog = [
        "",
        "",
        "<?xml version='1.0' encoding=\"UTF-8\" ?>\n",
        "<!-- <domain> -->\n",
        "\u{FEFF}",
        "<?pi <domains> ?>",
    ];
    let mut out = choose(rng, &prolog).to_string();
    out += choose(rng, &["<qubes>", "<qubes >", "<qubes version='3.0'\n>"]);
    for _ in 0..rng.usize(..6) {
        out += &aside(rng);
        match rng.u8(..6) {
            0 => {
                out += "<labels><label id=\"label-1\" color='0xcc0000'>red</label>\
                        <label id='x'>?</label></labels>"
            }
            1 => out += "<pools><pool name=\"a\" driver=\"file\"/><pool driver='x'/></pools>",
            2 => out += &properties(rng, false),
            3 => out += &unknown(rng),
            _ => out += &domains(rng),
        }
    }
    out += &aside(rng);
    out += choose(
        rng,
        &["</qubes>", "</qubes >\n", "</qubes>\n<!-- </domains> -->\n"],
    );
    out
}

/// Returns the store with some bytes changed, so that it is often not well-formed.
pub fn damage(rng: &mut Rng, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let shards: [&[u8]; 20] = [
        b"<",
        b">",
        b"/",
        b"\"",
        b"'",
        b"&",
        b"</domain>",
        b"<domain>",
        b"<domain/>",
        b"</domains>",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"<?x ?>",
        b"\0",
        b"&#0;",
        b"\xFF",
        b"<properties>",
        b"=",
    ];
    for _ in 0..1 + rng.usize(..3) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..4) {
            0 if at < bytes.len() => drop(bytes.remove(at)),
            1 => bytes.truncate(at),
            2 => {
                let to = at + rng.usize(..=(bytes.len() - at).min(40));
                bytes.drain(at..to);
            }
            _ => drop(bytes.splice(at..at, shards[rng.usize(..shards.len())].iter().copied())),
        }
    }
    bytes
}

fn choose<'t>(rng: &mut Rng, choices: &[&'t str]) -> &'t str {
    choices[rng.usize(..choices.len())]
}

fn blank(rng: &mut Rng) -> &'static str {
    choose(rng, &["", "", "\n", "\n    ", " ", "\r\n\t"])
}

/// Returns blanks, or something that is not an element.
fn aside(rng: &mut Rng) -> String {
    let plain = blank(rng);
    if rng.u8(..3) > 0 {
        return plain.to_string();
    }
    let misleading = [
        "<!-- <domain class=\"AppVM\"> -->",
        "<?x </domain> ?>",
        "<!----><!---->",
        "<!-- </domains></qubes> -->",
        // Each of these, if taken for tags, would end one domain and begin another.
        "<!-- </domain> <domain class=\"AppVM\"> -->",
        "<?x </domain><domain class='AppVM'> ?>",
    ];
    format!("{plain}{}{}", choose(rng, &misleading), blank(rng))
}

fn domains(rng: &mut Rng) -> String {
    if rng.u8(..10) == 0 {
        return "<domains/>".to_string();
    }
    let mut out = format!("<domains{}>", choose(rng, &["", " ", " x='>'"]));
    for _ in 0..rng.usize(..5) {
        let quiet = rng.u8(..3) > 0;
        out += if quiet { blank(rng) } else { "\n" };
        if !quiet {
            out += &aside(rng);
        }
        out += &match rng.u8(..12) {
            0 => unknown(rng),
            1 => "<domain class='AppVM'/>".to_string(),
            2 => "<domainx></domainx >".to_string(),
            _ => domain(rng),
        };
    }
    out + blank(rng) + choose(rng, &["</domains>", "</domains\n>"])
}

fn domain(rng: &mut Rng) -> String {
    let class = choose(
        rng,
        &["AppVM", "AppVM", "TemplateVM", "AdminVM", "NewVM", ""],
    );
    let mut out = match rng.u8(..4) {
        0 => format!("<domain\tclass='{class}'\nid=\"domain-1\">"),
        1 => "<domain>".to_string(),
        _ => format!("<domain id=\"domain-{}\" class=\"{class}\">", rng.u8(..)),
    };
    match rng.u8(..4) {
        0 => {}
        1 => out += &properties(rng, true),
        // In upstream's form, so that the quick index need not parse.
        _ => {
            let name = choose(rng, &["work", "vault", "sys-net"]);
            let line = format!("<property name=\"name\">{name}</property>");
            out += &format!(
                "\n  <properties>\n    {line}\n    <property name=\"qid\">5</property>\n  \
                 </properties>\n"
            );
        }
    }
    for _ in 0..rng.usize(..5) {
        out += &match rng.u8(..12) {
            0 => aside(rng),
            1 => unknown(rng),
            2 => properties(rng, true),
            3 => "<features><feature name='&lt;![CDATA['>a]]&gt;</feature></features>".to_string(),
            4 => format!(
                "<features>{}<feature name=\"f\">{}</feature></features>",
                blank(rng),
                value(rng)
            ),
            5 => "<features></features>".to_string(),
            6 => format!("<tags>{}<tag name=\"t\"/><tag/></tags>", blank(rng)),
            7 => "<tags/>".to_string(),
            8 => format!(
                "<devices class=\"pci\">{}\
                 <device backend-domain='dom0' id=\"00_1.0\"/></devices>",
                aside(rng)
            ),
            9 => "<devices class=\"block\"><device id=\"a\"><option name='x'>y</option></device>\
                  <device id=\"a\"/></devices>"
                .to_string(),
            10 => "<devices/><devices class='usb' />".to_string(),
            _ => format!(
                "<volume-config>{}\
                 <volume name=\"root\" rw='True' size=\"1\"/><volume/></volume-config>",
                blank(rng)
            ),
        };
        out += blank(rng);
    }
    out + choose(rng, &["</domain>", "</domain>", "</domain>", "</domain >"])
}

fn properties(rng: &mut Rng, of_domain: bool) -> String {
    let mut out = choose(
        rng,
        &[
            "<properties>",
            "<properties>",
            "<properties >",
            "<properties x=\"\">",
        ],
    )
    .to_string();
    if of_domain && rng.u8(..6) > 0 {
        let name = choose(
            rng,
            &[
                "work", "vault", "a&amp;b", "z\u{17C}", "a/b", "", "dom0", "x.y",
            ],
        );
        let form = [
            "<property name=\"name\">@</property>",
            "<property name='name' >@</property>",
            "<property  name=\"name\" ref=\"@\"/>",
            "<property name=\"n&#97;me\">@</property>",
            "<property name=\"name\"><![CDATA[q]]>@</property>",
        ];
        let odd = rng.u8(..5) == 0;
        out += &(if odd { choose(rng, &form) } else { form[0] }).replace('@', name);
    }
    for _ in 0..rng.usize(..4) {
        out += blank(rng);
        out += &match rng.u8(..10) {
            0 => aside(rng),
            1 => "<property name=\"empty\"/>".to_string(),
            2 => "<other><property name=\"name\">no</property></other>".to_string(),
            3 => "<property>nameless</property>".to_string(),
            4 => format!("<property name=\"netvm\">{}<b/>tail</property>", value(rng)),
            _ => format!(
                "<property name=\"{}\">{}</property>",
                choose(rng, &["netvm", "memory", "qid"]),
                value(rng)
            ),
        };
    }
    out + blank(rng) + choose(rng, &["</properties>", "</properties>", "</properties >"])
}

fn value(rng: &mut Rng) -> String {
    choose(
        rng,
        &[
            "",
            "5",
            "a &lt;domain&gt; b",
            "&#x41;",
            "<![CDATA[<domain>]]>",
            "<![CDATA[</domain><domain>]]>",
            "x>y",
            "a\r\nb",
            "<!-- </domain> -->",
            "!?",
            "]] >",
        ],
    )
    .to_string()
}

/// Returns unknown elements that contain known ones.
fn unknown(rng: &mut Rng) -> String {
    let inner = [
        "<domain class=\"AppVM\"><properties>\
         <property name=\"name\">inner</property></properties></domain>",
        "<domains><domain/></domains>",
        "<domains><domain></domain></domains>",
        "<domain></domain><domain></domain>",
        "<qubes></qubes>",
        "text > text",
        "<properties><property name='name'>n</property></properties>",
    ];
    let name = choose(
        rng,
        &[
            "future",
            "domainx",
            "domain-list",
            "u\u{17C}",
            "domain",
            "qubes",
        ],
    );
    format!("<{name} a='<domain>'>{}</{name}>", choose(rng, &inner))
        .replace("'<domain>'", "'&lt;domain>'")
}
