//! What a test of a function needs: the template's table in an engine of its own, and the variables that lead there.

use std::{collections::BTreeMap, io};

use shared::id::CampaignId;
use thiserror::Error;

use crate::{
    crowd::{self, CrowdError},
    engine::{Engine, EngineError},
    faults::Faults,
    front::ApiFront,
    functions::{Functions, FunctionsError, InvokeError},
    gateway::Gateway,
    recorder::Recorder,
    runtime_api::{LambdaProcess, ProcessError},
    samples::{self, SampleError},
    stream::{StreamError, TableStream},
    template::{Template, TemplateError},
};

/// The template's table in an embedded engine that ends with the test.
pub struct Sandbox {
    /// The template.
    pub template: Template,
    engine: Engine,
}

/// Why there is no sandbox.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// There is no table.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A function does not start.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// The stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A function did not take what was fed to it.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// A campaign cannot be loaded.
    #[error(transparent)]
    Crowd(#[from] CrowdError),
    /// A sample cannot be used.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The routes contradict each other.
    #[error("the template's routes cannot be served: {0}")]
    Routes(String),
}

impl Sandbox {
    /// A table with the account `demo` and nothing else.
    pub async fn start() -> Result<Self, SandboxError> {
        let template = Template::read(&Template::default_path())?;
        let engine = Engine::in_memory().await?;
        engine.ensure_table(&template.table).await?;
        samples::create_demo_account(&engine.store(&template.table)?).await.map_err(SampleError::from)?;
        Ok(Self { template, engine })
    }

    /// A table with the three installs of the source document.
    pub async fn with_first_events() -> Result<Self, SandboxError> {
        let sandbox = Self::start().await?;
        samples::apply_first_events(&sandbox.fresh_functions()?, &sandbox.template).await?;
        Ok(sandbox)
    }

    /// Loads a campaign of any size in bulk, and counts it.
    pub async fn load_campaign(&self, campaign: CampaignId, count: usize) -> Result<(), SandboxError> {
        Ok(crowd::load(&self.engine, &self.template.table, campaign, count).await?)
    }

    /// The functions over this table as they are in processes that have just started: they remember nothing.
    pub fn fresh_functions(&self) -> Result<Functions, SandboxError> {
        Ok(Functions::start(&self.template, &self.engine)?)
    }

    /// A proxy in front of the engine that records what the functions behind it do.
    pub async fn recorder(&self) -> io::Result<Recorder> {
        Recorder::in_front_of(self.engine.endpoint()).await
    }

    /// The API in front of functions that remember nothing and reach the table through a recorder.
    pub fn recorded_front(&self, recorder: &Recorder) -> Result<ApiFront, SandboxError> {
        self.front_over(&Engine::elsewhere(recorder.endpoint()))
    }

    /// A proxy in front of the engine by which the table behaves badly.
    pub async fn faults(&self) -> io::Result<Faults> {
        Faults::in_front_of(self.engine.endpoint()).await
    }

    /// The functions as they are in processes that have just started and reach the table through faults.
    pub fn faulty_functions(&self, faults: &Faults) -> Result<Functions, SandboxError> {
        Ok(Functions::start(&self.template, &Engine::elsewhere(faults.endpoint()))?)
    }

    /// The API in front of functions that reach the table through faults.
    pub fn faulty_front(&self, faults: &Faults) -> Result<ApiFront, SandboxError> {
        self.front_over(&Engine::elsewhere(faults.endpoint()))
    }

    /// The API in front of functions that remember nothing.
    pub fn fresh_front(&self) -> Result<ApiFront, SandboxError> {
        self.front_over(&self.engine)
    }

    fn front_over(&self, engine: &Engine) -> Result<ApiFront, SandboxError> {
        let functions = Functions::start(&self.template, engine)?;
        let gateway = Gateway::new(&self.template.routes, self.template.cors.clone()).map_err(SandboxError::Routes)?;
        Ok(ApiFront { gateway, functions, start: None })
    }

    /// The variables that `function` finds: the template's and Lambda's own.
    #[must_use]
    pub fn variables(&self, function: &str) -> BTreeMap<String, String> {
        let mut variables =
            self.template.functions.get(function).map(|known| known.variables.clone()).unwrap_or_default();
        let lambdas_own = self.engine.variables();
        variables.extend(lambdas_own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        variables
    }

    /// The variables that lead to the table, whatever function it is.
    #[must_use]
    pub fn table_variables(&self) -> BTreeMap<String, String> {
        let mut variables = self.variables("");
        variables.insert("TABLE_NAME".to_owned(), self.template.table.name.clone());
        variables
    }

    /// Counts everything that happened, as the table's stream does after a while.
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

    /// The stream of the table, from its beginning on.
    #[must_use]
    pub fn stream(&self) -> TableStream {
        TableStream::of(self.engine.endpoint(), &self.template.table.name)
    }

    /// A client of the engine's, to look at items as they are stored.
    pub fn client(&self) -> Result<aws_sdk_dynamodb::Client, SandboxError> {
        Ok(self.engine.client(&self.template.table)?)
    }

    /// What the function's real binary writes, by the variable of the template that it does not find.
    pub async fn output_without_each_variable(
        &self,
        function: &str,
        binary: &str,
    ) -> Result<BTreeMap<String, String>, ProcessError> {
        let mut outputs = BTreeMap::new();
        for name in self.template.functions.get(function).into_iter().flat_map(|known| known.variables.keys()) {
            let mut variables = self.variables(function);
            variables.remove(name);
            outputs.insert(name.clone(), LambdaProcess::start(binary, variables).await?.ended().await?);
        }
        Ok(outputs)
    }
}
