//! The calls: the operations of DynamoDB that this crate uses, each as the SDK's builder of its input.

use std::{error::Error, fmt::Debug, sync::LazyLock};

use aws_sdk_dynamodb::{
    config::{RuntimeComponentsBuilder, RuntimePlugin, SharedRuntimePlugin},
    error::{BuildError, ProvideErrorMetadata},
    operation::{batch_get_item, put_item, query, scan, transact_write_items, update_item},
};
use aws_smithy_runtime_api::client::{interceptors::context::Input, runtime_plugin::StaticRuntimePlugin};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use super::{client::Client, codec::Item};
use crate::StoreError;

/// A call of an operation of DynamoDB.
pub(crate) trait Call {
    /// The name of the operation.
    const NAME: &'static str;
    type Output: Debug + Send + Sync + 'static;
    type Error: Error + ProvideErrorMetadata + Send + Sync + 'static;

    /// Returns the input of the operation, or an error if a required part is missing.
    fn input(self) -> Result<Input, BuildError>;

    /// Returns how the SDK writes the request of the operation, parses its response and decides about a retry.
    fn operation() -> SharedRuntimePlugin;
}

macro_rules! calls {
    ($($module:ident::$name:ident, $builder:ident, $output:ident, $error:ident, $build:expr;)*) => {$(
        impl Call for $module::builders::$builder {
            const NAME: &'static str = stringify!($name);
            type Output = $module::$output;
            type Error = $module::$error;

            fn input(self) -> Result<Input, BuildError> {
                let build: fn(Self) -> _ = $build;
                build(self).map(Input::erase)
            }

            fn operation() -> SharedRuntimePlugin {
                static OPERATION: LazyLock<SharedRuntimePlugin> = LazyLock::new(|| prepared(&$module::$name::new()));
                OPERATION.clone()
            }
        }
    )*};
}

calls! {
    batch_get_item::BatchGetItem, BatchGetItemInputBuilder, BatchGetItemOutput, BatchGetItemError, Self::build;
    put_item::PutItem, PutItemInputBuilder, PutItemOutput, PutItemError, Self::build;
    query::Query, QueryInputBuilder, QueryOutput, QueryError, Self::build;
    scan::Scan, ScanInputBuilder, ScanOutput, ScanError, Self::build;
    transact_write_items::TransactWriteItems, TransactWriteItemsInputBuilder, TransactWriteItemsOutput,
        TransactWriteItemsError, |call| call.client_request_token(Uuid::new_v4()).build();
    update_item::UpdateItem, UpdateItemInputBuilder, UpdateItemOutput, UpdateItemError, Self::build;
}

/// Returns what the SDK prepares for the operation, which is the same for each call.
fn prepared(operation: &impl RuntimePlugin) -> SharedRuntimePlugin {
    let components = operation.runtime_components(&RuntimeComponentsBuilder::new("operation")).into_owned();
    let plugin = StaticRuntimePlugin::new().with_runtime_components(components);
    SharedRuntimePlugin::new(match operation.config() {
        Some(config) => plugin.with_config(config),
        None => plugin,
    })
}

/// A call that returns items, a part of them at a time.
pub(crate) trait ItemsCall: Call + Clone {
    /// Returns the call for the part that begins after the item with this key.
    fn after(self, key: Option<Item>) -> Self;

    /// Returns the items of a part, and the key after which the next part begins, or `None` if there is none.
    fn part(output: Self::Output) -> (Vec<Item>, Option<Item>);
}

impl ItemsCall for query::builders::QueryInputBuilder {
    fn after(self, key: Option<Item>) -> Self {
        self.set_exclusive_start_key(key)
    }

    fn part(output: query::QueryOutput) -> (Vec<Item>, Option<Item>) {
        (output.items.unwrap_or_default(), output.last_evaluated_key)
    }
}

impl ItemsCall for scan::builders::ScanInputBuilder {
    fn after(self, key: Option<Item>) -> Self {
        self.set_exclusive_start_key(key)
    }

    fn part(output: scan::ScanOutput) -> (Vec<Item>, Option<Item>) {
        (output.items.unwrap_or_default(), output.last_evaluated_key)
    }
}

impl Client {
    /// Returns all items of a query or a scan, with as many calls as it takes.
    pub(crate) fn items<C: ItemsCall>(&self, call: C) -> impl Stream<Item = Result<Item, StoreError>> {
        // Before the first part, the key is `None`, and after the last part there is no state.
        let parts = stream::try_unfold(Some(None), move |state| {
            let call = call.clone();
            async move {
                let Some(start) = state else { return Ok::<_, StoreError>(None) };
                let (items, last) = C::part(self.send(call.after(start)).await?);
                Ok(Some((stream::iter(items).map(Ok), last.map(Some))))
            }
        });
        parts.try_flatten()
    }
}
