//! What a test of a function needs: the template's table in an engine of its own, and the variables that lead there.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    engine::{Engine, EngineError},
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
}

impl Sandbox {
    /// An empty table.
    pub async fn start() -> Result<Self, SandboxError> {
        let template = Template::read(&Template::default_path())?;
        let engine = Engine::in_memory().await?;
        engine.ensure_table(&template.table).await?;
        Ok(Self { template, engine })
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

    /// A client of the engine's, to look at items as they are stored.
    pub fn client(&self) -> Result<aws_sdk_dynamodb::Client, SandboxError> {
        Ok(self.engine.client(&self.template.table)?)
    }
}
