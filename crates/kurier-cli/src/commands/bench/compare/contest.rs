//! Who takes part, who can't and why, whose turn it is, and what came of it. Pure.

use serde::Serialize;

use super::super::cost::Cost;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Messages acknowledged.
    Produce,
    /// Messages handled.
    Consume,
}

impl Side {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
        }
    }
}

/// One run of a contestant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Run {
    /// Messages acknowledged, or handled.
    pub messages: u64,
    /// By its own clock: from its first message to its last.
    pub messages_per_second: f64,
    /// Of the whole process, as seen from outside.
    pub whole_seconds: f64,
    /// What it took.
    pub cost: Cost,
}

/// All runs of a contestant.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Whose.
    pub name: String,
    /// What was measured.
    pub side: Side,
    /// In the order of the rounds.
    pub runs: Vec<Run>,
    /// Why there are fewer than rounds.
    pub failures: Vec<String>,
}

/// Who can't take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Who.
    pub name: &'static str,
    /// Why, and what helps.
    pub reason: String,
}

/// A least ratio between two contestants of a side, which is kurier's aim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Where.
    pub side: Side,
    /// Whose figure.
    pub name: &'static str,
    /// Beside whose.
    pub beside: &'static str,
    /// At least so much of it.
    pub least: f64,
}

/// What is aimed at, of messages of 200 bytes on three nodes of Apache Kafka.
pub const TARGETS: &[Target] = &[
    Target { side: Side::Produce, name: KURIER, beside: RDKAFKA, least: 0.95 },
    Target { side: Side::Produce, name: KURIER, beside: JAVA, least: 1.0 },
    Target { side: Side::Produce, name: KURIER, beside: CONFLUENT, least: 1.0 },
    Target { side: Side::Produce, name: KURIER, beside: KAFKA_PYTHON, least: 1.0 },
    Target { side: Side::Produce, name: KURIER_OUTBOX, beside: KURIER, least: 0.7 },
    Target { side: Side::Consume, name: KURIER, beside: RDKAFKA, least: 0.9 },
];

pub const RDKAFKA: &str = "rdkafka_performance";
pub const JAVA: &str = "kafka perf test";
pub const CONFLUENT: &str = "confluent-kafka";
pub const KAFKA_PYTHON: &str = "kafka-python";
pub const KURIER: &str = "kurier";
pub const KURIER_TYPED: &str = "kurier typed";
pub const KURIER_OUTBOX: &str = "kurier outbox";
pub const KURIER_BATCH: &str = "kurier batch";

/// What became of a target: its ratio; `None` where one of the two has no figures.
pub fn reached(target: &Target, rows: &[Row]) -> Option<f64> {
    let median = |name| {
        let row = rows.iter().find(|row| row.side == target.side && row.name == name)?;
        Some(Figures::of(row)?.median)
    };
    Some(median(target.name)? / median(target.beside)?)
}

/// Messages a second of a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// The middle one; of an even number the mean of the middle two.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl Figures {
    /// `None` when it never ran to its end.
    pub fn of(row: &Row) -> Option<Self> {
        let rates = row.runs.iter().map(|run| run.messages_per_second);
        let (min, max) = (rates.clone().reduce(f64::min)?, rates.clone().reduce(f64::max)?);
        Some(Self { median: median(rates)?, min, max })
    }
}

/// The middle one; of an even number the mean of the middle two; of none none.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

/// The order of a round: each begins in another place, so that none always follows the same one or has
/// the machine at its best.
pub fn turns(contestants: usize, round: u32) -> impl Iterator<Item = usize> {
    let first = if contestants == 0 { 0 } else { round as usize % contestants };
    (0..contestants).map(move |turn| (turn + first) % contestants)
}

