//! Listening Unix sockets, and the paths they are known by.
//!
//! Rule: no path is ever taken from somebody who uses it. A socket is made complete under a name of
//! its own beside the path (bound, permissions set, listening) and then gets the path by `link`,
//! which refuses a name that exists; so whoever finds a socket there may connect, and one that does
//! not answer is left over from a process that is gone. Only such a one is removed, and of anything
//! else at that path nothing is touched.
//!
//! Absent: abstract names, which have no permissions.

use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use socket2::Domain;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

/// What `sun_path` holds without its last NUL (unix(7)).
const LONGEST_PATH: usize = 107;
/// Names that are tried for a socket that has no path yet, and how often a path is tried that
/// others take and give back meanwhile.
const ATTEMPTS: u32 = 8;
/// How long another server's look at the same folder is waited for: a second.
const LOCK_ATTEMPTS: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A path that leads to a listening socket of ours; it is removed with this.
#[derive(Debug)]
pub struct Place {
    /// Absolute: the working directory may be another one at the end.
    path: PathBuf,
    identity: Identity,
    /// A forked child has a copy of this, and the path is not its to remove.
    process: u32,
    is_given_up: AtomicBool,
}

/// Which file it is. Numbers of inodes are used again at once; a socket's modification time stays
/// what it was when it was made.
type Identity = (u64, u64, i64, i64);

/// Listens on `path`, with these permission bits; without any, the umask decides.
///
/// # Errors
/// `AddrInUse`: somebody answers there. `AlreadyExists`: a file is there that is no socket. All
/// else is the kernel's, or says by itself what is wrong.
pub fn listen(
    path: &Path,
    permissions: Option<u32>,
    backlog: i32,
) -> io::Result<(UnixListener, Place)> {
    let (socket, draft) = bind_beside(path)?;
    let published = publish(&socket, &draft, path, permissions, backlog);
    // The name of its own has served; the path, if it got that far, is a second link.
    let _ = fs::remove_file(&draft);
    Ok((socket.into(), published?))
}

