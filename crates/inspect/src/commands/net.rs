//! `net`: programs attached to network devices and to the network namespace.

use std::io;
use std::os::fd::AsFd;

use serde_json::{Map, Value, json};
use skep_kernel::bpf::{
    self, AttachType, Attached, LinkDetails, LinkInfo, Netfilter, ObjectKind, QueryTarget,
};
use skep_kernel::netlink::{self, Device, Filter, Netlink, Xdp};
use skep_kernel::{netdev, proc};

use super::{HELP, OPTIONS, Object, PROG, later, run};
use crate::cli::{Session, Words, is_prefix};
use crate::collect;
use crate::error::{Error, Result};
use crate::netfilter;
use crate::plain::safe;

pub(super) static OBJECT: Object = Object {
    name: "net",
    commands: &[run("show", show), run("list", show), later("attach"), later("detach"), HELP],
    usage: &[
        "{ show | list } [dev <devname>]",
        "attach ATTACH_TYPE PROG dev <devname> [ overwrite | prepend ]",
        "detach ATTACH_TYPE dev <devname>",
        "help",
    ],
    terms: &[
        "",
        PROG,
        "ATTACH_TYPE := { xdp | xdpgeneric | xdpdrv | xdpoffload | tcx_ingress",
        "                 | tcx_egress }",
        OPTIONS,
        "",
    ],
};

/// Everything that is attached.
#[derive(Debug, Default)]
struct Attachments {
    xdp: Vec<(Device, Xdp)>,
    traffic: Vec<Traffic>,
    flow_dissector: Vec<u32>,
    netfilter: Vec<(Netfilter, u32)>,
    /// Programs that choose the socket of a connection, of this namespace; the original leaves them out.
    sk_lookup: Vec<u32>,
}

/// A program that looks at a device's packets.
#[derive(Debug)]
struct Traffic {
    device: String,
    ifindex: u32,
    kind: String,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Attached to the device itself: tcx and netkit.
    Direct { name: String, prog_id: u32, prog_flags: u32, link_id: u32, link_flags: u32 },
    /// A classifier of traffic control.
    Classifier(Filter),
}

fn show(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    let only = match words.len() {
        0 => None,
        2 => {
            let keyword = words.next().ok_or(Error::Usage)?;
            if !is_prefix(keyword, "dev") {
                return Err(Error::Message(format!("expected 'dev', got: '{}'?", keyword.to_string_lossy())));
            }
            let name = words.next().ok_or(Error::Usage)?.to_string_lossy();
            let index = netdev::index(&name)
                .ok_or_else(|| Error::Status(format!("invalid devname {name}"), crate::error::FAILED))?;
            Some(index)
        }
        _ => return Err(Error::Usage),
    };
    let found = Attachments::collect(only)?;
    if session.is_json() {
        session.json(&json!([found.json()]))?;
    } else {
        found.write(session.out)?;
    }
    Ok(0)
}

impl Attachments {
    /// Asks for the attachments, of one device or of all.
    fn collect(only: Option<u32>) -> Result<Self> {
        let unasked = |error| Error::kernel("can't ask rtnetlink", &error);
        let mut netlink = Netlink::open().map_err(unasked)?;
        let mut devices = netlink.devices().map_err(unasked)?;
        devices.retain(|device| only.is_none_or(|only| device.ifindex == only));
        let mut found = Self::default();
        for device in &devices {
            found.xdp.extend(device.xdp.map(|xdp| (device.clone(), xdp)));
            found.direct(device)?;
            found.classifiers(&mut netlink, device);
        }
        if let Some(namespace) = proc::network_namespace() {
            let of = |place| -> Result<Vec<u32>> {
                let attached = attached(QueryTarget::Fd(namespace.as_fd()), place)?;
                Ok(attached.iter().map(|attached| attached.prog_id).collect())
            };
            found.flow_dissector = of(AttachType::FLOW_DISSECTOR)?;
            found.sk_lookup = of(AttachType::SK_LOOKUP)?;
        }
        found.netfilter = netfilter_links()?;
        Ok(found)
    }

