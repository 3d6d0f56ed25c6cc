//! The terminal: how wide it is, and pictures beside each other.

use crate::draw;

/// Columns where standard output is no terminal.
const WIDTH: usize = 100;

/// What standard output shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Columns.
    pub(crate) width: usize,
    pub(crate) colour: bool,
}

/// Lines of text under a caption.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// May be empty.
    pub(crate) caption: String,
    pub(crate) text: String,
    /// Columns that it takes at least.
    pub(crate) width: usize,
}

impl Screen {
    pub(crate) fn of_stdout() -> Screen {
        use std::io::IsTerminal;
        let size = std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        let width = size.map_or(WIDTH, |(width, _)| usize::from(width.0)).clamp(20, 200);
        Screen { width, colour: draw::colour() }
    }

    /// The blocks from left to right, as many in a row as there is room for.
    pub(crate) fn beside(&self, blocks: &[Block]) -> Vec<String> {
        let widths: Vec<usize> = blocks.iter().map(Block::columns).collect();
        let mut lines = Vec::new();
        let mut first = 0;
        while first < blocks.len() {
            let (mut end, mut width) = (first + 1, 2 + widths[first]);
            while end < blocks.len() && width + GAP.len() + widths[end] <= self.width {
                width += GAP.len() + widths[end];
                end += 1;
            }
            row(&blocks[first..end], &widths[first..end], &mut lines);
            first = end;
        }
        lines
    }
}

const GAP: &str = "  ";

impl Block {
    fn columns(&self) -> usize {
        self.text.lines().chain([&self.caption[..]]).map(visible).fold(self.width, usize::max)
    }
}

fn row(blocks: &[Block], widths: &[usize], lines: &mut Vec<String>) {
    let texts: Vec<Vec<&str>> = blocks.iter().map(|block| block.text.lines().collect()).collect();
    let height = texts.iter().map(Vec::len).max().unwrap_or(0);
    let mut push = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(widths) {
            line.push_str(GAP);
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - visible(cell)));
        }
        line.truncate(line.trim_end_matches(' ').len());
        lines.push(line);
    };
    if blocks.iter().any(|block| !block.caption.is_empty()) {
        push(&mut blocks.iter().map(|block| &block.caption[..]));
    }
    for i in 0..height {
        push(&mut texts.iter().map(|text| text.get(i).copied().unwrap_or_default()));
    }
}

/// Characters of a line without those of colours, `ESC [ … m`.
fn visible(line: &str) -> usize {
    let mut parts = line.split("\x1b[");
    let start = parts.next().map_or(0, |part| part.chars().count());
    start
        + parts
            .map(|part| part.split_once('m').map_or(0, |(_, text)| text.chars().count()))
            .sum::<usize>()
}

/// The text in lines of at most `width` characters, but for longer words, each behind `indent`.
pub(crate) fn wrapped(text: &str, indent: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(caption: &str, text: &str) -> Block {
        Block { caption: caption.into(), text: text.into(), width: 0 }
    }

    #[test]
    fn blocks_stand_beside_each_other() {
        let screen = Screen { width: 14, colour: false };
        let blocks =
            [block("a", "1234\n12"), block("", "56"), block("longer", "\x1b[0m7\x1b[1;2mé")];
        let expected = ["  a", "  1234  56", "  12", "  longer", "  \x1b[0m7\x1b[1;2mé"];
        assert_eq!(screen.beside(&blocks), expected);
        assert_eq!(screen.beside(&[]), [""; 0]);
        let wide = Block { width: 5, ..blocks[1].clone() };
        let screen = Screen { width: 99, colour: false };
        assert_eq!(screen.beside(&[wide.clone(), wide]), ["  56     56"]);
        let narrow = Screen { width: 1, colour: false };
        assert_eq!(narrow.beside(&blocks[1..2]), ["  56"]);
    }

    #[test]
    fn text_is_wrapped() {
        assert_eq!(wrapped("one two  three", "  ", 9), ["  one two", "  three"]);
        assert_eq!(wrapped("longest", "  ", 3), ["  longest"]);
        assert_eq!(wrapped("", "  ", 3), [""; 0]);
    }
}