/// The rows as people read them; ratios are to the first of the side, which is rdkafka_performance where
/// it takes part.
pub fn table(rows: &[Row], side: Side) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let headings = vec![
        side.name(),
        "median/s",
        "min",
        "max",
        "ratio",
        "CPU s/million",
        "peak MiB",
        "whole s",
        "",
    ];
    let of_side = rows.iter().filter(|row| row.side == side);
    let base = of_side.clone().find(|row| row.name == RDKAFKA).and_then(Figures::of);
    let cells = of_side.map(|row| {
        let known = |figure: Option<f64>, digits| {
            figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
        };
        let figures = Figures::of(row);
        let rate = |of: fn(&Figures) -> f64| known(figures.as_ref().map(of), 0);
        let ratio = figures.zip(base).map(|(own, base)| own.median / base.median);
        let of_runs = |of: fn(&Run) -> Option<f64>| median(row.runs.iter().filter_map(of));
        let cpu = |run: &Run| Some(run.cost.cpu_seconds? / run.messages as f64 * 1e6);
        vec![
            row.name.clone(),
            rate(|it| it.median),
            rate(|it| it.min),
            rate(|it| it.max),
            known(ratio, 2),
            known(of_runs(cpu), 2),
            known(of_runs(|run| Some(run.cost.peak_memory? as f64 / f64::from(1 << 20))), 0),
            known(of_runs(|run| Some(run.whole_seconds)), 1),
            remark(row, of_runs(|run| Some(run.messages as f64 / run.messages_per_second))),
        ]
    });
    let cells = cells.collect();
    (headings, cells)
}

/// What is to be known of a row beside its figures; `seconds` are those of its own clock.
fn remark(row: &Row, seconds: Option<f64>) -> String {
    match (row.failures.first(), seconds) {
        (Some(why), _) => format!("failed: {why}"),
        (None, Some(seconds)) if seconds < 1.0 => "under a second: says little".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, side: Side, rates: &[f64]) -> Row {
        let run = |rate: &f64| Run {
            messages: 2_000_000,
            messages_per_second: *rate,
            whole_seconds: 4.0,
            cost: Cost { cpu_seconds: Some(3.0), peak_memory: Some(64 << 20) },
        };
        Row {
            name: name.to_owned(),
            side,
            runs: rates.iter().map(run).collect(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn the_middle_counts_and_the_range_is_told() {
        let figures = Figures::of(&row("a", Side::Produce, &[30.0, 10.0, 20.0])).expect("runs");
        assert_eq!(figures, Figures { median: 20.0, min: 10.0, max: 30.0 });
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(Figures::of(&row("a", Side::Produce, &[])), None);
    }

    #[test]
    fn turns_move_on_by_one_each_round_and_everybody_has_one() {
        let orders: Vec<Vec<usize>> = (0..4).map(|round| turns(3, round).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
        assert_eq!(turns(0, 7).count(), 0);
    }

    #[test]
    fn ratios_are_to_librdkafkas_tool_and_without_it_there_are_none() {
        let mut rows = vec![
            row(KURIER, Side::Produce, &[150.0]),
            row(RDKAFKA, Side::Produce, &[100.0]),
            row(RDKAFKA, Side::Consume, &[1.0]),
        ];
        rows[0].failures.push("it ended with 1".to_owned());
        let (headings, cells) = table(&rows, Side::Produce);
        assert_eq!(headings[4], "ratio");
        let told = ["150", "150", "150", "1.50", "1.50", "64", "4.0", "failed: it ended with 1"];
        assert_eq!(cells[0], [&[KURIER][..], &told].concat());
        let told = ["100", "100", "100", "1.00", "1.50", "64", "4.0", ""];
        assert_eq!(cells[1], [&[RDKAFKA][..], &told].concat());
        let (_, cells) = table(&rows[..1], Side::Produce);
        assert_eq!(cells[0][4], "-");
        let fast = row(RDKAFKA, Side::Consume, &[3_000_000.0]);
        assert_eq!(table(&[fast], Side::Consume).1[0][8], "under a second: says little");
        let (_, cells) = table(&[row(KURIER, Side::Consume, &[])], Side::Consume);
        assert_eq!(cells[0][1..8], ["-"; 7]);
    }

    #[test]
    fn a_target_is_a_ratio_of_medians_on_its_side() {
        let rows = [
            row(RDKAFKA, Side::Consume, &[1.0]),
            row(KURIER, Side::Produce, &[90.0, 100.0, 110.0]),
            row(RDKAFKA, Side::Produce, &[200.0]),
        ];
        assert_eq!(reached(&TARGETS[0], &rows), Some(0.5));
        assert_eq!(reached(&TARGETS[1], &rows), None, "Java did not run");
    }
}
