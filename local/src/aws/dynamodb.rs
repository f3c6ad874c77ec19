//! The engine that holds the table: an embedded DynamoDB emulator, or any server that speaks DynamoDB's protocol.

mod connections;
mod front;
mod refusals;
mod stream_records;

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client, Config,
    client::Waiters as _,
    config::{BehaviorVersion, Region},
    operation::describe_table::DescribeTableError,
    types::{
        AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
        StreamSpecification, StreamViewType, TableDescription, TimeToLiveSpecification,
    },
};
use dynoxide::{Database, ImportOptions};
use process::config::TableConfig;
use store::{StoreError, Table};
pub use stream_records::{StreamRecords, StreamRecordsError};
use tempfile::TempDir;
use thiserror::Error;
use tokio::{net::TcpListener, sync::watch};

use self::front::DynamoDbFront;
use crate::{
    aws::{front::serve, local_only::LocalOnly},
    template::{Index, REGION, TableDefinition, TableKey},
};

/// The name of the data file in the data folder.
const DATA_FILE: &str = "registrations.db";
/// How often expired items are deleted. DynamoDB deletes them within days of their expiry. No test may take this long: the
/// items of tests expired years ago, and they still read them.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// How long a new table may take to become usable.
const CREATION_TIMEOUT: Duration = Duration::from_mins(2);

/// Where the data is kept.
#[derive(Debug, Clone)]
pub enum Data {
    /// In a temporary file, and lost when the process ends.
    Temporary,
    /// In this folder, kept between runs.
    Folder(PathBuf),
    /// In another engine that speaks DynamoDB's protocol, at this URL.
    Endpoint(String),
}

impl Data {
    /// Opens the engine that has the data.
    ///
    /// # Errors
    ///
    /// If the data cannot be opened, or another stack holds it.
    pub async fn open(&self) -> Result<Engine, EngineError> {
        match self {
            Self::Temporary => Engine::temporary().await,
            Self::Folder(folder) => Engine::on_disk(folder).await,
            Self::Endpoint(url) => Ok(Engine::elsewhere(url)),
        }
    }
}

/// Why the engine or its table cannot be used.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The data file cannot be opened.
    #[error(
        "{path} cannot be used as a database: {cause}. Move it away to start with an empty table, or use --ephemeral"
    )]
    DataFile {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// The data file is empty. The stack leaves no such file, so its data was lost.
    #[error(
        "{0} is empty, so the data that it had is lost: put back a copy of it, or delete it to start with an empty table"
    )]
    EmptyFile(String),
    /// The data folder cannot be used.
    #[error("{path} cannot be used for data: {cause}")]
    DataFolder {
        /// The folder.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// Another local stack uses the data.
    #[error("{0} is held by a local stack that is running; stop it first, or use --ephemeral")]
    Held(String),
    /// The engine's listener cannot be opened.
    #[error("no port for the embedded engine: {0}")]
    Listener(std::io::Error),
    /// The engine does not answer as DynamoDB does.
    #[error("the engine at {endpoint} does not answer as DynamoDB does: {cause}")]
    Unreachable {
        /// The URL of the engine.
        endpoint: String,
        /// Why.
        cause: String,
    },
    /// The table has other keys or indexes than the template.
    #[error("the table {table} at {endpoint} has other keys or indexes than the template defines")]
    OtherTable {
        /// The name of the table.
        table: String,
        /// The URL of the engine.
        endpoint: String,
    },
}

/// An engine, embedded in this process or elsewhere.
pub struct Engine {
    endpoint: String,
    /// The embedded engine, or `None` if the engine is elsewhere. Dropping it stops the engine and releases the data.
    embedded: Option<Embedded>,
}

struct Embedded {
    database: Database,
    stream_records: StreamRecords,
    _stop: watch::Sender<bool>,
    _hold: Hold,
}

/// What keeps the data in place until the engine stops.
enum Hold {
    /// The data folder's lock.
    Lock { _file: fs::File },
    /// The temporary folder, which is deleted when the engine stops.
    Temporary { _folder: Option<TempDir> },
}

