//! Our own clients, one round after another.

use std::sync::Arc;

use jiff::Timestamp;

use crate::scrape::Scraper;
use crate::view::{ClientTotals, Part};
use crate::watch::board::Board;
use crate::watch::looks::ClientsLook;

pub(super) async fn collect(board: Arc<Board>) {
    let mut scraper = Scraper::new(board.config.clients.clone(), board.config.pace.deadline);
    loop {
        let notes = scraper.look().await;
        let (now, lost) = (Timestamp::now(), board.config.lost.get().copied());
        let look = ClientsLook {
            processes: scraper.processes(),
            totals: ClientTotals { lost, ..scraper.totals() },
            dead_letters: scraper.dead_letters(),
        };
        board.clients.seen(now, look, None);
        board.note(now, notes);
        board.published(Part::Clients);
        tokio::time::sleep(board.config.pace.clients).await;
    }
}
