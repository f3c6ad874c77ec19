//! Connections of this process to the embedded engine.
//!
//! The engine is called through its own HTTP server, because its Rust API leaves out a part of its checks and messages.
//! That server answers web pages of every site and has no option against it. So it listens on a random port for the few
//! milliseconds that one connection of this process takes. Then the port is closed, and the connection lives on in a
//! task of its own.

use std::{
    error::Error,
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use dynoxide::{Database, server};
use http::{
    Request, Response,
    header::{CONNECTION, CONTENT_LENGTH, ORIGIN, TRANSFER_ENCODING},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// Why the engine did not answer. It is only logged.
pub(super) type ConnectionError = Box<dyn Error + Send + Sync>;

/// Connections to the embedded engine, as many as there have been concurrent requests.
pub(super) struct Connections {
    database: Database,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// The engine's server waits for this to be dropped, in a task that would never end otherwise.
    _stop: oneshot::Sender<()>,
}

impl Connections {
    pub(super) fn new(database: Database) -> Self {
        Self { database, idle: Mutex::default() }
    }

    /// Sends a request to the engine and returns its response, unchanged.
    pub(super) async fn send(
        &self,
        mut request: http::request::Parts,
        body: Bytes,
    ) -> Result<Response<Vec<u8>>, ConnectionError> {
        // These describe the caller's connection. The engine answers an origin with `Access-Control-Allow-Origin: *`.
        for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, ORIGIN] {
            request.headers.remove(name);
        }
        request.version = http::Version::HTTP_11;
        let mut connection = self.connection().await?;
        let response = connection.sender.send_request(Request::from_parts(request, Full::new(body))).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        self.idle().push(connection);
        Ok(Response::from_parts(head, body.into()))
    }

    /// Returns an idle connection, or a new one if there is none.
    async fn connection(&self) -> Result<Connection, ConnectionError> {
        loop {
            let Some(mut connection) = self.idle().pop() else {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                return self.connect(listener).await;
            };
            // A connection that is not ready has ended, for example because the engine panicked.
            if connection.sender.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    /// Opens a connection through a listener, and closes the listener.
    async fn connect(&self, listener: TcpListener) -> Result<Connection, ConnectionError> {
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = server::serve_with_shutdown(listener, self.database.clone(), async move {
            let _ = stopped.await;
        });
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            // The answer to a health check shows that the connection has been accepted.
            let health = sender.send_request(Request::new(Full::default())).await?;
            health.into_body().collect().await?;
            Ok(Connection { sender, _stop: stop })
        };
        // Whichever ends first, the other is dropped: with `serving`, the listener.
        tokio::select! {
            served = serving => Err(served.err().unwrap_or_else(|| "the engine's server ended".to_owned()).into()),
            connected = connecting => connected,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_first_connection_reaches_the_engine() {
        let connections = Connections::new(Database::memory().unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connection = connections.connect(listener).await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());

        connections.idle().push(connection);
        let (request, ()) = Request::new(()).into_parts();
        let answer = connections.send(request, Bytes::new()).await.unwrap();
        assert!(answer.into_body().starts_with(b"healthy: dynamodb."));
        assert_eq!(connections.idle().len(), 1);
    }
}
