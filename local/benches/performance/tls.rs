//! TLS in front of the engine, so that a start is measured with a TLS handshake, as on AWS.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
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
const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/performance/localhost.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/performance/localhost.key");

/// The roots that a function of ours trusts on AWS.
const AMAZON_ROOTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/store/src/dynamodb/amazon_roots.pem");

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

/// Writes a file for `SSL_CERT_FILE` into `folder`, with the roots that a function of ours trusts on AWS and with the
/// certificate. The function loads such a file if the engine is not DynamoDB.
pub(crate) fn write_amazon_roots(folder: &Path) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
    let path = folder.join("amazon-roots.pem");
    fs::write(&path, fs::read_to_string(AMAZON_ROOTS)? + &fs::read_to_string(CERTIFICATE)?)?;
    Ok(path)
}

/// Writes the same with the roots that any other program trusts, which are those of the system.
pub(crate) fn write_system_roots(folder: &Path) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
    let mut roots = fs::read_to_string(CERTIFICATE)?;
    for root in rustls_native_certs::load_native_certs().certs {
        let encoded = BASE64_STANDARD.encode(root);
        writeln!(roots, "-----BEGIN CERTIFICATE-----")?;
        for line in encoded.as_bytes().chunks(64) {
            writeln!(roots, "{}", String::from_utf8_lossy(line))?;
        }
        writeln!(roots, "-----END CERTIFICATE-----")?;
    }
    let path = folder.join("system-roots.pem");
    fs::write(&path, roots)?;
    Ok(path)
}
