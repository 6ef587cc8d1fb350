//! What an error of the operating system means.

use std::io::{Error, ErrorKind};

use super::{Failure, FailureClass};

/// By kind: what a moment can change is recoverable, what asks for another input or another permission is terminal.
///
/// | `kind()` | class |
/// |---|---|
/// | `ConnectionRefused`, `ConnectionReset`, `ConnectionAborted`, `NotConnected`, `BrokenPipe`, `UnexpectedEof` | recoverable: the other side may be back in a moment |
/// | `HostUnreachable`, `NetworkUnreachable`, `NetworkDown` | recoverable: so may the network |
/// | `WouldBlock`, `TimedOut`, `Interrupted`, `ResourceBusy` | recoverable: it was busy |
/// | `NotFound`, `AlreadyExists`, `NotADirectory`, `IsADirectory` | terminal: another name is needed |
/// | `PermissionDenied`, `ReadOnlyFilesystem` | terminal: another permission is |
/// | `InvalidInput`, `InvalidData`, `Unsupported` | terminal: another input is |
/// | others | ambiguous |
#[diagnostic::do_not_recommend]
impl Failure for Error {
    fn class(&self) -> FailureClass {
        use ErrorKind as Kind;
        match self.kind() {
            Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::NotConnected
            | Kind::BrokenPipe
            | Kind::WouldBlock
            | Kind::TimedOut
            | Kind::Interrupted
            | Kind::ResourceBusy
            | Kind::UnexpectedEof => FailureClass::Recoverable,
            Kind::NotFound
            | Kind::PermissionDenied
            | Kind::AlreadyExists
            | Kind::InvalidInput
            | Kind::InvalidData
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::ReadOnlyFilesystem
            | Kind::Unsupported => FailureClass::Terminal,
            _ => FailureClass::Ambiguous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_are_classed_by_kind() {
        assert_eq!(Error::from(ErrorKind::TimedOut).class(), FailureClass::Recoverable);
        assert_eq!(Error::from(ErrorKind::NotFound).class(), FailureClass::Terminal);
        assert_eq!(Error::other("?").class(), FailureClass::Ambiguous);
    }
}
