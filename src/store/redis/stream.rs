//! What a connection goes over: TCP, TLS, or a socket in the file system.

use alloc::format;
use std::io;

use ::redis::ConnectionAddr;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_util::either::Either;

use super::settings::Settings;

#[cfg(not(unix))]
type UnixStream = TcpStream;
#[cfg(feature = "redis-tls")]
type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;
/// Nobody makes one.
#[cfg(not(feature = "redis-tls"))]
type TlsStream = TcpStream;

pub(super) type Stream = Either<TcpStream, Either<UnixStream, TlsStream>>;

pub(super) async fn connect(settings: &Settings) -> io::Result<Stream> {
    match settings.client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, port) => Ok(Either::Left(tcp(host, *port).await?)),
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => Ok(Either::Right(Either::Left(UnixStream::connect(path).await?))),
        #[cfg(feature = "redis-tls")]
        ConnectionAddr::TcpTls { host, port, .. } => {
            let stream = tcp(host, *port).await?;
            Ok(Either::Right(Either::Right(settings.trust.shake_hands(host, stream).await?)))
        }
        other => Err(io::Error::new(io::ErrorKind::Unsupported, format!("no connection can be made to `{other}`"))),
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // A checkpoint is a small message, and the run waits for its answer.
    stream.set_nodelay(true)?;
    Ok(stream)
}
