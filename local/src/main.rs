//! `cargo run -p local`: the whole stack on one machine, without a cloud account.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use lambda_http::tracing::subscriber::{self, EnvFilter};
use local::{
    aws::dynamodb::Data,
    contract, export,
    progress::Pace,
    samples,
    stack::{Stack, StackError},
    template::Template,
};

/// The path of the sample campaign's registrations. Every new table has this campaign.
const SAMPLE_PATH: &str = "/v2/coupons/bd69162b-8995-4c89-bdca-898fae6050d0/registrations";

/// Runs wallet registrations on this machine: the HTTP API, the queue and the table of template.yaml
#[derive(Parser)]
#[command(name = "local", arg_required_else_help = false)]
struct Arguments {
    /// Port of the HTTP API; 0 picks a free one
    #[arg(long, default_value_t = 4010)]
    port: u16,
    /// Keep the table in a temporary file; its data is lost when the process ends
    #[arg(long, global = true)]
    ephemeral: bool,
    /// Use the DynamoDB-compatible engine at this URL instead of the embedded one
    #[arg(long, global = true, value_name = "URL", conflicts_with = "ephemeral")]
    dynamodb_endpoint: Option<String>,
    /// Template to read [default: the one in the repository]; data is kept in the folder .local next to it
    #[arg(long, global = true, value_name = "FILE")]
    template: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Invoke one function with one event and print its response
    Invoke {
        /// Name of the function's folder, for example registration-ingest
        function: String,
        /// File with the event as JSON, for example events/sqs/source-document.json
        event_file: PathBuf,
    },
    /// Copy the local data into the table of a deployed stack
    #[command(after_help = "Set AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary credentials, \
        AWS_SESSION_TOKEN. The export deletes nothing; if it is interrupted, run the same command again.")]
    Export {
        /// Name of the table to copy into, for example registrations-prod
        table: String,
        /// Copy from this table on AWS instead of the local data, for example registrations-prod-restored
        #[arg(long, value_name = "TABLE", conflicts_with_all = ["ephemeral", "dynamodb_endpoint"])]
        from: Option<String>,
    },
    /// Generate the OpenAPI document from the code into the file that api-contract serves, and print its path
    Contract,
}

#[tokio::main]
async fn main() -> ExitCode {
    log();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs to standard error, because standard output is for results. Warnings of the embedded engine are off: it warns
/// about every failed condition, and failed conditions are normal here.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,dynoxide=error"));
    subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr).init();
}

async fn run(arguments: Arguments) -> Result<(), StackError> {
    let Arguments { port, ephemeral, dynamodb_endpoint, template, command } = arguments;
    let path = template.unwrap_or_else(Template::default_path);
    let template = Template::read(&path)?;
    let data = match dynamodb_endpoint {
        Some(url) => Data::Endpoint(url),
        None if ephemeral => Data::Temporary,
        None => Data::Folder(path.with_file_name(".local")),
    };
    match command {
        Some(Command::Invoke { function, event_file }) => {
            let event = samples::read(&event_file)?;
            let answer = Stack::open(template, &data).await?.invoke(&function, event).await?;
            println!("{answer}");
        }
        Some(Command::Export { table, from }) => {
            let to = export::table_on_aws(&table)?;
            let (report, progress) = (|line| println!("{line}"), |line| eprintln!("{line}"));
            if let Some(other) = from {
                export::export(&export::table_on_aws(&other)?, &to, report, Pace::default(), progress).await?;
            } else {
                let engine = export::open(&data).await?;
                export::export(&engine.store(&template.table)?, &to, report, Pace::default(), progress).await?;
            }
        }
        Some(Command::Contract) => println!("{}", contract::write()?.display()),
        None => {
            let running = Stack::open(template, &data).await?.serve(port).await?;
            println!("API       {}", running.url);
            println!("DynamoDB  {}", running.engine_url);
            for url in &running.queue_urls {
                println!("Queue     {url}");
            }
            println!("Lambda    {}", running.lambda_url);
            let url = &running.url;
            println!("\nTry       curl -u demo:demo {url}{SAMPLE_PATH}\nOpen      {url}/\n\nCtrl-C stops the stack.");
            stop_signal().await;
            eprintln!("stopping");
            running.stop().await;
        }
    }
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}
