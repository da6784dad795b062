//! Linux alone: what /proc tells of other processes (proc(5)).

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Stands;

/// Returns what [`super::stands`] does.
pub(super) fn stands(pid: u32) -> Option<Stands> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(folder).ok()?.flatten();
    threads
        .flat_map(|thread| {
            let path = thread.path();
            let children = fs::read_to_string(path.join("children")).unwrap_or_default();
            let children = children.split_whitespace().map(str::parse);
            let of_children = children.flatten().filter_map(stands).collect::<Vec<_>>();
            thread_stands(&path, pid).into_iter().chain(of_children)
        })
        .min()
}

/// Returns the call that the thread at `path` in /proc, of the process `pid`, stands in.
fn thread_stands(path: &Path, pid: u32) -> Option<Stands> {
    let text = fs::read_to_string(path.join("syscall")).ok()?;
    let mut fields = text.split_whitespace();
    let call: i64 = fields.next()?.parse().ok()?;
    let fd = fields.next()?.strip_prefix("0x")?;
    let fd = u64::from_str_radix(fd, 16).ok()?;
    let is_socket = || {
        let file = fs::read_link(format!("/proc/{pid}/fd/{fd}"));
        file.is_ok_and(|file| file.to_string_lossy().starts_with("socket:"))
    };
    match call {
        libc::SYS_recvfrom | libc::SYS_recvmsg => Some(Stands::Recv),
        libc::SYS_accept | libc::SYS_accept4 => Some(Stands::Accept),
        libc::SYS_connect => Some(Stands::Connect),
        libc::SYS_sendto | libc::SYS_sendmsg => Some(Stands::Send),
        libc::SYS_read if fd == 0 => Some(Stands::Input),
        libc::SYS_read if is_socket() => Some(Stands::Recv),
        libc::SYS_write if is_socket() => Some(Stands::Send),
        _ => None,
    }
}

/// Returns what [`super::processor_time`] does.
pub(super) fn processor_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may have spaces; it ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis((user + system) * 1000 / ticks))
}
