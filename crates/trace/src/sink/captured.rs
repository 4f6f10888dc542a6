//! What a script's tests say, which is part of their results.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use skep_ui::SourceMap;

use super::output::{Buffering, Output};
use super::text::TextSink;
use super::value::into_text;
use super::{Event, Sink};

/// Results and messages as one text.
pub(super) struct Captured {
    sink: TextSink,
    text: Shared,
}

impl Captured {
    /// `sources` tells the places in messages.
    pub fn new(sources: SourceMap) -> Captured {
        let text = Shared::default();
        let out = Output::new(Box::new(text.clone()), Buffering::None, false);
        Captured { sink: TextSink::new(out, Box::new(text.clone()), sources), text }
    }

    /// Adds an event to the text.
    pub fn event(&mut self, event: Event<'_>) -> io::Result<()> {
        self.sink.event(event)
    }

    /// What was said since the last time.
    pub fn take(&mut self) -> String {
        // Nobody panics while holding it.
        self.text.0.lock().map(|mut text| into_text(std::mem::take(&mut *text))).unwrap_or_default()
    }
}

/// A buffer that two writers fill.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
