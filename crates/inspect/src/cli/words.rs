//! The words of a command, taken one by one.

use std::ffi::{OsStr, OsString};

use crate::error::{Error, Result};

/// The words that are left of a command line.
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    /// The word before, which messages name.
    before: &'a OsString,
    rest: &'a [OsString],
}

impl<'a> Words<'a> {
    /// The words behind `before`.
    pub(crate) fn new(before: &'a OsString, rest: &'a [OsString]) -> Self {
        Self { before, rest }
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next word, which stays.
    pub(crate) fn peek(&self) -> Option<&'a OsString> {
        self.rest.first()
    }

    /// Takes the next word.
    pub(crate) fn next(&mut self) -> Option<&'a OsString> {
        let (first, rest) = self.rest.split_first()?;
        (self.before, self.rest) = (first, rest);
        Some(first)
    }

    /// Takes the next word if it is a beginning of `keyword`.
    pub(crate) fn take(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|word| is_prefix(word, keyword));
        if found {
            self.next();
        }
        found
    }

    /// Fails unless at least `count` words are left.
    pub(crate) fn need(&self, count: usize) -> Result<()> {
        if self.rest.len() >= count {
            return Ok(());
        }
        let word = self.before.to_string_lossy();
        Err(Error::Message(format!("'{word}' needs at least {count} arguments, {} found", self.rest.len())))
    }

    /// Fails if words are left.
    pub(crate) fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::Usage) }
    }
}

/// Whether a word is a beginning of a keyword. The empty word is a beginning of none.
pub(crate) fn is_prefix(word: &OsStr, keyword: &str) -> bool {
    word.to_str().is_some_and(|word| !word.is_empty() && keyword.starts_with(word))
}
