//! Tests of parsing and resolving.

use proptest::prelude::*;

use super::*;

#[test]
fn valid_endpoints_are_parsed() {
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
        assert_eq!(parse_host_port(text), Ok((host.to_owned(), port)), "{text}");
    }
}

#[test]
fn invalid_endpoints_are_rejected() {
    const NO_HOST: &str = "the host is missing (write localhost:5000)";
    const COLONS: &str = "write HOST:PORT, or an IPv6 address in brackets: [::1]:5000";
    const BRACKETS: &str = "brackets go around an IPv6 address (write [::1]:5000)";
    for (text, error) in [
        ("", NO_HOST),
        (":5000", NO_HOST),
        (":", NO_HOST),
        ("localhost:", "'' is no port from 1 to 65535"),
        ("localhost:0", "'0' is no port from 1 to 65535"),
        ("localhost:70000", "'70000' is no port from 1 to 65535"),
        ("localhost:+5", "'+5' is no port from 1 to 65535"),
        ("localhost:http", "'http' is no port from 1 to 65535"),
        ("a:b:c", COLONS),
        ("1:2:3:4:5:6:7:8:9", COLONS),
        ("[::1", BRACKETS),
        ("[::1]5000", BRACKETS),
        ("[localhost]:5000", BRACKETS),
        ("[]:5000", BRACKETS),
        ("[fe80::1%]:5000", BRACKETS),
        ("fe80::1%eth0]:5000", COLONS),
        ("local host", "a host has no spaces in it"),
        (
            "http://localhost:5000",
            "write HOST:PORT alone, with no slashes",
        ),
    ] {
        assert_eq!(parse_host_port(text), Err(error.to_owned()), "{text}");
    }
}

#[test]
fn ipv4_comes_first_and_the_order_is_otherwise_kept() {
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
#[cfg(unix)]
fn a_path_is_a_unix_socket() {
    let parsed = |text| parse_target(text).map(|target| target.endpoint(7).to_string());
    assert_eq!(parsed("unix:/run/a:5 b").as_deref(), Ok("unix:/run/a:5 b"));
    assert_eq!(parsed("unix:chat").as_deref(), Ok("unix:chat"));
    assert!(parsed("unix:").is_err());
}

#[test]
fn localhost_resolves() {
    let endpoint = parse_target("localhost").unwrap().endpoint(5000);
    assert!(endpoint.resolve().unwrap()[0].is_local());
}

#[test]
fn a_mapped_loopback_address_is_local() {
    let is_local = |text: &str| text.parse::<Address>().unwrap().is_local();
    assert!(is_local("127.8.8.8:1"));
    assert!(is_local("[::1]:1"));
    assert!(is_local("[::ffff:127.0.0.1]:1"));
    assert!(!is_local("0.0.0.0:1"));
    assert!(!is_local("[::]:1"));
}

proptest! {
    #[test]
    fn parsing_does_not_panic(text in ".*") {
        let _ = parse_target(&text);
    }

    #[test]
    fn a_displayed_endpoint_parses_to_itself(socket: SocketAddr) {
        let (host, port) = (socket.ip().to_string(), socket.port().max(1));
        let endpoint = Endpoint::Tcp { host: host.clone(), port };
        prop_assert_eq!(
            parse_target(&endpoint.to_string()),
            Ok(Target::Host(host, Some(port)))
        );
    }
}
