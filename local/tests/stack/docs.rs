//! The links and paths in the documents lead to files and headings that exist, and the table of errors is that of the
//! code.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use api::error::ErrorCode;
use local::template::Template;

/// The beginnings of paths in code marks.
const FOLDERS: [&str; 8] = ["shared/", "functions/", "local/", "deploy/", "docs/", "events/", ".ci/", ".github/"];

fn root() -> PathBuf {
    Template::default_path().with_file_name("")
}

fn documents() -> Vec<PathBuf> {
    let in_folder = |folder: &str| fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let documents = in_folder("").chain(in_folder("docs")).chain(in_folder("docs/decisions"));
    documents.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Reads a document without its fenced blocks, which hold commands and diagrams.
fn prose(document: &Path) -> String {
    fs::read_to_string(document).unwrap().split("```").step_by(2).collect()
}

/// Returns the targets of relative links, each as a path and an anchor, either of which may be empty.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(|target| target.split_once('#').unwrap_or((target, "")))
}

/// Returns the anchors of the headings of a document, as GitHub derives them.
fn anchors(text: &str) -> HashSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Returns the paths in code marks, except patterns and commands.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let marked = text.split('`').skip(1).step_by(2);
    marked.filter(|text| {
        FOLDERS.iter().any(|folder| text.starts_with(folder)) && !text.contains(['*', '<', '{', ' ', '…'])
    })
}

fn exists(path: &Path) -> bool {
    fs::exists(path).unwrap()
}

#[test]
fn every_link_and_every_path_in_a_document_leads_to_a_file() {
    let documents = documents();
    assert!(documents.len() > 10);
    let mut missing = Vec::new();
    for document in documents {
        let prose = prose(&document);
        let folder = document.parent().unwrap();
        let broken = links(&prose).filter(|(path, _)| !path.is_empty() && !exists(&folder.join(path)));
        missing.extend(broken.map(|(path, _)| format!("{}: {path}", document.display())));
        let unknown = paths(&prose).filter(|path| !exists(&root().join(path)));
        missing.extend(unknown.map(|path| format!("{}: {path}", document.display())));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_anchor_in_a_link_is_that_of_a_heading() {
    let mut checked = 0;
    let mut missing = Vec::new();
    for document in documents() {
        let text = prose(&document);
        for (path, anchor) in links(&text).filter(|(_, anchor)| !anchor.is_empty()) {
            let target = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            checked += 1;
            if !exists(&target) || !anchors(&prose(&target)).contains(anchor) {
                missing.push(format!("{}: {path}#{anchor}", document.display()));
            }
        }
    }
    assert!(checked > 10);
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_documented_errors_are_those_of_the_code() {
    let text = fs::read_to_string(root().join("docs/api.md")).unwrap();
    // Status, number, name and meaning, between bars.
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [status, number, name, _] = cells[..] else { return None };
        Some((status.parse().ok()?, number.parse().ok()?, name.trim_matches('`').to_owned()))
    });
    let documented: HashSet<(u16, u16, String)> = rows.collect();
    let known = ErrorCode::ALL.iter().map(|code| (code.status().as_u16(), code.number(), code.as_str().to_owned()));
    assert_eq!(documented, known.collect());
}
