//! Figures with their spread, and tables of them in Markdown, as `docs/performance.md` has them.

use std::fmt;

/// Figures of several rounds in short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of these figures; all zero when there are none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or_default();
        Self {
            least: at(0),
            median: at(figures.len() / 2),
            most: at(figures.len().saturating_sub(1)),
        }
    }
}

impl fmt::Display for Spread {
    /// `1.07 (0.98–1.21)`, with the digits that were asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self {
            least,
            median,
            most,
        } = self;
        write!(f, "{median:.digits$} ({least:.digits$}–{most:.digits$})")
    }
}

/// `of` divided by `by`, round by round: both were measured within seconds of each other.
pub(crate) fn ratios(of: &[f64], by: &[f64]) -> Spread {
    Spread::of(of.iter().zip(by).map(|(of, by)| of / by))
}

/// A share of sorted figures, such as 0.99.
pub(crate) fn quantile(sorted: &[u64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index within the figures"
    )]
    let index = (sorted.len() as f64 * share) as usize;
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(index.min(last))
        .map_or(0.0, |figure| *figure as f64)
}

/// A table whose cells are texts.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|cell| (*cell).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints it under a heading.
    pub(crate) fn print(&self, title: &str) {
        line(&format!("\n### {title}\n"));
        line(&format!("| {} |", self.head.join(" | ")));
        line(&format!("|---{}|", "|---:".repeat(self.head.len() - 1)));
        for row in &self.rows {
            line(&format!("| {} |", row.join(" | ")));
        }
        line("");
    }
}

/// Prints a line.
pub(crate) fn line(text: &str) {
    println!("{text}");
}
