//! `show`, for every kind of object: all of them, or those that a selector means.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;
use serde_json::{Value, json};
use skep_kernel::bpf::ObjectKind;

use crate::cli::Session;
use crate::collect::{Selector, Surroundings, open_all};
use crate::error::{Error, FAILED, Result};
use crate::plain::Plain;

/// Asks the kernel about one object.
type Collect<T> = fn(BorrowedFd<'_>, &Surroundings) -> Result<T>;

/// Shows objects of a kind. All of them come as a JSON array; the only one that a selector means comes by itself.
pub(super) fn run<T: Plain + Serialize>(
    session: &mut Session<'_>,
    words: &[OsString],
    kind: ObjectKind,
    collect: Collect<T>,
) -> Result<u8> {
    let selector = match words {
        [] => None,
        [keyword, value] => Some(Selector::parse(kind, keyword, value)?),
        [first, ..] => return Err(Error::Message(format!("what is '{}'?", first.to_string_lossy()))),
    };
    // Before any object is opened here, so that this process does not count as its holder.
    let around = Surroundings::look(kind, session.options.bpffs);
    let selected = selector.map(|selector| selector.open(kind)).transpose()?;
    let single = selected.as_ref().is_some_and(|fds| fds.len() == 1);
    let fds: Box<dyn Iterator<Item = Result<OwnedFd>>> = match selected {
        Some(fds) => Box::new(fds.into_iter().map(Ok)),
        None => Box::new(open_all(kind)),
    };
    let objects = fds.map(|fd| collect(fd?.as_fd(), &around));
    if session.is_json() { show_json(session, objects, single) } else { show_plain(session, objects) }
}

fn show_plain<T: Plain>(session: &mut Session<'_>, objects: impl Iterator<Item = Result<T>>) -> Result<u8> {
    for object in objects {
        object?.write(session.out)?;
    }
    Ok(0)
}

fn show_json<T: Serialize>(
    session: &mut Session<'_>,
    objects: impl Iterator<Item = Result<T>>,
    single: bool,
) -> Result<u8> {
    let mut status = 0;
    let mut values: Vec<Value> = Vec::new();
    for object in objects {
        // An error takes the place of the object, so that what came before it stays readable.
        let value = object.and_then(|object| {
            serde_json::to_value(object).map_err(|error| Error::Message(format!("cannot write: {error}")))
        });
        match value {
            Ok(value) => values.push(value),
            Err(error) => {
                values.push(json!({ "error": error.to_string() }));
                status = FAILED;
                break;
            }
        }
    }
    match values.as_slice() {
        [only] if single => session.json(only)?,
        all => session.json(all)?,
    }
    Ok(status)
}
