//! Every class of address, at both ends of its range; and URLs that hide an address.

use super::*;

/// Ports of webhooks on public addresses.
fn strict() -> AddressRules {
    AddressRules::new(vec![80..=80, 443..=443, 8000..=8999], vec![])
}

fn allowing(networks: &[&str]) -> AddressRules {
    AddressRules { networks: networks.iter().map(|network| network.parse().unwrap()).collect(), ..strict() }
}

/// An address, and whether everybody reaches it.
const ADDRESSES: &[(&str, bool)] = &[
    // Public ones, also right beside what is not.
    ("1.1.1.1", true),
    ("8.8.8.8", true),
    ("9.255.255.255", true),
    ("11.0.0.0", true),
    ("100.63.255.255", true),
    ("100.128.0.0", true),
    ("126.255.255.255", true),
    ("128.0.0.0", true),
    ("168.63.129.15", true),
    ("169.253.255.255", true),
    ("169.255.0.0", true),
    ("172.15.255.255", true),
    ("172.32.0.0", true),
    ("192.0.1.0", true),
    ("192.167.255.255", true),
    ("192.169.0.0", true),
    ("198.17.255.255", true),
    ("198.20.0.0", true),
    ("223.255.255.255", true),
    ("2001:200::", true),
    ("2001:4860:4860::8888", true),
    ("2606:4700:4700::1111", true),
    ("2a00:1450:4001:830::200e", true),
    ("3ffe:ffff::", true),
    // "This network", and the host itself.
    ("0.0.0.0", false),
    ("0.0.0.1", false),
    ("0.255.255.255", false),
    ("::", false),
    // Loopback.
    ("127.0.0.0", false),
    ("127.0.0.1", false),
    ("127.255.255.255", false),
    ("::1", false),
    // Private.
    ("10.0.0.0", false),
    ("10.255.255.255", false),
    ("172.16.0.0", false),
    ("172.31.255.255", false),
    ("192.168.0.0", false),
    ("192.168.255.255", false),
    ("fc00::", false),
    ("fd12:3456:789a::1", false),
    ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    // Link-local and site-local.
    ("169.254.0.0", false),
    ("169.254.255.255", false),
    ("fe80::", false),
    ("fe80::1", false),
    ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("fec0::1", false),
    ("feff:ffff::", false),
    // Shared by the customers of a carrier.
    ("100.64.0.0", false),
    ("100.127.255.255", false),
    // Metadata and agents of clouds.
    ("169.254.169.254", false),
    ("169.254.170.2", false),
    ("169.254.169.253", false),
    ("fd00:ec2::254", false),
    ("fd20:ce::254", false),
    ("100.100.100.200", false),
    ("168.63.129.16", false),
    ("192.0.0.192", false),
    // Multicast and broadcast.
    ("224.0.0.0", false),
    ("224.0.0.251", false),
    ("239.255.255.255", false),
    ("255.255.255.255", false),
    ("ff00::", false),
    ("ff02::1", false),
    ("ff0e::1", false),
    // Documentation and benchmarks.
    ("192.0.2.1", false),
    ("198.51.100.1", false),
    ("203.0.113.255", false),
    ("2001:db8::1", false),
    ("3fff::1", false),
    ("198.18.0.0", false),
    ("198.19.255.255", false),
    ("2001:2::1", false),
    // Protocols, relays, sinks, reserved.
    ("192.0.0.1", false),
    ("192.0.0.170", false),
    ("192.31.196.1", false),
    ("192.52.193.1", false),
    ("192.88.99.1", false),
    ("192.175.48.1", false),
    ("240.0.0.0", false),
    ("254.255.255.255", false),
    ("100::1", false),
    ("100:0:0:1::1", false),
    ("2001:1::1", false),
    ("2001:3::1", false),
    ("2001:4:112::1", false),
    ("2001:10::1", false),
    ("2001:20::1", false),
    ("2001:30::1", false),
    ("2620:4f:8000::1", false),
    ("5f00::1", false),
    // Not given out by anybody.
    ("1::1", false),
    ("1fff:ffff::", false),
    ("4000::1", false),
    ("fe00::1", false),
    // IPv6 that stands for IPv4, whatever it stands for.
    ("::ffff:127.0.0.1", false),
    ("::ffff:8.8.8.8", false),
    ("::127.0.0.1", false),
    ("::8.8.8.8", false),
    ("::ffff:0:127.0.0.1", false),
    ("64:ff9b::127.0.0.1", false),
    ("64:ff9b::8.8.8.8", false),
    ("64:ff9b:1::10.0.0.1", false),
    ("64:ff9b:1:ffff:ffff:ffff:8.8.8.8", false),
    ("2002:7f00:1::", false),
    ("2002:808:808::1", false),
    ("2001::1", false),
    ("2001:0:4136:e378:8000:63bf:80ff:fffe", false),
];

