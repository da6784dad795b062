//! The history file: its path and its permissions.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use rustyline::history::DefaultHistory;
use rustyline::{Editor, Helper};

use crate::sys;

/// The maximum number of messages in the history.
pub(super) const LENGTH: usize = 1000;

/// Returns where the history is kept, unless the user says otherwise: in the system's folder for state
/// files. `None` if the user has no home folder.
pub fn default_path() -> Option<PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    let folder = base.state_dir().unwrap_or_else(|| base.data_dir());
    Some(folder.join("socketchat").join("history"))
}

/// Creates the file and its folders, if missing, so that only the user can access them. Rustyline
/// creates no folders, and would empty a file that another process has just created. Returns its
/// permissions.
///
/// Fails if the path is not a regular file or cannot be created. A symbolic link to a file that does
/// not exist is not followed.
pub(super) fn create(path: &Path) -> io::Result<Permissions> {
    if !path.is_file() {
        make(path)?;
    }
    Ok(fs::metadata(path)?.permissions())
}

fn make(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::Error::other("not a regular file"));
    }
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        sys::create_private_folder(folder)?;
    }
    let created = sys::private(OpenOptions::new().append(true).create_new(true)).open(path);
    match created {
        // Another process has just created it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.map(drop),
    }
}

/// Writes the new messages to the file at `path`. Rustyline makes every file private that it
/// writes; one that was there before, perhaps behind a symbolic link, keeps its permissions: those
/// `before`, when the program started. Just before this call, another program may write to the file, which
/// has made it private.
pub(super) fn append(
    rustyline: &mut Editor<impl Helper, DefaultHistory>,
    path: &Path,
    before: Option<Permissions>,
) -> rustyline::Result<()> {
    let appended = rustyline.append_history(path);
    if let Some(before) = before {
        // Fails only if the file is somebody else's, and then rustyline's change has failed too.
        let _ = fs::set_permissions(path, before);
    }
    appended
}
