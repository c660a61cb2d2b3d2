//! Standard output: tables for people, JSON for programs. A closed pipe is not an error of ours.

use std::io::{self, Write};
use std::os::fd::AsFd;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use tokio::io::Interest;
use tokio::net::unix::pipe;

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
    let mut out = io::stdout().lock();
    // What has no end of line would wait for the end of the process, which says nothing of an error.
    out.write_all(bytes).and_then(|()| out.flush()).map_err(of_ours)
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

/// A field of bytes; those that are no UTF-8 stand as `…_base64`.
pub fn put_bytes(object: &mut Value, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => object[name] = Value::Null,
        Some((Ok(text), _)) => object[name] = text.into(),
        Some((Err(_), bytes)) => object[format!("{name}_base64")] = BASE64.encode(bytes).into(),
    }
}

/// Somebody else's text on one line of ours, and without what moves a terminal's cursor.
pub fn flat(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// A result that nobody reads: what was done is done all the same.
///
/// # Errors
/// When standard output cannot be written for another reason.
pub fn unless_unread(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if is_unread(&error) => Ok(()),
        other => other,
    }
}

/// True when nobody reads standard output any more; the end of a connection is none of that.
pub fn is_unread(error: &io::Error) -> bool {
    let is_ours = error.get_ref().is_some_and(|inner| inner.is::<OfOurs>());
    is_ours && error.kind() == io::ErrorKind::BrokenPipe
}

/// The same of an error by what caused it.
pub fn is_of_unread(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_unread)
}

/// An error of standard output.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct OfOurs(io::Error);

fn of_ours(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), OfOurs(error))
}

/// Waits until whoever read standard output is gone, as `tail` does: a pipe or a terminal says so without a
/// write. A file never does, nor what can't be watched. Must be called within a runtime.
pub fn nobody_reads() -> impl Future<Output = ()> {
    let copy = io::stdout().as_fd().try_clone_to_owned();
    // Unchecked, for a checked one would no longer block, and with it every write of this process.
    let watched = copy.and_then(pipe::Sender::from_owned_fd_unchecked);
    async move {
        if let Ok(watched) = watched
            && watched.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
        std::future::pending().await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_standard_output_is_left_unread() {
        let (broken, full) = (io::ErrorKind::BrokenPipe, io::ErrorKind::StorageFull);
        assert!(unless_unread(Err(of_ours(broken.into()))).is_ok());
        assert!(unless_unread(Err(of_ours(full.into()))).is_err());
        assert!(unless_unread(Err(broken.into())).is_err(), "a socket's");
    }
}
