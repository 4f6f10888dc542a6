//! `show`, for every kind of object: all of them, or those that a selector means.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;
use skep_kernel::bpf::ObjectKind;

use crate::cli::{Session, Words, error_value};
use crate::collect::{Selector, Surroundings, open_all};
use crate::colour;
use crate::error::{Error, FAILED, Result};
use crate::plain::Plain;

/// Asks the kernel about one object.
type Collect<T> = fn(BorrowedFd<'_>, &Surroundings) -> Result<T>;

/// Shows objects of a kind. All of them come as a JSON array; the only one that a selector means comes by itself.
pub(super) fn run<T: Plain + Serialize>(
    session: &mut Session<'_>,
    words: &mut Words<'_>,
    kind: ObjectKind,
    collect: Collect<T>,
) -> Result<u8> {
    those(session, words, kind, collect, |_| true)
}

/// Shows those objects of a kind that are wanted.
pub(super) fn those<T: Plain + Serialize>(
    session: &mut Session<'_>,
    words: &mut Words<'_>,
    kind: ObjectKind,
    collect: Collect<T>,
    wanted: fn(&T) -> bool,
) -> Result<u8> {
    let selector = match words.len() {
        0 => None,
        2 => Some(Selector::take(kind, words)?),
        _ => return Err(unexpected(words)),
    };
    // Before any object is opened here, so that this process does not count as its holder.
    let around = Surroundings::look(kind, session);
    let selected = selector.map(|selector| selector.open(kind)).transpose()?;
    let single = selected.as_ref().is_some_and(|fds| fds.len() == 1);
    let fds: Box<dyn Iterator<Item = Result<OwnedFd>>> = match selected {
        Some(fds) => Box::new(fds.into_iter().map(Ok)),
        None => Box::new(open_all(kind)),
    };
    let objects = fds.map(|fd| collect(fd?.as_fd(), &around));
    let shown = Cell::new(0);
    let objects = objects.filter(|object| object.as_ref().map_or(true, wanted));
    let objects = objects.inspect(|_| shown.set(shown.get() + 1));
    let status =
        if session.is_json() { show_json(session, objects, single) } else { show_plain(session, objects) };
    // What was asked for by name is there, but is not wanted here.
    if single && shown.get() == 0 && status.is_ok() { Err(Error::NoMatch) } else { status }
}

/// The error about a word that has no place.
pub(super) fn unexpected(words: &Words<'_>) -> Error {
    let word = words.peek().map_or_else(Default::default, |word| word.to_string_lossy());
    Error::Message(format!("what is '{word}'?"))
}

fn show_plain<T: Plain>(session: &mut Session<'_>, objects: impl Iterator<Item = Result<T>>) -> Result<u8> {
    for object in objects {
        write(session, &object?)?;
    }
    Ok(0)
}

/// Shows an object to people.
pub(super) fn write(session: &mut Session<'_>, object: &dyn Plain) -> Result<()> {
    if !session.colours {
        return Ok(object.write(session.out)?);
    }
    let mut text = Vec::new();
    object.write(&mut text)?;
    session.out.write_all(colour::paint(&String::from_utf8_lossy(&text)).as_bytes())?;
    Ok(())
}

fn show_json<T: Serialize>(
    session: &mut Session<'_>,
    objects: impl Iterator<Item = Result<T>>,
    single: bool,
) -> Result<u8> {
    let mut json = session.writer();
    if !single {
        json.begin_array()?;
    }
    let mut status = 0;
    for object in objects {
        match object {
            Ok(object) => json.value(&object)?,
            // An error takes the place of the object, so that what came before it stays readable.
            Err(error) => {
                json.value(&error_value(&error))?;
                status = FAILED;
                break;
            }
        }
    }
    if !single {
        json.end_array()?;
    }
    Ok(status)
}
