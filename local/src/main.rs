//! `cargo run -p local`: the whole stack on one machine, without a cloud account.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use domain::google::GoogleObjectId;
use jiff::Timestamp;
use lambda_http::tracing::subscriber::{self, EnvFilter};
use local::{
    aws::dynamodb::Data,
    client::ServiceUrl,
    contract, export,
    progress::Pace,
    samples,
    simulated_wallet::{self, Extent, Visit, behaviour::SimulatedWallet, exchange, rules},
    stack::{Stack, StackError},
    template::Template,
    testing::google::{self, SignedCallback},
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
    /// Trust the callbacks that the command google-callback signs instead of those of Google
    #[arg(long, requires = "ephemeral")]
    play_google: bool,
    /// URL of the server that has the passes, to which wallets' requests for a pass are passed on [default: none]
    #[arg(long, value_name = "URL")]
    pass_origin: Option<ServiceUrl>,
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
    /// Print a callback of Google Wallet, signed with a key that a stack started with --play-google trusts
    GoogleCallback {
        /// What happened to the object: save, or del if it was deleted
        #[arg(value_parser = ["save", "del"])]
        event_type: String,
        /// The object's id: the issuer's id, a full stop and the rest
        object_id: GoogleObjectId,
        /// Minutes after which the callback expires; of two callbacks the one that expires later decides
        #[arg(long, value_name = "MINUTES", default_value_t = 60)]
        expires_in: i64,
    },
    /// Behave as a wallet towards a web service for passes, and name the rules that its answers break
    #[command(after_help = "Without --keep-registered and --unregister, the wallet registers the pass, repeats that, \
        asks for the list, fetches the pass, tries a wrong token, sends its log and unregisters the pass. All requests \
        go to URL; redirects are not followed.\n\n\
        Exit status: 0 if no rule was broken, 1 if one was, 2 if the arguments are wrong or URL cannot be reached.")]
    Wallet {
        /// Print the rules with their sources as a Markdown table, and do nothing else
        #[arg(long, exclusive = true)]
        rules: bool,
        #[command(flatten)]
        visit: Option<VisitArguments>,
    },
}

/// The arguments of `wallet`.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct VisitArguments {
    /// The wallet
    #[arg(long = "as", value_name = "WALLET")]
    wallet: SimulatedWallet,
    /// The pass's webServiceURL
    url: ServiceUrl,
    /// The pass's passTypeIdentifier
    pass_type: String,
    /// The pass's serialNumber
    serial_number: String,
    /// The pass's authenticationToken
    token: String,
    /// Device library identifier [default: derived from the other arguments, so that it is the same in the next run]
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Push token that is registered in the end [default: derived likewise]
    #[arg(long)]
    push_token: Option<String>,
    /// Do everything except unregister the pass
    #[arg(long, conflicts_with = "unregister")]
    keep_registered: bool,
    /// Only unregister the pass
    #[arg(long)]
    unregister: bool,
    /// Take an answer 404 to the request for the pass for an error
    #[arg(long)]
    expect_pass: bool,
    /// Print the authentication token, too
    #[arg(long)]
    verbose: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    log();
    match run(Arguments::parse()).await {
        Ok(code) => code,
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

async fn run(arguments: Arguments) -> Result<ExitCode, StackError> {
    let Arguments { port, ephemeral, dynamodb_endpoint, play_google, pass_origin, template, command } = arguments;
    let path = template.unwrap_or_else(Template::default_path);
    let parameters = pass_origin.map(|origin| ("PassOrigin".to_owned(), origin.to_string())).into_iter().collect();
    let mut template = Template::read_with(&path, &parameters)?;
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
        Some(Command::Wallet { rules: _, visit: None }) => print!("{}", rules::table()),
        Some(Command::Wallet { rules: _, visit: Some(visit) }) => return Ok(visit_as_wallet(visit).await),
        Some(Command::GoogleCallback { event_type, object_id, expires_in }) => {
            let expires_at = Timestamp::now().as_millisecond().saturating_add(expires_in.saturating_mul(60_000));
            println!("{}", SignedCallback::new(&event_type, object_id.issuer(), object_id.as_str(), expires_at).body());
        }
        None => {
            if play_google {
                google::play(&mut template).await.map_err(|cause| StackError::Port { port: 0, cause })?;
            }
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
    Ok(ExitCode::SUCCESS)
}

/// Prints each exchange of a visit, and in the end the broken rules.
async fn visit_as_wallet(arguments: VisitArguments) -> ExitCode {
    let verbose = arguments.verbose;
    let visit = arguments.visit(Timestamp::now());
    let hidden_token = (!verbose).then_some(visit.token.as_str());
    match simulated_wallet::run(&visit, |exchange| print_line(&exchange.text(hidden_token))).await {
        Ok(broken) if broken.is_empty() => {
            print_line("no rule was broken");
            ExitCode::SUCCESS
        }
        Ok(broken) => {
            print_line("broken rules:");
            for broken in broken {
                print_line(&exchange::hide(&format!("  {}: {broken}", broken.step), hidden_token));
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Prints a line. If standard output is closed, for example by `head`, the visit goes on, because half a visit leaves
/// the pass registered.
fn print_line(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

impl VisitArguments {
    fn visit(self, now: Timestamp) -> Visit {
        let Self { wallet, url, pass_type, serial_number, token, .. } = self;
        let visit = Visit::new(wallet, url, pass_type, serial_number, token, now);
        Visit {
            device: self.device.unwrap_or(visit.device),
            push_token: self.push_token.unwrap_or(visit.push_token),
            extent: match (self.keep_registered, self.unregister) {
                (true, _) => Extent::KeepRegistered,
                (false, true) => Extent::Unregister,
                (false, false) => Extent::Whole,
            },
            expects_pass: self.expect_pass,
            ..visit
        }
    }
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
