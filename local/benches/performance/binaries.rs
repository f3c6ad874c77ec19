//! The binaries that are measured: the functions', the peer and the raw copy.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use local::template::kebab_case;
use serde_json::Value;

use crate::measure::Measured;

/// Cargo runs a benchmark in the folder of its package, so all paths begin here.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/performance");

/// Builds the functions in release mode, and returns the path of each binary by the function's name.
pub(crate) fn build() -> Measured<BTreeMap<String, PathBuf>> {
    build_in(Path::new(REPOSITORY), &[])
}

/// Builds the peer in release mode, and returns its path.
pub(crate) fn build_peer() -> Measured<PathBuf> {
    let target = format!("{REPOSITORY}/target/peer");
    let mut built = build_in(&Path::new(SOURCES).join("peer"), &["--target-dir", &target])?;
    Ok(built.remove("peer").ok_or("the peer has no binary")?)
}

fn build_in(folder: &Path, options: &[&str]) -> Measured<BTreeMap<String, PathBuf>> {
    let mut cargo = Command::new(env!("CARGO"));
    // Cargo passes variables about this package to the benchmark. If the build inherited them, build scripts would see
    // a change and run again.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_cargos_own(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    let built = cargo
        .args(["build", "--release", "--locked", "--message-format", "json-render-diagnostics"])
        .args(options)
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err(format!("{} cannot be built", folder.display()).into());
    }
    let messages = serde_json::Deserializer::from_slice(&built.stdout).into_iter::<Value>();
    let mut binaries = BTreeMap::new();
    for message in messages {
        let message = message?;
        if let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str()) {
            binaries.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(binaries)
}

fn is_cargos_own(variable: &str) -> bool {
    variable == "CARGO" || variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// Returns the binaries that `sam build` left in `folder`, such as `CampaignReports/bootstrap`, by the function's name.
pub(crate) fn built(folder: &Path) -> Measured<BTreeMap<String, PathBuf>> {
    let folder = Path::new(REPOSITORY).join(folder);
    let mut binaries = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let binary = entry.path().join("bootstrap");
        if binary.is_file() {
            binaries.insert(kebab_case(&entry.file_name().to_string_lossy()), binary);
        }
    }
    Ok(binaries)
}

/// Compiles the raw copy into `folder`.
pub(crate) fn build_raw_copy(folder: &Path) -> Measured<PathBuf> {
    let path = folder.join("raw-copy");
    let source = format!("{SOURCES}/raw_copy.rs");
    let rustc = Command::new("rustc")
        .args(["--edition", "2024", "-O", "-C", "strip=symbols", &source, "-o"])
        .arg(&path)
        .status()?;
    if rustc.success() { Ok(path) } else { Err("the raw copy cannot be compiled".into()) }
}
