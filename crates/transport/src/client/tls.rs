//! TLS towards a server: whom to trust, and who we are.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Files in PEM. Without an authority, Mozilla's are trusted; certificate and key only where the server asks for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// What every connection of a client uses.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads the files.
    pub fn new(files: &Files) -> Result<Tls, String> {
        static PROVIDER: LazyLock<Arc<CryptoProvider>> =
            LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
        let mut roots = RootCertStore::empty();
        match &files.ca {
            Some(path) => {
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|e| format!("{}: {e}", path.display()))?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let config = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots);
        let config = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => {
                let secret = PrivateKeyDer::from_pem_file(key)
                    .map_err(|e| format!("no private key in PEM can be read from {}: {e}", key.display()))?;
                config
                    .with_client_auth_cert(certificates(cert)?, secret)
                    .map_err(|e| format!("{} and {}: {e}", cert.display(), key.display()))?
            }
            (None, None) => config.with_no_client_auth(),
            (Some(_), None) => return Err("there is a certificate without its private key".into()),
            (None, Some(_)) => return Err("there is a private key without its certificate".into()),
        };
        Ok(Tls(TlsConnector::from(Arc::new(config))))
    }

    /// Makes `socket` a connection with the server of that name.
    pub(super) async fn shake_hands(&self, authority: &str, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        self.0.connect(name, socket).await
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("no certificate in PEM can be read from {}: {why}", path.display());
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|e| wrong(e.to_string()))?
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(e.to_string()))?;
    if found.is_empty() { Err(wrong("it holds none".into())) } else { Ok(found) }
}
