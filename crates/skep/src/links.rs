//! `skep links DIR`: links named after the programs that skep stands in for.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use crate::faces::FACES;

/// Makes the links, or says what is in the way.
pub fn main(args: &[OsString]) -> ExitCode {
    let [dir] = args else {
        eprintln!("usage: skep links DIR");
        return ExitCode::FAILURE;
    };
    let exe = match std::env::current_exe() {
        Ok(exe) => exe,
        Err(error) => {
            eprintln!("skep: cannot find out where skep is: {error}");
            return ExitCode::FAILURE;
        }
    };
    let dir = Path::new(dir);
    if let Err(error) = fs::create_dir_all(dir) {
        eprintln!("skep: cannot make {}: {error}", dir.display());
        return ExitCode::FAILURE;
    }
    let links = FACES.iter().filter_map(|face| face.link);
    let tools = skep_tools::TOOLS.iter().map(|tool| tool.name);
    let mut failed = false;
    for name in links.chain(tools) {
        let link = dir.join(name);
        match place(&exe, &link) {
            Ok(()) => println!("{}", link.display()),
            Err(error) => {
                failed = true;
                eprintln!("skep: cannot make {}: {error}", link.display());
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Makes one link. One that already leads to us is renewed; anything else of
/// that name is left alone.
fn place(exe: &Path, link: &Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(exe, link) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let old = fs::read_link(link)
                .map_err(|_| io::Error::new(ErrorKind::AlreadyExists, "a file of that name is there"))?;
            if old == exe {
                return Ok(());
            }
            if old.file_name() != exe.file_name() {
                let text = format!("a link to {} is there", old.display());
                return Err(io::Error::new(ErrorKind::AlreadyExists, text));
            }
            fs::remove_file(link)?;
            std::os::unix::fs::symlink(exe, link)
        }
        other => other,
    }
}
