//! `cargo run -p local`: the whole stack on one machine, with no cloud account.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use lambda_http::tracing::subscriber::{self, EnvFilter};
use local::{
    contract, export, samples,
    stack::{Data, Stack, StackError},
    template::Template,
};

/// The registrations of a campaign that every new table has.
const SAMPLE_PATH: &str = "/v2/coupons/bd69162b-8995-4c89-bdca-898fae6050d0/registrations";

/// Wallet registrations on one machine: the HTTP API, the queue and the table of template.yaml.
#[derive(Parser)]
#[command(name = "local", arg_required_else_help = false)]
struct Arguments {
    /// The port of the HTTP API; 0 for any free one.
    #[arg(long, default_value_t = 4010)]
    port: u16,
    /// Keep nothing: the table ends with the process.
    #[arg(long, global = true)]
    ephemeral: bool,
    /// A DynamoDB-compatible engine to use instead of the embedded one.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "ephemeral")]
    dynamodb_endpoint: Option<String>,
    /// The template to read [default: the repository's]; data is kept in .local beside it.
    #[arg(long, global = true, value_name = "FILE")]
    template: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Invoke one function with one event, and print its answer.
    Invoke {
        /// The function's folder name, as registration-ingest.
        function: String,
        /// The file with the event, as events/sqs/source-document.json.
        event_file: PathBuf,
    },
    /// Copy the data into the table of a deployed stack; region and credentials are those of AWS's variables.
    Export {
        /// The table, as registrations-prod.
        table: String,
        /// Instead of the data here that of another table there, as registrations-prod-restored.
        #[arg(long, value_name = "TABLE", conflicts_with_all = ["ephemeral", "dynamodb_endpoint"])]
        from: Option<String>,
    },
    /// Write the contract of the API, as the code has it now, to where api-contract serves it from.
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

/// Lines of text on standard error; standard output is for the answer. The embedded engine warns of every condition that does
/// not hold, which is how this stack works.
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
        None if ephemeral => Data::InMemory,
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
            let tell = |line| println!("{line}");
            if let Some(other) = from {
                export::export(&export::table_on_aws(&other)?, &to, tell).await?;
            } else {
                let engine = export::open(&data).await?;
                export::export(&engine.store(&template.table)?, &to, tell).await?;
            }
        }
        Some(Command::Contract) => println!("{}", contract::write()?.display()),
        None => {
            let running = Stack::open(template, &data).await?.serve(port).await?;
            println!("API       {}", running.url);
            println!("DynamoDB  {}", running.engine_url);
            println!("Queue     {}", running.queue_url);
            println!("Lambda    {}", running.lambda_url);
            let url = &running.url;
            println!("\nTry       curl -u demo:demo {url}{SAMPLE_PATH}\nOpen      {url}/\n\nCtrl-C stops it.");
            stop_signal().await;
            eprintln!("stopping");
            running.stop().await;
        }
    }
    Ok(())
}

/// Resolves when somebody wants the process to end.
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
