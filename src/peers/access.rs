//! Who may connect, and from how many places at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::endpoint::Address;
use crate::event::Refusal;

/// How long the user is not told again that clients from an address are refused.
const TOLD: Duration = Duration::from_mins(1);

/// The maximum number of addresses to remember; an attacker may have any number of them.
const REMEMBERED: usize = 1000;

/// Who may connect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// The networks to accept clients from; empty for all.
    pub allow: Vec<IpNet>,
    /// The maximum number of clients at once from an address.
    pub per_host: Option<u16>,
}

impl Access {
    /// Returns the IP address of a client that is refused, and why; `None` if it may connect.
    /// `count` counts the clients from an address.
    pub(super) fn refusal(
        &self,
        client: &Address,
        count: impl FnOnce(IpAddr) -> usize,
    ) -> Option<(IpAddr, Refusal)> {
        let ip = client.ip()?;
        if !self.allow.is_empty() && !self.allow.iter().any(|network| network.contains(&ip)) {
            return Some((ip, Refusal::NotAllowed));
        }
        let most = self.per_host?;
        (count(ip) >= most.into()).then_some((ip, Refusal::TooMany))
    }
}

/// When the user was told of each refused address.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<IpAddr, Instant>);

impl Told {
    /// Returns whether to tell the user at the time `now` that a client from `ip` was refused.
    pub(super) fn tells(&mut self, ip: IpAddr, now: Instant) -> bool {
        let is_recent = |told: &Instant| now.duration_since(*told) < TOLD;
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, told| is_recent(told));
        }
        if self.0.get(&ip).is_some_and(is_recent) || self.0.len() >= REMEMBERED {
            return false;
        }
        self.0.insert(ip, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn only_those_in_a_network_are_allowed() {
        let access = Access {
            allow: ["10.0.0.0/8", "fd00::/8"]
                .map(|text| text.parse().unwrap())
                .into(),
            per_host: None,
        };
        for (client, allowed) in [
            ("10.1.2.3:4", true),
            ("11.1.2.3:4", false),
            ("[fd12::1]:4", true),
            ("[fe80::1]:4", false),
            // An IPv4 client of an IPv6 socket.
            ("[::ffff:10.9.9.9]:4", true),
            ("[::ffff:11.9.9.9]:4", false),
            ("unix:", true),
        ] {
            let refusal = access.refusal(&address(client), |_| 0);
            assert_eq!(refusal.is_none(), allowed, "{client}");
        }
    }

    #[test]
    fn so_many_come_from_a_host() {
        let access = Access {
            allow: Vec::new(),
            per_host: Some(2),
        };
        let client = address("[::ffff:10.0.0.1]:5");
        let ip = "10.0.0.1".parse().unwrap();
        assert_eq!(access.refusal(&client, |_| 1), None);
        let refused = access.refusal(&client, |counted| {
            assert_eq!(counted, ip);
            2
        });
        assert_eq!(refused, Some((ip, Refusal::TooMany)));
    }

    #[test]
    fn each_address_is_told_once_a_minute_and_not_without_end() {
        let mut told = Told::default();
        let now = Instant::now();
        let ip = |number: u32| IpAddr::from(std::net::Ipv4Addr::from(number));
        assert!(told.tells(ip(0), now));
        assert!(!told.tells(ip(0), now + TOLD / 2));
        assert!(told.tells(ip(1), now + TOLD / 2));
        assert!(told.tells(ip(0), now + TOLD));
        let later = now + 2 * TOLD;
        let new = (0..2000).filter(|number| told.tells(ip(*number), later));
        assert_eq!(new.count(), REMEMBERED);
        assert!(told.tells(ip(1500), later + TOLD));
    }
}
