//! Endpoints: parses `HOST:PORT` and `[IPV6]:PORT`, and resolves host names.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

/// The default port, which is the one in the tutorial's scripts.
pub const DEFAULT_PORT: u16 = 5000;

/// A host and a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an IP address. An IPv6 address has no brackets here.
    pub host: String,
    /// The TCP port. 0 lets the system choose a free port, which only works for listening.
    pub port: u16,
}

impl Endpoint {
    /// Resolves the host and returns all its addresses, IPv4 first, otherwise in the
    /// resolver's order. Returns an error if the resolver fails.
    ///
    /// IPv4 comes first because a script that calls `socket.socket()` uses IPv4 only,
    /// whatever the hosts file lists first.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        Ok(ipv4_first(addresses.collect()))
    }
}

/// Sorts IPv4 addresses to the front, and removes repetitions.
fn ipv4_first(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    addresses
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Parses a host with an optional port: `localhost:5000`, `localhost`, `127.0.0.1:5000`,
/// `[::1]:5000`, `[::1]`, `::1` (RFC 3986 §3.2 for the brackets).
///
/// Returns the host without brackets, and the port if there is one. Returns an error, worded for
/// the user, if `text` has another form. Does not check whether the host exists.
pub fn parse_host_port(text: &str) -> Result<(String, Option<u16>), String> {
    if text.contains(char::is_whitespace) {
        return Err("a host has no spaces in it".into());
    }
    if text.contains('/') {
        return Err("write HOST:PORT alone, with no slashes".into());
    }
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((host, "")) if is_ipv6(host) => Ok((host.to_owned(), None)),
            Some((host, after)) if is_ipv6(host) && after.starts_with(':') => {
                Ok((host.to_owned(), Some(parse_port(&after[1..])?)))
            }
            _ => Err(format!(
                "brackets go around an IPv6 address (write [::1]:{DEFAULT_PORT})"
            )),
        };
    }
    match text.split_once(':') {
        _ if is_ipv6(text) => Ok((text.to_owned(), None)),
        Some((_, port)) if port.contains(':') => Err(format!(
            "write HOST:PORT, or an IPv6 address in brackets: [::1]:{DEFAULT_PORT}"
        )),
        Some((host, port)) if !host.is_empty() => Ok((host.to_owned(), Some(parse_port(port)?))),
        None if !text.is_empty() => Ok((text.to_owned(), None)),
        _ => Err(format!(
            "the host is missing (write localhost:{DEFAULT_PORT})"
        )),
    }
}

/// Returns whether `text` is an IPv6 address, with or without a zone, which link-local
/// addresses need (`fe80::1%eth0`, RFC 4007 §11).
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "-"));
    !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok()
}

/// Parses a port from 1 to 65535. Returns an error, worded for the user, for any other text.
pub fn parse_port(text: &str) -> Result<u16, String> {
    // `u16::from_str` also accepts a plus sign.
    match text.parse() {
        Ok(port) if port > 0 && !text.starts_with('+') => Ok(port),
        _ => Err(format!("'{text}' is no port from 1 to 65535")),
    }
}

/// Parses the host that `serve` listens on: a name, or an IP address with or without
/// brackets. Returns the host without brackets.
///
/// Returns an error, worded for the user, if `text` is not a host or has a port, as the port
/// has its own option.
pub fn parse_host(text: &str) -> Result<String, String> {
    match parse_host_port(text)? {
        (host, None) => Ok(host),
        (_, Some(port)) => Err(format!("the port goes in an option: --port {port}")),
    }
}

/// Returns whether `ip` is a loopback address, which only this machine can reach.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
