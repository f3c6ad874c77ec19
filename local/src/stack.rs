//! The whole stack: opens the data, starts the functions, serves the APIs and feeds functions from queues and stream.

use std::{io, net::SocketAddr};

use serde_json::Value;
use thiserror::Error;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    aws::{
        dynamodb::{Data, Engine, EngineError},
        front::{self, ApiFront},
        gateway::Gateway,
        lambda::LambdaFront,
        local_only::LocalOnly,
        queue::LocalQueue,
        sqs::SqsFront,
        stream::TableStream,
    },
    contract::ContractError,
    export::ExportError,
    functions::{Functions, FunctionsError, InvokeError},
    pages::home::HomePage,
    samples::{self, SampleError},
    template::{Template, TemplateError},
};

/// Why the stack does not start, or a command fails.
#[derive(Debug, Error)]
pub enum StackError {
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The engine or its table cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A function does not start.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// A file with events cannot be used, or a new table could not be filled with the first events.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The contract cannot be generated or written.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The data was not exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// An invocation failed.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// The routes contradict each other.
    #[error("the template's routes cannot be served: {0}")]
    Routes(String),
    /// The port cannot be opened, for example because another program uses it.
    #[error("port {port} cannot be used: {cause}. Choose another with --port, or any free one with --port 0")]
    Port {
        /// The port.
        port: u16,
        /// Why.
        cause: io::Error,
    },
}

/// The functions and their table, not served yet.
pub struct Stack {
    template: Template,
    engine: Engine,
    functions: Functions,
}

/// A stack that answers over HTTP.
pub struct Running {
    /// The URL of the API.
    pub url: String,
    /// The URL of the engine.
    pub engine_url: String,
    /// The URLs of the queues, in the order of the template.
    pub queue_urls: Vec<String>,
    /// The URL of Lambda's API.
    pub lambda_url: String,
    stop: watch::Sender<bool>,
    fronts: Vec<JoinHandle<()>>,
    feeding: Vec<JoinHandle<()>>,
    _stack: Stack,
}

impl Stack {
    /// Opens the data. Creates the table if it does not exist, and fills a new table with the account `demo` and the
    /// first events. If an earlier start was interrupted, does what it left undone.
    pub async fn open(template: Template, data: &Data) -> Result<Self, StackError> {
        let engine = data.open().await?;
        let functions = Functions::start(&template, &engine)?;
        engine.ensure_table(&template.table).await?;
        samples::fill(&engine, &functions, &template).await?;
        Ok(Self { template, engine, functions })
    }

    /// Invokes a function with an event.
    pub async fn invoke(&self, function: &str, event: Value) -> Result<Value, StackError> {
        Ok(self.functions.invoke(function, event).await?)
    }

    /// Serves the API on `port`, or on a free port if `port` is 0. Serves the APIs of SQS and Lambda on free ports, and
    /// feeds functions from the queues and the stream.
    pub async fn serve(self, port: u16) -> Result<Running, StackError> {
        let queues: Vec<_> = self.template.queues.iter().cloned().map(LocalQueue::new).collect();
        let gateway = Gateway::new(&self.template.routes, self.template.cors.clone()).map_err(StackError::Routes)?;
        let (listener, url) = listen(port).await?;
        let (sqs_listener, sqs_url) = listen(0).await?;
        let (lambda_listener, lambda_url) = listen(0).await?;
        let (stop, stopping) = watch::channel(false);

        let table = self.template.table.name.clone();
        let home = HomePage { client: self.engine.client(&self.template.table)?, table };
        let api = ApiFront { gateway, functions: self.functions.clone(), home: Some(home) };
        let queue_urls = queues.iter().map(|queue| format!("{sqs_url}/{}", queue.settings().name)).collect();
        let sqs = SqsFront { queues: queues.clone(), url: sqs_url };
        let names = self.template.functions.iter().map(|(folder, function)| (function.name.clone(), folder.clone()));
        let lambda = LambdaFront { functions: self.functions.clone(), names: names.collect() };
        let fronts = vec![
            tokio::spawn(front::serve(listener, api, stopping.clone())),
            tokio::spawn(front::serve(sqs_listener, LocalOnly(sqs), stopping.clone())),
            tokio::spawn(front::serve(lambda_listener, LocalOnly(lambda), stopping)),
        ];
        let feed = |queue: LocalQueue| tokio::spawn(queue.feed(self.functions.clone()));
        let mut feeding: Vec<_> = queues.into_iter().map(feed).collect();
        // A record is consumed once the only function that reads the stream has it. With several functions, one of them
        // would delete what another has not read yet.
        let consumed = self.engine.stream_records().filter(|_| self.template.streams.len() == 1);
        for source in &self.template.streams {
            let stream = TableStream::of(self.engine.endpoint(), &self.template.table.name);
            feeding.push(tokio::spawn(source.clone().feed(stream, self.functions.clone(), consumed.cloned())));
        }
        let engine_url = self.engine.endpoint().to_owned();
        Ok(Running { url, engine_url, queue_urls, lambda_url, stop, fronts, feeding, _stack: self })
    }
}

impl Running {
    /// Stops accepting requests, waits at most five seconds for those under way, and releases the data.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for front in self.fronts {
            // A front that panicked has stopped too.
            let _ = front.await;
        }
        for feeding in self.feeding {
            feeding.abort();
        }
    }
}

async fn listen(port: u16) -> Result<(TcpListener, String), StackError> {
    let in_use = |cause| StackError::Port { port, cause };
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.map_err(in_use)?;
    let address = listener.local_addr().map_err(in_use)?;
    Ok((listener, format!("http://{address}")))
}
