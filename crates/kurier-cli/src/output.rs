//! Standard output: tables for people, JSON for programs. A closed pipe is not an error of ours.

use std::io::{self, Write};

use serde_json::Value;

/// One line of JSON.
///
/// # Errors
/// When standard output cannot be written.
pub fn json(value: &Value) -> io::Result<()> {
    text(&format!("{value}\n"))
}

/// Text as it is.
///
/// # Errors
/// When standard output cannot be written.
pub fn text(text: &str) -> io::Result<()> {
    bytes(text.as_bytes())
}

/// Bytes as they are.
///
/// # Errors
/// When standard output cannot be written.
pub fn bytes(bytes: &[u8]) -> io::Result<()> {
    io::stdout().lock().write_all(bytes)
}

/// Rows under headings, each column as wide as its widest cell.
///
/// # Errors
/// When standard output cannot be written.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    text(&tabled(headings, rows))
}

/// The same as text.
pub fn tabled(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut all = line(headings.to_vec());
    for row in rows {
        all += &line(row.iter().map(String::as_str).collect());
    }
    all
}

/// A result that nobody reads: what was done is done all the same.
///
/// # Errors
/// When standard output cannot be written for another reason.
pub fn unless_unread(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// A number of things: `1 message`, `2 messages`.
pub fn counted(count: impl TryInto<u64>, thing: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {thing}"),
        count => format!("{count} {thing}s"),
    }
}

/// A figure that may not be known, as Kafka's own tools show it.
pub fn known(figure: Option<impl ToString>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string())
}
