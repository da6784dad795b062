//! Writes to stdout on a thread of its own, so that a reader who is slow does not hold up the rest
//! of the program.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use mio::Waker;

/// The number of unwritten bytes from which on the queue counts as full.
const ENOUGH: usize = 64 * 1024;

/// Bytes on their way to stdout.
#[derive(Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// Whether the thread has taken bytes that it has not written yet.
    is_writing: bool,
    /// Why stdout cannot be written; taken by whoever is told first.
    error: Option<io::Error>,
    /// Whether there was an error: nothing more is written.
    is_broken: bool,
}

impl Queue {
    /// Creates a queue before `stdout`. Calls `waker` when it is no longer full. Fails if no thread
    /// can be started.
    pub(super) fn new(mut stdout: File, waker: Arc<Waker>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let queue = Self(Arc::clone(&shared));
        let thread = thread::Builder::new().name("stdout".into());
        thread.spawn(move || {
            let mut bytes = Vec::new();
            loop {
                bytes.clear();
                let mut state = shared.lock();
                while state.bytes.is_empty() {
                    state = shared.wait(state);
                }
                mem::swap(&mut bytes, &mut state.bytes);
                state.is_writing = true;
                drop(state);
                let written = stdout.write_all(&bytes);
                let mut state = shared.lock();
                state.is_writing = false;
                state.is_broken = written.is_err();
                state.error = written.err();
                let is_broken = state.is_broken;
                drop(state);
                shared.changed.notify_all();
                // Fails only if the program has ended.
                let _ = waker.wake();
                if is_broken {
                    return;
                }
            }
        })?;
        Ok(queue)
    }

    /// Returns whether too much is unwritten for more to be added.
    pub(super) fn is_full(&self) -> bool {
        self.0.lock().bytes.len() >= ENOUGH
    }
}

impl Write for Queue {
    /// Adds all of `bytes`, without waiting. Fails if stdout cannot be written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        state.check()?;
        state.bytes.extend_from_slice(bytes);
        drop(state);
        self.0.changed.notify_all();
        Ok(bytes.len())
    }

    /// Waits until everything is written. Fails if it cannot be.
    fn flush(&mut self) -> io::Result<()> {
        let mut state = self.0.lock();
        while !state.is_broken && (state.is_writing || !state.bytes.is_empty()) {
            state = self.0.wait(state);
        }
        state.check()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None if self.is_broken => Err(io::ErrorKind::BrokenPipe.into()),
            None => Ok(()),
        }
    }
}
