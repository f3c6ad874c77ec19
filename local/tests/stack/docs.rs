//! The documents name only files that exist.

use std::{
    fs,
    path::{Path, PathBuf},
};

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

/// Returns the targets of relative links, without their anchors.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).filter_map(|target| target.split('#').next())
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
        let text = fs::read_to_string(&document).unwrap();
        let folder = document.parent().unwrap();
        // Fenced blocks hold commands and diagrams.
        let prose: String = text.split("```").step_by(2).collect();
        let broken = links(&prose).filter(|target| !target.is_empty() && !exists(&folder.join(target)));
        missing.extend(broken.map(|target| format!("{}: {target}", document.display())));
        let unknown = paths(&prose).filter(|path| !exists(&root().join(path)));
        missing.extend(unknown.map(|path| format!("{}: {path}", document.display())));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
