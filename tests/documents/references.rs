//! What sources and documents refer to exists: chapters and sections of the specification, and
//! files of this repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The sections of each chapter, by the chapter's file name.
type Chapters = BTreeMap<String, BTreeSet<String>>;

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chapters() -> Chapters {
    files_below(&checkout().join("docs/spec"), "md")
        .into_iter()
        .map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            (name, sections(&fs::read_to_string(file).unwrap()))
        })
        .collect()
}

/// The numbers of the headings: `5.1` of `### 5.1 virt_mode default`.
fn sections(chapter: &str) -> BTreeSet<String> {
    let headings = chapter.lines().filter(|line| line.starts_with("##"));
    let number = |line: &str| {
        let number = line.trim_start_matches('#').split_whitespace().next()?;
        let number = number.trim_end_matches('.');
        number
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| number.to_owned())
    };
    headings.filter_map(number).collect()
}

fn files_below(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            files.push(path);
        }
    }
    files
}

/// The text with the marks of comments taken out, so that a reference may go on in the next line.
fn without_comment_marks(text: &str) -> String {
    let content = |line: &str| {
        let line = line.trim_start();
        let marks = ["//!", "///", "//", "#"];
        let mark = marks.iter().find_map(|mark| line.strip_prefix(mark));
        mark.unwrap_or(line).trim().to_owned()
    };
    let lines: Vec<String> = text.lines().map(content).collect();
    lines.join(" ")
}

/// The references of a text that name no chapter or no section of one. The sections of a reference
/// stand right behind the chapter, each with its §.
fn broken_references(text: &str, chapters: &Chapters) -> Vec<String> {
    let text = without_comment_marks(text);
    let mut broken = Vec::new();
    for reference in text.split("docs/spec/").skip(1) {
        let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let length = reference.find(|c| !is_of_name(c)).unwrap_or(0);
        let Some(rest) = reference[length..].strip_prefix(".md") else {
            continue;
        };
        let chapter = format!("{}.md", &reference[..length]);
        let Some(sections) = chapters.get(&chapter) else {
            broken.push(chapter);
            continue;
        };
        let rest = rest.trim_start_matches(['`', ')', ' ', ',']);
        let named = rest.split("§").skip(1).take_while(|part| {
            // What stands between two sections of one reference: a comma or a dash.
            let before = &rest[..part.as_ptr().addr() - rest.as_ptr().addr()];
            before
                .chars()
                .all(|c| c.is_ascii_digit() || " .,§–and".contains(c))
        });
        for section in named {
            let is_of_number = |c: char| c.is_ascii_digit() || c == '.';
            let number = section.split(|c| !is_of_number(c)).next().unwrap();
            let number = number.trim_end_matches('.');
            if !sections.contains(number) {
                broken.push(format!("{chapter} §{number}"));
            }
        }
    }
    broken
}

#[test]
fn every_reference_to_the_specification_resolves() {
    let chapters = chapters();
    let mut files = files_below(&checkout().join("src"), "rs");
    files.extend(files_below(&checkout().join("tests"), "rs"));
    files.extend(files_below(&checkout().join("docs"), "md"));
    files.retain(|file| file.file_name().is_none_or(|name| name != "references.rs"));
    let mut broken = Vec::new();
    let mut references = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        references += text.matches("docs/spec/").count();
        let of_file = broken_references(&text, &chapters);
        broken.extend(
            of_file
                .into_iter()
                .map(|r| format!("{}: {r}", file.display())),
        );
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(references > 100, "only {references} references");
}

#[test]
fn a_reference_to_a_missing_chapter_or_section_is_found() {
    let sections = sections("# Title\n## 1. Model\n### 1.8 volumes\n## 2 Load\ntext\n");
    let chapters = Chapters::from([("r4-xml.md".to_owned(), sections)]);
    let broken = |text: &str| broken_references(text, &chapters);
    assert!(
        broken("/// See `docs/spec/r4-xml.md` §1.8, §2, and §9 of XML.")
            .contains(&"r4-xml.md §9".to_owned())
    );
    assert!(broken("//! As (`docs/spec/r4-xml.md`\n//! §1.8). Section §7 of XML 1.0.").is_empty());
    assert_eq!(broken("// `docs/spec/r4-xml.md`\n// §3"), ["r4-xml.md §3"]);
    assert_eq!(
        broken("`docs/spec/r4-xml.md` §1, §1.9–§2"),
        ["r4-xml.md §1.9"]
    );
    assert_eq!(broken("`docs/spec/r4-toml.md` §1"), ["r4-toml.md"]);
}

/// The paths below a directory of the repository that a text names in backticks or as the target of
/// a link. Placeholders (`src/tools/NAME.rs`) and patterns (`tools-*`) are left out.
fn named_paths(text: &str) -> Vec<&str> {
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let roots = [
        "src/", "tests/", "docs/", "demo/", "benches/", "fuzz/", "man/",
    ];
    let starts = text
        .match_indices(['`', '('])
        .map(|(at, mark)| at + mark.len());
    let paths = starts.map(|at| {
        let rest = &text[at..];
        &rest[..rest.find(|c| !is_of_path(c)).unwrap_or(rest.len())]
    });
    paths
        .filter(|path| roots.iter().any(|root| path.starts_with(root)))
        .filter(|path| !path.contains("NAME") && !path.ends_with('-'))
        .collect()
}

#[test]
fn every_file_that_a_document_names_exists() {
    let mut documents = files_below(&checkout().join("docs"), "md");
    documents.retain(|file| !file.starts_with(checkout().join("docs/spec")));
    let top = [
        "README",
        "ARCHITECTURE",
        "CONTRIBUTING",
        "SECURITY",
        "CHANGELOG",
    ];
    documents.extend(top.map(|name| checkout().join(format!("{name}.md"))));
    // What design.md plans stands there under the names it will have.
    documents.retain(|file| !file.ends_with("docs/design.md"));
    let mut missing = Vec::new();
    let mut count = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for path in named_paths(&text) {
            count += 1;
            if !checkout().join(path).exists() {
                missing.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 40, "only {count} paths");
}

#[test]
fn paths_in_backticks_and_links_are_found() {
    let text = "`src/fs/` and [a](docs/x.md#y), `src/tools/NAME.rs`, src/bare.rs";
    assert_eq!(named_paths(text), ["src/fs/", "docs/x.md"]);
}
