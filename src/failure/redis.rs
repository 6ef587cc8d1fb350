//! What an error of a Redis client means.

use ::redis::{ErrorKind, RedisError, RetryMethod, ServerErrorKind};

use super::{Failure, FailureClass};

/// By kind, and where the client does not know what the server said, by its code.
///
/// | `kind()` | class |
/// |---|---|
/// | `Io` | terminal where `retry_method()` is `NoRetry`, as for a permission that is missing, else recoverable: the connection was lost, or took too long |
/// | server: `BusyLoading`, `TryAgain`, `ClusterDown`, `MasterDown`, `ReadOnly` | recoverable: it starts, or one server takes over from another |
/// | server: `OOM`, `BUSY`, `MISCONF`, `NOREPLICAS`, `UNBLOCKED` | recoverable: it is there, and cannot do it yet |
/// | `MasterNameNotFoundBySentinel`, `NoValidReplicasFoundBySentinel`, `ClusterConnectionNotFound` | recoverable: so may those be, in a moment |
/// | server: `Moved`, `Ask` | ambiguous: a client of a cluster follows them by itself, another never gets there |
/// | `Parse` | ambiguous: a value that is not what was asked for, or an answer that was garbled |
/// | `AuthenticationFailed`, `NOAUTH`, `WRONGPASS`, server: `NoPerm` | terminal: other credentials or permissions are needed |
/// | server: `ResponseError`, `ExecAbort`, `NoScript`, `CrossSlot`, `NotBusy`, `NoSub`, `WRONGTYPE` | terminal: the same command fails again |
/// | `InvalidClientConfig`, `Client`, `EmptySentinelList`, `RESP3NotSupported`, `UnexpectedReturnType` | terminal: so does the same call |
/// | others | ambiguous |
///
/// The store of this crate waits for its server by itself; this is for nodes that ask one.
#[diagnostic::do_not_recommend]
impl Failure for RedisError {
    fn class(&self) -> FailureClass {
        match self.kind() {
            ErrorKind::Io => match self.retry_method() {
                RetryMethod::NoRetry => FailureClass::Terminal,
                _ => FailureClass::Recoverable,
            },
            ErrorKind::Server(kind) => of_server(kind),
            ErrorKind::Extension => of_code(self.code().unwrap_or_default()),
            ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::NoValidReplicasFoundBySentinel
            | ErrorKind::ClusterConnectionNotFound => FailureClass::Recoverable,
            ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::Client
            | ErrorKind::EmptySentinelList
            | ErrorKind::RESP3NotSupported
            | ErrorKind::UnexpectedReturnType => FailureClass::Terminal,
            _ => FailureClass::Ambiguous,
        }
    }
}

fn of_server(kind: ServerErrorKind) -> FailureClass {
    match kind {
        ServerErrorKind::BusyLoading
        | ServerErrorKind::TryAgain
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown
        | ServerErrorKind::ReadOnly => FailureClass::Recoverable,
        ServerErrorKind::ResponseError
        | ServerErrorKind::ExecAbort
        | ServerErrorKind::NoScript
        | ServerErrorKind::CrossSlot
        | ServerErrorKind::NotBusy
        | ServerErrorKind::NoSub
        | ServerErrorKind::NoPerm => FailureClass::Terminal,
        _ => FailureClass::Ambiguous,
    }
}

