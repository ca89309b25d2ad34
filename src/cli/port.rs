//! A port of this machine that a command listens on, and the option that chooses another.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

#[derive(Debug, Clone, Copy)]
pub(super) struct Port {
    pub(super) number: u16,
    pub(super) option: &'static str,
}

impl Port {
    pub(super) fn address(self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }

    /// Says what to do where it is taken, before anything else is begun; it is taken as long as what is returned lives.
    pub(super) fn free(self) -> anyhow::Result<TcpListener> {
        TcpListener::bind(self.address()).map_err(|error| {
            let (number, option) = (self.number, self.option);
            match error.kind() {
                ErrorKind::AddrInUse => anyhow::anyhow!(
                    "port {number} is in use: stop what listens there, or choose another port with {option}"
                ),
                _ => anyhow::anyhow!("port {number} can't be used ({error}): choose another with {option}"),
            }
        })
    }
}
