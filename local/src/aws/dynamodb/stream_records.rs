//! The records of the embedded engine's stream, kept so that a write costs the same however many came before it.
//!
//! Each write looks for the largest sequence number of the stream. The engine has no index for that, never deletes a
//! record, and has no API for either. So [`StreamRecords`] opens a second connection to the engine's data file. It adds
//! an index for the engine's own statements, and deletes the records that the stack has consumed.
//!
//! The newest record always stays, because the engine continues from its sequence number. Without it, a clock that was
//! set back would give new changes a number below the tally's checkpoint, and they would never be counted.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};
use thiserror::Error;

/// An index for the three statements in which the engine reads its stream. They compare the sequence number, which is
/// stored as text, as a number.
const ADD_INDEX: &str = "CREATE INDEX IF NOT EXISTS local_stream_records_by_sequence_number
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// Deletes the records of a table up to a sequence number, but never the newest record.
const TRIM: &str = "DELETE FROM _stream_records
    WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) <= MIN(?2, (
        SELECT MAX(CAST(sequence_number AS INTEGER)) - 1 FROM _stream_records WHERE table_name = ?1
    ))";

/// The engine's API adds this to a stored sequence number, so that it has 21 digits as on AWS.
const PUBLIC_OFFSET: u128 = 100_000_000_000_000_000_000;

/// Why the records cannot be used.
#[derive(Debug, Error)]
pub enum StreamRecordsError {
    /// `SQLite` reported an error.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The engine did not issue this sequence number.
    #[error("expected a sequence number of the embedded engine, got {0}")]
    SequenceNumber(String),
}

/// The records of the streams of an engine. A clone shares the connection.
#[derive(Clone)]
pub struct StreamRecords(Arc<Mutex<Connection>>);

