//! The listing function and the peer with the processor time that Lambda gives to a function of little memory.
//!
//! A function has one processor for 1,769 MB and a part of it for less (AWS Lambda developer guide, "Configure Lambda
//! function memory"). A control group limits each process in the same way. To create one needs root, so this
//! measurement is not a part of the others.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    bill,
    comparison::Pair,
    measure::{self, Measured, Subject},
    stage,
};

/// The sizes of a function, in megabytes.
const SIZES: [u32; 5] = [128, 256, 512, 1_024, WHOLE_PROCESSOR];
/// The megabytes for which a function has one whole processor.
const WHOLE_PROCESSOR: u32 = 1_769;
/// The period in which a process may use its part, in microseconds. The usual period of 100 ms would let a request of 7
/// ms run as on a whole processor.
const PERIOD: u32 = 20_000;

/// A control group with a limit, removed at the end.
struct Quota {
    folder: PathBuf,
}

/// Prints the time of a cold start, the pages a second and the price of pages for each size.
pub(crate) async fn print(functions: &BTreeMap<String, PathBuf>) -> Measured<()> {
    let sandbox = stage::build().await?;
    let pair = Pair::plain(functions, &sandbox)?;
    pair.expect_same_answers().await?;
    let pair = pair.over_tls().await?;
    let page = stage::page(50)?;
    println!(
        "| memory | start until the first answer: peer | here | ÷ peer | first pages of 50 a second: peer | here | × peer | pages by `Link` a second: peer | here | × peer | US dollars a million first pages |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for megabytes in SIZES {
        // One group for each, so that what one has left is not used by the other.
        let quotas = [Quota::of(megabytes, "peer")?, Quota::of(megabytes, "here")?];
        let limited = |mut subjects: Vec<Subject>| {
            for (Subject { binary, .. }, quota) in subjects.iter_mut().zip(&quotas) {
                binary.limit = Some(quota.folder.join("cgroup.procs"));
            }
            subjects
        };
        let (first, next) = (limited(pair.subjects(&page)), limited(pair.next_subjects(&page).await?));
        let starts = measure::starts(&first).await?;
        let [peer, here] = [&starts[0], &starts[1]].map(|start| start.answered.as_secs_f64() * 1e3);
        let (first, next) = (measure::rates(&first).await?, measure::rates(&next).await?);
        let rates = |rates: &[f64]| format!("{:.0} | {:.0} | {:.1}", rates[0], rates[1], rates[1] / rates[0]);
        // An invocation is taken to last as long as here, with the engine and the proxy.
        let price = bill::price_of_invocations(1e6, f64::from(megabytes) / 1_024.0, 1.0 / first[1]);
        println!(
            "| {megabytes} MB | {peer:.0} ms | {here:.0} ms | {:.2} | {} | {} | {price:.3} |",
            here / peer,
            rates(&first),
            rates(&next),
        );
    }
    Ok(())
}

impl Quota {
    /// Creates a group with the part of a processor that belongs to `megabytes`.
    ///
    /// Sources: Linux documentation, "Control Group v2" (`cpu.max`) and "CFS Bandwidth Control" (version 1).
    fn of(megabytes: u32, name: &str) -> Measured<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let is_version_2 = root.join("cgroup.controllers").is_file();
        let parent = if is_version_2 { root.to_owned() } else { root.join("cpu") };
        let folder = parent.join(format!("performance-{}-{name}", std::process::id()));
        let needs_root = |error| format!("a control group, which needs Linux and root, cannot be created: {error}");
        if !folder.is_dir() {
            fs::create_dir(&folder).map_err(needs_root)?;
        }
        let quota = Self { folder };
        let part = PERIOD * megabytes / WHOLE_PROCESSOR;
        if is_version_2 {
            fs::write(root.join("cgroup.subtree_control"), "+cpu").map_err(needs_root)?;
            fs::write(quota.folder.join("cpu.max"), format!("{part} {PERIOD}")).map_err(needs_root)?;
        } else {
            fs::write(quota.folder.join("cpu.cfs_period_us"), PERIOD.to_string()).map_err(needs_root)?;
            fs::write(quota.folder.join("cpu.cfs_quota_us"), part.to_string()).map_err(needs_root)?;
        }
        Ok(quota)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // If a process is still ending, the group stays. It limits nothing then.
        let _ = fs::remove_dir(&self.folder);
    }
}
