//! Measures the times, memory, size and instructions of binaries.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    ops::Range,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use local::testing::runtime_api::LambdaProcess;
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
    /// A file that takes the id of a process to limit its processor time, or `None` for no limit.
    pub(crate) limit: Option<PathBuf>,
}

/// A binary and the event that it answers.
pub(crate) struct Subject {
    pub(crate) binary: Binary,
    pub(crate) event: Value,
}

/// The median times from the start of a process until it requests its first event, and until it has answered that
/// event.
pub(crate) struct Start {
    pub(crate) ready: Duration,
    pub(crate) answered: Duration,
}

/// The cost of an event on a warm binary: the median time, the 99th percentile, the mean processor time and the peak
/// memory.
pub(crate) struct Warm {
    pub(crate) median: Duration,
    pub(crate) slowest_percent: Duration,
    pub(crate) cpu: Duration,
    pub(crate) peak_bytes: u64,
}

/// Returns whether instructions can be counted on this machine.
pub(crate) fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Measures starts. The subjects take turns, so that whatever else the machine does slows all of them down.
pub(crate) async fn starts(subjects: &[Subject]) -> Measured<Vec<Start>> {
    let mut times = vec![(Vec::new(), Vec::new()); subjects.len()];
    for round in 0..STARTS {
        for at in turns(round, subjects.len()) {
            let Subject { binary, event } = &subjects[at];
            let begin = Instant::now();
            let mut process = binary.start().await?;
            process.ready().await?;
            times[at].0.push(begin.elapsed());
            process.stop().await?;

            let begin = Instant::now();
            let mut process = binary.start().await?;
            expect_ok(&process.invoke(event).await?)?;
            times[at].1.push(begin.elapsed());
            process.stop().await?;
        }
    }
    let median = |(mut ready, mut answered): (Vec<_>, Vec<_>)| Start {
        ready: percentile(&mut ready, 50),
        answered: percentile(&mut answered, 50),
    };
    Ok(times.into_iter().map(median).collect())
}

/// Measures the cost of an event on warm binaries, which take turns as in [`starts`].
pub(crate) async fn warm(subjects: &[Subject]) -> Measured<Vec<Warm>> {
    let mut processes = Vec::new();
    for Subject { binary, event } in subjects {
        let process = binary.start_warm(event).await?;
        let id = process.id().ok_or("the binary ended")?;
        processes.push((process, id, cpu_time(id)?, Vec::new()));
    }
    for round in 0..INVOKES {
        for at in turns(round, subjects.len()) {
            let (process, _, _, times) = &mut processes[at];
            let begin = Instant::now();
            expect_ok(&process.invoke(&subjects[at].event).await?)?;
            times.push(begin.elapsed());
        }
    }
    let mut warm = Vec::new();
    for (process, id, before, mut times) in processes {
        let cpu = cpu_time(id)?.saturating_sub(before) / u32::try_from(INVOKES)?;
        let peak_bytes = peak_memory(id)?;
        process.stop().await?;
        let (median, slowest_percent) = (percentile(&mut times, 50), percentile(&mut times, 99));
        warm.push(Warm { median, slowest_percent, cpu, peak_bytes });
    }
    Ok(warm)
}

/// Measures how many events a second warm binaries answer one after the other. They take turns of many events.
pub(crate) async fn rates(subjects: &[Subject]) -> Measured<Vec<f64>> {
    let (rounds, invokes) = (10, 20);
    let mut processes = Vec::new();
    for Subject { binary, event } in subjects {
        processes.push((binary.start_warm(event).await?, Duration::ZERO));
    }
    for round in 0..rounds {
        for at in turns(round, subjects.len()) {
            let (process, time) = &mut processes[at];
            let begin = Instant::now();
            for _ in 0..invokes {
                expect_ok(&process.invoke(&subjects[at].event).await?)?;
            }
            *time += begin.elapsed();
        }
    }
    let mut rates = Vec::new();
    for (process, time) in processes {
        process.stop().await?;
        rates.push(f64::from(u32::try_from(rounds * invokes)?) / time.as_secs_f64());
    }
    Ok(rates)
}

