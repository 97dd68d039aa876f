//! Rows of `COPY … TO STDOUT` in binary format, masked.

use crate::mask::copy::Column;
use crate::mask::plan::Refusal;
use crate::policy::Shown;
use crate::wire::copy::{self, Piece};
use crate::wire::row::DataRow;
use crate::wire::writer;

use crate::mask::cell::Scratch;

/// The state of one `COPY`'s data.
#[derive(Debug, Default)]
pub(super) struct Tuples {
    pieces: copy::Tuples,
    scratch: Scratch,
}

impl Tuples {
    /// Writes what is there as a whole, masked, behind what `out` holds; the rest waits for the next chunk. Says how many rows that were.
    pub(super) fn apply(
        &mut self,
        chunk: &[u8],
        columns: &mut [Option<Column>],
        shown: &mut Shown,
        out: &mut Vec<u8>,
    ) -> Result<u64, Refusal> {
        self.pieces.feed(chunk);
        let mut rows = 0;
        while let Some(piece) = self.pieces.next_piece().map_err(|_| Refusal::Malformed)? {
            match piece {
                // Without the extension: nobody knows what is in it.
                Piece::Header => copy::write_header(out),
                Piece::Tuple(row) => {
                    tuple(&row, columns, &mut self.scratch, shown, out)?;
                    rows += 1;
                }
                Piece::Trailer => out.extend_from_slice(&copy::TRAILER),
            }
        }
        Ok(rows)
    }
}

fn tuple(
    row: &DataRow<'_>,
    columns: &mut [Option<Column>],
    scratch: &mut Scratch,
    shown: &mut Shown,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if row.count() != columns.len() {
        return Err(Refusal::Row {
            expected: columns.len(),
            came: row.count(),
        });
    }
    writer::count(out, columns.len()).map_err(|_| Refusal::Malformed)?;
    for (value, column) in row.values().zip(columns) {
        let written = match (value, column) {
            (None, _) => writer::value(out, None),
            (Some(value), None) => writer::value(out, Some(value)),
            (Some(value), Some(column)) => {
                let masked = column.apply(value, scratch, shown);
                writer::value(out, masked)
            }
        };
        written.map_err(|_| Refusal::Malformed)?;
    }
    Ok(())
}
