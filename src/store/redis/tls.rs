//! Whom to trust, for `rediss://`.

use alloc::{format, string::String, sync::Arc};
use std::io;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Whose signature under a server's certificate counts: one's own authority, or those that the system trusts.
#[derive(Debug, Clone, Default)]
pub(super) struct Trust(Option<Arc<RootCertStore>>);

impl Trust {
    /// In those that are in this PEM text.
    pub(super) fn in_pem(pem: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("it is no PEM text: {error}"))?;
            roots.add(certificate).map_err(|error| format!("it is no authority's certificate: {error}"))?;
        }
        if roots.is_empty() {
            return Err("there is no certificate in it".into());
        }
        Ok(Self(Some(Arc::new(roots))))
    }

    pub(super) async fn shake_hands(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let roots = match &self.0 {
            Some(roots) => Arc::clone(roots),
            None => Arc::new(of_the_system()?),
        };
        // The provider is named, so that it does not matter which one the program has chosen for other connections.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(String::from(host)).map_err(io::Error::other)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

fn of_the_system() -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // Some systems have one or the other that is too old to be read.
    let (read, _) = roots.add_parsable_certificates(found.certs);
    match (read, found.errors.into_iter().next()) {
        (0, Some(error)) => Err(io::Error::other(error)),
        (0, None) => Err(io::Error::other("the system trusts no certificate: give one to `with_root_certificate`")),
        _ => Ok(roots),
    }
}
