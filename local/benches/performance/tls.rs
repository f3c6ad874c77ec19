//! TLS in front of the engine, so that a start is measured with a TLS handshake, as on AWS.

use std::{error::Error, net::SocketAddr, sync::Arc};

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// A self-signed certificate for `localhost`. Its key may be in the repository, because it protects nothing.
pub(crate) const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/performance/localhost.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/performance/localhost.key");

/// A listener that terminates TLS and forwards to the engine.
pub(crate) struct Tls {
    pub(crate) endpoint: String,
}

impl Tls {
    pub(crate) async fn in_front_of(engine: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from_pem_file(CERTIFICATE)?], PrivateKeyDer::from_pem_file(KEY)?)?;
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let endpoint = format!("https://localhost:{}", listener.local_addr()?.port());
        let (acceptor, engine) = (TlsAcceptor::from(Arc::new(config)), engine.replace("http://", ""));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, engine) = (acceptor.clone(), engine.clone());
                tokio::spawn(async move {
                    // Sends data at once instead of collecting it, as AWS does.
                    let _ = stream.set_nodelay(true);
                    let (Ok(mut caller), Ok(mut engine)) =
                        (acceptor.accept(stream).await, TcpStream::connect(engine).await)
                    else {
                        return;
                    };
                    let _ = tokio::io::copy_bidirectional(&mut caller, &mut engine).await;
                });
            }
        });
        Ok(Self { endpoint })
    }
}
