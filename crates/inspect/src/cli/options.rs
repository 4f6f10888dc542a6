//! Options, as getopt_long(3) reads them: anywhere on the line, short ones in clusters, long ones cut short.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use skep_kernel::features::Feature;

use crate::error::{Error, FAILED};

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Plain,
    /// JSON on one line.
    Json,
    /// JSON with line breaks.
    Pretty,
}

/// What the options say. Those that only concern loading programs are read and checked, and otherwise wait for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) form: Form,
    /// `-V`: the version, whatever the words say.
    pub(crate) version: bool,
    /// `-d`: tell on standard error what is done below.
    pub(crate) debug: bool,
    /// `-f`: show where objects are pinned.
    pub(crate) bpffs: bool,
    /// `-B`: the types that split BTF continues.
    pub(crate) base_btf: Option<PathBuf>,
    /// `--no-feature`: what is not to be used although the kernel has it.
    pub(crate) without: Vec<Feature>,
    sign: bool,
    key: Option<PathBuf>,
    certificate: Option<PathBuf>,
}

/// Why the line is not to be run.
#[derive(Debug)]
pub(crate) enum Stop {
    /// `-h` ends everything at once.
    Help,
    /// An option that does not exist.
    Unknown(String),
    /// Options that exist but do not fit.
    Refused(Error),
}

/// One option: its letter, its long name, and what it does. Those without a letter are ours alone.
struct Row {
    short: Option<char>,
    long: &'static str,
    action: Action,
}

enum Action {
    Flag(fn(&mut Options)),
    Value(fn(&mut Options, OsString) -> Result<(), Error>),
    Help,
}

const TABLE: &[Row] = &[
    Row { short: Some('j'), long: "json", action: Action::Flag(|o| o.form = o.form.max(Form::Json)) },
    Row { short: Some('h'), long: "help", action: Action::Help },
    Row { short: Some('p'), long: "pretty", action: Action::Flag(|o| o.form = Form::Pretty) },
    Row { short: Some('V'), long: "version", action: Action::Flag(|o| o.version = true) },
    Row { short: Some('f'), long: "bpffs", action: Action::Flag(|o| o.bpffs = true) },
    Row { short: Some('m'), long: "mapcompat", action: Action::Flag(|_| {}) },
    Row { short: Some('n'), long: "nomount", action: Action::Flag(|_| {}) },
    Row { short: Some('d'), long: "debug", action: Action::Flag(|o| o.debug = true) },
    Row { short: Some('L'), long: "use-loader", action: Action::Flag(|_| {}) },
    Row { short: Some('S'), long: "sign", action: Action::Flag(|o| o.sign = true) },
    Row { short: Some('B'), long: "base-btf", action: Action::Value(base_btf) },
    Row {
        short: Some('k'),
        long: "",
        action: Action::Value(|o, file| {
            o.key = Some(file.into());
            Ok(())
        }),
    },
    Row {
        short: Some('i'),
        long: "",
        action: Action::Value(|o, file| {
            o.certificate = Some(file.into());
            Ok(())
        }),
    },
    Row { short: None, long: "no-feature", action: Action::Value(no_feature) },
];

/// Parts a line (without the program's name) into options and words.
///
/// The options read so far come back in any case, because they decide in which form an error is shown.
pub(crate) fn parse(args: &[OsString]) -> (Options, Result<Vec<OsString>, Stop>) {
    let mut options = Options::default();
    let words = read(args, &mut options);
    let words = words.and_then(|words| match options.check() {
        Ok(()) => Ok(words),
        Err(error) => Err(Stop::Refused(error)),
    });
    (options, words)
}

fn read(args: &[OsString], options: &mut Options) -> Result<Vec<OsString>, Stop> {
    let mut words = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let text = arg.to_string_lossy();
        let unknown = || Stop::Unknown(text.clone().into_owned());
        if text == "--" {
            words.extend(rest.by_ref().cloned());
        } else if let Some(long) = text.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let row = find_long(name).ok_or_else(unknown)?;
            apply(row, options, value.map(OsString::from), &mut rest, unknown)?;
        } else if let Some(cluster) = text.strip_prefix('-').filter(|cluster| !cluster.is_empty()) {
            let mut letters = cluster.chars();
            while let Some(letter) = letters.next() {
                let row = TABLE.iter().find(|row| row.short == Some(letter)).ok_or_else(unknown)?;
                let attached = letters.as_str();
                if matches!(row.action, Action::Value(_)) {
                    let value = (!attached.is_empty()).then(|| OsString::from(attached));
                    apply(row, options, value, &mut rest, unknown)?;
                    break;
                }
                apply(row, options, None, &mut rest, unknown)?;
            }
        } else {
            words.push(arg.clone());
        }
    }
    Ok(words)
}

fn apply<'a>(
    row: &Row,
    options: &mut Options,
    value: Option<OsString>,
    rest: &mut impl Iterator<Item = &'a OsString>,
    unknown: impl Fn() -> Stop,
) -> Result<(), Stop> {
    match (&row.action, value) {
        (Action::Flag(set), None) => set(options),
        (Action::Help, None) => return Err(Stop::Help),
        (Action::Flag(_) | Action::Help, Some(_)) => return Err(unknown()),
        (Action::Value(set), value) => {
            let value = value.or_else(|| rest.next().cloned()).ok_or_else(unknown)?;
            set(options, value).map_err(Stop::Refused)?;
        }
    }
    Ok(())
}

