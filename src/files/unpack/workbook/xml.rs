//! The XML of a workbook's parts, element by element, with a limit on each.

use std::{
    borrow::Cow,
    io::{self, BufRead, Read},
};

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

/// The longest tag, text or comment. A cell's text has at most 32,767 characters.
const LONGEST_EVENT: usize = 1 << 20;

/// The longest text in bytes, in all its pieces.
pub(super) const LONGEST_TEXT: usize = LONGEST_EVENT;

/// The deepest nesting. Sheets have about ten levels.
const DEEPEST: usize = 256;

/// Why a part cannot be read: its file, or its form.
#[derive(Debug)]
pub(super) struct XmlError;

impl From<quick_xml::Error> for XmlError {
    fn from(error: quick_xml::Error) -> Self {
        tracing::debug!(%error, "a part of a workbook cannot be read");
        Self
    }
}

/// The events of a part.
pub(super) struct Xml<'r> {
    reader: Reader<Bounded<Box<dyn BufRead + 'r>>>,
    buffer: Vec<u8>,
    depth: usize,
}

/// Reads at most so many bytes until it is given more.
struct Bounded<R> {
    inner: R,
    left: usize,
    /// Bytes read so far.
    consumed: u64,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ahead = self.fill_buf()?;
        let most = ahead.len().min(buffer.len());
        buffer[..most].copy_from_slice(&ahead[..most]);
        self.consume(most);
        Ok(most)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an element is too long"));
        }
        let ahead = self.inner.fill_buf()?;
        Ok(&ahead[..ahead.len().min(self.left)])
    }

    fn consume(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.consumed = self.consumed.saturating_add(bytes as u64);
        self.inner.consume(bytes);
    }
}

impl<'r> Xml<'r> {
    pub(super) fn new(part: Box<dyn BufRead + 'r>) -> Self {
        let mut reader = Reader::from_reader(Bounded { inner: part, left: LONGEST_EVENT, consumed: 0 });
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), depth: 0 }
    }

    /// The next event; None at the end.
    pub(super) fn next(&mut self) -> Result<Option<Event<'_>>, XmlError> {
        self.buffer.clear();
        self.reader.get_mut().left = LONGEST_EVENT;
        let event = self.reader.read_event_into(&mut self.buffer)?;
        match &event {
            Event::Eof if self.depth > 0 => return Err(XmlError),
            Event::Eof => return Ok(None),
            Event::Start(_) => self.depth += 1,
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.depth > DEEPEST { Err(XmlError) } else { Ok(Some(event)) }
    }

    /// Appends the text up to the end of the element that has begun.
    pub(super) fn text_into(&mut self, text: &mut String) -> Result<(), XmlError> {
        let outside = self.depth.saturating_sub(1);
        let begins_at = text.len();
        while self.depth > outside {
            match self.next()? {
                None => return Err(XmlError),
                Some(event) => append(&event, text)?,
            }
            // In pieces between comments it may be longer than an event.
            if text.len() - begins_at > LONGEST_TEXT {
                return Err(XmlError);
            }
        }
        Ok(())
    }

    /// Bytes read so far.
    pub(super) fn consumed(&self) -> u64 {
        self.reader.get_ref().consumed
    }

    /// How many elements are open.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }
}

/// Appends what `event` adds to a text.
fn append(event: &Event<'_>, text: &mut String) -> Result<(), XmlError> {
    match event {
        Event::Text(part) => text.push_str(&part.xml10_content()),
        Event::CData(part) => text.push_str(&part.xml10_content()),
        Event::GeneralRef(reference) => match reference.resolve_char_ref()? {
            Some(char) => text.push(char),
            None => text.push(match reference.as_ref() {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                // Entities of its own are for attacks.
                _ => return Err(XmlError),
            }),
        },
        _ => {}
    }
    Ok(())
}

/// The value of the attribute with this local name.
pub(super) fn attribute<'e>(
    element: &'e BytesStart<'_>,
    name: &str,
) -> Result<Option<Cow<'e, str>>, XmlError> {
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        if attribute.key.local_name().as_ref() == name {
            return Ok(Some(attribute.normalized_value(XmlVersion::Implicit1_0)?));
        }
    }
    Ok(None)
}
