//! The whole stack: engine, table, functions, queue and fronts.

use std::{io, net::SocketAddr, path::PathBuf};

use serde_json::Value;
use thiserror::Error;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    contract::ContractError,
    engine::{Engine, EngineError},
    export::ExportError,
    front::{self, ApiFront},
    functions::{Functions, FunctionsError, InvokeError},
    gateway::Gateway,
    lambda_front::LambdaFront,
    queue::LocalQueue,
    queue_front::QueueFront,
    samples::{self, SampleError},
    start::StartPage,
    stream::TableStream,
    template::{Template, TemplateError},
};

/// Where the table is.
#[derive(Debug, Clone)]
pub enum Data {
    /// In the memory of this process.
    InMemory,
    /// In this folder, kept between runs.
    Folder(PathBuf),
    /// In another engine that speaks DynamoDB's protocol.
    Endpoint(String),
}

impl Data {
    /// The engine that has the data.
    ///
    /// # Errors
    ///
    /// The data cannot be opened, or another stack holds it.
    pub async fn open(&self) -> Result<Engine, EngineError> {
        match self {
            Self::InMemory => Engine::in_memory().await,
            Self::Folder(folder) => Engine::on_disk(folder).await,
            Self::Endpoint(url) => Ok(Engine::elsewhere(url)),
        }
    }
}

/// Why the stack does not start, or an event has no answer.
#[derive(Debug, Error)]
pub enum StackError {
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// There is no table.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A function does not start.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// A file with events cannot be used, or the ones that a new table begins with were not applied.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The contract cannot be made or written.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The data was not exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// An invocation has no answer.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// The routes contradict each other.
    #[error("the template's routes cannot be served: {0}")]
    Routes(String),
    /// Another program listens there.
    #[error("port {port} cannot be used: {cause}. Choose another with --port, or any free one with --port 0")]
    Port {
        /// The port.
        port: u16,
        /// Why.
        cause: io::Error,
    },
    /// The template has no queue, or more than one.
    #[error("expected one queue that feeds a function in the template, found {0}")]
    Queues(usize),
}

/// Functions over a table.
pub struct Stack {
    template: Template,
    engine: Engine,
    functions: Functions,
}

/// A stack that answers over HTTP.
pub struct Running {
    /// Where the API answers.
    pub url: String,
    /// Where the engine answers.
    pub engine_url: String,
    /// The queue's URL.
    pub queue_url: String,
    /// Where functions are invoked as Lambda's are.
    pub lambda_url: String,
    stop: watch::Sender<bool>,
    fronts: Vec<JoinHandle<()>>,
    feeding: Vec<JoinHandle<()>>,
    _stack: Stack,
}

impl Stack {
    /// Opens the data, makes the table where it is not there and fills a new one with the sample events.
    pub async fn open(template: Template, data: &Data) -> Result<Self, StackError> {
        let engine = data.open().await?;
        let functions = Functions::start(&template, &engine)?;
        let is_new = engine.ensure_table(&template.table).await?;
        if is_new {
            samples::create_demo_account(&engine.store(&template.table)?).await.map_err(SampleError::from)?;
            samples::apply_first_events(&functions, &template).await?;
        }
        Ok(Self { template, engine, functions })
    }

    /// Invokes a function with an event.
    pub async fn invoke(&self, function: &str, event: Value) -> Result<Value, StackError> {
        Ok(self.functions.invoke(function, event).await?)
    }

    /// Serves the API at `port`, or at any free one where it is 0, and feeds the queue's function.
    pub async fn serve(self, port: u16) -> Result<Running, StackError> {
        let [queue] = self.template.queues.as_slice() else {
            return Err(StackError::Queues(self.template.queues.len()));
        };
        let queue = LocalQueue::new(queue.clone());
        let gateway = Gateway::new(&self.template.routes, self.template.cors.clone()).map_err(StackError::Routes)?;
        let (listener, url) = listen(port).await?;
        let (queue_listener, queue_url) = listen(0).await?;
        let (lambda_listener, lambda_url) = listen(0).await?;
        let (stop, stopping) = watch::channel(false);

        let table = self.template.table.name.clone();
        let start = StartPage { client: self.engine.client(&self.template.table)?, table };
        let api = ApiFront { gateway, functions: self.functions.clone(), start: Some(start) };
        let name = queue.settings().name.clone();
        let queue_front = QueueFront { queue: queue.clone(), url: queue_url.clone() };
        let names = self.template.functions.iter().map(|(folder, function)| (function.name.clone(), folder.clone()));
        let lambda = LambdaFront { functions: self.functions.clone(), names: names.collect() };
        let fronts = vec![
            tokio::spawn(front::serve(listener, api, stopping.clone())),
            tokio::spawn(front::serve(queue_listener, queue_front, stopping.clone())),
            tokio::spawn(front::serve(lambda_listener, lambda, stopping)),
        ];
        let mut feeding = vec![tokio::spawn(queue.feed(self.functions.clone()))];
        for source in &self.template.streams {
            let stream = TableStream::of(self.engine.endpoint(), &self.template.table.name);
            feeding.push(tokio::spawn(source.clone().feed(stream, self.functions.clone())));
        }
        let engine_url = self.engine.endpoint().to_owned();
        let queue_url = format!("{queue_url}/{name}");
        Ok(Running { url, engine_url, queue_url, lambda_url, stop, fronts, feeding, _stack: self })
    }
}

impl Running {
    /// Stops: no new requests, those under way end, the data is given free.
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
