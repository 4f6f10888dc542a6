//! The view of tools that show a table again and again: what a script's maps hold at the end of each round.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};

use jiff::Zoned;
use skep_trace::host;
use skep_trace::sink::{Data, MapEntry};

use crate::flags::CommonFlags;
use crate::row::Row;
use crate::run::View;
use crate::table::Form;

/// The flags of tools that show what is busiest, again and again.
#[derive(clap::Args, Debug)]
pub struct TopFlags {
    /// Leave the screen as it is instead of clearing it for each table
    #[arg(short = 'C', long)]
    pub noclear: bool,
    /// How many rows
    #[arg(short = 'r', long, value_name = "ROWS", default_value_t = 20, alias = "rows")]
    pub maxrows: usize,
}

impl TopFlags {
    /// What stands above each table: the time and how busy the machine is, at the top of a terminal's screen.
    pub fn head(&self, flags: &CommonFlags, out: &mut dyn Write) -> io::Result<()> {
        if Form::of(flags) != Form::Text {
            return Ok(());
        }
        if !self.noclear && flags.output.is_none() && io::stdout().is_terminal() {
            write!(out, "\x1b[H\x1b[2J")?;
        } else {
            writeln!(out)?;
        }
        if flags.no_header {
            return Ok(());
        }
        let now = Zoned::now().strftime("%H:%M:%S").to_string();
        writeln!(out, "{now:<8} loadavg: {}\n", host::load_average())
    }
}

/// The maps of a round by name, without the `@`.
#[derive(Default)]
pub struct Maps(HashMap<String, Vec<MapEntry>>);

impl Maps {
    /// The entries of a map, least value first; none if it was not printed.
    pub fn entries(&self, name: &str) -> &[MapEntry] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The number that a map holds for a key; 0 if it holds none.
    pub fn uint(&self, name: &str, key: &Data) -> u64 {
        self.entries(name).iter().find(|entry| entry.key == *key).map_or(0, |entry| uint(&entry.value))
    }

    /// The text that a map holds for a key.
    pub fn text(&self, name: &str, key: &Data) -> &str {
        match self.entries(name).iter().find(|entry| entry.key == *key).map(|entry| &entry.value) {
            Some(Data::Text(text)) => text,
            _ => "",
        }
    }
}

/// A number; what is none, or negative, reads as 0.
pub fn uint(data: &Data) -> u64 {
    match data {
        Data::Uint(value) => *value,
        Data::Int(value) => u64::try_from(*value).unwrap_or(0),
        _ => 0,
    }
}

/// Gathers the maps of each round and hands them to a closure, which shows them.
pub struct Tops<F> {
    opening: String,
    maps: Maps,
    show: F,
}

impl<F: FnMut(&Maps, &mut dyn Write) -> io::Result<()>> Tops<F> {
    /// Says `opening` when everything is attached; then shows each round.
    pub fn new(opening: impl Into<String>, show: F) -> Tops<F> {
        Tops { opening: opening.into(), maps: Maps::default(), show }
    }
}

impl<F: FnMut(&Maps, &mut dyn Write) -> io::Result<()>> View for Tops<F> {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.opening.is_empty() { Ok(()) } else { writeln!(out, "{}", self.opening) }
    }

    fn map(&mut self, name: &str, entries: Vec<MapEntry>, _: &mut dyn Write) -> io::Result<()> {
        self.maps.0.insert(name.to_owned(), entries);
        Ok(())
    }

    fn row(&mut self, _: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let maps = std::mem::take(&mut self.maps);
        (self.show)(&maps, out)
    }
}
