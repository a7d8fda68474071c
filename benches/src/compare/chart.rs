//! A grouped bar chart as SVG, readable on light and on dark pages.

use std::fmt::Write as _;

use super::Results;
use super::metrics;

/// One group of bars: what stands below it, and its bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Below the bars.
    pub label: String,
    /// One per series, in the series' order; `None` leaves a gap.
    pub bars: Vec<Option<Bar>>,
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its height on the axis; not negative.
    pub height: f64,
    /// What stands above it.
    pub label: String,
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Above all.
    pub title: String,
    /// Beside the vertical axis.
    pub axis: String,
    /// The legend, one name for each bar of a group.
    pub series: Vec<String>,
    /// The groups, from left to right.
    pub groups: Vec<Group>,
}

/// Server CPU per operation, relative to the baseline, with the microseconds above each bar: absolute heights would
/// leave nothing to see of the deep pipelines.
pub fn of_results(results: &Results) -> Chart {
    let baseline = &results.plan.servers[results.plan.baseline].name;
    let group = |row: &super::Row| Group {
        label: row.scenario.title.to_owned(),
        bars: (0..row.cells.len())
            .map(|server| {
                let us = row.cells[server].median(metrics::CPU)?;
                let height = results.ratio(row, server, metrics::CPU)?;
                Some(Bar { height, label: if us < 10.0 { format!("{us:.2}") } else { format!("{us:.1}") } })
            })
            .collect(),
    };
    Chart {
        title: "Server CPU microseconds per operation (less is better)".to_owned(),
        axis: format!("relative to {baseline}"),
        series: results.plan.servers.iter().map(|spec| spec.name.clone()).collect(),
        groups: results.throughput_rows().map(group).collect(),
    }
}

impl Chart {
    /// The chart as an SVG document.
    pub fn to_svg(&self) -> String {
        let bars_per_group = self.series.len().max(1) as f64;
        let group_width = (bars_per_group * BAR_WIDTH + GROUP_GAP).max(GROUP_WIDTH_MIN);
        let width = (LEFT + self.groups.len() as f64 * group_width + RIGHT).max(WIDTH_MIN);
        let (top, step) = scale(self.highest());
        let y = |value: f64| TOP + PLOT_HEIGHT * (1.0 - value / top);
        let mut svg = Svg::open(width, TOP + PLOT_HEIGHT + BOTTOM, &self.title);
        svg.text("title", LEFT, 22.0, &self.title);
        for line in 0..=(top / step).round() as usize {
            let value = line as f64 * step;
            svg.line(if line == 0 { "axis" } else { "grid" }, LEFT, y(value), width - RIGHT, y(value));
            svg.text("tick end", LEFT - 6.0, y(value) + 4.0, &format!("{value:.2}"));
        }
        svg.turned_text("tick middle", 14.0, TOP + PLOT_HEIGHT / 2.0, &self.axis);
        for (index, group) in self.groups.iter().enumerate() {
            let middle = LEFT + (index as f64 + 0.5) * group_width;
            let left = middle - bars_per_group * BAR_WIDTH / 2.0;
            for (series, bar) in group.bars.iter().enumerate() {
                let Some(bar) = bar else { continue };
                let x = left + series as f64 * BAR_WIDTH;
                let class = format!("s{}", series % SERIES_COLORS);
                svg.bar(&class, x + 1.0, y(bar.height), BAR_WIDTH - 2.0, TOP + PLOT_HEIGHT - y(bar.height));
                svg.text("value middle", x + BAR_WIDTH / 2.0, y(bar.height) - 4.0, &bar.label);
            }
            for (line, words) in wrap(&group.label).iter().enumerate() {
                svg.text("tick middle", middle, TOP + PLOT_HEIGHT + 18.0 + line as f64 * 14.0, words);
            }
        }
        let mut x = LEFT;
        for (series, name) in self.series.iter().enumerate() {
            svg.bar(&format!("s{}", series % SERIES_COLORS), x, 34.0, 11.0, 11.0);
            svg.text("tick", x + 16.0, 44.0, name);
            x += 36.0 + name.chars().count() as f64 * 7.0;
        }
        svg.close()
    }

    fn highest(&self) -> f64 {
        let bars = self.groups.iter().flat_map(|group| group.bars.iter().flatten());
        bars.map(|bar| bar.height).filter(|height| height.is_finite()).fold(0.0, f64::max)
    }
}

/// The end of the axis and the step of its marks, for values up to `highest`: at most six marks.
fn scale(highest: f64) -> (f64, f64) {
    let steps = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0];
    let step = steps.into_iter().find(|step| highest / step <= 5.0).unwrap_or(highest / 5.0);
    ((highest / step).ceil().max(1.0) * step, step)
}

/// Cuts a label at its comma: labels stand below narrow groups.
fn wrap(label: &str) -> Vec<&str> {
    label.splitn(2, ", ").collect()
}

