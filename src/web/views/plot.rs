//! The plot as SVG, above and below the bar.

use std::fmt::Write;

use askama::{Template, filters::HtmlSafe};

use crate::report::{
    badge::Tone,
    format::grouped,
    plot::{Ahead, Plot},
};

/// The width of the whole file, in the units of the drawing.
const WIDTH: f64 = 1_000.0;
/// The height above the bar, which the fastest column fills, in pixels.
const ABOVE: f64 = 92.0;
const FASTEST: f64 = 84.0;
/// The longest and the shortest tick for failed rows below the bar.
const LONGEST_TICK: f64 = 22.0;
const SHORTEST_TICK: f64 = 5.0;
/// This many failed rows at one position, or the maximum if it is greater, make the longest tick.
const MANY_FAILED: u64 = 20;

/// The two halves of a plot. Their space is reserved from the beginning, so that nothing moves when there is
/// something to draw.
pub trait AroundBar {
    fn above(&self) -> impl Template + HtmlSafe;
    fn below(&self) -> impl Template + HtmlSafe;
}

#[derive(Template)]
#[template(path = "fragments/plot_above.html")]
struct AboveHtml<'a> {
    plot: &'a Plot,
    drawing: Drawing,
}

#[derive(Template)]
#[template(path = "fragments/plot_below.html")]
struct BelowHtml<'a> {
    plot: &'a Plot,
    drawing: Drawing,
}

impl HtmlSafe for AboveHtml<'_> {}
impl HtmlSafe for BelowHtml<'_> {}

impl AroundBar for Plot {
    fn above(&self) -> impl Template + HtmlSafe {
        AboveHtml { plot: self, drawing: Drawing::of(self) }
    }

    fn below(&self) -> impl Template + HtmlSafe {
        BelowHtml { plot: self, drawing: Drawing::of(self) }
    }
}

/// The lines of a plot, as SVG paths.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawing {
    /// A column for each speed, and the columns' upper ends.
    pub columns: String,
    pub caps: String,
    /// The lines between the columns.
    pub gaps: String,
    /// The positions of failed rows.
    pub ticks: String,
    pub ahead: Option<AheadLine>,
}

/// The line over the unread part.
#[derive(Clone, Debug, PartialEq)]
pub struct AheadLine {
    pub path: String,
    /// `61,000 rows/s`; None if there is not enough room.
    pub label: Option<String>,
    /// Pixels from the top.
    pub label_at: u32,
}

impl Drawing {
    #[must_use]
    pub fn of(plot: &Plot) -> Self {
        let speeds = plot.speeds.iter().map(|speed| speed.rows_per_second);
        let ahead = plot.ahead.map(|ahead| ahead.rows_per_second as f64);
        let fastest = speeds.chain(ahead).fold(1.0, f64::max);
        let mut drawing = Self::default();
        for (index, speed) in plot.speeds.iter().enumerate() {
            let (x, width) = (speed.from * WIDTH, speed.to * WIDTH - speed.from * WIDTH);
            let height = FASTEST * speed.rows_per_second / fastest;
            let y = ABOVE - height;
            let cap = height.min(2.0);
            // Writing to a string cannot fail.
            let _ = write!(drawing.columns, "M{x:.1} {y:.1}h{width:.1}v{height:.1}h-{width:.1}z");
            let _ = write!(drawing.caps, "M{x:.1} {y:.1}h{width:.1}v{cap:.1}h-{width:.1}z");
            if index > 0 {
                let _ = write!(drawing.gaps, "M{x:.1} 0v{ABOVE}");
            }
        }
        drawing.ticks = ticks(plot);
        drawing.ahead = plot.ahead.map(|ahead| AheadLine::of(ahead, fastest));
        drawing
    }
}

impl AheadLine {
    fn of(ahead: Ahead, fastest: f64) -> Self {
        let x = ahead.from * WIDTH;
        let y = ABOVE - FASTEST * ahead.rows_per_second as f64 / fastest;
        // Below the line, unless the bar is there.
        let label_at = if y > ABOVE - 24.0 { y - 6.0 } else { y + 16.0 };
        Self {
            path: format!("M{x:.1} {y:.1}H{WIDTH}"),
            label: (x < 0.85 * WIDTH).then(|| format!("{} rows/s", grouped(ahead.rows_per_second))),
            label_at: label_at as u32,
        }
    }
}

/// One tick for each position with failed rows. Its length is proportional to the square root of their
/// number.
fn ticks(plot: &Plot) -> String {
    let most = plot.failed.iter().map(|failed| failed.rows).max().unwrap_or(0).max(MANY_FAILED);
    let mut path = String::new();
    for failed in &plot.failed {
        let x = failed.at * WIDTH;
        let length = LONGEST_TICK * (failed.rows as f64 / most as f64).sqrt();
        let _ = write!(path, "M{x:.1} 3v{:.1}", length.max(SHORTEST_TICK));
    }
    path
}