    fn direct(&mut self, device: &Device) -> Result<()> {
        const PLACES: [(AttachType, &str); 4] = [
            (AttachType::TCX_INGRESS, "tcx/ingress"),
            (AttachType::TCX_EGRESS, "tcx/egress"),
            (AttachType::NETKIT_PRIMARY, "netkit/primary"),
            (AttachType::NETKIT_PEER, "netkit/peer"),
        ];
        for (place, kind) in PLACES {
            let attached = attached(QueryTarget::Ifindex(device.ifindex), place)?;
            self.traffic.extend(attached.into_iter().map(|attached| Traffic {
                device: device.name.clone(),
                ifindex: device.ifindex,
                kind: kind.to_owned(),
                what: What::Direct {
                    name: program_name(attached.prog_id),
                    prog_id: attached.prog_id,
                    prog_flags: attached.prog_flags,
                    link_id: attached.link_id,
                    link_flags: attached.link_flags,
                },
            }));
        }
        Ok(())
    }

    fn classifiers(&mut self, netlink: &mut Netlink, device: &Device) {
        let ifindex = device.ifindex;
        let mut places: Vec<(String, u32)> = Vec::new();
        // A device can be without any, or gone again.
        for class in netlink.classes(ifindex).unwrap_or_default() {
            places.push((class.kind, class.handle));
        }
        for discipline in netlink.disciplines(ifindex).unwrap_or_default() {
            // clsact has no classifiers below its own handle but below two of their own.
            if discipline.kind != "clsact" && discipline.handle != 0 {
                places.push((discipline.kind, discipline.handle));
            }
        }
        places.push(("root".to_owned(), netlink::handle::ROOT));
        places.push(("clsact/ingress".to_owned(), netlink::handle::INGRESS));
        places.push(("clsact/egress".to_owned(), netlink::handle::EGRESS));
        for (kind, handle) in places {
            for filter in netlink.filters(ifindex, handle).unwrap_or_default() {
                self.traffic.push(Traffic {
                    device: device.name.clone(),
                    ifindex,
                    kind: kind.clone(),
                    what: What::Classifier(filter),
                });
            }
        }
    }

    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "xdp:")?;
        for (device, xdp) in &self.xdp {
            write!(out, "{}({})", safe(&device.name), device.ifindex)?;
            for (mode, id) in modes(xdp) {
                write!(out, " {mode} id {id}")?;
            }
            writeln!(out)?;
        }
        writeln!(out, "\ntc:")?;
        for traffic in &self.traffic {
            traffic.write(out)?;
        }
        writeln!(out, "\nflow_dissector:")?;
        for id in &self.flow_dissector {
            write!(out, "id {id}")?;
        }
        writeln!(out, "\nnetfilter:\n")?;
        for (place, id) in &self.netfilter {
            writeln!(out, "\t{} prog_id {id}", netfilter::text(place))?;
        }
        // Only where there is one, since the original has no such part.
        if !self.sk_lookup.is_empty() {
            writeln!(out, "\nsk_lookup:")?;
        }
        for id in &self.sk_lookup {
            writeln!(out, "id {id}")?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let xdp: Vec<Value> = self.xdp.iter().map(|(device, xdp)| xdp_json(device, xdp)).collect();
        let traffic: Vec<Value> = self.traffic.iter().map(Traffic::json).collect();
        let ids = |ids: &[u32]| ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>();
        let netfilter: Vec<Value> = self
            .netfilter
            .iter()
            .map(|(Netfilter { family, hook, priority, flags }, id)| {
                json!({"pf": family, "hook": hook, "prio": priority, "flags": flags, "id": id})
            })
            .collect();
        let mut all = json!({
            "xdp": xdp,
            "tc": traffic,
            "flow_dissector": ids(&self.flow_dissector),
            "netfilter": netfilter,
        });
        if let (false, Some(all)) = (self.sk_lookup.is_empty(), all.as_object_mut()) {
            all.insert("sk_lookup".to_owned(), ids(&self.sk_lookup).into());
        }
        all
    }
}

/// The programs at a place. A kernel or device that has no such place has none there; who may not ask is told so, and
/// not that there are none.
fn attached(target: QueryTarget<'_>, place: AttachType) -> Result<Vec<Attached>> {
    match bpf::prog_query(target, place, false) {
        Err(error) if collect::is(&error, "EPERM") => Err(Error::kernel("can't query prog", &error)),
        asked => Ok(asked.unwrap_or_default()),
    }
}

/// The programs of a device with their modes.
fn modes(xdp: &Xdp) -> Vec<(&'static str, u32)> {
    const NAMES: [&str; 3] = ["driver", "generic", "offload"];
    const SEVERAL: u8 = 4;
    if xdp.mode == SEVERAL {
        let each = [(NAMES[1], xdp.generic_id), (NAMES[0], xdp.driver_id), (NAMES[2], xdp.hardware_id)];
        return each.into_iter().filter(|(_, id)| *id != 0).collect();
    }
    let name = usize::from(xdp.mode).checked_sub(1).and_then(|mode| NAMES.get(mode));
    vec![(name.copied().unwrap_or("unknown"), xdp.prog_id)]
}