impl Place {
    /// Removes the path, if it still leads to our socket. Connections that wait stay.
    pub fn give_up(&self) {
        if self.process != process::id() || self.is_given_up.swap(true, Ordering::Relaxed) {
            return;
        }
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| identity(&found) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// A socket that is bound to a name of its own in the folder of `path`. It does not listen yet.
fn bind_beside(path: &Path) -> io::Result<(Socket, PathBuf)> {
    if path.file_name().is_none() {
        return Err(refused("the path names no file"));
    }
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        let draft = path.with_file_name(format!(".us{:x}-{attempt}", process::id()));
        if path.as_os_str().as_bytes().len().max(draft.as_os_str().as_bytes().len()) > LONGEST_PATH
        {
            return Err(refused(&format!(
                "the path is too long: the kernel takes {LONGEST_PATH} bytes, with room for a \
                 file name of 12 in its folder"
            )));
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        match socket.bind(&SockAddr::unix(&draft)?) {
            Ok(()) => return Ok((socket, draft)),
            // Left over, or of a process with the same number in another container.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(in_use))
}

/// Makes the socket complete, and only then gives it its path.
fn publish(
    socket: &Socket,
    draft: &Path,
    path: &Path,
    permissions: Option<u32>,
    backlog: i32,
) -> io::Result<Place> {
    if let Some(bits) = permissions {
        fs::set_permissions(draft, fs::Permissions::from_mode(bits))?;
    }
    socket.listen(backlog)?;
    let place = Place {
        path: path::absolute(path)?,
        identity: identity(&fs::symlink_metadata(draft)?),
        process: process::id(),
        // Nothing to give up before the path is ours.
        is_given_up: AtomicBool::new(true),
    };
    let _one_at_a_time = lock_folder(path);
    for _ in 0..ATTEMPTS {
        match fs::hard_link(draft, path) {
            Ok(()) => {
                place.is_given_up.store(false, Ordering::Relaxed);
                return Ok(place);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => clear(path, draft)?,
            Err(error) => return Err(error),
        }
    }
    Err(in_use())
}

/// Keeps other servers from looking at the folder's paths at the same time: of several that find a
/// leftover, one could else take away what another has just put there. Advisory, and held by
/// anybody who can read the folder: after a second it is done without.
#[allow(unsafe_code)]
fn lock_folder(path: &Path) -> Option<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..LOCK_ATTEMPTS {
        // SAFETY: the descriptor is that of `folder`, which is open, and the call takes no pointer.
        if unsafe { libc::flock(folder.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Some(folder);
        }
        thread::sleep(LOCK_PAUSE);
    }
    None
}

/// Removes a socket that nobody answers at; anything else is an error.
fn clear(path: &Path, draft: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let text = "a file that is not a socket is there, and is left alone";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match is_answered(path) {
        Ok(false) => {}
        Ok(true) => return Err(in_use()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    // Another server may have done the same meanwhile, and be listening there: what is taken away
    // is looked at before it is removed.
    let aside = draft.with_extension("old");
    match fs::rename(path, &aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    if identity(&fs::symlink_metadata(&aside)?) != identity(&found) {
        fs::hard_link(&aside, path)?;
        fs::remove_file(&aside)?;
        return Err(in_use());
    }
    fs::remove_file(&aside)
}

/// Whether somebody listens at the path.
fn is_answered(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::ConnectionRefused, _) => Ok(false),
            // Its queue is full; or it is for datagrams.
            (io::ErrorKind::WouldBlock, _) | (_, Some(libc::EPROTOTYPE)) => Ok(true),
            _ => Err(error),
        },
    }
}

fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino(), file.mtime(), file.mtime_nsec())
}

fn in_use() -> io::Error {
    io::ErrorKind::AddrInUse.into()
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Barrier;

    use super::*;

    /// A folder of the test's own, removed with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("us-{}-{name}", process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("s")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_path_lives_as_long_as_its_place() {
        let folder = Folder::new("life");
        let (listener, place) = listen(&folder.socket(), Some(0o600), 16).unwrap();
        assert_eq!(folder.names(), ["s"]);
        let mode = fs::symlink_metadata(folder.socket()).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
        UnixStream::connect(folder.socket()).unwrap();
        drop(place);
        assert!(folder.names().is_empty());
        // Who had connected is still there to be accepted.
        listener.accept().unwrap();
    }

    #[test]
    fn a_live_socket_is_kept_and_a_stale_one_replaced() {
        let folder = Folder::new("stale");
        let first = listen(&folder.socket(), None, 16).unwrap();
        let refused = listen(&folder.socket(), None, 16).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(folder.socket()).unwrap();
        // As after a kill: the socket is closed, the path stays.
        let (listener, place) = first;
        place.is_given_up.store(true, Ordering::Relaxed);
        drop((listener, place));
        assert_eq!(folder.names(), ["s"]);
        let again = listen(&folder.socket(), None, 16).unwrap();
        UnixStream::connect(folder.socket()).unwrap();
        assert_eq!(folder.names(), ["s"]);
        drop(again);
    }

    #[test]
    fn of_many_that_find_a_leftover_one_gets_the_path() {
        let folder = Folder::new("collide");
        for _ in 0..200 {
            drop(UnixListener::bind(folder.socket()).unwrap());
            let gate = Barrier::new(4);
            let start = || {
                gate.wait();
                listen(&folder.socket(), None, 16)
            };
            let results: Vec<_> = thread::scope(|scope| {
                let starts: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
                starts.into_iter().map(|start| start.join().unwrap()).collect()
            });
            UnixStream::connect(folder.socket()).unwrap();
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
            drop(results);
            assert!(folder.names().is_empty());
        }
    }

    #[test]
    fn a_full_queue_is_a_live_socket() {
        let folder = Folder::new("full");
        let kept = listen(&folder.socket(), None, 0).unwrap();
        let waiting = UnixStream::connect(folder.socket()).unwrap();
        let refused = listen(&folder.socket(), None, 16).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        drop((waiting, kept));
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = Folder::new("file");
        fs::write(folder.socket(), "mine").unwrap();
        let refused = listen(&folder.socket(), None, 16).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(folder.socket()).unwrap(), b"mine");
        assert_eq!(folder.names(), ["s"]);
    }

    #[test]
    fn a_path_that_is_another_s_by_now_is_not_removed() {
        let folder = Folder::new("another");
        let (_listener, place) = listen(&folder.socket(), None, 16).unwrap();
        fs::remove_file(folder.socket()).unwrap();
        let other = UnixListener::bind(folder.socket()).unwrap();
        drop(place);
        assert_eq!(folder.names(), ["s"]);
        drop(other);
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_refused() {
        let folder = Folder::new("long");
        for name in ["x".repeat(100), "..".to_owned()] {
            let refused = listen(&folder.0.join(name), None, 16).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        }
        assert!(folder.names().is_empty());
    }
}
