//! `token`: what mounted bpffs delegate to unprivileged processes.

use serde::Serialize;
use skep_kernel::mounts;

use super::{HELP, OPTIONS, Object, run};
use crate::cli::{Session, Words};
use crate::error::{Error, Result};

pub(super) static OBJECT: Object = Object {
    name: "token",
    commands: &[run("show", show), run("list", show), HELP],
    usage: &["{ show | list }", "help"],
    terms: &[OPTIONS, ""],
};

/// What a bpffs delegates.
#[derive(Debug, Serialize)]
struct Token {
    /// Where it is mounted.
    token_info: String,
    allowed_cmds: Vec<String>,
    allowed_maps: Vec<String>,
    allowed_progs: Vec<String>,
    allowed_attachs: Vec<String>,
}

fn show(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    if !words.is_empty() {
        return Err(super::show::unexpected(words));
    }
    let mounts = mounts::mounts().map_err(|error| Error::kernel("can't read the list of mounts", &error))?;
    let tokens: Vec<Token> = mounts
        .iter()
        .filter(|mount| mount.fs_type == "bpf")
        .filter_map(|mount| token(&mount.target.to_string_lossy(), &mount.options.to_string_lossy()))
        .collect();
    if session.is_json() {
        session.json(&tokens)?;
        return Ok(0);
    }
    for token in &tokens {
        writeln!(session.out, "token_info  {}", token.token_info)?;
        let lists = [
            ("allowed_cmds", &token.allowed_cmds),
            ("allowed_maps", &token.allowed_maps),
            ("allowed_progs", &token.allowed_progs),
            ("allowed_attachs", &token.allowed_attachs),
        ];
        for (name, list) in lists {
            write!(session.out, "\t{name}:")?;
            for (index, item) in list.iter().enumerate() {
                write!(session.out, "{}{item:<20}", if index % 4 == 0 { "\n\t  " } else { "" })?;
            }
            writeln!(session.out)?;
        }
    }
    Ok(0)
}

/// The delegation in a mount's options; `None` if there is none.
fn token(path: &str, options: &str) -> Option<Token> {
    let list = |name: &str| -> Vec<String> {
        let value = options.split(',').find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
        value.map_or_else(Vec::new, |value| value.split(':').map(str::to_owned).collect())
    };
    let token = Token {
        token_info: path.to_owned(),
        allowed_cmds: list("delegate_cmds"),
        allowed_maps: list("delegate_maps"),
        allowed_progs: list("delegate_progs"),
        allowed_attachs: list("delegate_attachs"),
    };
    options.contains("delegate_").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_mount() {
        let token = token("/t", "rw,delegate_cmds=map_create:prog_load,delegate_attachs=xdp").unwrap();
        assert_eq!(token.allowed_cmds, ["map_create", "prog_load"]);
        assert_eq!(token.allowed_attachs, ["xdp"]);
        assert!(token.allowed_maps.is_empty());
        assert!(super::token("/t", "rw,relatime").is_none());
    }
}
