//! The program that is checked: its stdin, what it prints, and its end.

use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::check::complaint::Complaint;
use crate::sys::{self, Stands};

/// The maximum number of bytes of what a program prints to keep.
const KEPT: usize = 1 << 20;

/// A running program. It is killed, with all that it has started, when this is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Printed,
    stderr: Printed,
    /// How much of stdout was printed before [`Program::mark`].
    mark: usize,
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
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: Printed::gather(child.stdout.take()),
            stderr: Printed::gather(child.stderr.take()),
            mark: 0,
            child,
        })
    }

    /// Types `text` and Enter. It is for the checks to see that a program has ended.
    pub(super) fn type_line(&mut self, text: &str) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(format!("{text}\n").as_bytes());
        }
    }

    /// Returns whether the program has read all that was typed; `None` if the system does not tell.
    pub(super) fn has_read(&self) -> Option<bool> {
        self.stdin.as_ref().and_then(sys::is_pipe_empty)
    }

    /// Forgets what was printed before.
    pub(super) fn mark(&mut self) {
        self.mark = self.stdout.lock().len();
    }

    /// Returns what the program has printed on stdout since [`Program::mark`].
    pub(super) fn printed(&self) -> Vec<u8> {
        self.stdout.lock()[self.mark..].to_vec()
    }

    /// Returns the last error that the program has reported.
    pub(super) fn complaint(&self) -> Option<Complaint> {
        Complaint::find(&self.stderr.lock())
    }

    /// Returns how the program has ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Returns the call that the program stands in, if the system tells.
    pub(super) fn stands(&self) -> Option<Stands> {
        sys::stands(self.child.id())
    }

    /// Returns the time that the processor has spent on the program, if the system tells.
    pub(super) fn processor_time(&self) -> Option<Duration> {
        sys::processor_time(self.child.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        sys::kill_group(&mut self.child);
        let _ = self.child.wait();
    }
}

/// The bytes that a program writes, gathered by a thread of their own.
#[derive(Debug, Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    fn gather(source: Option<impl Read + Send + 'static>) -> Self {
        let printed = Self::default();
        let shared = printed.clone();
        if let Some(mut source) = source {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = source.read(&mut buffer) {
                    let mut bytes = shared.lock();
                    let room = KEPT.saturating_sub(bytes.len());
                    bytes.extend_from_slice(&buffer[..count.min(room)]);
                }
            });
        }
        printed
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
