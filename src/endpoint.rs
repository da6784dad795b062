//! Endpoints: parses `HOST:PORT`, `[IPV6]:PORT` and `unix:PATH`, and resolves host names.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{AddrParseError, IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::sys;

/// The default port, which is the one in the tutorial's scripts.
pub const DEFAULT_PORT: u16 = 5000;

/// What the path of a Unix socket is written after.
const UNIX: &str = "unix:";

/// What the user writes for a server, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host name or an IP address, without brackets, and the port if there is one.
    Host(String, Option<u16>),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Target {
    /// Returns the endpoint, with `port` if the user has written none.
    pub fn endpoint(self, port: u16) -> Endpoint {
        match self {
            Self::Host(host, written) => Endpoint::Tcp {
                host,
                port: written.unwrap_or(port),
            },
            Self::Unix(path) => Endpoint::Unix(path),
        }
    }
}

/// Where a server listens: a host and a TCP port, or the path of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP socket.
    Tcp {
        /// A host name or an IP address. An IPv6 address has no brackets here.
        host: String,
        /// The port. 0 lets the system choose a free port, which only works for listening.
        port: u16,
    },
    /// A Unix socket (unix(7)).
    Unix(PathBuf),
}

impl Endpoint {
    /// Returns the addresses: of a host all that it has, IPv4 first, otherwise in the resolver's
    /// order. Returns an error if the resolver fails.
    ///
    /// IPv4 comes first because a script that calls `socket.socket()` uses IPv4 only,
    /// whatever the hosts file lists first.
    pub fn resolve(&self) -> io::Result<Vec<Address>> {
        Ok(match self {
            Self::Tcp { host, port } => {
                let addresses = (host.as_str(), *port).to_socket_addrs()?;
                let addresses = ipv4_first(addresses.collect());
                addresses.into_iter().map(Address::Tcp).collect()
            }
            Self::Unix(path) => vec![Address::Unix(path.clone())],
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// The address of a socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a TCP port.
    Tcp(SocketAddr),
    /// The path of a server's Unix socket, or an empty one for a client's, which has no name.
    Unix(PathBuf),
}

impl Address {
    /// The address of a client at a Unix socket.
    pub const UNNAMED: Self = Self::Unix(PathBuf::new());

    /// Returns the IP address; as IPv4 if it is an IPv4 address in IPv6 (RFC 4291 §2.5.5.2).
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix(_) => None,
        }
    }

    /// Returns whether only this machine can reach the address.
    pub fn is_local(&self) -> bool {
        self.ip().is_none_or(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(_) if *self == Self::UNNAMED => f.write_str("a program on this machine"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = AddrParseError;

    /// Parses an IP address with a port, or the path of a Unix socket after `unix:`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(UNIX) {
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Tcp(address) => serializer.collect_str(address),
            Self::Unix(path) => serializer.collect_str(&format_args!("{UNIX}{}", path.display())),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Sorts IPv4 addresses to the front, and removes repetitions.
fn ipv4_first(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (mut sorted, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(SocketAddr::is_ipv4);
    sorted.extend(others);
    sorted.dedup();
    sorted
}

/// Parses a host with an optional port: `localhost:5000`, `localhost`, `127.0.0.1:5000`,
/// `[::1]:5000`, `[::1]`, `::1` (RFC 3986 §3.2 for the brackets); a port of `localhost`: `5000`; or
/// the path of a Unix socket: `unix:/run/chat`.
///
/// Returns an error, worded for the user, if `text` has another form, or names a Unix socket and
/// the system has none. Does not check whether the host or the socket exists.
pub fn parse_target(text: &str) -> Result<Target, String> {
    match text.strip_prefix(UNIX) {
        Some(_) if !sys::HAS_UNIX_SOCKETS => {
            Err("there are no Unix sockets on this system; write HOST:PORT".into())
        }
        Some("") => Err("the path of the Unix socket is missing".into()),
        Some(path) => Ok(Target::Unix(path.into())),
        // A resolver takes such a number for an IPv4 address, which nobody writes that way.
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = parse_port(text)?;
            Ok(Target::Host("localhost".into(), Some(port)))
        }
        None => parse_host_port(text).map(|(host, port)| Target::Host(host, port)),
    }
}

/// Parses a host with an optional port. Returns the host without brackets, and the port if there
/// is one.
fn parse_host_port(text: &str) -> Result<(String, Option<u16>), String> {
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
    let is_zone = !zone.is_empty() && !zone.contains(['[', ']', ':', '%']);
    is_zone && address.parse::<Ipv6Addr>().is_ok()
}

/// Parses a port from 1 to 65535. Returns an error, worded for the user, for any other text.
pub fn parse_port(text: &str) -> Result<u16, String> {
    // `u16::from_str` also accepts a plus sign.
    match text.parse() {
        Ok(port) if port > 0 && !text.starts_with('+') => Ok(port),
        _ => Err(format!("'{text}' is no port from 1 to 65535")),
    }
}

/// Parses what `serve` listens on: a name, an IP address with or without brackets, or the path of a
/// Unix socket.
///
/// Returns an error, worded for the user, as [`parse_target`] does, or if `text` has a port, which
/// has its own option.
pub fn parse_host(text: &str) -> Result<Target, String> {
    match parse_target(text)? {
        Target::Host(_, Some(port)) => Err(format!("the port goes in an option: --port {port}")),
        target => Ok(target),
    }
}

/// Returns `network` as one of IPv4, if it stands for one (RFC 4291, 2.5.5.2): so are clients seen.
fn unmapped(network: IpNet) -> IpNet {
    let addr = network.addr();
    let prefix = network.prefix_len().checked_sub(128 - 32);
    match (addr, prefix) {
        (IpAddr::V6(addr), Some(prefix)) => addr
            .to_ipv4_mapped()
            .and_then(|addr| IpNet::new(addr.into(), prefix).ok())
            .unwrap_or(network),
        _ => network,
    }
}

/// Parses a network, `10.0.0.0/8` or `fd00::/8` (RFC 4632), or a single address. Returns an error,
/// worded for the user, if `text` has another form.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().ok();
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    network
        .or_else(address)
        .map(|network| unmapped(network).trunc())
        .ok_or_else(|| "write an address or a network, as 10.0.0.0/8 or fd00::/8".into())
}
