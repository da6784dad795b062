//! Words for I/O errors, the same on every operating system.

use std::io;

use crate::sys;

/// Describes an I/O error in lower case and without its number: `connection refused`.
pub fn reason(error: &io::Error) -> String {
    use io::ErrorKind as Kind;
    if sys::is_out_of_descriptors(error) {
        return "too many open files".into();
    }
    let words = match error.kind() {
        Kind::ConnectionRefused => "connection refused",
        Kind::ConnectionReset => "connection reset by peer",
        Kind::ConnectionAborted => "connection aborted",
        Kind::TimedOut => "connection timed out",
        Kind::AddrInUse => "address already in use",
        Kind::AddrNotAvailable => "cannot assign requested address",
        Kind::NetworkUnreachable => "network is unreachable",
        Kind::HostUnreachable => "no route to host",
        Kind::BrokenPipe => "broken pipe",
        Kind::NotFound => "no such file or directory",
        Kind::PermissionDenied => "permission denied",
        Kind::NotADirectory => "not a directory",
        Kind::IsADirectory => "is a directory",
        Kind::StorageFull => "no space left on device",
        _ => return in_system_words(error),
    };
    // A custom error says more than its kind.
    error
        .get_ref()
        .map_or_else(|| words.into(), ToString::to_string)
}

/// Returns the system's description without its prefix, number and full stop.
fn in_system_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let text = text
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(text)
        .trim_end_matches(['.', '\r', '\n']);
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_lowercase);
    first.chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_lower_case_and_has_no_number() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(reason(&refused), "connection refused");
        assert_eq!(reason(&io::Error::other("Its Own.")), "its Own");
        assert_eq!(reason(&io::Error::other("")), "");
        assert!(!reason(&io::Error::from_raw_os_error(5)).contains("os error"));
        assert_eq!(reason(&sys::out_of_descriptors()), "too many open files");
    }
}
