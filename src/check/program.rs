//! The program that is checked: its stdin, what it prints, and its end.

use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::check::complaint::Complaint;
use crate::sys;

/// The maximum number of bytes of what a program prints to keep.
const KEPT: usize = 1 << 20;

/// How long to wait, when a program has ended, for what it has printed last: what it has started may
/// still be running, and print, too.
const LAST: Duration = Duration::from_millis(500);

/// A running program. It is killed, with all that it has started, when this is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    stdout: Printed,
    stderr: Printed,
    /// The threads that gather what it prints, until it has ended.
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts `command`, a program and its arguments. Fails if there is no such program.
    pub(super) fn start(command: &[OsString]) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            // What Python prints comes at once, and in UTF-8 wherever it runs.
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONUTF8", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = sys::in_own_group(&mut command).spawn()?;
        let (stdout, stderr) = (Printed::default(), Printed::default());
        let readers = [
            child.stdout.take().map(|source| gather(source, &stdout)),
            child.stderr.take().map(|source| gather(source, &stderr)),
        ];
        Ok(Self {
            child,
            stdout,
            stderr,
            readers: readers.into_iter().flatten().collect(),
        })
    }

    /// Types `text` and Enter. It is for the checks to see that a program has ended.
    pub(super) fn type_line(&mut self, text: &str) {
        if let Some(stdin) = &mut self.child.stdin {
            let _ = stdin.write_all(format!("{text}\n").as_bytes());
        }
    }

    /// Returns whether the program has read all that was typed; `None` if the system does not tell.
    pub(super) fn has_read(&self) -> Option<bool> {
        self.child.stdin.as_ref().and_then(sys::is_pipe_empty)
    }

    /// Forgets what was printed before.
    pub(super) fn forget(&self) {
        lock(&self.stdout).clear();
    }

    /// Returns what the program has printed on stdout since [`Program::forget`].
    pub(super) fn printed(&self) -> Vec<u8> {
        lock(&self.stdout).clone()
    }

    /// Returns the last error that the program has reported.
    pub(super) fn complaint(&self) -> Option<Complaint> {
        Complaint::find(&lock(&self.stderr))
    }

    /// Returns how the program has ended, if it has. Then all that it has printed has been gathered.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten()?;
        let until = Instant::now() + LAST;
        while !self.readers.iter().all(JoinHandle::is_finished) && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        self.readers.clear();
        Some(status)
    }

    /// Returns the number of the program's process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        sys::kill_group(&mut self.child);
        let _ = self.child.wait();
    }
}

/// What a program writes, gathered by a thread of its own.
type Printed = Arc<Mutex<Vec<u8>>>;

/// Starts to append what `source` brings to `printed`.
fn gather(mut source: impl Read + Send + 'static, printed: &Printed) -> JoinHandle<()> {
    let printed = Arc::clone(printed);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = source.read(&mut buffer) {
            let mut bytes = lock(&printed);
            let room = KEPT.saturating_sub(bytes.len());
            bytes.extend_from_slice(&buffer[..count.min(room)]);
        }
    })
}

fn lock(printed: &Printed) -> MutexGuard<'_, Vec<u8>> {
    printed.lock().unwrap_or_else(PoisonError::into_inner)
}