#[test]
fn only_what_everybody_reaches_is_allowed() {
    assert!(ADDRESSES.len() > 60);
    let rules = strict();
    for (text, is_public) in ADDRESSES {
        assert_eq!(rules.allows(text.parse().unwrap()), *is_public, "{text}");
    }
}

#[test]
fn a_network_allows_its_own_addresses_and_no_others() {
    let rules = allowing(&["10.20.0.0/16", "fd12::/16", "127.0.0.1/32"]);
    for (text, is_allowed) in [
        ("10.20.0.0", true),
        ("10.20.255.255", true),
        ("10.19.255.255", false),
        ("10.21.0.0", false),
        ("fd12::1", true),
        ("fd13::1", false),
        ("127.0.0.1", true),
        ("127.0.0.2", false),
        ("::1", false),
        ("::ffff:10.20.0.1", false),
        ("::ffff:127.0.0.1", false),
        ("::127.0.0.1", false),
        ("64:ff9b::10.20.0.1", false),
        ("2002:a14:1::1", false),
        ("169.254.169.254", false),
        ("8.8.8.8", true),
    ] {
        assert_eq!(rules.allows(text.parse().unwrap()), is_allowed, "{text}");
    }
}

/// In a network that reaches IPv4 through a translator, every name has an address of its prefix.
#[test]
fn a_translator_is_allowed_without_what_is_private_behind_it() {
    let rules = allowing(&["64:ff9b::/96", "2002::/16", "2001::/32", "::ffff:0:0/96", "10.20.0.0/16"]);
    for (text, is_allowed) in [
        ("64:ff9b::8.8.8.8", true),
        ("64:ff9b::10.20.0.1", true),
        ("64:ff9b::10.0.0.1", false),
        ("64:ff9b::127.0.0.1", false),
        ("64:ff9b::169.254.169.254", false),
        ("::ffff:8.8.8.8", true),
        ("::ffff:127.0.0.1", false),
        ("2002:808:808::1", true),
        ("2002:a9fe:a9fe::1", false),
        // 8.8.8.8 and 169.254.169.254, each bit turned over.
        ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", true),
        ("2001:0:4136:e378:8000:63bf:5601:5601", false),
    ] {
        assert_eq!(rules.allows(text.parse().unwrap()), is_allowed, "{text}");
    }
}

