//! Writing to stdout, which may be a pipe that somebody closed.

use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Prints `text` as it is. A reader that went away (`orders verify | head -1`) has read enough.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::runtime(format!("nothing can be written to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
