//! `--watch`: looks again and again, redraws on a terminal, and prints JSON elsewhere, an object a look.

use std::io::{self, IsTerminal};

use serde_json::{Value, json};

use crate::args::{Global, Output, Watch};
use crate::exit::Exit;
use crate::output;
use crate::signals::Signals;

/// What one look sees.
pub struct Sight {
    /// For people.
    pub text: String,
    /// For programs: an object a line.
    pub objects: Vec<Value>,
}

/// Looks once, or with `--watch` until a signal. A first look that fails is an error, unless it `may_come`;
/// later ones are told and the next may succeed. The exit code is that of the last look.
///
/// # Errors
/// When the first look fails, or standard output cannot be written.
pub async fn look(
    watch: &Watch,
    global: &Global,
    signals: &Signals,
    may_come: impl Fn(&anyhow::Error) -> bool,
    mut look: impl AsyncFnMut() -> anyhow::Result<Sight>,
) -> anyhow::Result<Exit> {
    if !watch.watch {
        let Sight { text, objects } = look().await?;
        match global.output {
            Output::Json => objects.iter().try_for_each(output::json)?,
            Output::Table => output::text(&text)?,
        }
        return Ok(Exit::Done);
    }
    let redraws = global.output == Output::Table && io::stdout().is_terminal();
    let mut last: Option<Exit> = None;
    loop {
        let seen = tokio::select! {
            biased;
            () = signals.drain.cancelled() => break,
            seen = look() => seen,
        };
        let (sight, exit) = match seen {
            Ok(sight) => (sight, Exit::Done),
            Err(error) if last.is_none() && !may_come(&error) => return Err(error),
            Err(error) => {
                let text = format!("{error:#}");
                let objects = vec![json!({ "error": text })];
                (Sight { text: text + "\n", objects }, Exit::of(&error))
            }
        };
        last = Some(exit);
        match show(sight, redraws) {
            Err(error) if output::is_unread(&error) => break,
            shown => shown?,
        }
        tokio::select! {
            () = signals.drain.cancelled() => break,
            () = tokio::time::sleep(watch.every) => {}
        }
    }
    Ok(last.filter(|exit| *exit != Exit::Done).unwrap_or_else(|| signals.exit()))
}

fn show(sight: Sight, redraws: bool) -> io::Result<()> {
    let now = jiff::Timestamp::now();
    if redraws {
        return output::text(&redrawn(&format!("{now:.0}  Ctrl-C ends\n{}", sight.text)));
    }
    sight.objects.into_iter().try_for_each(|mut object| {
        object["time"] = json!(format!("{now:.3}"));
        output::json(&object)
    })
}

/// From the upper left on, over what stood there: no flicker, as a cleared screen has.
fn redrawn(text: &str) -> String {
    const HOME: &str = "\x1b[H";
    const CLEAR_LINE: &str = "\x1b[K";
    const CLEAR_BELOW: &str = "\x1b[J";
    format!("{HOME}{}{CLEAR_BELOW}", text.replace('\n', &format!("{CLEAR_LINE}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_look_leaves_nothing_of_the_longer_one_before() {
        assert_eq!(redrawn("lag 7\nt 0\n"), "\x1b[Hlag 7\x1b[K\nt 0\x1b[K\n\x1b[J");
    }
}