#[test]
fn a_url_is_taken_in_its_normal_form() {
    for (text, normal) in [
        ("https://receiver.example/hooks?x=1", "https://receiver.example/hooks?x=1"),
        ("https://receiver.example", "https://receiver.example/"),
        ("HTTP://Receiver.Example:8080/Hooks", "http://receiver.example:8080/Hooks"),
        ("https://receiver.example:443/", "https://receiver.example/"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://134744072/", "http://8.8.8.8/"),
        ("http://[2606:4700:4700::1111]:8443/", "http://[2606:4700:4700::1111]:8443/"),
        ("https://empfänger.example/", "https://xn--empfnger-3za.example/"),
        // What it stands for is seen when it is looked up.
        ("http://localhost/", "http://localhost/"),
        ("http://metadata.google.internal/", "http://metadata.google.internal/"),
    ] {
        assert_eq!(strict().parse(text).map(String::from).as_deref(), Ok(normal), "{text}");
    }
}

#[test]
fn a_bad_url_is_refused_with_its_reason() {
    let long = format!("https://receiver.example/{}", "a".repeat(2048));
    let grows = format!("https://receiver.example/{}", "ä".repeat(900));
    for (text, expected) in [
        (long.as_str(), AddressError::Length),
        (&grows, AddressError::Length),
        ("", AddressError::NotAUrl),
        ("receiver.example/hooks", AddressError::NotAUrl),
        ("//receiver.example/", AddressError::NotAUrl),
        ("http://", AddressError::NotAUrl),
        ("http://:80/", AddressError::NotAUrl),
        ("http://receiver.example:99999/", AddressError::NotAUrl),
        ("http://[fe80::1%25eth0]/", AddressError::NotAUrl),
        ("http://[::1/", AddressError::NotAUrl),
        ("http://1.2.3.4.5/", AddressError::NotAUrl),
        ("http://256.256.256.256/", AddressError::NotAUrl),
        (" https://receiver.example/", AddressError::Characters),
        ("https://receiver.example/\n", AddressError::Characters),
        ("ht\ttps://receiver.example/", AddressError::Characters),
        ("https://receiver.example/a b", AddressError::Characters),
        ("https://receiver.example/\0", AddressError::Characters),
        ("ftp://receiver.example/", AddressError::Scheme),
        ("file:///etc/passwd", AddressError::Scheme),
        ("gopher://127.0.0.1:6379/_x", AddressError::Scheme),
        ("ws://receiver.example/", AddressError::Scheme),
        ("javascript:alert(1)", AddressError::Scheme),
        ("localhost:8080", AddressError::Scheme),
        ("https://me@receiver.example/", AddressError::UserInfo),
        ("https://me:secret@receiver.example/", AddressError::UserInfo),
        ("https://:secret@receiver.example/", AddressError::UserInfo),
        ("https://receiver.example:443@127.0.0.1/", AddressError::UserInfo),
        ("https://receiver.example/#", AddressError::Fragment),
        ("https://receiver.example/hooks#part", AddressError::Fragment),
        ("https://receiver.example:22/", AddressError::Port(22)),
        ("https://receiver.example:0/", AddressError::Port(0)),
        ("http://receiver.example:9000/", AddressError::Port(9000)),
    ] {
        assert_eq!(strict().parse(text), Err(expected), "{text:?}");
    }
}

/// What a browser, a shell or a resolver would take for 127.0.0.1 and its like.
#[test]
fn an_address_in_disguise_is_refused() {
    for text in [
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://127.1/",
        "http://127.0.1/",
        "http://0/",
        "http://2130706433/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://0X7F.0.0.0x1/",
        "http://127%2e0%2e0%2e1/",
        "http://%31%32%37.0.0.1/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http:127.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "http:///127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://[::1]/",
        "http://[::]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
    ] {
        assert_eq!(strict().parse(text), Err(AddressError::NotAllowed), "{text}");
    }
}

#[test]
fn rules_that_changed_are_asked_again() {
    let url = allowing(&["10.0.0.0/8"]).parse("http://10.1.2.3:8443/hooks").unwrap();
    assert_eq!(strict().check(&url), Err(AddressError::NotAllowed));
    let other = AddressRules::new(vec![443..=443], vec!["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(other.check(&url), Err(AddressError::Port(8443)));
    assert_eq!(AddressRules::default().check(&url), Err(AddressError::Port(8443)));
}

#[test]
fn no_reason_shows_the_url() {
    let told = strict().parse("https://me:hunter2@receiver.example/hunter2").unwrap_err();
    assert!(!format!("{told} {told:?}").contains("hunter2"));
}

#[test]
fn where_only_the_networks_are_allowed_nobody_else_is() {
    let rules = allowing(&["127.0.0.0/8"]).only_networks(true);
    for (address, is_allowed) in [
        ("127.0.0.1", true),
        ("127.255.0.1", true),
        ("93.184.216.34", false),
        ("2606:2800:220:1::1", false),
        ("10.0.0.1", false),
        ("::ffff:93.184.216.34", false),
        ("64:ff9b::5db8:d822", false),
    ] {
        assert_eq!(rules.allows(address.parse().unwrap()), is_allowed, "{address}");
    }
    assert_eq!(rules.parse("http://93.184.216.34:8080/"), Err(AddressError::NotAllowed));
    assert!(allowing(&[]).only_networks(false).allows("93.184.216.34".parse().unwrap()));
}
