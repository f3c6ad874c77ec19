//! The environment of a function's tests: the template's table in an engine of its own, and functions that use it.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    io,
};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::id::CampaignId;
use serde_json::Value;

use crate::{
    aws::{dynamodb::Engine, front::ApiFront, gateway::Gateway, stream::TableStream},
    functions::Functions,
    samples,
    template::Template,
    testing::{
        campaigns,
        faults::Faults,
        recorder::Recorder,
        runtime_api::{LambdaProcess, log_lines},
    },
};

/// The template's table in an embedded engine that ends with the sandbox.
pub struct Sandbox {
    /// The repository's template.
    pub template: Template,
    engine: Engine,
}

/// The reason why a sandbox cannot be started or used. A test only prints it.
pub type SandboxError = Box<dyn Error + Send + Sync>;

impl Sandbox {
    /// Starts a sandbox with the account `demo` and no other data.
    pub async fn start() -> Result<Self, SandboxError> {
        let template = Template::read(&Template::default_path())?;
        let engine = Engine::temporary().await?;
        engine.ensure_table(&template.table).await?;
        let table = engine.store(&template.table)?;
        samples::create_demo_account(&table).await?;
        samples::add_demo_key(&table).await?;
        Ok(Self { template, engine })
    }

    /// Starts a sandbox with the account `demo` and the three installs of the source document.
    pub async fn with_first_events() -> Result<Self, SandboxError> {
        let sandbox = Self::start().await?;
        samples::apply_first_events(&sandbox.fresh_functions()?, &sandbox.template).await?;
        Ok(sandbox)
    }

    /// Starts a sandbox with the first events and those of `sqs/wallet-events.json`, by which wallets find a pass.
    pub async fn with_wallet_events() -> Result<Self, SandboxError> {
        let sandbox = Self::with_first_events().await?;
        let event = samples::read(&samples::folder().join("sqs/wallet-events.json"))?;
        let function = samples::function_of(&event, &sandbox.template).unwrap_or_default().to_owned();
        sandbox.fresh_functions()?.invoke(&function, event).await?;
        Ok(sandbox)
    }

    /// Loads a campaign of `count` registrations in bulk, and writes its counts.
    pub async fn load_campaign(&self, campaign: CampaignId, count: usize) -> Result<(), SandboxError> {
        let progress = |line| eprintln!("{line}");
        Ok(campaigns::load(&self.engine, &self.template.table, campaign, count, progress).await?)
    }

    /// Starts new functions on this table. They remember nothing, like processes that have just started.
    pub fn fresh_functions(&self) -> Result<Functions, SandboxError> {
        Ok(Functions::start(&self.template, &self.engine)?)
    }

    /// Starts a proxy in front of the engine that records the calls to it.
    pub async fn recorder(&self) -> io::Result<Recorder> {
        Recorder::in_front_of(self.engine.endpoint()).await
    }

    /// Returns an API in front of new functions whose calls go through the recording proxy.
    pub fn recorded_front(&self, recorder: &Recorder) -> Result<ApiFront, SandboxError> {
        self.front_over(&Engine::elsewhere(recorder.endpoint()))
    }

    /// Starts a proxy in front of the engine that injects faults.
    pub async fn faults(&self) -> io::Result<Faults> {
        Faults::in_front_of(self.engine.endpoint()).await
    }

    /// Starts new functions whose calls go through the fault-injecting proxy.
    pub fn faulty_functions(&self, faults: &Faults) -> Result<Functions, SandboxError> {
        Ok(Functions::start(&self.template, &Engine::elsewhere(faults.endpoint()))?)
    }

    /// Returns an API in front of new functions whose calls go through the fault-injecting proxy.
    pub fn faulty_front(&self, faults: &Faults) -> Result<ApiFront, SandboxError> {
        self.front_over(&Engine::elsewhere(faults.endpoint()))
    }

    /// Returns an API in front of new functions.
    pub fn fresh_front(&self) -> Result<ApiFront, SandboxError> {
        self.front_over(&self.engine)
    }

