//! The call graph as an SVG image: callers left, callees right of all who call them.

use std::fmt::Write as _;

use crate::config::lint::graph::Graph;

/// Sizes in pixels.
const BOX: (usize, usize) = (170, 36);
const COLUMN: usize = 430;
const ROW: usize = 110;
const MARGIN: usize = 20;

// === impl Graph ===

impl Graph {
    /// An SVG image of its own, without scripts or fonts.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let places = self.places();
        let most =
            |of: fn(&(usize, usize)) -> usize| places.iter().map(of).max().unwrap_or_default();
        let width = most(|p| p.0) * COLUMN + BOX.0 + 2 * MARGIN;
        let height = most(|p| p.1) * ROW + BOX.1 + 2 * MARGIN;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let corner = |node: usize| {
            (
                MARGIN + places[node].0 * COLUMN,
                MARGIN + places[node].1 * ROW,
            )
        };
        for call in &self.calls {
            let (from, to) = (corner(call.from), corner(call.to));
            let (x1, y1) = (from.0 + BOX.0, from.1 + BOX.1 / 2);
            let (x2, y2) = (to.0, to.1 + BOX.1 / 2);
            let _ = writeln!(
                svg,
                "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"black\" marker-end=\"url(#a)\"/>"
            );
            // Nearer to the callee, where lines of one caller have parted.
            let (x, y) = ((x1 + 2 * x2) / 3, (y1 + 2 * y2) / 3);
            for (line, word) in call.words().iter().enumerate() {
                let y = y + 14 * line + 4;
                let _ = writeln!(
                    svg,
                    "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" stroke=\"white\" stroke-width=\"3\" paint-order=\"stroke\">{}</text>",
                    plain(word)
                );
            }
        }
        for (node, name) in self.nodes.iter().enumerate() {
            let (x, y) = corner(node);
            let (width, height) = BOX;
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"#eef3fb\" stroke=\"black\"/>"
            );
            let (x, y) = (x + width / 2, y + height / 2 + 4);
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                plain(name)
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Column and row of each node: a callee stands right of its callers, as far as calls do not go in a circle.
    fn places(&self) -> Vec<(usize, usize)> {
        let mut columns = vec![0; self.nodes.len()];
        for _ in 0..self.nodes.len().min(64) {
            let mut moved = false;
            for call in &self.calls {
                let least = columns[call.from] + 1;
                if columns[call.to] < least && least < self.nodes.len() {
                    columns[call.to] = least;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        let mut used = vec![0; self.nodes.len() + 64];
        let place = |column: &usize| {
            let row = used[*column];
            used[*column] += 1;
            (*column, row)
        };
        columns.iter().map(place).collect()
    }
}

fn plain(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
