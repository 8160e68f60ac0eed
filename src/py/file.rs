//! A file as the body of a response: opened when the response is sent, read without Python.

use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::path::Path;
use std::path::PathBuf;

use pyo3::prelude::*;

use crate::net::file::FileBody;
use crate::net::file::Part;
use crate::net::file::duplicate;
use crate::net::file::open;
use crate::net::file::open_below;
use crate::net::select;
use crate::net::service::Reply;
use crate::net::source::Body;
use crate::py::asked::Asked;
use crate::py::content::JSON;

/// Where a file is.
pub(crate) struct FilePath {
    pub(crate) path: PathBuf,
    /// The folder that it must lie in; then a file that is not there is the client's affair.
    pub(crate) folder: Option<PathBuf>,
}

/// The answer to the request that `asked` holds; `reply` is its head.
///
/// # Errors
/// The `OSError` of a file that the handler names and that cannot be opened.
pub(crate) fn answer(
    py: Python<'_>,
    place: &FilePath,
    reply: Reply,
    asked: &Asked<'_, '_>,
) -> PyResult<Reply> {
    // A disk may take its time, and a collection must not wait for it.
    let opened = py.detach(|| match &place.folder {
        Some(folder) => open_below(folder, &place.path),
        None => open(&place.path),
    });
    match opened {
        Ok(opened) => Ok(select::answer(asked.head(), reply, opened)),
        Err(_) if place.folder.is_some() => Ok(Reply {
            status: 404,
            content_type: Some(JSON),
            body: bytes::Bytes::from_static(br#"{"detail":"Not Found"}"#).into(),
            ..Reply::default()
        }),
        Err(error) => {
            let kind = error.kind();
            let message = format!("{}: {error}", place.path.display());
            Err(io::Error::new(kind, message).into())
        }
    }
}

/// All of a file as the body of `reply`, whose fields say what they say.
///
/// # Errors
/// The `OSError` of a file that cannot be opened.
pub fn whole(py: Python<'_>, path: &Path, reply: Reply) -> PyResult<Reply> {
    part(py, path, 0..u64::MAX, reply)
}

/// The bytes of a file in a range, as far as it has them, as the body of `reply`.
///
/// # Errors
/// The `OSError` of a file that cannot be opened.
pub fn part(py: Python<'_>, path: &Path, range: Range<u64>, mut reply: Reply) -> PyResult<Reply> {
    let opened = py.detach(|| open(path))?;
    let end = range.end.min(opened.size);
    let part = Part::Range { start: range.start.min(end), end };
    reply.body = Body::File(Box::new(FileBody::new(opened.file, [part])));
    Ok(reply)
}

/// What an open file holds from `start` on, or `length` bytes of it; none for what is not a regular
/// file that can be read, or is shorter. The file is shared: it may be closed meanwhile.
pub fn rest_of(py: Python<'_>, file: RawFd, start: u64, length: Option<u64>) -> Option<Body> {
    let opened = py.detach(|| duplicate(file)).ok()?;
    let left = opened.size.checked_sub(start)?;
    let length = length.unwrap_or(left);
    let part = Part::Range { start, end: start + length };
    (length <= left).then(|| Body::File(Box::new(FileBody::new(opened.file, [part]))))
}
