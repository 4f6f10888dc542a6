//! The original, and how its answers are compared with ours.

use std::ffi::OsString;
use std::process::Command;

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// What the original says instead of a program's name that it does not find.
pub const UNKNOWN: &str = "<unknown_prog_name>/";

impl Answer {
    /// The same without the names of programs before their ids.
    pub fn without_programs(&self) -> Self {
        let mut parts = self.out.split("/prog_id:").peekable();
        let mut out = String::new();
        while let Some(part) = parts.next() {
            let name = if parts.peek().is_some() { part.rfind(' ') } else { None };
            out.push_str(name.map_or(part, |name| &part[..name]));
        }
        Self { out, ..self.clone() }
    }
}

pub fn skep(words: &[&str]) -> Answer {
    let args: Vec<OsString> =
        std::iter::once("bpftool").chain(words.iter().copied()).map(OsString::from).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = i32::from(skep_inspect::main(&args, &mut out, &mut err));
    // Hints are ours alone.
    let err = String::from_utf8(time_free(&err).into_bytes()).unwrap();
    let err = err
        .lines()
        .filter(|line| !line.starts_with("  hint: "))
        .fold(String::new(), |text, line| text + line + "\n");
    Answer { status, out: time_free(&out), err }
}

pub fn original(bpftool: &std::path::Path, words: &[&str]) -> Answer {
    let output = Command::new(bpftool).args(words).output().unwrap();
    Answer {
        status: output.status.code().unwrap_or(-1),
        out: time_free(&output.stdout),
        err: time_free(&output.stderr),
    }
}

/// The text with zero for the time of loading, which may differ by a second between two runs.
fn time_free(text: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(text).into_owned();
    for key in ["loaded_at ", "\"loaded_at\": ", "\"loaded_at\":"] {
        let mut from = 0;
        while let Some(at) = text[from..].find(key) {
            let start = from + at + key.len();
            let end = text[start..].find([',', ' ']).map_or(text.len(), |end| start + end);
            // Where the key fits as the beginning of a longer one, the time is gone already.
            if end > start {
                text.replace_range(start..end, "0");
            }
            from = start;
        }
    }
    text
}

/// What differs between two answers in JSON; our errors say more than the original's.
pub fn json_difference(ours: &str, theirs: &str) -> Option<String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text);
    let ours = match parse(ours) {
        Ok(value) => without_hints(value),
        Err(error) => return Some(format!("ours is not JSON: {error}")),
    };
    // Where the original says nothing at all, there is nothing, or an empty list.
    if theirs.trim().is_empty() && (ours.is_null() || ours == Value::Array(Vec::new())) {
        return None;
    }
    match parse(theirs) {
        Ok(theirs) => difference("", &ours, &theirs),
        // An error that was said twice is two values.
        Err(error) => match parse(&format!("[{}]", theirs.trim_end().replace("}{", "},{"))) {
            Ok(Value::Array(several)) if several.contains(&ours) => None,
            _ => Some(format!("theirs is not JSON: {error}")),
        },
    }
}

fn without_hints(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            if object.contains_key("error") {
                object.remove("errno");
                object.remove("hint");
            }
            for inner in object.values_mut() {
                *inner = without_hints(inner.take());
            }
        }
        Value::Array(array) => array.iter_mut().for_each(|inner| *inner = without_hints(inner.take())),
        _ => {}
    }
    value
}

fn difference(path: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            if keys(a) != keys(b) {
                return Some(format!("{path}: keys {:?}, theirs {:?}", keys(a), keys(b)));
            }
            a.iter().find_map(|(key, value)| difference(&format!("{path}.{key}"), value, &b[key]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.into_iter().find_map(|(index, (a, b))| difference(&format!("{path}[{index}]"), a, b))
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!("{path}: {a}, theirs {b}")),
    }
}