struct Svg(String);

impl Svg {
    fn open(width: f64, height: f64, title: &str) -> Self {
        let title = escape(title);
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n"
        ))
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.0, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text));
    }

    fn turned_text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.0,
            "<text class=\"{class}\" transform=\"translate({x:.1} {y:.1}) rotate(-90)\">{text}</text>"
        );
    }

    fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        let _ = writeln!(
            self.0,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    fn bar(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        let _ = writeln!(
            self.0,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }

    fn close(mut self) -> String {
        self.0 += "</svg>\n";
        self.0
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const BAR_WIDTH: f64 = 34.0;
const GROUP_GAP: f64 = 22.0;
/// The labels below groups need so much.
const GROUP_WIDTH_MIN: f64 = 84.0;
/// The title needs so much.
const WIDTH_MIN: f64 = 500.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 72.0;
const BOTTOM: f64 = 52.0;
const PLOT_HEIGHT: f64 = 260.0;
/// How many colours [`STYLE`] has; more series start again.
const SERIES_COLORS: usize = 5;
const STYLE: &str = "
text{font:12px system-ui,sans-serif;fill:#1f2328}
.title{font-size:15px;font-weight:600}.value{font-size:11px}.end{text-anchor:end}.middle{text-anchor:middle}
.page{fill:#ffffff}.grid{stroke:#d1d9e0}.axis{stroke:#59636e}
.s0{fill:#0969da}.s1{fill:#bc4c00}.s2{fill:#1a7f37}.s3{fill:#8250df}.s4{fill:#59636e}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.grid{stroke:#30363d}.axis{stroke:#8b949e}
.s0{fill:#58a6ff}.s1{fill:#f0883e}.s2{fill:#3fb950}.s3{fill:#bc8cff}.s4{fill:#8b949e}}
";

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that `svg` is one element tree: every tag closed in order, attributes quoted, no stray characters.
    fn check_well_formed(svg: &str) -> usize {
        let mut open: Vec<&str> = Vec::new();
        let (mut rest, mut elements) = (svg, 0);
        while let Some(at) = rest.find('<') {
            let text = &rest[..at];
            assert!(!text.contains('>'), "a stray > in {text:?}");
            assert!(text.split('&').skip(1).all(|entity| entity.contains(';')), "a stray & in {text:?}");
            let end = at + rest[at..].find('>').expect("a tag is not closed");
            let tag = &rest[at + 1..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "closed in the wrong order");
                assert!(!open.is_empty() || rest.trim().is_empty(), "more than one root");
                continue;
            }
            elements += 1;
            assert!(tag.matches('"').count().is_multiple_of(2), "an open quote in <{tag}>");
            if !tag.ends_with('/') {
                open.push(tag.split([' ', '\n']).next().unwrap_or_default());
            }
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "left open: {open:?}, {rest:?}");
        elements
    }

    fn chart(groups: usize, series: usize) -> Chart {
        let bar = |index: usize| Some(Bar { height: index as f64 * 0.4, label: format!("<{index}>") });
        Chart {
            title: "a < b & \"c\"".to_owned(),
            axis: "relative to x>y".to_owned(),
            series: (0..series).map(|index| format!("s & {index}")).collect(),
            groups: (0..groups)
                .map(|index| Group {
                    label: format!("G {index}, wrapped"),
                    bars: (0..series).map(bar).collect(),
                })
                .collect(),
        }
    }

    #[test]
    fn charts_are_well_formed_whatever_is_in_them() {
        for (groups, series) in [(0, 0), (1, 1), (3, 2), (8, 7)] {
            let svg = chart(groups, series).to_svg();
            check_well_formed(&svg);
            let bars = svg.matches("<rect class=\"s").count();
            assert_eq!(bars, groups * series + series, "bars and legend");
        }
    }

    #[test]
    fn a_missing_bar_leaves_a_gap() {
        let mut chart = chart(2, 2);
        chart.groups[1].bars[0] = None;
        let svg = chart.to_svg();
        check_well_formed(&svg);
        assert_eq!(svg.matches("<rect class=\"s").count(), 3 + 2);
    }

    #[test]
    fn the_axis_ends_at_or_above_the_highest_bar() {
        for highest in [0.0, 0.2, 0.99, 1.0, 1.01, 3.7, 400.0] {
            let (top, step) = scale(highest);
            assert!(top >= highest && step > 0.0 && top / step <= 6.0, "{highest}: {top} {step}");
        }
    }

    #[test]
    fn bars_stand_on_the_axis_and_are_as_high_as_their_value() {
        let svg = chart(1, 2).to_svg();
        // The second bar, 0.4 of an axis that ends at 0.4 in steps of 0.1, is as high as the plot.
        assert!(svg.contains("y=\"72.0\" width=\"32.0\" height=\"260.0\""), "{svg}");
    }
}
