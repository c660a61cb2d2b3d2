//! A part of a list: filtered by name, sorted, cut. *Pure.*

use std::cmp::Ordering;

use crate::view::{Problem, Rows, RowsAsked};

/// How many rows a part has at most.
const PER_PAGE_MAX: usize = 200;

/// A list's columns by which it can be sorted, besides `name`.
pub(crate) type Columns<T> = [(&'static str, fn(&T, &T) -> Ordering)];

/// In which order rows come: by a column, then by name.
#[derive(Debug)]
pub(crate) struct Order<T> {
    by: Option<fn(&T, &T) -> Ordering>,
    reversed: bool,
}

impl<T> Order<T> {
    /// Reads what was asked for.
    ///
    /// # Errors
    /// A column that is not one of `columns`.
    pub(crate) fn asked(asked: &RowsAsked, columns: &Columns<T>) -> Result<Self, Problem> {
        let (reversed, column) = match asked.sort.strip_prefix('-') {
            Some(column) => (true, column),
            None => (false, &*asked.sort),
        };
        if column == "name" {
            return Ok(Self { by: None, reversed });
        }
        match columns.iter().find(|(name, _)| *name == column) {
            Some((_, by)) => Ok(Self { by: Some(*by), reversed }),
            None => {
                let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
                let error = format!("sort={column}: it is one of name, {}", names.join(", "));
                Err(Problem { error })
            }
        }
    }

    /// The part that is asked for, of all rows, which come sorted by name.
    pub(crate) fn part(&self, all: Vec<T>, asked: &RowsAsked, name: fn(&T) -> &str) -> Rows<T> {
        let (total, query) = (all.len(), asked.query.to_lowercase());
        let matches = |row: &T| query.is_empty() || name(row).to_lowercase().contains(&query);
        let mut matching: Vec<T> = all.into_iter().filter(matches).collect();
        match (self.by, self.reversed) {
            (None, false) => {}
            (None, true) => matching.reverse(),
            // Stable: equal ones stay sorted by name.
            (Some(by), false) => matching.sort_by(by),
            (Some(by), true) => matching.sort_by(|a, b| by(b, a)),
        }
        let (count, page) = (matching.len(), asked.page.max(1));
        let per_page = asked.per_page.clamp(1, PER_PAGE_MAX);
        let rows = matching.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page);
        Rows { rows: rows.collect(), matching: count, total, page, per_page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (&'static str, Option<i64>);

    const COLUMNS: &Columns<Row> = &[("lag", |a, b| a.1.cmp(&b.1))];

    const ALL: [Row; 4] = [("a", Some(5)), ("B", None), ("c", Some(5)), ("d", Some(1))];

    fn part(sort: &str, query: &str, page: usize, per_page: usize) -> Rows<Row> {
        let asked = RowsAsked { sort: sort.to_owned(), query: query.to_owned(), page, per_page };
        let order = Order::asked(&asked, COLUMNS).expect("a column");
        order.part(ALL.to_vec(), &asked, |row| row.0)
    }

    #[test]
    fn sorted_filtered_and_cut() {
        let table = [
            ("name", "", 1, 9, "a B c d"),
            ("-name", "", 1, 9, "d c B a"),
            ("lag", "", 1, 9, "B d a c"),
            ("-lag", "", 1, 9, "a c d B"),
            ("name", "b", 1, 9, "B"),
            ("name", "x", 1, 9, ""),
            ("name", "", 1, 3, "a B c"),
            ("name", "", 2, 3, "d"),
            ("name", "", 3, 3, ""),
            ("name", "", 0, 0, "a"),
            ("name", "", usize::MAX, 200, ""),
        ];
        for (sort, query, page, per_page, expected) in table {
            let rows = part(sort, query, page, per_page);
            let names: Vec<_> = rows.rows.iter().map(|row| row.0).collect();
            assert_eq!(names.join(" "), expected, "{sort} {query} {page} {per_page}");
        }
    }

    #[test]
    fn it_says_how_many_there_are_and_how_many_a_part_has() {
        let rows = part("name", "b", 1, 1_000);
        assert_eq!((rows.matching, rows.total, rows.page, rows.per_page), (1, 4, 1, 200));
    }

    #[test]
    fn an_unknown_column_is_a_problem() {
        let asked = RowsAsked { sort: "-size".to_owned(), ..RowsAsked::default() };
        let problem = Order::<Row>::asked(&asked, COLUMNS).expect_err("no such column");
        assert_eq!(problem.error, "sort=size: it is one of name, lag");
    }
}
