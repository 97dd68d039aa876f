//! Rows of a result: their description, and values looked at only when asked for.

use crate::wire::backend;
use crate::wire::error::Error;
use crate::wire::reader::Reader;
use crate::wire::writer;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// As text.
    #[default]
    Text,
    /// In the type's binary form.
    Binary,
}

impl Format {
    fn decode(code: i16) -> Result<Self, Error> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            other => Err(Error::Meaningless {
                what: "a format code",
                value: i64::from(other),
            }),
        }
    }

    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }

    /// The format of column or parameter `index` by a list as `Bind` has it: none for text, one for all, or one each.
    #[must_use]
    pub fn of(formats: &[Self], index: usize) -> Option<Self> {
        match formats {
            [] => Some(Self::Text),
            [all] => Some(*all),
            each => each.get(index).copied(),
        }
    }
}

pub(in crate::wire) fn read_formats(reader: &mut Reader<'_>) -> Result<Vec<Format>, Error> {
    let count = reader.count(2)?;
    (0..count)
        .map(|_| reader.i16().and_then(Format::decode))
        .collect()
}

pub(in crate::wire) fn write_formats(out: &mut Vec<u8>, formats: &[Format]) -> Result<(), Error> {
    writer::count(out, formats.len())?;
    out.extend(
        formats
            .iter()
            .flat_map(|format| format.code().to_be_bytes()),
    );
    Ok(())
}

/// The columns of the rows that follow.
#[expect(
    clippy::module_name_repetitions,
    reason = "PostgreSQL's name of the message"
)]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowDescription {
    /// One for each column.
    pub fields: Vec<Field>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The OID of the table it comes from unchanged, else 0.
    pub table: u32,
    /// Its number there, else 0.
    pub column: i16,
    /// The OID of its type.
    pub type_oid: u32,
    /// `pg_type.typlen`.
    pub size: i16,
    /// `pg_attribute.atttypmod`.
    pub modifier: i32,
    /// How its values are written; after describing a statement always text.
    pub format: Format,
}

impl RowDescription {
    /// Reads the body of the message.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let count = reader.count(19)?;
        let fields = (0..count)
            .map(|_| Field::decode(&mut reader))
            .collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { fields })
    }

    /// Writes the body of the message.
    ///
    /// # Errors
    /// When a name contains a zero byte or there are too many columns.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        writer::count(out, self.fields.len())?;
        for field in &self.fields {
            writer::text(out, &field.name)?;
            out.extend_from_slice(&field.table.to_be_bytes());
            out.extend_from_slice(&field.column.to_be_bytes());
            out.extend_from_slice(&field.type_oid.to_be_bytes());
            out.extend_from_slice(&field.size.to_be_bytes());
            out.extend_from_slice(&field.modifier.to_be_bytes());
            out.extend_from_slice(&field.format.code().to_be_bytes());
        }
        Ok(())
    }
}

impl Field {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            name: reader.text()?.to_owned(),
            table: reader.u32()?,
            column: reader.i16()?,
            type_oid: reader.u32()?,
            size: reader.i16()?,
            modifier: reader.i32()?,
            format: Format::decode(reader.i16()?)?,
        })
    }
}

/// The values of one row, where they came.
#[expect(
    clippy::module_name_repetitions,
    reason = "PostgreSQL's name of the message"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataRow<'a> {
    count: usize,
    values: &'a [u8],
}

impl<'a> DataRow<'a> {
    /// Takes the body of the message after walking over its lengths once.
    ///
    /// # Errors
    /// When the lengths do not add up to the message.
    pub fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let count = reader.count(4)?;
        let values = reader.clone().rest();
        for _ in 0..count {
            reader.value()?;
        }
        reader.end()?;
        Ok(Self { count, values })
    }

    /// How many columns it has.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The values in their order; `None` is `NULL`.
    #[must_use]
    pub const fn values(&self) -> Values<'a> {
        Values {
            left: self.count,
            reader: Reader::new(self.values),
        }
    }

    /// Writes the body of the message.
    ///
    /// # Errors
    /// When there are too many columns.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        writer::count(out, self.count)?;
        out.extend_from_slice(self.values);
        Ok(())
    }
}

/// The values of a row, one after the other.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    left: usize,
    reader: Reader<'a>,
}

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // The lengths were walked over when the row was decoded.
        self.reader.value().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Values<'_> {}

/// Writes one `DataRow` message, value by value.
#[derive(Debug)]
pub struct Builder<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    left: usize,
}

impl<'o> Builder<'o> {
    /// Begins a row of `columns` values behind what `out` holds.
    ///
    /// # Errors
    /// When there are too many columns.
    pub fn new(out: &'o mut Vec<u8>, columns: usize) -> Result<Self, Error> {
        let count = u16::try_from(columns).map_err(|_| Error::TooLarge("a list"))?;
        let start = out.len();
        out.push(backend::kind::DATA_ROW);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&count.to_be_bytes());
        let left = columns;
        Ok(Self { out, start, left })
    }

    /// Writes the next value; `None` is `NULL`.
    ///
    /// # Errors
    /// When all values are there already, or the row grows too large.
    pub fn push(&mut self, value: Option<&[u8]>) -> Result<(), Error> {
        self.left = self.left.checked_sub(1).ok_or(Error::TrailingBytes)?;
        writer::value(self.out, value)
    }

    /// Ends the row. Dropping it without this takes it back.
    ///
    /// # Errors
    /// When a value is missing, or the row is too large.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.left > 0 {
            return Err(Error::Truncated);
        }
        let length_at = self.start.saturating_add(1);
        writer::close(self.out, length_at)?;
        self.start = self.out.len();
        Ok(())
    }
}

impl Drop for Builder<'_> {
    fn drop(&mut self) {
        self.out.truncate(self.start);
    }
}