/// A long name in full, or a beginning that only one has. Our own names are no hindrance to those of the original.
fn find_long(name: &str) -> Option<&'static Row> {
    let is_theirs = |row: &&Row| row.short.is_some() && !row.long.is_empty();
    let exact = TABLE.iter().find(|row| !name.is_empty() && row.long == name);
    let mut fitting = TABLE.iter().filter(is_theirs).filter(|row| row.long.starts_with(name));
    let only = fitting.next().filter(|_| fitting.next().is_none());
    exact.or(only)
}

impl Options {
    fn check(&self) -> Result<(), Error> {
        const REFUSED: u8 = 234;
        let both = self.key.is_some() && self.certificate.is_some();
        let any = self.key.is_some() || self.certificate.is_some();
        if self.sign && !both {
            let text = "-i <identity_x509_cert> and -k <private_key> must be supplied with -S for signing";
            return Err(Error::Status(text.to_owned(), REFUSED));
        }
        if any && !self.sign {
            let text = "--sign (or -S) must be explicitly passed with -i <identity_x509_cert> and -k \
                        <private_key> to sign the programs";
            return Err(Error::Status(text.to_owned(), REFUSED));
        }
        Ok(())
    }
}

/// Names of features, with commas between them.
fn no_feature(options: &mut Options, names: OsString) -> Result<(), Error> {
    for name in names.to_string_lossy().split(',') {
        let feature = Feature::from_name(name).ok_or_else(|| {
            let known: Vec<_> = Feature::all().map(Feature::name).collect();
            Error::Message(format!("there is no feature '{name}', only {}", known.join(", ")))
        })?;
        options.without.push(feature);
    }
    Ok(())
}

/// Base BTF must be readable when it is named, whether the command needs it or not.
fn base_btf(options: &mut Options, file: OsString) -> Result<(), Error> {
    let path = PathBuf::from(file);
    check_base_btf(&path)?;
    options.base_btf = Some(path);
    Ok(())
}

fn check_base_btf(path: &Path) -> Result<(), Error> {
    let refused = |number: i32| {
        let text = format!("failed to parse base BTF at '{}': -{number}\n", path.display());
        Err(Error::Status(text, FAILED))
    };
    match std::fs::read(path) {
        Err(error) => refused(error.raw_os_error().unwrap_or(EINVAL)),
        Ok(bytes) if bytes.starts_with(b"\x7fELF") => Ok(()),
        Ok(bytes) => skep_btf::Btf::parse(bytes).map(|_| ()).or_else(|_| refused(EINVAL)),
    }
}

const EINVAL: i32 = 22;

impl Form {
    fn max(self, other: Self) -> Self {
        if self == Self::Pretty { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> (Options, Result<Vec<OsString>, Stop>) {
        let args: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
        parse(&args)
    }

    fn unknown(text: &str) -> Option<String> {
        match line(text).1 {
            Err(Stop::Unknown(word)) => Some(word),
            _ => None,
        }
    }

    #[test]
    fn options_stand_anywhere() {
        let (options, words) = line("prog -j show --bpffs id 7");
        assert_eq!(words.unwrap(), ["prog", "show", "id", "7"]);
        assert_eq!(options, Options { form: Form::Json, bpffs: true, ..Options::default() });
        assert_eq!(line("-pf prog").0.form, Form::Pretty);
        assert_eq!(line("-pj prog").0.form, Form::Pretty);
        assert_eq!(line("-jp prog").0.form, Form::Pretty);
        assert_eq!(line("prog -- -j").1.unwrap(), ["prog", "-j"]);
        assert_eq!(line("prog -").1.unwrap(), ["prog", "-"]);
    }

    #[test]
    fn long_names_are_cut_short_unless_two_fit() {
        assert_eq!(line("--js").0.form, Form::Json);
        assert_eq!(unknown("--b").as_deref(), Some("--b"));
        assert_eq!(unknown("--json=3").as_deref(), Some("--json=3"));
        assert_eq!(unknown("--bogus").as_deref(), Some("--bogus"));
    }

    #[test]
    fn features_are_left_out_by_name() {
        assert_eq!(line("--no-feature iter,kprobe prog").0.without, [Feature::Iter, Feature::Kprobe]);
        assert_eq!(line("--no-feature=iter prog").0.without, [Feature::Iter]);
        assert!(matches!(line("--no-feature bogus").1, Err(Stop::Refused(_))));
        // The beginning of the original's option stays one.
        assert_eq!(line("--no prog").0, Options::default());
        assert_eq!(line("--no prog").1.unwrap(), ["prog"]);
    }

    #[test]
    fn what_is_no_option() {
        assert_eq!(unknown("prog show id -1").as_deref(), Some("-1"));
        assert_eq!(unknown("-l").as_deref(), Some("-l"));
        assert_eq!(unknown("-B").as_deref(), Some("-B"));
        assert!(matches!(line("-h --bogus").1, Err(Stop::Help)));
    }

    #[test]
    fn signing_needs_both_files_and_the_wish() {
        let status = |text| match line(text).1 {
            Err(Stop::Refused(error)) => error.status(),
            other => panic!("{other:?}"),
        };
        assert_eq!(status("-S prog"), 234);
        assert_eq!(status("-k key prog"), 234);
        assert!(line("-S -k key -icert prog").1.is_ok());
    }

    proptest! {
        #[test]
        fn any_words_are_survived(words in proptest::collection::vec("-{0,2}\\PC{0,6}", 0..6)) {
            let args: Vec<OsString> = words.iter().map(OsString::from).collect();
            let _ = parse(&args);
        }
    }
}
