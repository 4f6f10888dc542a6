//! `prog dump { xlated | jited } PROG`: a program's code.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use skep_kernel::Errno;
use skep_kernel::bpf::ObjectKind;

use crate::cli::{Session, Words};
use crate::code::listing::{self, Details};
use crate::code::picture::{self, Form};
use crate::code::{CallNames, Code, dot, native};
use crate::collect::Selector;
use crate::error::{Error, Result};
use crate::model::ProgHead;
use crate::plain::Plain;

/// What of the program is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The instructions as the verifier left them.
    Xlated,
    /// The machine code.
    Jited,
}

/// How it is shown.
#[derive(Default)]
struct Request<'a> {
    file: Option<&'a OsStr>,
    visual: Option<Visual>,
    details: Details,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visual {
    Dot,
    Picture(Form),
}

pub(super) fn run(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    let missing = || Error::Message("expected 'xlated' or 'jited', and which program".to_owned());
    let mode = words.next().ok_or_else(missing)?;
    let mode = match &*mode.to_string_lossy() {
        word if !word.is_empty() && "jited".starts_with(word) => Mode::Jited,
        word if !word.is_empty() && "xlated".starts_with(word) => Mode::Xlated,
        word => return Err(Error::Message(format!("expected 'xlated' or 'jited', got: {word}"))),
    };
    if words.len() < 2 {
        return Err(Error::Usage);
    }
    let fds = Selector::take(ObjectKind::Prog, words)?.open(ObjectKind::Prog)?;
    let several = fds.len() > 1;
    let request = Request::parse(words, several)?;
    request.check(session.is_json())?;
    if session.is_json() && several {
        let mut json = session.writer();
        json.begin_array()?;
        for fd in &fds {
            let code = Code::read(fd.as_fd())?;
            json.begin_object()?;
            json.fields(&ProgHead::of(&code.info))?;
            json.name("insns")?;
            if let Err(error) = request.json(&mut json, &code, mode) {
                json.value(&crate::cli::error_value(&error))?;
            }
            json.end_object()?;
        }
        json.end_array()?;
        return Ok(0);
    }
    for (index, fd) in fds.iter().enumerate() {
        let code = Code::read(fd.as_fd())?;
        if several {
            ProgHead::of(&code.info).write(session.out)?;
        }
        request.show(session, &code, mode)?;
        if index + 1 < fds.len() {
            writeln!(session.out)?;
        }
    }
    Ok(0)
}

impl<'a> Request<'a> {
    fn parse(words: &mut Words<'a>, several: bool) -> Result<Self> {
        let one_only = || Error::Message("several programs matched".to_owned());
        let mut request = Self::default();
        while !words.is_empty() {
            if words.take("file") {
                let file = words.next().ok_or_else(|| Error::Message("expected file path".to_owned()))?;
                if several {
                    return Err(one_only());
                }
                request.file = Some(file);
            } else if words.take("opcodes") {
                request.details.opcodes = true;
            } else if words.take("visual") {
                if several {
                    return Err(one_only());
                }
                request.visual = Some(Visual::parse(words));
            } else if words.take("linum") {
                request.details.linum = true;
            } else {
                return Err(Error::Usage);
            }
        }
        Ok(request)
    }

    fn check(&self, json: bool) -> Result<()> {
        let Details { opcodes, linum } = self.details;
        if self.file.is_some() && (opcodes || linum || self.visual.is_some()) {
            let text = "'file' is not compatible with 'opcodes', 'visual', or 'linum'";
            return Err(Error::Message(text.to_owned()));
        }
        if json && self.visual.is_some() {
            return Err(Error::Message("'visual' is not compatible with JSON output".to_owned()));
        }
        Ok(())
    }

    fn show(&self, session: &mut Session<'_>, code: &Code, mode: Mode) -> Result<()> {
        present(code, mode)?;
        if let Some(file) = self.file {
            save(file, &bytes(code, mode))?;
            if session.is_json() {
                session.json(&())?;
            }
            return Ok(());
        }
        if session.is_json() {
            return self.json(&mut session.writer(), code, mode);
        }
        match (mode, self.visual) {
            (Mode::Jited, _) => native::plain(session.out, code, self.details)?,
            (Mode::Xlated, visual) => {
                let names = CallNames::look_up(code);
                match visual {
                    None => listing::plain(session.out, code, &names, self.details)?,
                    Some(Visual::Dot) => dot::write(session.out, code, &names, self.details)?,
                    Some(Visual::Picture(form)) => {
                        picture::write(session.out, code, &names, self.details, form)
                            .map_err(|error| Error::Message(error.to_string()))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn json(&self, json: &mut crate::json::Writer<'_>, code: &Code, mode: Mode) -> Result<()> {
        present(code, mode)?;
        match mode {
            Mode::Jited => native::json(json, code, self.details)?,
            Mode::Xlated => listing::json(json, code, &CallNames::look_up(code), self.details)?,
        }
        Ok(())
    }
}

impl Visual {
    /// The form of the picture, if the next word says one.
    fn parse(words: &mut Words<'_>) -> Self {
        let forms = [
            ("dot", Self::Dot),
            ("svg", Self::Picture(Form::Svg)),
            ("png", Self::Picture(Form::Png)),
            ("ascii", Self::Picture(Form::Ascii)),
        ];
        let meant = words.peek().and_then(|word| forms.into_iter().find(|(name, _)| word == name));
        if meant.is_some() {
            words.next();
        }
        meant.map_or(Self::Dot, |(_, visual)| visual)
    }
}

/// Fails if the kernel did not give the code.
fn present(code: &Code, mode: Mode) -> Result<()> {
    let text = match mode {
        Mode::Xlated if code.insns.is_empty() => "error retrieving insn dump: kernel.kptr_restrict set?",
        Mode::Jited if code.info.jited_len == 0 || code.info.extra.jited.is_empty() => {
            "error retrieving jit dump: no instructions returned or kernel.kptr_restrict set?"
        }
        _ => return Ok(()),
    };
    Err(Error::Message(text.to_owned()))
}

fn bytes(code: &Code, mode: Mode) -> Vec<u8> {
    match mode {
        Mode::Xlated => skep_isa::encode_all(&code.insns),
        Mode::Jited => code.info.extra.jited.clone(),
    }
}

fn save(path: &OsStr, bytes: &[u8]) -> Result<()> {
    const OWNER_ONLY: u32 = 0o600;
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(path).map_err(
            |error| {
                let reason = Errno::from(error).meaning();
                Error::Message(format!("can't open file {}: {reason}", path.to_string_lossy()))
            },
        )?;
    file.write_all(bytes).map_err(|error| {
        Error::Message(format!("error writing output file: {}", Errno::from(error).meaning()))
    })
}