impl StreamRecords {
    /// Opens the records of the engine whose data file is at `path`, and adds the index if it does not exist.
    pub(super) fn open(path: &str) -> Result<Self, StreamRecordsError> {
        let connection = Connection::open(path)?;
        // As the engine does: a killed process loses nothing, but a power cut may lose writes.
        connection.execute_batch("PRAGMA synchronous = NORMAL")?;
        connection.execute_batch(ADD_INDEX)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Deletes the records of a table's stream up to `consumed`, a sequence number as `GetRecords` returns it. The
    /// newest record stays even if it was consumed.
    ///
    /// # Errors
    ///
    /// If `consumed` is not a sequence number of this engine, or the data file cannot be written.
    pub fn trim(&self, table: &str, consumed: &str) -> Result<(), StreamRecordsError> {
        let stored = consumed.parse::<u128>().ok().and_then(|public| public.checked_sub(PUBLIC_OFFSET));
        let stored = stored.and_then(|stored| i64::try_from(stored).ok());
        let stored = stored.ok_or_else(|| StreamRecordsError::SequenceNumber(consumed.to_owned()))?;
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.prepare_cached(TRIM)?.execute(params![table, stored])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{StatementStatus, ToSql, types::Value};
    use serde_json::json;

    use super::*;
    use crate::{
        aws::{dynamodb::Engine, stream::TableStream},
        template::Template,
    };

    /// The statements with which dynoxide-rs 3.2.0 reads a stream: `next_stream_sequence_number` and
    /// `stream_records_with_event_ids` in its `storage.rs`.
    const NEXT: &str =
        "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = ?1";
    const READ: &str =
        "SELECT event_name, keys_json, new_image, old_image, sequence_number, created_at, user_identity, event_id
             FROM _stream_records
             WHERE table_name = ?1 AND shard_id = ?2 AND CAST(sequence_number AS INTEGER) > ?3
             ORDER BY CAST(sequence_number AS INTEGER) ASC
             LIMIT ?4";
    /// The statement with which it writes a record: `insert_stream_record_with_identity`.
    const INSERT: &str = "INSERT INTO _stream_records (table_name, event_name, keys_json, new_image, old_image, sequence_number, shard_id, created_at, user_identity, event_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

    struct Stream {
        engine: Engine,
        records: StreamRecords,
        table: String,
        shard: String,
    }

    impl Stream {
        /// Starts an engine whose table has nothing in its stream.
        async fn empty() -> Self {
            let template = Template::read(&Template::default_path()).unwrap();
            let engine = Engine::temporary().await.unwrap();
            engine.ensure_table(&template.table).await.unwrap();
            let records = engine.stream_records().unwrap().clone();
            let table = template.table.name;
            Self { engine, records, shard: format!("shardId-00000001-{table}"), table }
        }

        /// Adds records directly, without writing items, until the newest has the number `newest`. The first has number
        /// 1.
        fn fill(&self, newest: i64) {
            let connection = self.records.0.lock().unwrap();
            let numbers = "WITH RECURSIVE numbers(n) AS (
                SELECT (SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records) UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)";
            let insert = format!(
                "INSERT INTO _stream_records (table_name, event_name, keys_json, sequence_number, shard_id, created_at)
                {numbers} SELECT ?1, 'INSERT', '{{}}', CAST(n AS TEXT), ?3, 0 FROM numbers"
            );
            connection.execute(&insert, params![self.table, newest, self.shard]).unwrap();
        }

        /// Runs a statement and returns how many instructions SQLite's virtual machine took.
        fn steps(&self, statement: &str, parameters: &[&dyn ToSql]) -> i32 {
            let connection = self.records.0.lock().unwrap();
            let mut statement = connection.prepare(statement).unwrap();
            let mut rows = statement.query(parameters).unwrap();
            while rows.next().unwrap().is_some() {}
            drop(rows);
            statement.get_status(StatementStatus::VmStep)
        }

        /// Returns the instructions of what happens in the stream for one write: the engine numbers and stores the
        /// record, the stack reads it and deletes the `oldest` record. The newest record has the number `newest`.
        fn steps_of_a_write(&self, oldest: i64, newest: i64) -> i32 {
            let (table, shard, none) = (&self.table, &self.shard, Value::Null);
            let sequence_number = (newest + 1).to_string();
            self.steps(NEXT, &[table])
                + self
                    .steps(INSERT, &[table, &"INSERT", &"{}", &none, &none, &sequence_number, shard, &0, &none, &none])
                + self.steps(READ, &[table, shard, &newest, &1000])
                + self.steps(TRIM, &[table, &oldest])
        }

        fn plan(&self, statement: &str, parameters: usize) -> String {
            let connection = self.records.0.lock().unwrap();
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let parameters = rusqlite::params_from_iter(vec![Value::Null; parameters]);
            let details = plan.query_map(parameters, |row| row.get::<_, String>("detail")).unwrap();
            details.collect::<Result<Vec<_>, _>>().unwrap().join("\n")
        }

        async fn sequence_numbers(&self) -> Vec<String> {
            let read = TableStream::of(self.engine.endpoint(), &self.table).read(1000).await.unwrap();
            let records = read.into_iter().flat_map(|shard| shard.records);
            records.map(|record| record["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned()).collect()
        }
    }

    #[tokio::test]
    async fn the_engines_own_statements_use_the_index() {
        let locked = include_str!("../../../../Cargo.lock");
        let is_known = locked.contains("name = \"dynoxide-rs\"\nversion = \"3.2.0\"");
        assert!(is_known, "compare NEXT, READ and INSERT with the statements of the new engine");
        let stream = Stream::empty().await;
        let index = "INDEX local_stream_records_by_sequence_number";
        assert_eq!(stream.plan(NEXT, 1), format!("SEARCH _stream_records USING COVERING {index} (table_name=?)"));
        assert_eq!(stream.plan(READ, 4), format!("SEARCH _stream_records USING {index} (table_name=? AND <expr>>?)"));
        let trim = stream.plan(TRIM, 2);
        assert!(
            trim.starts_with(&format!("SEARCH _stream_records USING {index} (table_name=? AND <expr><?)")),
            "{trim}"
        );
    }

    #[tokio::test]
    async fn a_write_costs_the_same_after_1_000_and_after_100_000_events() {
        let stream = Stream::empty().await;
        stream.fill(1_000);
        let few = stream.steps_of_a_write(1, 1_000);
        stream.fill(100_000);
        let many = stream.steps_of_a_write(2, 100_000);
        println!("{few} instructions after 1,000 events, {many} after 100,000");
        assert!(f64::from(many) <= 1.2 * f64::from(few), "{few} after 1,000 events, {many} after 100,000");
        // The test notices the problem that it is about.
        stream.records.0.lock().unwrap().execute_batch("DROP INDEX local_stream_records_by_sequence_number").unwrap();
        assert!(stream.steps(NEXT, &[&stream.table]) > 100_000);
    }

    #[tokio::test]
    async fn consumed_records_are_deleted_except_the_newest() {
        let stream = Stream::empty().await;
        stream.fill(10);
        let public = |stored: u128| (PUBLIC_OFFSET + stored).to_string();
        for (consumed, kept) in [(0, 1..=10), (4, 5..=10), (10, 10..=10), (11, 10..=10)] {
            stream.records.trim(&stream.table, &public(consumed)).unwrap();
            assert_eq!(stream.sequence_numbers().await, kept.map(public).collect::<Vec<_>>(), "after {consumed}");
        }
        stream.records.trim("another-table", &public(20)).unwrap();
        assert_eq!(stream.sequence_numbers().await, [public(10)], "another table's stream is another stream");
        for unknown in ["", "5", "-1", "49590338271490256608559692538361571095921575989136588898"] {
            assert!(stream.records.trim(&stream.table, unknown).is_err(), "{unknown}");
        }
    }

    #[tokio::test]
    async fn the_engine_continues_after_the_newest_record() {
        let stream = Stream::empty().await;
        // A number that the clock reaches in the year 2255.
        let ahead = 9_000_000_000_000_000_u128;
        stream.fill(1);
        let renumber = format!("UPDATE _stream_records SET sequence_number = '{ahead}'");
        stream.records.0.lock().unwrap().execute_batch(&renumber).unwrap();
        stream.records.trim(&stream.table, &(PUBLIC_OFFSET + ahead).to_string()).unwrap();
        let item = json!({"pk": {"S": "p"}, "sk": {"S": "s"}});
        let put = json!({"TableName": stream.table, "Item": item});
        let database = &stream.engine.embedded.as_ref().unwrap().database;
        database.put_item(serde_json::from_value(put).unwrap()).unwrap();
        let expected = [ahead, ahead + 1].map(|stored| (PUBLIC_OFFSET + stored).to_string());
        assert_eq!(stream.sequence_numbers().await, expected);
    }
}