impl Engine {
    /// Starts an embedded engine that keeps its data in a temporary file until it stops.
    pub async fn temporary() -> Result<Self, EngineError> {
        let in_folder = |cause| EngineError::DataFolder { path: env::temp_dir().display().to_string(), cause };
        let folder = tempfile::tempdir().map_err(in_folder)?;
        let path = folder.path().join(DATA_FILE).display().to_string();
        let in_file = |cause: String| EngineError::DataFile { path: path.clone(), cause };
        let database = Database::new(&path).map_err(|error| in_file(error.to_string()))?;
        // The engine's connection never syncs, because nothing has to survive.
        database.enable_bulk_loading().map_err(|error| in_file(error.to_string()))?;
        let stream_records = StreamRecords::open(&path).map_err(|error| in_file(error.to_string()))?;
        // On Unix an open file needs no name. Without one, nothing is left even if the process is killed.
        let folder = if cfg!(unix) { folder.close().map(|()| None).map_err(in_folder)? } else { Some(folder) };
        Self::embedded(database, stream_records, Hold::Temporary { _folder: folder }).await
    }

    /// Starts an embedded engine that keeps its data in `folder`, which only one process at a time can use.
    pub async fn on_disk(folder: &Path) -> Result<Self, EngineError> {
        let in_folder = |cause| EngineError::DataFolder { path: folder.display().to_string(), cause };
        fs::create_dir_all(folder).map_err(in_folder)?;
        let lock = fs::File::create(folder.join("lock")).map_err(in_folder)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(EngineError::Held(folder.display().to_string())),
            Err(fs::TryLockError::Error(cause)) => return Err(in_folder(cause)),
        }
        let file = folder.join(DATA_FILE);
        let path = file.display().to_string();
        let in_file = |cause: String| EngineError::DataFile { path: path.clone(), cause };
        match fs::metadata(&file) {
            Ok(found) if found.len() == 0 => return Err(EngineError::EmptyFile(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => create_data_file(&file).map_err(in_file)?,
            Ok(_) | Err(_) => {}
        }
        let database = Database::new(&path).map_err(|error| in_file(error.to_string()))?;
        // Despite its name, this makes SQLite sync once per checkpoint instead of once per write: a killed process
        // loses nothing, but a power cut may lose writes.
        database.disable_bulk_loading().map_err(|error| in_file(error.to_string()))?;
        let stream_records = StreamRecords::open(&path).map_err(|error| in_file(error.to_string()))?;
        Self::embedded(database, stream_records, Hold::Lock { _file: lock }).await
    }

    /// Returns a reference to another engine that speaks DynamoDB's protocol, at `endpoint`. Sends nothing to it yet.
    #[must_use]
    pub fn elsewhere(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), embedded: None }
    }

    async fn embedded(database: Database, stream_records: StreamRecords, hold: Hold) -> Result<Self, EngineError> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.map_err(EngineError::Listener)?;
        let address = listener.local_addr().map_err(EngineError::Listener)?;
        let (stop, stopping) = watch::channel(false);
        let sweeper = tokio::spawn(sweep(database.clone()));
        let front = LocalOnly(DynamoDbFront::new(database.clone()));
        tokio::spawn(async move {
            serve(listener, front, stopping).await;
            sweeper.abort();
        });
        Ok(Self {
            endpoint: format!("http://{address}"),
            embedded: Some(Embedded { database, stream_records, _stop: stop, _hold: hold }),
        })
    }

    /// Returns the URL of the engine.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the records of the engine's streams, or `None` if the engine is elsewhere.
    #[must_use]
    pub fn stream_records(&self) -> Option<&StreamRecords> {
        self.embedded.as_ref().map(|embedded| &embedded.stream_records)
    }

    /// Returns the environment variables with which a function reaches the engine. On AWS, Lambda sets all of them
    /// except the endpoint, which is not needed there.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.endpoint),
        ]
    }

    /// Returns the SDK's client of the engine, which can do more than the functions' own client.
    pub fn client(&self, table: &TableDefinition) -> Result<Client, EngineError> {
        let config = self.table_config(table)?;
        let connection = config.connection();
        let settings = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(connection.http_client())
            .endpoint_url(&self.endpoint)
            .region(Region::new(connection.region.clone()))
            .credentials_provider(connection.credentials.clone());
        Ok(Client::from_conf(settings.build()))
    }

    /// Returns a store over the table, configured like the functions' stores.
    pub fn store(&self, table: &TableDefinition) -> Result<Table, EngineError> {
        Ok(self.table_config(table)?.connect())
    }

    /// Imports items, given as DynamoDB's JSON, into the table in bulk, without writing them to its stream. Fails
    /// unless the engine is embedded.
    pub async fn import(&self, table: &TableDefinition, items: Vec<serde_json::Value>) -> Result<(), EngineError> {
        let Some(Embedded { database, .. }) = &self.embedded else {
            return Err(self.unreachable("it does not support imports"));
        };
        let items = items.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
        let items = items.map_err(|error| self.unreachable(error))?;
        let (database, table) = (database.clone(), table.name.clone());
        let import = move || database.import_items(&table, items, ImportOptions::default());
        let imported = tokio::task::spawn_blocking(import).await.map_err(|error| self.unreachable(error))?;
        imported.map_err(|error| self.unreachable(error))?;
        Ok(())
    }

    fn table_config(&self, table: &TableDefinition) -> Result<TableConfig, EngineError> {
        let lookup = |name: &str| {
            let variables = self.variables();
            let set = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            set.or_else(|| (name == "TABLE_NAME").then(|| table.name.clone()))
        };
        TableConfig::from_lookup(&lookup).map_err(|error| self.unreachable(error))
    }

    /// Creates the table if it does not exist. An existing table gets the indexes, the stream and the time to live of
    /// the template that it lacks. It is an error if it has other keys or indexes.
    pub async fn ensure_table(&self, table: &TableDefinition) -> Result<(), EngineError> {
        let client = self.client(table)?;
        let described = client.describe_table().table_name(&table.name).send().await;
        match described {
            Ok(response) if response.table.as_ref().is_some_and(|found| fits(table, found)) => {
                // The table was created before the template had these indexes.
                for (name, index) in missing_indexes(table, response.table.as_ref()) {
                    self.add_index(&client, table, name, index).await?;
                }
                let has_stream = response.table.is_some_and(|found| found.stream_specification.is_some());
                if let Some(stream) = self.stream_specification(table)?.filter(|_| !has_stream) {
                    // The table was created before the template had a stream.
                    let update = client.update_table().table_name(&table.name).stream_specification(stream);
                    update.send().await.map_err(|error| self.unreachable(StoreError::from(error)))?;
                }
            }
            Ok(_) => {
                return Err(EngineError::OtherTable { table: table.name.clone(), endpoint: self.endpoint.clone() });
            }
            Err(error) => match error.as_service_error() {
                Some(DescribeTableError::ResourceNotFoundException(_)) => self.create_table(&client, table).await?,
                _ => return Err(self.unreachable(StoreError::from(error))),
            },
        }
        // Also if the table is not new: its creation may have been interrupted.
        let exists = client.wait_until_table_exists().table_name(&table.name).wait(CREATION_TIMEOUT).await;
        exists.map_err(|error| self.unreachable(error))?;
        self.ensure_time_to_live(&client, table).await
    }

    /// Returns whether the table has no items.
    pub async fn is_empty(&self, table: &TableDefinition) -> Result<bool, EngineError> {
        let first = self.client(table)?.scan().table_name(&table.name).limit(1).send().await;
        Ok(first.map_err(|error| self.unreachable(StoreError::from(error)))?.items().is_empty())
    }

    async fn create_table(&self, client: &Client, table: &TableDefinition) -> Result<(), EngineError> {
        let mut create = client
            .create_table()
            .table_name(&table.name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_stream_specification(self.stream_specification(table)?);
        for name in table.attributes.keys() {
            create = create.attribute_definitions(self.attribute_definition(table, name)?);
        }
        for element in self.key_schema(&table.key)? {
            create = create.key_schema(element);
        }
        for (name, index) in &table.indexes {
            let index = GlobalSecondaryIndex::builder()
                .index_name(name)
                .set_key_schema(Some(self.key_schema(&index.key)?))
                .projection(projection_of(index))
                .build();
            create = create.global_secondary_indexes(index.map_err(|error| self.unreachable(error))?);
        }
        create.send().await.map_err(|error| self.unreachable(StoreError::from(error)))?;
        Ok(())
    }

    /// Adds an index to the table. The engine fills it from the items that have its keys.
    async fn add_index(
        &self,
        client: &Client,
        table: &TableDefinition,
        name: &str,
        index: &Index,
    ) -> Result<(), EngineError> {
        let create = CreateGlobalSecondaryIndexAction::builder()
            .index_name(name)
            .set_key_schema(Some(self.key_schema(&index.key)?))
            .projection(projection_of(index))
            .build()
            .map_err(|error| self.unreachable(error))?;
        let mut update = client
            .update_table()
            .table_name(&table.name)
            .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(create).build());
        for name in [Some(&index.key.hash), index.key.range.as_ref()].into_iter().flatten() {
            update = update.attribute_definitions(self.attribute_definition(table, name)?);
        }
        update.send().await.map_err(|error| self.unreachable(StoreError::from(error)))?;
        Ok(())
    }

    fn attribute_definition(&self, table: &TableDefinition, name: &str) -> Result<AttributeDefinition, EngineError> {
        let kind = table.attributes.get(name).map(|kind| ScalarAttributeType::from(kind.as_str()));
        let definition = AttributeDefinition::builder().attribute_name(name).set_attribute_type(kind).build();
        definition.map_err(|error| self.unreachable(error))
    }

    async fn ensure_time_to_live(&self, client: &Client, table: &TableDefinition) -> Result<(), EngineError> {
        let Some(attribute) = &table.time_to_live else { return Ok(()) };
        let described = client.describe_time_to_live().table_name(&table.name).send().await;
        let described = described.map_err(|error| self.unreachable(StoreError::from(error)))?;
        // DynamoDB names the attribute only while the time to live is enabled.
        if described.time_to_live_description.is_some_and(|found| found.attribute_name.is_some()) {
            return Ok(());
        }
        let specification = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true).build();
        let specification = specification.map_err(|error| self.unreachable(error))?;
        let update = client.update_time_to_live().table_name(&table.name).time_to_live_specification(specification);
        update.send().await.map_err(|error| self.unreachable(StoreError::from(error)))?;
        Ok(())
    }

    fn stream_specification(&self, table: &TableDefinition) -> Result<Option<StreamSpecification>, EngineError> {
        let Some(view) = &table.stream_view else { return Ok(None) };
        let view = StreamViewType::from(view.as_str());
        let specification = StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build();
        specification.map(Some).map_err(|error| self.unreachable(error))
    }

    fn key_schema(&self, key: &TableKey) -> Result<Vec<KeySchemaElement>, EngineError> {
        let TableKey { hash, range } = key;
        let elements = [(Some(hash), KeyType::Hash), (range.as_ref(), KeyType::Range)];
        let elements = elements
            .into_iter()
            .filter_map(|(name, kind)| Some(KeySchemaElement::builder().attribute_name(name?).key_type(kind).build()));
        elements.collect::<Result<_, _>>().map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, cause: impl std::fmt::Display) -> EngineError {
        EngineError::Unreachable { endpoint: self.endpoint.clone(), cause: cause.to_string() }
    }
}

