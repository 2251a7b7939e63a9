//! Reads CSV exactly: bytes in, verdicts and output bytes out. Pure, and independent of this application.
//!
//! A [`Surveyor`] finds the encoding from all bytes of a file. Everything behind it sees UTF-8: [`detect()`] determines
//! the [`Layout`] from the front of the file, and says how sure that is ([`Reading`]). A [`Pass`] then reads records from
//! slices of the file and writes the results to an [`Output`].
//!
//! A record is split, then judged, then written, each in its own file.

mod about_file;
mod cursor;
mod detect;
mod dialect;
mod encode;
mod excerpt;
mod failed_csv;
mod failed_lines;
mod field;
mod fields;
mod first_rows;
mod layout;
mod left_out;
mod likely;
mod masks;
mod notes;
mod output;
mod pass;
mod past;
mod quick;
mod read_as;
mod reading;
mod reasons;
mod records;
mod repair;
mod requote;
mod sheet;
mod source_form;
mod split;
mod stretches;
mod survey;
mod transcode;
mod verdict;

pub use about_file::{AboutFile, ReadBefore};
pub use cursor::Cursor;
pub use detect::{detect, detect_cells};
pub use dialect::{Delimiter, Dialect, Escape, NotADelimiter, Quote};
pub use excerpt::excerpt;
pub use failed_lines::{FailedLine, FailedLines};
pub use first_rows::{FirstRow, FirstRows};
pub use layout::{CutRecord, Layout, LayoutError, MOST_COLUMNS};
pub use likely::likely_records;
pub use notes::{Note, Noted, Notes};
pub use output::{Counts, Output};
pub use pass::Pass;
pub use past::Past;
pub use quick::count_fields;
pub use read_as::{ReadAs, SheetRead};
pub use reading::{ChoiceError, Choices, Encoding, HeaderAt, How, Part, Reading};
pub use reasons::{Reason, Reasons};
pub use sheet::{Sheet, SheetName, Sheets};
pub use source_form::SourceForm;
pub use stretches::{Stretch, Stretches};
pub use survey::{Survey, Surveyor};
pub use transcode::{FromUtf8, ToUtf8};
