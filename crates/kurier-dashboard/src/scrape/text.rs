//! Prometheus' text format, version 0.0.4, read: one sample a line. *Pure.*
//!
//! Read by hand: the crates for it bring `regex` or a parser generator and a type for every kind of metric,
//! and what is wanted here is a name, some labels and a number.
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::borrow::Cow;

/// One line that is no comment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
}

/// Something else stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not in Prometheus' text format: {text}")]
pub(super) struct NotPrometheus {
    line: usize,
    text: String,
}

/// So much of a line that can't be read is told.
const TOLD_CHARS: usize = 60;

impl Sample<'_> {
    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(one, _)| *one == name).map(|(_, value)| &**value)
    }
}

/// The samples of a page; an error for each line that is none.
pub(super) fn samples(page: &str) -> impl Iterator<Item = Result<Sample<'_>, NotPrometheus>> {
    let lines = (1..).zip(page.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(line, text)| {
        sample(text).ok_or_else(|| {
            let text = text.chars().take(TOLD_CHARS);
            let text = text.map(|char| if char.is_control() { ' ' } else { char }).collect();
            NotPrometheus { line, text }
        })
    })
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let (name, rest) = line.split_at(line.find(['{', ' ', '\t'])?);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?.parse().ok()?;
    let time = words.next();
    let ends = time.is_none_or(|time| time.parse::<i64>().is_ok()) && words.next().is_none();
    (ends && is_name(name)).then_some(Sample { name, labels, value })
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The labels, and what stands behind their bracket.
fn labels(mut rest: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, value) = rest.split_once('=')?;
        let (value, behind) = quoted(value.trim_start().strip_prefix('"')?)?;
        let name = name.trim_end();
        if !is_name(name) {
            return None;
        }
        labels.push((name, value));
        let behind = behind.trim_start();
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.starts_with('}') => rest = behind,
            None => return None,
        }
    }
}

/// What stands before the next quote that is not escaped, and what behind it.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut escaped = false;
    let end = text.find(|char| {
        let ends = char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
        ends
    })?;
    let (inside, behind) = (&text[..end], &text[end + 1..]);
    if !inside.contains('\\') {
        return Some((Cow::Borrowed(inside), behind));
    }
    let (mut value, mut chars) = (String::with_capacity(inside.len()), inside.chars());
    while let Some(char) = chars.next() {
        value.push(match char {
            '\\' => match chars.next()? {
                'n' => '\n',
                char => char,
            },
            char => char,
        });
    }
    Some((Cow::Owned(value), behind))
}

fn is_name(name: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told<'a> = (&'a str, Vec<(&'a str, &'a str)>, f64);

    #[test]
    fn lines_that_are_samples() {
        let table: &[(&str, Told<'_>)] = &[
            ("up 1", ("up", vec![], 1.0)),
            ("up{} 0", ("up", vec![], 0.0)),
            ("  a:b_2{x=\"y\"}\t-2.5e3 ", ("a:b_2", vec![("x", "y")], -2500.0)),
            ("a{x=\"1\",y=\"2\"} 3", ("a", vec![("x", "1"), ("y", "2")], 3.0)),
            ("a{ x = \"1\" , y=\"2\", } 3 1700000000000", ("a", vec![("x", "1"), ("y", "2")], 3.0)),
            (r#"a{x="q\"b\\n\n}, ="} 3"#, ("a", vec![("x", "q\"b\\n\n}, =")], 3.0)),
            ("a_bucket{le=\"+Inf\"} +Inf", ("a_bucket", vec![("le", "+Inf")], f64::INFINITY)),
            ("a{x=\"größer 名\"} 1", ("a", vec![("x", "größer 名")], 1.0)),
        ];
        for (line, (name, labels, value)) in table {
            let found = sample(line.trim()).unwrap_or_else(|| panic!("{line}"));
            let of: Vec<(&str, &str)> =
                found.labels.iter().map(|(name, value)| (*name, &**value)).collect();
            assert_eq!((found.name, of, found.value), (*name, labels.clone(), *value), "{line}");
        }
        assert!(sample("a NaN").is_some_and(|found| found.value.is_nan()));
        assert_eq!(sample("a{x=\"1\"} 2").as_ref().and_then(|it| it.label("x")), Some("1"));
    }

    #[test]
    fn lines_that_are_none() {
        for line in [
            "up",
            "up one",
            "up 1 soon",
            "up 1 2 3",
            "2up 1",
            "u-p 1",
            "up{ 1",
            "up{x} 1",
            "up{x=1} 1",
            "up{x=\"1} 1",
            "up{x=\"1\" y=\"2\"} 1",
            "up{x=\"1\\\"} 1",
            "{x=\"1\"} 1",
            "<!DOCTYPE html>",
        ] {
            assert_eq!(sample(line), None, "{line}");
        }
    }

    #[test]
    fn comments_are_passed_over_and_a_line_that_is_none_is_named() {
        let page = "# HELP a It is.\n# TYPE a gauge\na 1\n\n<html>\u{7}\nb 2\n";
        let found: Vec<_> = samples(page).collect();
        assert_eq!(found.iter().filter(|one| one.is_ok()).count(), 2);
        let error = found[1].as_ref().expect_err("no sample").to_string();
        assert_eq!(error, "line 5 is not in Prometheus' text format: <html> ");
    }
}