fn xdp_json(device: &Device, xdp: &Xdp) -> Value {
    let mut value = json!({ "devname": device.name, "ifindex": device.ifindex });
    let Some(object) = value.as_object_mut() else { return value };
    match modes(xdp).as_slice() {
        [(mode, id)] => {
            object.insert("mode".to_owned(), (*mode).into());
            object.insert("id".to_owned(), (*id).into());
        }
        several => {
            let each: Vec<Value> =
                several.iter().map(|(mode, id)| json!({ "mode": mode, "id": id })).collect();
            object.insert("multi_attachments".to_owned(), each.into());
        }
    }
    value
}

impl Traffic {
    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        write!(out, "{}({}) {}", safe(&self.device), self.ifindex, self.kind)?;
        match &self.what {
            What::Direct { name, prog_id, prog_flags, link_id, link_flags } => {
                write!(out, " {} prog_id {prog_id} ", safe(name))?;
                if *prog_flags != 0 {
                    write!(out, "{} ", flag_names(*prog_flags).join(" "))?;
                }
                if *link_id != 0 {
                    write!(out, "link_id {link_id} ")?;
                }
                if *link_flags != 0 {
                    write!(out, "{} ", flag_names(*link_flags).join(" "))?;
                }
            }
            What::Classifier(filter) => {
                if !filter.name.is_empty() {
                    write!(out, " {}", safe(&filter.name))?;
                }
                if filter.prog_id != 0 {
                    write!(out, " id {}", filter.prog_id)?;
                }
                for (index, (name, id)) in filter.actions.iter().enumerate() {
                    write!(out, "{}{} id {id}", if index == 0 { " act [" } else { "] [" }, safe(name))?;
                }
                if !filter.actions.is_empty() {
                    write!(out, "]")?;
                }
            }
        }
        writeln!(out)
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("devname", self.device.as_str().into());
        put("ifindex", self.ifindex.into());
        put("kind", self.kind.as_str().into());
        match &self.what {
            What::Direct { name, prog_id, prog_flags, link_id, link_flags } => {
                put("name", name.as_str().into());
                put("prog_id", (*prog_id).into());
                put("prog_flags", flag_names(*prog_flags).into());
                put("link_id", (*link_id).into());
                put("link_flags", flag_names(*link_flags).into());
            }
            What::Classifier(filter) => {
                if !filter.name.is_empty() {
                    put("name", filter.name.as_str().into());
                }
                if filter.prog_id != 0 {
                    put("id", filter.prog_id.into());
                }
                if !filter.actions.is_empty() {
                    let actions = filter.actions.iter().map(|(name, id)| json!({ "name": name, "id": id }));
                    put("act", actions.collect::<Vec<_>>().into());
                }
            }
        }
        Value::Object(object)
    }
}

/// The names of flags with which a program was put in its order.
fn flag_names(flags: u32) -> Vec<String> {
    (0..u32::BITS)
        .filter(|bit| flags >> bit & 1 != 0)
        .map(|bit| format!("unknown({:#x})", 1u32 << bit))
        .collect()
}

fn program_name(id: u32) -> String {
    let name = || {
        let fd = bpf::get_fd_by_id(ObjectKind::Prog, id, 0).ok()?;
        Some(collect::full_name(&bpf::prog_info(fd.as_fd()).ok()?))
    };
    name().unwrap_or_default()
}

/// The netfilter links of all namespaces, in the order in which their programs run.
fn netfilter_links() -> Result<Vec<(Netfilter, u32)>> {
    let mut places = Vec::new();
    for id in bpf::ids(ObjectKind::Link) {
        let id = match id {
            Ok(id) => id,
            Err(error) if collect::is(&error, "EPERM") => {
                return Err(Error::kernel("can't get next link", &error));
            }
            // Kernels before 5.8 have no ids of links, and no netfilter links.
            Err(_) => break,
        };
        let info = bpf::get_fd_by_id(ObjectKind::Link, id, 0).and_then(|fd| bpf::link_info(fd.as_fd()));
        if let Ok(LinkInfo { details: LinkDetails::Netfilter(place), prog_id, .. }) = info {
            places.push((place, prog_id));
        }
    }
    places.sort_by_key(|(place, _)| (place.family, place.hook, place.priority, place.flags));
    Ok(places)
}
