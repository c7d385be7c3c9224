//! Addresses of nodes and Pods: each is given once at a time.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A range of IPv4 addresses.
#[derive(Debug)]
pub(crate) struct Addresses {
    first: u32,
    last: u32,
    next: u32,
    used: BTreeSet<u32>,
}

impl Addresses {
    /// The range from `first` to `last`.
    pub(crate) fn new(first: Ipv4Addr, last: Ipv4Addr) -> Self {
        let (first, last) = (first.to_bits(), last.to_bits());
        Self {
            first,
            last,
            next: first,
            used: BTreeSet::new(),
        }
    }

    /// Notes that an address is in use; one of another range is nobody's here.
    pub(crate) fn note(&mut self, text: &str) -> Option<Ipv4Addr> {
        let address: Ipv4Addr = text.parse().ok()?;
        let bits = address.to_bits();
        (self.first..=self.last).contains(&bits).then(|| {
            self.used.insert(bits);
            address
        })
    }

    /// Gives an address, the lowest one that was not given lately.
    pub(crate) fn take(&mut self) -> Ipv4Addr {
        let size = self.last.saturating_sub(self.first);
        for _ in 0..=size {
            let bits = self.next;
            self.next = if bits >= self.last {
                self.first
            } else {
                bits.saturating_add(1)
            };
            let ends = [Some(&0), Some(&255)];
            if !ends.contains(&bits.to_be_bytes().last()) && self.used.insert(bits) {
                return Ipv4Addr::from_bits(bits);
            }
        }
        // more than there are: the last one serves for all of them
        Ipv4Addr::from_bits(self.last)
    }

    /// Takes an address back.
    pub(crate) fn give_back(&mut self, address: Ipv4Addr) {
        self.used.remove(&address.to_bits());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_once_at_a_time() {
        let mut addresses = Addresses::new(Ipv4Addr::new(10, 0, 0, 253), Ipv4Addr::new(10, 0, 1, 2));
        assert_eq!(addresses.note("10.0.0.254"), Some(Ipv4Addr::new(10, 0, 0, 254)));
        assert_eq!(addresses.note("192.168.0.1"), None);
        let mut take = || addresses.take().to_string();
        assert_eq!([take(), take(), take()], ["10.0.0.253", "10.0.1.1", "10.0.1.2"]);
        addresses.give_back(Ipv4Addr::new(10, 0, 0, 253));
        assert_eq!(addresses.take().to_string(), "10.0.0.253");
    }
}