fn of_code(code: &str) -> FailureClass {
    match code {
        "OOM" | "BUSY" | "MISCONF" | "NOREPLICAS" | "UNBLOCKED" => FailureClass::Recoverable,
        "NOAUTH" | "WRONGPASS" | "WRONGTYPE" => FailureClass::Terminal,
        _ => FailureClass::Ambiguous,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        string::{String, ToString},
    };

    use ::redis::make_extension_error;

    use super::*;

    fn said(reply: &str) -> RedisError {
        ::redis::parse_redis_value(reply.as_bytes()).unwrap().extract_error().unwrap_err()
    }

    #[test]
    fn what_the_server_says_is_classed_by_its_code() {
        for (reply, class) in [
            ("-LOADING Redis is loading the dataset in memory\r\n", FailureClass::Recoverable),
            ("-CLUSTERDOWN The cluster is down\r\n", FailureClass::Recoverable),
            ("-MASTERDOWN Link with MASTER is down\r\n", FailureClass::Recoverable),
            ("-READONLY You can't write against a read only replica.\r\n", FailureClass::Recoverable),
            ("-TRYAGAIN Multiple keys request during rehashing of slot\r\n", FailureClass::Recoverable),
            ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", FailureClass::Recoverable),
            ("-BUSY Redis is busy running a script.\r\n", FailureClass::Recoverable),
            ("-MISCONF Redis is configured to save RDB snapshots\r\n", FailureClass::Recoverable),
            ("-NOREPLICAS Not enough good replicas to write.\r\n", FailureClass::Recoverable),
            ("-UNBLOCKED force unblock from blocking operation\r\n", FailureClass::Recoverable),
            ("-MOVED 3999 127.0.0.1:6381\r\n", FailureClass::Ambiguous),
            ("-ASK 3999 127.0.0.1:6381\r\n", FailureClass::Ambiguous),
            ("-ODD something that is new\r\n", FailureClass::Ambiguous),
            ("-ERR unknown command 'GTE'\r\n", FailureClass::Terminal),
            ("-NOSCRIPT No matching script.\r\n", FailureClass::Terminal),
            ("-EXECABORT Transaction discarded\r\n", FailureClass::Terminal),
            ("-CROSSSLOT Keys in request don't hash to the same slot\r\n", FailureClass::Terminal),
            ("-NOPERM this user has no permissions\r\n", FailureClass::Terminal),
            ("-NOAUTH Authentication required.\r\n", FailureClass::Terminal),
            ("-WRONGPASS invalid username-password pair\r\n", FailureClass::Terminal),
            ("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", FailureClass::Terminal),
        ] {
            assert_eq!(said(reply).class(), class, "{reply}");
            assert_eq!(said(reply).retry_after(), None);
        }
        assert_eq!(make_extension_error("OOM".to_string(), None).class(), FailureClass::Recoverable);
    }

    #[test]
    fn a_lost_connection_may_come_back_and_a_wrong_call_stays_wrong() {
        for (kind, class) in [
            (io::ErrorKind::ConnectionReset, FailureClass::Recoverable),
            (io::ErrorKind::ConnectionRefused, FailureClass::Recoverable),
            (io::ErrorKind::TimedOut, FailureClass::Recoverable),
            (io::ErrorKind::PermissionDenied, FailureClass::Terminal),
        ] {
            assert_eq!(RedisError::from(io::Error::from(kind)).class(), class, "{kind:?}");
        }
        for (kind, class) in [
            (ErrorKind::ClusterConnectionNotFound, FailureClass::Recoverable),
            (ErrorKind::MasterNameNotFoundBySentinel, FailureClass::Recoverable),
            (ErrorKind::NoValidReplicasFoundBySentinel, FailureClass::Recoverable),
            (ErrorKind::AuthenticationFailed, FailureClass::Terminal),
            (ErrorKind::InvalidClientConfig, FailureClass::Terminal),
            (ErrorKind::EmptySentinelList, FailureClass::Terminal),
            (ErrorKind::RESP3NotSupported, FailureClass::Terminal),
            (ErrorKind::Client, FailureClass::Terminal),
            (ErrorKind::UnexpectedReturnType, FailureClass::Terminal),
            (ErrorKind::Parse, FailureClass::Ambiguous),
        ] {
            assert_eq!(RedisError::from((kind, "said")).class(), class, "{kind:?}");
        }
        // A value that is there, and is no number.
        let error = ::redis::from_redis_value::<u32>(::redis::Value::BulkString(String::from("seven").into_bytes()));
        assert_eq!(RedisError::from(error.unwrap_err()).class(), FailureClass::Ambiguous);
    }
}
