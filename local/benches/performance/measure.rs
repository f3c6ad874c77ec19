//! Builds the functions' binaries, and measures the times, memory, size and instructions of a binary.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use local::{template::kebab_case, testing::runtime_api::LambdaProcess};
use serde_json::Value;

/// The number of measured starts.
const STARTS: usize = 21;
/// The number of measured events on a warm binary.
const INVOKES: usize = 400;
/// The number of events that warm a binary up before it is measured.
const WARMING: usize = 20;

pub(crate) type Measured<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A function's binary and its environment variables.
#[derive(Clone)]
pub(crate) struct Binary {
    pub(crate) path: PathBuf,
    pub(crate) variables: BTreeMap<String, String>,
}

/// The cost of an event on a warm binary: the median time, the 99th percentile, the mean processor time and the peak
/// memory.
pub(crate) struct Warm {
    pub(crate) median: Duration,
    pub(crate) slowest_percent: Duration,
    pub(crate) cpu: Duration,
    pub(crate) peak_bytes: u64,
}

/// Builds the functions in release mode, and returns the path of each binary by the function's name.
pub(crate) fn build() -> Measured<BTreeMap<String, PathBuf>> {
    let mut cargo = Command::new(env!("CARGO"));
    // Cargo passes variables about this package to the benchmark. If the build inherited them, build scripts would see
    // a change and run again.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_cargos_own(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    let built = cargo
        .args(["build", "--release", "--locked", "--message-format", "json-render-diagnostics"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err("the functions cannot be built".into());
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

/// Returns the binaries that `sam build` left in `folder`, such as `CampaignReports/bootstrap`, by the function's name.
pub(crate) fn built(folder: &Path) -> Measured<BTreeMap<String, PathBuf>> {
    // Cargo runs a benchmark in the folder of its package, but `folder` is relative to the folder of the repository.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
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

fn is_cargos_own(variable: &str) -> bool {
    variable == "CARGO" || variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// Compiles the raw copy into `folder`.
pub(crate) fn build_raw_copy(folder: &Path) -> Measured<PathBuf> {
    let path = folder.join("raw-copy");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/performance/raw_copy.rs");
    let rustc = Command::new("rustc")
        .args(["--edition", "2024", "-O", "-C", "strip=symbols", source, "-o"])
        .arg(&path)
        .status()?;
    if rustc.success() { Ok(path) } else { Err("the raw copy cannot be compiled".into()) }
}

/// Returns whether instructions can be counted on this machine.
pub(crate) fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Binary {
    pub(crate) fn size(&self) -> Measured<u64> {
        Ok(fs::metadata(&self.path)?.len())
    }

    async fn start(&self) -> Measured<LambdaProcess> {
        Ok(LambdaProcess::start(&self.path.display().to_string(), self.variables.clone()).await?)
    }

    /// Measures the median time from the start of a process until it requests its first event, and until it has
    /// answered that event.
    pub(crate) async fn start_times(&self, event: &Value) -> Measured<(Duration, Duration)> {
        let (mut ready, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let begin = Instant::now();
            let mut process = self.start().await?;
            process.ready().await?;
            ready.push(begin.elapsed());
            process.stop().await?;

            let begin = Instant::now();
            let mut process = self.start().await?;
            expect_ok(&process.invoke(event).await?)?;
            answered.push(begin.elapsed());
            process.stop().await?;
        }
        Ok((percentile(&mut ready, 50), percentile(&mut answered, 50)))
    }

    /// Measures the cost of an event on a warm binary.
    pub(crate) async fn warm(&self, event: &Value) -> Measured<Warm> {
        let mut process = self.start().await?;
        for _ in 0..WARMING {
            expect_ok(&process.invoke(event).await?)?;
        }
        let id = process.id().ok_or("the binary ended")?;
        let cpu = cpu_time(id)?;
        let mut times = Vec::new();
        for _ in 0..INVOKES {
            let begin = Instant::now();
            expect_ok(&process.invoke(event).await?)?;
            times.push(begin.elapsed());
        }
        let cpu = cpu_time(id)?.saturating_sub(cpu) / u32::try_from(INVOKES)?;
        let peak_bytes = peak_memory(id)?;
        process.stop().await?;
        Ok(Warm { median: percentile(&mut times, 50), slowest_percent: percentile(&mut times, 99), cpu, peak_bytes })
    }

    /// Counts the instructions of the binary from its start until it exits, after it has answered `invokes` events.
    pub(crate) async fn instructions(&self, event: &Value, invokes: usize) -> Measured<u64> {
        let folder = tempfile::tempdir()?;
        let profile = folder.path().join("profile");
        let mut command = tokio::process::Command::new("valgrind");
        command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", profile.display())).arg(&self.path);
        let mut process = LambdaProcess::start_by(command, self.variables.clone()).await?;
        process.ready().await?;
        for _ in 0..invokes {
            expect_ok(&process.invoke(event).await?)?;
        }
        let output = process.finish().await?;
        let profile = fs::read_to_string(&profile).map_err(|error| format!("{error}: {output}"))?;
        let total =
            profile.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("callgrind reports no total")?;
        Ok(total.trim().parse()?)
    }

    /// Counts the instructions of a warm binary for one event.
    pub(crate) async fn instructions_per_invoke(&self, event: &Value) -> Measured<u64> {
        let (few, many) = (2, 12);
        let [few_cost, many_cost] = [self.instructions(event, few).await?, self.instructions(event, many).await?];
        Ok((many_cost - few_cost) / u64::try_from(many - few)?)
    }
}

/// Fails if the function failed, so that only successful invocations are measured.
fn expect_ok(answer: &Result<Value, Value>) -> Measured<()> {
    match answer {
        Ok(answer) if answer["statusCode"].as_u64().is_none_or(|status| status < 300) => Ok(()),
        other => Err(format!("the function answered {other:?}").into()),
    }
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// Returns the processor time of a process: the first number of `schedstat`, in nanoseconds.
fn cpu_time(id: u32) -> Measured<Duration> {
    let schedstat = fs::read_to_string(format!("/proc/{id}/schedstat"))?;
    Ok(Duration::from_nanos(schedstat.split(' ').next().unwrap_or_default().parse()?))
}

fn peak_memory(id: u32) -> Measured<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak memory")?;
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}
