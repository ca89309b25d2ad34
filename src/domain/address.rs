//! Which addresses a receiver that a caller named may have.
//!
//! A caller could name an address that only we can reach: the database's port, an admin page, the machine's metadata
//! service. So a URL is checked against these rules when it is registered, and every address that its name resolves to
//! is checked on connecting. Receivers from the configuration are the operator's own and may be anywhere.
//!
//! The classes of addresses are those of the IANA registries, as the crate `iprfc` has them. An address in no known
//! class is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv6Net};
use url::{Host, Url};

/// The longest URL that is taken, in bytes.
const LONGEST_URL: usize = 2048;
/// All of IPv6 that IANA gives out to be reached from everywhere (RFC 4291, 2.4).
const GLOBAL_UNICAST: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// What a machine of Azure learns of itself. It is no special address for IANA.
const AZURE_WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Where receivers that callers named may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRules {
    ports: Vec<RangeInclusive<u16>>,
    networks: Vec<IpNet>,
    /// What is not in one of the networks is not allowed, although everybody reaches it.
    only_networks: bool,
}

/// Why a URL is not taken. No text shows the URL, whose path may be a secret, nor what its name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("expected a URL of at most {LONGEST_URL} bytes")]
    Length,
    #[error("expected a URL without spaces and control characters")]
    Characters,
    #[error("expected a URL such as https://receiver.example/hooks")]
    NotAUrl,
    #[error("expected a URL that begins with https:// or http://")]
    Scheme,
    #[error("expected a URL without a user or a password")]
    UserInfo,
    #[error("expected a URL without `#`")]
    Fragment,
    #[error("port {0} is not allowed")]
    Port(u16),
    #[error("the address is not allowed")]
    NotAllowed,
}

impl AddressRules {
    /// Receivers may listen on these ports, on all addresses that everybody can reach, and in these networks.
    pub fn new(ports: Vec<RangeInclusive<u16>>, networks: Vec<IpNet>) -> Self {
        Self { ports, networks, only_networks: false }
    }

    /// In these networks alone.
    #[must_use]
    pub fn only_networks(self, only_networks: bool) -> Self {
        Self { only_networks, ..self }
    }

    /// The URL of a receiver, in its normal form. What a name in it stands for is not known yet.
    pub fn parse(&self, text: &str) -> Result<Url, AddressError> {
        if text.len() > LONGEST_URL {
            return Err(AddressError::Length);
        }
        // The parser would leave them out, and the caller would not find his own URL again.
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(AddressError::Characters);
        }
        let url = Url::parse(text).map_err(|_| AddressError::NotAUrl)?;
        self.check(&url)?;
        if url.as_str().len() > LONGEST_URL { Err(AddressError::Length) } else { Ok(url) }
    }

    /// What [`Self::parse`] asks of a URL: rules change while receivers stay, so it is asked again before each call.
    pub fn check(&self, url: &Url) -> Result<(), AddressError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AddressError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(AddressError::Fragment);
        }
        let port = url.port_or_known_default().ok_or(AddressError::NotAUrl)?;
        if !self.ports.iter().any(|ports| ports.contains(&port)) {
            return Err(AddressError::Port(port));
        }
        let is_allowed = match url.host().ok_or(AddressError::NotAUrl)? {
            Host::Domain(_) => true,
            Host::Ipv4(address) => self.allows(IpAddr::V4(address)),
            Host::Ipv6(address) => self.allows(IpAddr::V6(address)),
        };
        if is_allowed { Ok(()) } else { Err(AddressError::NotAllowed) }
    }

    /// Whether a connection may be made to this address.
    ///
    /// An IPv6 address that stands for one of IPv4 has to pass as both: who allows the prefix of a translator does not
    /// allow the private networks behind it.
    pub fn allows(&self, address: IpAddr) -> bool {
        let is_open = |address| !self.only_networks && is_public(address);
        let passes = |address| is_open(address) || self.networks.iter().any(|net| net.contains(&address));
        let inner = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => embedded(address),
        };
        passes(address) && inner.is_none_or(|inner| passes(IpAddr::V4(inner)))
    }
}

/// Whether everybody reaches the same machine by this address.
fn is_public(address: IpAddr) -> bool {
    let is_special = iprfc::RFC6890.contains(&address) || iprfc::is_multicast_ip_addr(address);
    !is_special
        && match address {
            IpAddr::V4(address) => address != AZURE_WIRE_SERVER,
            IpAddr::V6(address) => GLOBAL_UNICAST.contains(&address),
        }
}

/// The IPv4 address that an IPv6 address stands for, by the ways in which that was ever done.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |[.., a, b, c, d]: [u8; 16]| Ipv4Addr::new(a, b, c, d);
    let octets = address.octets();
    match address.segments() {
        // Compatible, mapped, translated (RFC 4291, RFC 2765); NAT64, well known and local (RFC 6052, RFC 8215).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..] => Some(last(octets)),
        // 6to4 (RFC 3056).
        [0x2002, ..] => Some(Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5])),
        // Teredo hides it from translators that mean well (RFC 4380).
        [0x2001, 0, ..] => Some(last(octets.map(|octet| !octet))),
        _ => None,
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
