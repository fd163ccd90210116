//! The text a routing table is made of, in pieces that are read once and shared by all texts they are part of.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::protocol::proxy::command::{Command, CommandError, Delete, Weigh, parse_config};
use crate::protocol::proxy::target::Addition;

/// A command, as far as it can be carried out without a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// `route add`.
    Add(Addition),
    /// `route del`.
    Delete(Delete),
    /// `route weight`.
    Weigh(Weigh),
}

/// A part of a configuration, as a rule one line: the command of one tag of an instance. All manual overrides are one
/// piece.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Piece {
    text: String,
    orders: Vec<Order>,
    mistake: Option<CommandError>,
}

impl Piece {
    /// Reads a text.
    pub fn read(text: String) -> Self {
        let (commands, mistake) = match parse_config(&text) {
            Ok(commands) => (commands, None),
            Err(mistake) => (Vec::new(), Some(mistake)),
        };
        let order = |command| match command {
            Command::Add(add) => Order::Add(Addition::new(add)),
            Command::Delete(delete) => Order::Delete(delete),
            Command::Weigh(weigh) => Order::Weigh(weigh),
        };
        Self { text, orders: commands.into_iter().map(order).collect(), mistake }
    }

    /// As it was read.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What a table is made of: pieces, with line ends between them.
///
/// Two configurations are equal if their texts are, whatever the pieces.
#[derive(Debug, Clone)]
pub struct Configuration {
    text: String,
    /// A hash of `text`, which tells most texts apart at once.
    hash: u64,
    /// Lines of `text`.
    pub line_count: usize,
    pieces: Vec<Arc<Piece>>,
}

impl PartialEq for Configuration {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for Configuration {}

impl Default for Configuration {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Configuration {
    /// Puts pieces together as they come.
    pub fn new(pieces: Vec<Arc<Piece>>) -> Self {
        let mut text = String::with_capacity(pieces.iter().map(|piece| piece.text.len() + 1).sum());
        for (place, piece) in pieces.iter().enumerate() {
            if place > 0 {
                text.push('\n');
            }
            text.push_str(&piece.text);
        }
        Self { hash: xxh3_64(text.as_bytes()), line_count: text.lines().count(), text, pieces }
    }

    /// The service part of a configuration: every command, in descending order, so that equal paths come in a fixed
    /// order.
    pub fn of_services(mut commands: Vec<Arc<Piece>>) -> Self {
        commands.sort_by(|a, b| b.text.cmp(&a.text));
        Self::new(commands)
    }

    /// The same with one more piece at the end, on a line of its own.
    pub fn followed_by(&self, piece: &Arc<Piece>) -> Self {
        let mut pieces = self.pieces.clone();
        if pieces.is_empty() {
            pieces.push(Arc::default());
        }
        pieces.push(Arc::clone(piece));
        Self::new(pieces)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The commands in order, unless a line is none.
    pub fn orders(&self) -> Result<impl Iterator<Item = &Order>, CommandError> {
        let mut line = 0;
        for piece in &self.pieces {
            if let Some(mistake) = piece.mistake {
                return Err(CommandError { line: line + mistake.line, ..mistake });
            }
            line += piece.text.matches('\n').count() + 1;
        }
        Ok(self.pieces.iter().flat_map(|piece| &piece.orders))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(texts: &[&str]) -> Vec<Arc<Piece>> {
        texts.iter().map(|text| Arc::new(Piece::read((*text).to_owned()))).collect()
    }

    #[test]
    fn pieces_mean_what_their_text_means() {
        for texts in [
            &["route add a / http://a:1/", "route add b / http://b:1/"][..],
            &["", "# none\n\nroute del a", "route weight b /x weight 0.5\n"],
            &["route add a / http://a:1/\n\nroute", "rout"],
            &["", "", "route add a"],
            &[],
        ] {
            let (apart, whole) = (Configuration::new(pieces(texts)), Configuration::new(pieces(&[&texts.join("\n")])));
            assert_eq!(apart, whole);
            assert_eq!(apart.line_count, texts.join("\n").lines().count());
            let orders = |configuration: &Configuration| configuration.orders().map(|orders| orders.cloned().collect());
            let (apart, whole): (Result<Vec<_>, _>, Result<Vec<_>, _>) = (orders(&apart), orders(&whole));
            assert_eq!(apart, whole, "{texts:?}");
        }
    }

    #[test]
    fn what_follows_nothing_follows_an_empty_line() {
        let overrides = Arc::new(Piece::read("route del a".to_owned()));
        assert_eq!(Configuration::default().followed_by(&overrides).text(), "\nroute del a");
        let services = Configuration::of_services(pieces(&["route add a / http://a:1/", "route add b / http://b:1/"]));
        let text = "route add b / http://b:1/\nroute add a / http://a:1/\nroute del a";
        assert_eq!(services.followed_by(&overrides).text(), text);
    }
}