/// Creates a data file without tables. It gets its name when it is complete, so that a file with this name is never
/// empty, even if the process is killed here.
fn create_data_file(path: &Path) -> Result<(), String> {
    let new = path.with_file_name("new");
    // Exists if a process was killed here.
    let _ = fs::remove_dir_all(&new);
    fs::create_dir(&new).map_err(|error| error.to_string())?;
    let unnamed = new.join(DATA_FILE);
    drop(Database::new(&unnamed.display().to_string()).map_err(|error| error.to_string())?);
    fs::rename(&unnamed, path).and_then(|()| fs::remove_dir_all(&new)).map_err(|error| error.to_string())
}

/// Returns whether a folder has a data file.
#[must_use]
pub fn has_data(folder: &Path) -> bool {
    folder.join(DATA_FILE).exists()
}

/// Returns whether an existing table has the template's key, and no other indexes than the template. Compares the names
/// and keys of the indexes only.
fn fits(table: &TableDefinition, found: &TableDescription) -> bool {
    let key_of = |schema: &[KeySchemaElement]| {
        let name_of = |kind: &KeyType| schema.iter().find(|element| element.key_type == *kind);
        let name_of = |kind| name_of(&kind).map(|element| element.attribute_name.clone());
        (name_of(KeyType::Hash), name_of(KeyType::Range))
    };
    let expected = |key: &TableKey| (Some(key.hash.clone()), key.range.clone());
    key_of(found.key_schema()) == expected(&table.key)
        && found.global_secondary_indexes().iter().all(|index| {
            let named = index.index_name().and_then(|name| table.indexes.get(name));
            named.is_some_and(|named| key_of(index.key_schema()) == expected(&named.key))
        })
}

/// Returns the indexes of the template that an existing table does not have.
fn missing_indexes<'a>(
    table: &'a TableDefinition,
    found: Option<&TableDescription>,
) -> impl Iterator<Item = (&'a String, &'a Index)> {
    let found = found.map(TableDescription::global_secondary_indexes).unwrap_or_default();
    let found: Vec<_> = found.iter().filter_map(|index| index.index_name().map(str::to_owned)).collect();
    table.indexes.iter().filter(move |(name, _)| !found.contains(name))
}

fn projection_of(index: &Index) -> Projection {
    Projection::builder()
        .projection_type(ProjectionType::Include)
        .set_non_key_attributes(Some(index.projected.clone()))
        .build()
}

async fn sweep(database: Database) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let database = database.clone();
        let swept = tokio::task::spawn_blocking(move || database.sweep_ttl()).await;
        if let Ok(Err(error)) = swept {
            tracing::warn!(%error, "expired items could not be deleted");
        }
    }
}
