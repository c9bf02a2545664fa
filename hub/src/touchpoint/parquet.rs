//! Reads Parquet files with the columns of another system, by the same profiles as CSV. Columns are flat; what is nested is passed over. Files are
//! plain or compressed by Snappy; reading the others would need a C library in the hub.

use std::fs::File;

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta};
use parquet::{
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use passage_config::Profile;

use crate::touchpoint::{
    profile::{Rewritten, Turn},
    table::ImportError,
};

/// Row `n` of the file becomes line `n + 1`, under the header.
///
/// # Errors
/// The file is not Parquet, or of a compression that is not read, or lacks a column that the profile names.
pub fn rows(profile: &Profile, file: File) -> Result<Rewritten, ImportError> {
    let reader = SerializedFileReader::new(file).map_err(unreadable)?;
    let names: Vec<String> = reader.metadata().file_metadata().schema().get_fields().iter().map(|f| f.name().to_owned()).collect();
    let turn = Turn::new(profile, &names)?;
    let mut csv = turn.header();
    for row in reader.get_row_iter(None).map_err(unreadable)? {
        let row = row.map_err(unreadable)?;
        let cells: Vec<Option<String>> = row.get_column_iter().map(|(_, field)| text(field)).collect();
        turn.row(|i| cells.get(i).and_then(Option::as_deref), &mut csv);
    }
    Ok(Rewritten { csv, before: 0 })
}

fn unreadable(error: ParquetError) -> ImportError {
    ImportError::Header(format!("this is no Parquet file that can be read ({error}). Mend: write it plain or with Snappy"))
}

/// The value as a CSV file would have it; times as RFC 3339.
fn text(field: &Field) -> Option<String> {
    let time = |at: Option<DateTime<chrono::Utc>>| Some(at?.to_rfc3339_opts(SecondsFormat::Millis, true));
    match field {
        Field::Null | Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => None,
        Field::Str(text) => Some(text.clone()),
        Field::Bytes(bytes) => String::from_utf8(bytes.data().to_vec()).ok(),
        Field::TimestampMillis(at) => time(DateTime::from_timestamp_millis(*at)),
        Field::TimestampMicros(at) => time(DateTime::from_timestamp_micros(*at)),
        Field::Date(days) => {
            let day = NaiveDate::default().checked_add_signed(TimeDelta::days(i64::from(*days)))?;
            Some(day.format("%Y-%m-%d").to_string())
        }
        other => Some(other.to_string()),
    }
}