/// Returns the order of the subjects in a round: forwards and backwards in turn, so that none always follows the same
/// one.
fn turns(round: usize, subjects: usize) -> Vec<usize> {
    let forwards = 0..subjects;
    if round.is_multiple_of(2) { forwards.collect() } else { forwards.rev().collect() }
}

impl Binary {
    pub(crate) fn size(&self) -> Measured<u64> {
        Ok(fs::metadata(&self.path)?.len())
    }

    async fn start(&self) -> Measured<LambdaProcess> {
        let path = self.path.display().to_string();
        let Some(limit) = &self.limit else {
            return Ok(LambdaProcess::start(&path, self.variables.clone()).await?);
        };
        // The shell limits itself and becomes the binary, so that the binary is limited from its first instruction.
        let mut shell = tokio::process::Command::new("/bin/sh");
        shell.args(["-c", r#"echo $$ >"$0" && exec "$1""#]).arg(limit).arg(path);
        Ok(LambdaProcess::start_by(shell, self.variables.clone()).await?)
    }

    async fn start_warm(&self, event: &Value) -> Measured<LambdaProcess> {
        let mut process = self.start().await?;
        for _ in 0..WARMING {
            expect_ok(&process.invoke(event).await?)?;
        }
        Ok(process)
    }

    /// Returns the answer of a new process to an event.
    pub(crate) async fn answer(&self, event: &Value) -> Measured<Value> {
        let mut process = self.start().await?;
        let answer = process.invoke(event).await?;
        process.stop().await?;
        expect_ok(&answer)?;
        answer.map_err(|error| error.to_string().into())
    }

    /// Counts the instructions of the binary from its start until it exits, after it has answered the events with
    /// these numbers.
    async fn instructions(&self, event: &impl Fn(usize) -> Value, numbers: Range<usize>) -> Measured<u64> {
        let folder = tempfile::tempdir()?;
        let profile = folder.path().join("profile");
        let mut command = tokio::process::Command::new("valgrind");
        command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", profile.display())).arg(&self.path);
        let mut process = LambdaProcess::start_by(command, self.variables.clone()).await?;
        process.ready().await?;
        for number in numbers {
            expect_ok(&process.invoke(&event(number)).await?)?;
        }
        let output = process.finish().await?;
        let profile = fs::read_to_string(&profile).map_err(|error| format!("{error}: {output}"))?;
        let total =
            profile.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("callgrind reports no total")?;
        Ok(total.trim().parse()?)
    }

    /// Counts the instructions of the binary from its start until it requests its first event.
    pub(crate) async fn instructions_until_ready(&self) -> Measured<u64> {
        self.instructions(&|_| Value::Null, 0..0).await
    }

    /// Counts the instructions of a warm binary for one event, which may differ from number to number.
    pub(crate) async fn instructions_per_invoke(&self, event: impl Fn(usize) -> Value) -> Measured<u64> {
        let (few, many) = (1..3, 3..15);
        let difference = u64::try_from(many.len() - few.len())?;
        // The first event may find nothing in the table, and cost something else than those that follow.
        self.answer(&event(0)).await?;
        let [few, many] = [self.instructions(&event, few).await?, self.instructions(&event, many).await?];
        Ok((many - few) / difference)
    }
}

/// Fails if the function failed, so that only successful invocations are measured.
fn expect_ok(answer: &Result<Value, Value>) -> Measured<()> {
    match answer {
        Ok(answer)
            if answer["statusCode"].as_u64().is_none_or(|status| status < 300)
                && answer["batchItemFailures"].as_array().is_none_or(Vec::is_empty) =>
        {
            Ok(())
        }
        other => Err(format!("the function answered {other:?}").into()),
    }
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// Returns the processor time of all threads of a process: the first number of each `schedstat`, in nanoseconds.
fn cpu_time(id: u32) -> Measured<Duration> {
    let mut time = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        // A thread that ends meanwhile has no file.
        let schedstat = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        time += Duration::from_nanos(schedstat.split(' ').next().unwrap_or_default().parse().unwrap_or_default());
    }
    Ok(time)
}

fn peak_memory(id: u32) -> Measured<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak memory")?;
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}
