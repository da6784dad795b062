//! Where the history is kept, and who may read it.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use etcetera::base_strategy::Xdg;

use super::HistoryFile;

impl HistoryFile {
    /// The file, if there is to be one and the user has a home to put it in.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::None => None,
            Self::At(path) => Some(path.clone()),
            Self::Default => {
                let folder = Xdg::new().ok()?.state_dir()?;
                Some(folder.join("socketchat").join("history"))
            }
        }
    }
}

/// Makes the file and its folders where they are missing, for the user's eyes alone:
/// rustyline makes no folders, and would empty a file that a second program has just made.
pub(super) fn create(path: &Path) -> io::Result<()> {
    if path.exists() && !path.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}
