//! Why a body ended early: the cause is found in the chain of errors, whatever is in between.

use std::error::Error;
use std::io;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("no byte of the body came for {0:?}; nothing was accepted")]
    Stalled(Duration),
    #[error("the body took longer than {0:?}; nothing was accepted")]
    TooLong(Duration),
    #[error(
        "the upload took longer than {0:?} (intake.upload_timeout); nothing was accepted; send it in parts"
    )]
    UploadTooLong(Duration),
    #[error(
        "the body came slower than {least} bytes a second for {pause:?} (intake.min_rate); nothing was accepted"
    )]
    TooSlow { least: u64, pause: Duration },
    #[error("the body is not complete gzip: {0}; nothing was accepted")]
    Folded(String),
    #[error(
        "a gzip upload may unpack to at most {0} bytes; send it in parts, without the columns that are not needed, or without \
         Content-Encoding"
    )]
    UnfoldsTooFar(u64),
}

impl Broken {
    /// Looks for it among the causes. An `io::Error` hides its inner error from `source`.
    pub(super) fn among<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        error
            .downcast_ref()
            .or_else(|| carried.and_then(|carried| Self::among(carried)))
            .or_else(|| error.source().and_then(Self::among))
    }
}
