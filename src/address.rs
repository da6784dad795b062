//! Where a peer is: `HOST:PORT`, `[IPV6]:PORT`, and the order in which names resolve.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

/// The port of the tutorial's scripts, and so the default.
pub const DEFAULT_PORT: u16 = 5000;

/// A host, by name or by IP address, and a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address; an IPv6 address stands here without its brackets.
    pub host: String,
    /// The TCP port; 0 asks the system for a free one, which only `serve` can use.
    pub port: u16,
}

impl Address {
    /// Looks the host up and returns every address it has, IPv4 first: a script that
    /// says `socket.socket()` speaks IPv4 alone, whatever the hosts file puts first.
    ///
    /// Fails as the system's resolver does.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        Ok(ipv4_first(addresses.collect()))
    }
}

fn ipv4_first(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    addresses
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is no `HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// There is nothing, or only a port.
    NoHost,
    /// What stands after the host is no port that can be connected to.
    Port(String),
    /// What stands in brackets is no IPv6 address, or a bracket is missing.
    Brackets,
    /// Several colons, but no IPv6 address.
    Colons,
    /// White space, which no host name has.
    Space,
    /// A slash: a URL, or a network.
    Slash,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost => write!(f, "the host is missing (write localhost:{DEFAULT_PORT})"),
            Self::Port(text) => write!(f, "'{text}' is no port from 1 to 65535"),
            Self::Brackets => write!(
                f,
                "brackets go around an IPv6 address (write [::1]:{DEFAULT_PORT})"
            ),
            Self::Colons => write!(
                f,
                "write HOST:PORT, or an IPv6 address in brackets: [::1]:{DEFAULT_PORT}"
            ),
            Self::Space => write!(f, "a host has no spaces in it"),
            Self::Slash => write!(f, "write HOST:PORT alone, with no slashes"),
        }
    }
}

impl std::error::Error for AddressError {}

/// Takes a host apart from the port that may follow it: `localhost:5000`, `localhost`,
/// `127.0.0.1:5000`, `[::1]:5000`, `[::1]`, `::1` (RFC 3986 §3.2 for the brackets).
///
/// Returns the host without brackets and the port, if there is one. Fails when the text is
/// neither.
pub fn parse_host_port(text: &str) -> Result<(String, Option<u16>), AddressError> {
    if text.contains(char::is_whitespace) {
        return Err(AddressError::Space);
    }
    if text.contains('/') {
        return Err(AddressError::Slash);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(AddressError::Brackets)?;
        if !is_ipv6(host) {
            return Err(AddressError::Brackets);
        }
        let port = match after.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if after.is_empty() => None,
            None => return Err(AddressError::Brackets),
        };
        return Ok((host.to_owned(), port));
    }
    match text.split_once(':') {
        _ if is_ipv6(text) => Ok((text.to_owned(), None)),
        Some((_, port)) if port.contains(':') => Err(AddressError::Colons),
        Some(("", _)) => Err(AddressError::NoHost),
        Some((host, port)) => Ok((host.to_owned(), Some(parse_port(port)?))),
        None if text.is_empty() => Err(AddressError::NoHost),
        None => Ok((text.to_owned(), None)),
    }
}

/// Whether `text` is an IPv6 address, with the zone that a link-local one needs
/// (`fe80::1%eth0`, RFC 4007 §11).
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "-"));
    !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok()
}

/// Takes a port that one can connect to, 1 to 65535, and fails for everything else.
pub fn parse_port(text: &str) -> Result<u16, AddressError> {
    // `u16::from_str` would take a sign as well.
    match text.parse() {
        Ok(port) if port > 0 && !text.starts_with('+') => Ok(port),
        _ => Err(AddressError::Port(text.to_owned())),
    }
}

/// Takes the host that `serve` listens on: a name, or an IP address with or without
/// brackets, and no port, since that has an option of its own. Returns the host without
/// brackets; the error says what to write instead.
pub fn parse_host(text: &str) -> Result<String, String> {
    match parse_host_port(text) {
        Ok((host, None)) => Ok(host),
        Ok((_, Some(port))) => Err(format!("the port goes in an option: --port {port}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether only programs on this machine can reach `ip`.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<(String, Option<u16>), AddressError> {
        parse_host_port(text)
    }

    #[test]
    fn every_way_to_write_an_address() {
        for (text, host, port) in [
            ("localhost:5000", "localhost", Some(5000)),
            ("localhost", "localhost", None),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("chat.example:65535", "chat.example", Some(65535)),
            ("[::1]:5000", "::1", Some(5000)),
            ("[::1]", "::1", None),
            ("::1", "::1", None),
            ("::", "::", None),
            ("[fe80::1%eth0]:5000", "fe80::1%eth0", Some(5000)),
            ("fe80::1%eth0", "fe80::1%eth0", None),
        ] {
            assert_eq!(parsed(text), Ok((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_address() {
        use AddressError::{Brackets, Colons, NoHost, Slash, Space};
        for (text, error) in [
            ("", NoHost),
            (":5000", NoHost),
            (":", NoHost),
            ("localhost:", AddressError::Port(String::new())),
            ("localhost:0", AddressError::Port("0".into())),
            ("localhost:70000", AddressError::Port("70000".into())),
            ("localhost:+5", AddressError::Port("+5".into())),
            ("localhost:http", AddressError::Port("http".into())),
            ("a:b:c", Colons),
            ("1:2:3:4:5:6:7:8:9", Colons),
            ("[::1", Brackets),
            ("[::1]5000", Brackets),
            ("[localhost]:5000", Brackets),
            ("[]:5000", Brackets),
            ("[fe80::1%]:5000", Brackets),
            ("local host", Space),
            ("http://localhost:5000", Slash),
        ] {
            assert_eq!(parsed(text), Err(error), "{text}");
        }
    }

    #[test]
    fn ipv4_comes_first_and_otherwise_the_resolvers_order_stays() {
        let addresses = |list: [&str; 4]| list.map(|a| a.parse::<SocketAddr>().unwrap()).to_vec();
        assert_eq!(
            ipv4_first(addresses([
                "[::2]:5",
                "[::1]:5",
                "10.0.0.2:5",
                "10.0.0.1:5"
            ])),
            addresses(["10.0.0.2:5", "10.0.0.1:5", "[::2]:5", "[::1]:5"])
        );
    }

    #[test]
    fn localhost_resolves() {
        let address = Address {
            host: "localhost".into(),
            port: 5000,
        };
        assert!(address.resolve().unwrap()[0].ip().is_loopback());
    }

    #[test]
    fn a_mapped_loopback_address_is_local() {
        assert!(is_local("127.8.8.8".parse().unwrap()));
        assert!(is_local("::1".parse().unwrap()));
        assert!(is_local("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!is_local("0.0.0.0".parse().unwrap()));
        assert!(!is_local("::".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = parsed(&text);
        }

        #[test]
        fn what_is_printed_reads_back(socket: SocketAddr) {
            let address = Address { host: socket.ip().to_string(), port: socket.port().max(1) };
            prop_assert_eq!(
                parsed(&address.to_string()),
                Ok((address.host, Some(address.port)))
            );
        }
    }
}
