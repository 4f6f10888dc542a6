//! `feature`: what this kernel can do, and which names this program knows.

mod probe;
mod report;

use skep_kernel::bpf::{AttachType, LinkType, MapType, ProgType};
use skep_kernel::netdev;

use super::{HELP, OPTIONS, Object, run};
use crate::cli::{Session, Words};
use crate::error::{Error, Result};

pub(super) static OBJECT: Object = Object {
    name: "feature",
    commands: &[run("probe", probe), run("list_builtins", list_builtins), HELP],
    usage: &[
        "probe [COMPONENT] [full] [unprivileged] [macros [prefix PREFIX]]",
        "list_builtins GROUP",
        "help",
    ],
    terms: &[
        "",
        "COMPONENT := { kernel | dev NAME }",
        "GROUP := { prog_types | map_types | attach_types | link_types | helpers }",
        OPTIONS,
    ],
};

/// What is to be probed, and how it is told.
#[derive(Debug, Default)]
struct Request {
    /// The device that programs are offloaded to; 0 is the kernel.
    ifindex: u32,
    /// Helpers that write to the kernel's log are probed, too.
    full: bool,
    /// As C macros with a prefix.
    macros: Option<String>,
}

fn probe(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    let mut request = Request::default();
    let mut has_component = false;
    let mut has_prefix = false;
    while let Some(word) = words.peek() {
        if words.take("kernel") {
            component(&mut has_component)?;
        } else if words.take("dev") {
            component(&mut has_component)?;
            words.need(1)?;
            let name = words.next().ok_or(Error::Usage)?.to_string_lossy();
            request.ifindex = netdev::index(&name)
                .ok_or_else(|| Error::Message(format!("unrecognized netdevice '{name}': No such device")))?;
        } else if words.take("full") {
            request.full = true;
        } else if words.take("macros") && request.macros.is_none() {
            request.macros = Some(String::new());
        } else if words.take("prefix") {
            if request.macros.is_none() {
                return Err(Error::Message("'prefix' argument can only be use after 'macros'".to_owned()));
            }
            if has_prefix {
                return Err(Error::Message("'prefix' already specified".to_owned()));
            }
            has_prefix = true;
            words.need(1)?;
            let prefix = words.next().ok_or(Error::Usage)?;
            request.macros = Some(prefix.to_string_lossy().into_owned());
        } else if words.take("unprivileged") {
            probe::give_up_privileges()?;
        } else {
            return Err(Error::Message(format!(
                "expected no more arguments, 'kernel', 'dev', 'macros' or 'prefix', got: '{}'?",
                word.to_string_lossy()
            )));
        }
    }
    report::write(session, &request)
}

fn component(has_one: &mut bool) -> Result<()> {
    if std::mem::replace(has_one, true) {
        return Err(Error::Message("component to probe already specified".to_owned()));
    }
    Ok(())
}

fn list_builtins(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    let word = words.peek().ok_or(Error::Usage)?;
    let names: Vec<String> = if words.take("prog_types") {
        ProgType::ALL.iter().map(ToString::to_string).collect()
    } else if words.take("map_types") {
        MapType::ALL.iter().map(ToString::to_string).collect()
    } else if words.take("attach_types") {
        AttachType::ALL.iter().map(ToString::to_string).collect()
    } else if words.take("link_types") {
        LinkType::ALL.iter().map(ToString::to_string).collect()
    } else if words.take("helpers") {
        let helpers = skep_isa::helpers::HELPERS.iter().map(|helper| format!("bpf_{}", helper.name));
        std::iter::once("bpf_unspec".to_owned()).chain(helpers).collect()
    } else {
        return Err(Error::Message(format!(
            "expected 'prog_types', 'map_types', 'attach_types', 'link_types' or 'helpers', got: {}",
            word.to_string_lossy()
        )));
    };
    if session.is_json() {
        session.json(&names)?;
    } else {
        names.iter().try_for_each(|name| writeln!(session.out, "{name}"))?;
    }
    Ok(0)
}
