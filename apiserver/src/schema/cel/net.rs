//! IP addresses, networks and URLs.

use std::net::IpAddr;
use std::rc::Rc;

use super::super::go;
use super::super::url::Url;
use super::eval::Outcome;
use super::fault::Fault;
use super::library::length;
use super::value::{Map, Val};

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, args) {
        ("ip", [Val::Text(text)]) => ip(text.as_str()).map(Val::Ip),
        ("isIP", [Val::Text(text)]) => Ok(Val::Bool(ip(text.as_str()).is_ok())),
        ("ip.isCanonical", [Val::Text(text)]) => {
            ip(text.as_str()).map(|ip| Val::Bool(ip.to_string() == text.as_str()))
        }
        ("cidr", [Val::Text(text)]) => cidr(text.as_str()).map(|(ip, length)| Val::Cidr(ip, length)),
        ("isCIDR", [Val::Text(text)]) => Ok(Val::Bool(cidr(text.as_str()).is_ok())),
        ("url", [Val::Text(text)]) => url(text.as_str()),
        ("isURL", [Val::Text(text)]) => Ok(Val::Bool(Url::parse(text.as_str()).is_ok())),
        (name, [Val::Ip(ip)]) => ip_method(name, *ip)?,
        (name, [Val::Cidr(ip, length), rest @ ..]) => cidr_method(name, *ip, *length, rest)?,
        (name, [Val::Url(url)]) => url_method(name, url)?,
        _ => return None,
    })
}

/// An address: no zone, and no IPv4 address in the clothes of IPv6.
fn ip(text: &str) -> Result<IpAddr, Fault> {
    let quoted = go::quote(text);
    if let Some((_, _)) = text
        .split_once('%')
        .filter(|(front, _)| front.parse::<IpAddr>().is_ok())
    {
        return Err(Fault::Error(format!(
            "IP address {quoted} with zone value is not allowed"
        )));
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => Err(Fault::Error(format!(
            "IPv4-mapped IPv6 address {quoted} is not allowed"
        ))),
        Ok(ip) => Ok(ip),
        Err(_) => Err(Fault::Error(format!(
            "IP Address {quoted} parse error during conversion from string: ParseAddr({quoted}): unable to parse IP"
        ))),
    }
}

fn cidr(text: &str) -> Result<(IpAddr, u8), Fault> {
    let fault = |why: &str| {
        let quoted = go::quote(text);
        Fault::Error(format!(
            "network address parse error during conversion from string: netip.ParsePrefix({quoted}): {why}"
        ))
    };
    let (address, length) = text.split_once('/').ok_or_else(|| fault("no '/'"))?;
    let ip: IpAddr = address
        .parse()
        .map_err(|_| fault(&format!("ParseAddr({}): unable to parse IP", go::quote(address))))?;
    if matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()) {
        return Err(Fault::Error(format!(
            "IPv4-mapped IPv6 address {} is not allowed",
            go::quote(text)
        )));
    }
    let plain =
        length == "0" || (!length.starts_with('0') && length.bytes().all(|byte| byte.is_ascii_digit()));
    let bits = length.parse::<u8>().ok().filter(|_| plain && !length.is_empty());
    let bits = bits.ok_or_else(|| fault(&format!("bad bits after slash: {}", go::quote(length))))?;
    if bits > size(ip) {
        return Err(fault("prefix length out of range"));
    }
    Ok((ip, bits))
}

fn size(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The bits of the address from the top.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()).checked_shl(96).unwrap_or(0),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn front(ip: IpAddr, length: u8) -> u128 {
    let rest = 128u32.saturating_sub(u32::from(length));
    bits(ip)
        .checked_shr(rest)
        .and_then(|front| front.checked_shl(rest))
        .unwrap_or(0)
}

fn is_inside(network: IpAddr, length: u8, ip: IpAddr) -> bool {
    network.is_ipv4() == ip.is_ipv4() && front(network, length) == front(ip, length)
}

fn ip_method<'a>(name: &str, ip: IpAddr) -> Option<Outcome<'a>> {
    let local_unicast = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let local_multicast = match ip {
        IpAddr::V4(ip) => ip.octets().starts_with(&[224, 0, 0]),
        IpAddr::V6(ip) => ip
            .segments()
            .first()
            .is_some_and(|first| first & 0xff0f == 0xff02),
    };
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    let special = ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || local_unicast || broadcast;
    Some(Ok(match name {
        "family" => Val::Int(if ip.is_ipv4() { 4 } else { 6 }),
        "isUnspecified" => Val::Bool(ip.is_unspecified()),
        "isLoopback" => Val::Bool(ip.is_loopback()),
        "isLinkLocalMulticast" => Val::Bool(local_multicast),
        "isLinkLocalUnicast" => Val::Bool(local_unicast),
        "isGlobalUnicast" => Val::Bool(!special),
        _ => return None,
    }))
}

fn cidr_method<'a>(name: &str, network: IpAddr, bits: u8, rest: &[Val<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, rest) {
        ("containsIP", [Val::Ip(other)]) => Ok(Val::Bool(is_inside(network, bits, *other))),
        ("containsIP", [Val::Text(text)]) => {
            ip(text.as_str()).map(|ip| Val::Bool(is_inside(network, bits, ip)))
        }
        ("containsCIDR", [Val::Cidr(other, length)]) => Ok(holds(network, bits, *other, *length)),
        ("containsCIDR", [Val::Text(text)]) => {
            cidr(text.as_str()).map(|(other, length)| holds(network, bits, other, length))
        }
        ("ip", []) => Ok(Val::Ip(network)),
        ("prefixLength", []) => Ok(length(usize::from(bits))),
        ("masked", []) => Ok(Val::Cidr(masked(network, bits), bits)),
        _ => return None,
    })
}

fn holds<'a>(network: IpAddr, bits: u8, other: IpAddr, length: u8) -> Val<'a> {
    Val::Bool(bits <= length && is_inside(network, bits, other))
}

fn masked(network: IpAddr, bits: u8) -> IpAddr {
    let front = front(network, bits);
    match network {
        IpAddr::V4(_) => {
            let top = front
                .checked_shr(96)
                .and_then(|top| u32::try_from(top).ok())
                .unwrap_or(0);
            IpAddr::V4(top.into())
        }
        IpAddr::V6(_) => IpAddr::V6(front.into()),
    }
}

fn url<'a>(text: &str) -> Outcome<'a> {
    let url = Url::parse(text).map(|url| Val::Url(Rc::new(url)));
    url.map_err(|why| {
        Fault::Error(format!(
            "URL parse error during conversion from string: parse {}: {why}",
            go::quote(text)
        ))
    })
}

fn url_method<'a>(name: &str, url: &Url) -> Option<Outcome<'a>> {
    Some(Ok(match name {
        "getScheme" => Val::text(url.scheme.as_str()),
        "getHost" => Val::text(url.host.as_str()),
        "getHostname" => Val::text(url.hostname()),
        "getPort" => Val::text(url.port()),
        "getEscapedPath" => Val::text(url.escaped_path()),
        "getQuery" => {
            let pairs = url
                .query()
                .into_iter()
                .map(|(key, values)| (Val::text(key), Val::texts(values)));
            Val::Map(Map::Own(Rc::new(pairs.collect())))
        }
        _ => return None,
    }))
}