    fn front_over(&self, engine: &Engine) -> Result<ApiFront, SandboxError> {
        let functions = Functions::start(&self.template, engine)?;
        let gateway = Gateway::new(&self.template.routes, self.template.cors.clone())?;
        Ok(ApiFront { gateway, functions, home: None })
    }

    /// Returns the environment variables of `function`: the template's and Lambda's own.
    #[must_use]
    pub fn variables(&self, function: &str) -> BTreeMap<String, String> {
        let mut variables =
            self.template.functions.get(function).map(|known| known.variables.clone()).unwrap_or_default();
        let lambdas_own = self.engine.variables();
        variables.extend(lambdas_own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        variables
    }

    /// Returns the environment variables with which any process reaches the table.
    #[must_use]
    pub fn table_variables(&self) -> BTreeMap<String, String> {
        let mut variables = self.variables("");
        variables.insert("TABLE_NAME".to_owned(), self.template.table.name.clone());
        variables
    }

    /// Counts every change so far, by feeding functions from the whole of the table's stream.
    pub async fn tally(&self) -> Result<(), SandboxError> {
        let functions = self.fresh_functions()?;
        for source in &self.template.streams {
            let mut stream = self.stream();
            while let Some(batches) = source.next_batches(&mut stream).await? {
                for (_, event) in batches {
                    functions.invoke(&source.function, event).await?;
                }
            }
        }
        Ok(())
    }

    /// Returns a reader of the table's stream, from its beginning.
    #[must_use]
    pub fn stream(&self) -> TableStream {
        TableStream::of(self.engine.endpoint(), &self.template.table.name)
    }

    /// Returns a store over the table that remembers nothing.
    pub fn store(&self) -> Result<store::Table, SandboxError> {
        Ok(self.engine.store(&self.template.table)?)
    }

    /// Returns every item of the table, as it is stored.
    pub async fn items(&self) -> Result<Vec<HashMap<String, AttributeValue>>, SandboxError> {
        let items = self.client()?.scan().table_name(&self.template.table.name).into_paginator().items();
        Ok(items.send().try_collect().await?)
    }

    /// Returns a client of the engine, to read items as they are stored.
    pub fn client(&self) -> Result<aws_sdk_dynamodb::Client, SandboxError> {
        Ok(self.engine.client(&self.template.table)?)
    }

    /// Starts a function's real binary once for each of its variables in the template, without that variable. Fails
    /// unless the binary ends and logs the name of the missing variable.
    pub async fn expect_missing_variables_named(&self, function: &str, binary: &str) -> Result<(), SandboxError> {
        for name in self.template.functions.get(function).into_iter().flat_map(|known| known.variables.keys()) {
            let mut variables = self.variables(function);
            variables.remove(name);
            let output = LambdaProcess::start(binary, variables).await?.ended().await?;
            let lines = log_lines(&output)?;
            let is_named = |line: &Value| line["fields"]["error"] == format!("the variable {name} is not set");
            if !matches!(&lines[..], [line] if line["level"] == "ERROR" && is_named(line)) {
                return Err(format!("expected an error that names {name}: {output}").into());
            }
        }
        Ok(())
    }

    /// Starts a function's real binary. Fails unless it makes `count` concurrent calls, each over its own connection,
    /// before it requests its first event.
    pub async fn expect_connections_opened(
        &self,
        function: &str,
        binary: &str,
        count: usize,
    ) -> Result<(), SandboxError> {
        let recorder = self.recorder().await?;
        // Calls that are made one after the other hang.
        recorder.hold_next(count);
        let mut variables = self.variables(function);
        variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), recorder.endpoint().to_owned());
        let mut process = LambdaProcess::start(binary, variables).await?;
        process.ready().await?;
        let calls = recorder.take();
        process.stop().await?;
        if calls.len() == count { Ok(()) } else { Err(format!("expected {count} calls, found {calls:?}").into()) }
    }
}
