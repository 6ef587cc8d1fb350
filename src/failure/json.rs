//! What an error of `serde_json` means.

use serde_json::error::{Category, Error};

use super::{Failure, FailureClass};

/// By category: the same text is read the same way again.
///
/// | `classify()` | class |
/// |---|---|
/// | `Syntax` | terminal: the text is not JSON |
/// | `Data` | terminal: it is JSON of something else |
/// | `Eof` | terminal: it ends too early, and so it does again |
/// | `Io` | with feature `std` that of the `std::io::Error` by its kind, else ambiguous |
///
/// Where another attempt gets another text, as from a language model, that is not so: a [`Classifier`](super::Classifier) says it,
/// or a variant of one's own error.
#[diagnostic::do_not_recommend]
impl Failure for Error {
    fn class(&self) -> FailureClass {
        match self.classify() {
            Category::Syntax | Category::Data | Category::Eof => FailureClass::Terminal,
            #[cfg(feature = "std")]
            Category::Io => {
                self.io_error_kind().map_or(FailureClass::Ambiguous, |kind| std::io::Error::from(kind).class())
            }
            #[cfg(not(feature = "std"))]
            Category::Io => FailureClass::Ambiguous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_cannot_be_read_again() {
        for text in ["{,}", "[1, 2", "\"seven\"", ""] {
            let error = serde_json::from_str::<u32>(text).unwrap_err();
            assert_eq!(error.class(), FailureClass::Terminal, "{text}: {error}");
            assert_eq!(error.retry_after(), None);
        }
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_reader_that_fails_fails_by_its_kind() {
        use std::io::{self, ErrorKind, Read};

        struct Failing(ErrorKind);

        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
        }

        for (kind, class) in [
            (ErrorKind::ConnectionReset, FailureClass::Recoverable),
            (ErrorKind::PermissionDenied, FailureClass::Terminal),
            (ErrorKind::Other, FailureClass::Ambiguous),
        ] {
            let error = serde_json::from_reader::<_, u32>(Failing(kind)).unwrap_err();
            assert_eq!(error.class(), class, "{error}");
        }
    }
}
