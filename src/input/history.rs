//! The history file: its path and its permissions.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::sys;

/// The maximum number of messages in the history.
pub(super) const LENGTH: usize = 1000;

/// Where to keep the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryFile {
    /// In the system's folder for state files.
    Default,
    /// In this file.
    At(PathBuf),
    /// Nowhere.
    None,
}

impl HistoryFile {
    /// Returns the path, or `None` if no history is kept or the user has no home folder.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::None => None,
            Self::At(path) => Some(path.clone()),
            Self::Default => {
                let base = etcetera::choose_base_strategy().ok()?;
                let folder = base.state_dir().unwrap_or_else(|| base.data_dir());
                Some(folder.join("socketchat").join("history"))
            }
        }
    }
}

/// Creates the file and its folders, if missing, so that only the user can access them. Rustyline
/// creates no folders, and would empty a file that another process has just created.
///
/// Fails if the path is not a regular file or cannot be created.
pub(super) fn create(path: &Path) -> io::Result<()> {
    if path.exists() && !path.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        sys::create_private_folder(folder)?;
    }
    sys::private(OpenOptions::new().append(true).create(true))
        .open(path)
        .map(drop)
}
