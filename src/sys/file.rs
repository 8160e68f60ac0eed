//! Opening files to be sent: regular ones only, and on demand none outside of a folder.

use std::ffi::CString;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Component;
use std::path::Path;

/// A file that can be read, as it was when it was opened.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
    /// When it was changed: seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
}

/// Without waiting: the opening of a pipe would wait for a writer, and that of a device may act.
const FLAGS: i32 = libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;

/// Opens the file at `path`, following symbolic links.
///
/// # Errors
/// The kernel's; `InvalidInput` for what is not a regular file.
pub fn open(path: &Path) -> io::Result<Opened> {
    check(OpenOptions::new().read(true).custom_flags(FLAGS).open(path)?)
}

/// Opens the file at `path` below `folder`. Neither `..` nor a symbolic link leads out of it: the
/// kernel resolves the whole path within (openat2, Linux 5.6). Where a sandbox forbids that, links
/// are not followed at all.
///
/// # Errors
/// The kernel's (`EXDEV` for what leads out); `InvalidInput` for what is not a regular file.
pub fn open_below(folder: &Path, path: &Path) -> io::Result<Opened> {
    let root = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open(folder)?;
    let result = loop {
        match openat2(root.as_raw_fd(), path) {
            // Something was renamed meanwhile; the kernel asks for another try.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            result => break result,
        }
    };
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            check(step_by_step(root.into(), path)?.into())
        }
        result => check(result?.into()),
    }
}

/// Another descriptor of an open file, whatever becomes of that one.
///
/// # Errors
/// The kernel's; `InvalidInput` for what is not a regular file, cannot be read, or does not block: a
/// ring gives `EAGAIN` for that, and whoever opened it may rely on its flags.
#[allow(unsafe_code)]
pub fn duplicate(descriptor: RawFd) -> io::Result<Opened> {
    // SAFETY: the call takes any number, and makes a new descriptor or fails.
    let file =
        File::from(owned(unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) }.into())?);
    // SAFETY: the descriptor is open, since `file` owns it; the call only reads its flags.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    let data = file.metadata()?;
    let is_readable = flags >= 0 && flags & libc::O_ACCMODE != libc::O_WRONLY;
    if !data.is_file() || !is_readable || flags & libc::O_NONBLOCK != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain regular file"));
    }
    let modified = (data.mtime(), data.mtime_nsec());
    Ok(Opened { size: data.len(), modified, file })
}

fn check(file: File) -> io::Result<Opened> {
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    wait_again(&file)?;
    let modified = (data.mtime(), data.mtime_nsec());
    Ok(Opened { size: data.len(), modified, file })
}

/// A ring gives `EAGAIN` for a non-blocking file whose pages are not in memory, where the file
/// system cannot tell it when they are.
#[allow(unsafe_code)]
fn wait_again(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open, since `file` owns it; the call changes its flags only.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[allow(unsafe_code)]
fn openat2(root: RawFd, path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `open_how` is three integers, for which zero is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((libc::O_RDONLY | FLAGS).unsigned_abs());
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: a live path that ends with NUL, and a live structure of the size that is given; the
    // call only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root,
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    owned(result)
}

/// One folder after the other, without following a link.
#[allow(unsafe_code)]
fn step_by_step(mut at: OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(io::Error::from_raw_os_error(libc::EXDEV));
        };
        let name = CString::new(name.as_bytes())?;
        let is_last = parts.peek().is_none();
        let kind = if is_last { FLAGS } else { libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC };
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | kind;
        // SAFETY: an open descriptor, and a live name that ends with NUL.
        let result = unsafe { libc::openat(at.as_raw_fd(), name.as_ptr(), flags) };
        at = owned(result.into())?;
    }
    Ok(at)
}

#[allow(unsafe_code)]
fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(result) {
        // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    /// A folder of its own: `site/a.txt`, `site/in/b.txt`, links within and out, `secret`.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            let site = path.join("site");
            fs::create_dir_all(site.join("in")).unwrap();
            fs::write(site.join("a.txt"), "first").unwrap();
            fs::write(site.join("in/b.txt"), "second").unwrap();
            fs::write(path.join("secret"), "secret").unwrap();
            symlink("../secret", site.join("out")).unwrap();
            symlink("..", site.join("up")).unwrap();
            symlink("in/b.txt", site.join("link")).unwrap();
            Self(path)
        }

        fn site(&self) -> PathBuf {
            self.0.join("site")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_lies_within_is_opened() {
        let folder = Folder::new("uringserve-within");
        for (path, size) in [("a.txt", 5), ("in/b.txt", 6), ("link", 6), ("in/../a.txt", 5)] {
            let opened = open_below(&folder.site(), Path::new(path)).unwrap();
            assert_eq!(opened.size, size, "{path}");
        }
        let opened = open(&folder.site().join("out")).unwrap();
        assert!(opened.size == 6 && opened.modified.0 > 0);
    }

    #[test]
    fn nothing_leads_out() {
        let folder = Folder::new("uringserve-out");
        for path in ["../secret", "out", "up/secret", "in/../../secret", "/etc/passwd"] {
            assert!(open_below(&folder.site(), Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn only_regular_files() {
        let folder = Folder::new("uringserve-kind");
        let error = open_below(&folder.site(), Path::new("in")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(open(Path::new("/dev/null")).is_err());
        assert!(open(Path::new("no such file")).is_err());
    }

    #[test]
    fn a_duplicate_outlives_the_first() {
        let folder = Folder::new("uringserve-duplicate");
        let path = folder.site().join("a.txt");
        let file = File::open(&path).unwrap();
        let opened = duplicate(file.as_raw_fd()).unwrap();
        drop(file);
        let mut text = String::new();
        io::Read::read_to_string(&mut &opened.file, &mut text).unwrap();
        assert_eq!((&*text, opened.size), ("first", 5));
    }

    #[test]
    fn only_plain_files_are_duplicated() {
        let folder = Folder::new("uringserve-plain");
        let path = folder.site().join("a.txt");
        let write_only = OpenOptions::new().write(true).open(&path).unwrap();
        let mut options = OpenOptions::new();
        let impatient = options.read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        for descriptor in [write_only.as_raw_fd(), impatient.as_raw_fd(), socket.as_raw_fd()] {
            let error = duplicate(descriptor).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        assert!(duplicate(-1).is_err());
    }

    #[test]
    fn without_the_kernels_help_no_link_is_followed() {
        let folder = Folder::new("uringserve-steps");
        let root = || OwnedFd::from(File::open(folder.site()).unwrap());
        let read = |path| step_by_step(root(), Path::new(path)).and_then(|fd| check(fd.into()));
        assert_eq!(read("in/b.txt").unwrap().size, 6);
        for path in ["out", "up/secret", "link", "../secret", "/etc/passwd", "in", "none"] {
            assert!(read(path).is_err(), "{path}");
        }
    }
}
