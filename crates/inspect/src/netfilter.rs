//! Places in the packet filter, by name.

use skep_kernel::bpf::Netfilter;

/// A place as `ip input prio -100`; what has no name is shown as a number.
pub(crate) fn text(place: &Netfilter) -> String {
    const INET_HOOKS: [&str; 5] = ["prerouting", "input", "forward", "output", "postrouting"];
    const ARP_HOOKS: [&str; 3] = ["input", "output", "forward"];
    let Netfilter { family, hook, priority, flags } = *place;
    let (name, hooks): (Option<&str>, &[&str]) = match family {
        2 => (Some("ip"), &INET_HOOKS),
        3 => (Some("arp"), &ARP_HOOKS),
        5 => (Some("netdev"), &INET_HOOKS),
        7 => (Some("bridge"), &INET_HOOKS),
        10 => (Some("ip6"), &INET_HOOKS),
        _ => (None, &[]),
    };
    let family = name.map_or_else(|| format!("pf: {family}"), str::to_owned);
    let hook = hooks.get(hook as usize).map_or_else(|| format!("hook {hook}"), |name| (*name).to_owned());
    let flags = if flags == 0 { String::new() } else { format!(" flags {flags:#x}") };
    format!("{family} {hook} prio {priority}{flags}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_by_name() {
        let place = Netfilter { family: 2, hook: 1, priority: -100, flags: 1 };
        assert_eq!(text(&place), "ip input prio -100 flags 0x1");
        assert_eq!(text(&Netfilter { family: 77, hook: 9, priority: 0, flags: 0 }), "pf: 77 hook 9 prio 0");
    }
}
