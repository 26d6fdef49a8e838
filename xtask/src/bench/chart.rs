//! Charts in SVG, which read well on light and on dark pages.

use anyhow::{Context, Result, anyhow, ensure};
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figures::{Figures, Unit};
use super::scale::Scale;
use super::statistics::Spread;

/// A picture of some of the figures of a chapter.
pub struct Chart {
    /// What its file's name ends in.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// How it shows it.
    pub shape: Shape,
    /// What is shown: labels, and the names of series.
    pub rows: &'static [(&'static str, &'static [&'static str])],
}

/// How figures are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// A bar for each row, as long as the median of its one series.
    Bars {
        /// How many of them, the first ones, are not ours.
        others: usize,
    },
    /// A line for each row, through the medians of its series.
    Lines {
        /// What the series stand for, one beside the other.
        places: &'static [&'static str],
        /// What these places are of.
        along: &'static str,
        /// Whether each line up is ten times the one below.
        log: bool,
    },
}

const WIDTH: u32 = 840;
const MARGIN: i32 = 16;
const TITLE: i32 = 20;
const TEXT: i32 = 14;
/// From the top of a row of text, or a bar, to that of the next.
const ROW: i32 = 30;
/// The height of what lines are drawn on.
const PLOT: i32 = 340;
/// How much of the width the labels of bars have, and the figures behind the bars.
const LABELS: i32 = 330;
const FIGURES: i32 = 90;

/// A colour on a light page, and its like on a dark one.
#[derive(Clone, Copy)]
struct Colour {
    light: RGBColor,
    dark: &'static str,
}

const PAPER: Colour = Colour { light: RGBColor(255, 255, 255), dark: "#0d1117" };
const INK: Colour = Colour { light: RGBColor(31, 35, 40), dark: "#e6edf3" };
const GRID: Colour = Colour { light: RGBColor(209, 217, 224), dark: "#3d444d" };
/// What is not ours, among bars.
const OTHERS: Colour = LINES[5];
/// Told apart by people who do not see all colours, too.
const LINES: [Colour; 6] = [
    Colour { light: RGBColor(0, 114, 178), dark: "#56b4e9" },
    Colour { light: RGBColor(213, 94, 0), dark: "#ff9e4a" },
    Colour { light: RGBColor(0, 128, 96), dark: "#3fd9a8" },
    Colour { light: RGBColor(170, 68, 153), dark: "#e58fd5" },
    Colour { light: RGBColor(125, 100, 0), dark: "#f0e442" },
    Colour { light: RGBColor(89, 99, 110), dark: "#9ea7b3" },
];

/// Whether anything of it has been measured.
pub fn is_measured(chart: &Chart, figures: &Figures) -> bool {
    chart.rows.iter().flat_map(|(_, names)| *names).any(|name| figures.series(name).is_ok())
}

/// The picture.
///
/// # Errors
///
/// When figures are missing, or more rows are to be shown than there are colours.
pub fn svg(chart: &Chart, figures: &Figures) -> Result<String> {
    let mut text = String::new();
    match chart.shape {
        Shape::Bars { others } => bars(chart, figures, others, &mut text)?,
        Shape::Lines { places, along, log } => {
            ensure!(chart.rows.len() <= LINES.len(), "{}: more lines than colours", chart.name);
            lines(chart, figures, places, along, log, &mut text)?;
        }
    }
    Ok(with_theme(&text))
}

/// The colours of a dark page for whoever prefers one.
fn with_theme(svg: &str) -> String {
    let mut style = String::from("<style>@media (prefers-color-scheme: dark) {");
    for Colour { light: RGBColor(red, green, blue), dark } in [&PAPER, &INK, &GRID].into_iter().chain(&LINES)
    {
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        style.push_str(&format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}"));
    }
    style.push_str("}</style>\n");
    match svg.find(">\n") {
        Some(end) => {
            let (head, rest) = svg.split_at(end + 2);
            format!("{head}{style}{rest}")
        }
        None => svg.to_owned(),
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// A sheet of paper with the title, as high as what is to come below it.
fn sheet<'a>(text: &'a mut String, title: &str, height: i32) -> Result<Area<'a>> {
    let height = u32::try_from(height).context("a height")?;
    let area = SVGBackend::with_string(text, (WIDTH, height)).into_drawing_area();
    area.fill(&PAPER.light).map_err(drawing)?;
    write(&area, title, (MARGIN, MARGIN), TITLE, HPos::Left)?;
    Ok(area)
}

/// What labels of a page have for the sake of Markdown is not for a picture.
fn plain(label: &str) -> String {
    label.replace('`', "")
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: i32, side: HPos) -> Result<()> {
    let style = ("sans-serif", size).into_font().color(&INK.light).pos(Pos::new(side, VPos::Top));
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(drawing)
}

fn drawing(error: impl std::error::Error) -> anyhow::Error {
    anyhow!("could not draw: {error}")
}

fn median(figures: &Figures, name: &str) -> Result<(f64, Unit)> {
    let series = figures.series(name)?;
    Ok((Spread::of(&series.values).context("a series is empty")?.median, series.unit))
}

fn bars(chart: &Chart, figures: &Figures, others: usize, text: &mut String) -> Result<()> {
    let mut bars = Vec::new();
    for (label, names) in chart.rows {
        let [name] = names else { return Err(anyhow!("{label}: a bar shows one series")) };
        bars.push((label, median(figures, name)?));
    }
    let longest = bars.iter().map(|(_, (value, _))| *value).fold(f64::MIN_POSITIVE, f64::max);
    let top = 2 * MARGIN + TITLE;
    let area = sheet(text, chart.title, top + ROW * i32::try_from(bars.len())? + MARGIN)?;
    let room = WIDTH as i32 - 2 * MARGIN - LABELS - FIGURES;
    let left = MARGIN + LABELS;
    for (at, (label, (value, unit))) in (0..).zip(&bars) {
        let y = top + at * ROW;
        write(&area, &plain(label), (left - 8, y + 4), TEXT, HPos::Right)?;
        let right = left + (f64::from(room) * value / longest).round() as i32;
        let colour = if (at as usize) < others { &OTHERS } else { &LINES[0] };
        let bar = Rectangle::new([(left, y), (right.max(left + 1), y + ROW - 8)], colour.light.filled());
        area.draw(&bar).map_err(drawing)?;
        let figure = Scale::of(*unit, *value).with_unit(*value);
        write(&area, &figure, (right + 8, y + 4), TEXT, HPos::Left)?;
    }
    area.present().map_err(drawing)
}

fn lines(
    chart: &Chart,
    figures: &Figures,
    places: &[&str],
    along: &str,
    log: bool,
    text: &mut String,
) -> Result<()> {
    let mut lines = Vec::new();
    let mut unit = Unit::Number;
    for (label, names) in chart.rows {
        ensure!(names.len() == places.len(), "{label}: a line goes through all places");
        let mut points = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let (value, of) = median(figures, name)?;
            unit = of;
            points.push((at as f64, value));
        }
        lines.push((plain(label), points));
    }
    let values = || lines.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value));
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::MIN_POSITIVE, f64::max));
    let legend = ROW * i32::try_from(lines.len().div_ceil(2))?;
    let top = 2 * MARGIN + TITLE;
    let area = sheet(text, chart.title, top + legend + PLOT + MARGIN)?;
    for (at, (label, _)) in (0..).zip(&lines) {
        let (x, y) = (MARGIN + at % 2 * (WIDTH as i32 / 2), top + at / 2 * ROW);
        let colour = LINES.get(at as usize).context("a colour")?.light;
        area.draw(&Rectangle::new([(x, y + 8), (x + 24, y + 12)], colour.filled())).map_err(drawing)?;
        area.draw(&Circle::new((x + 12, y + 10), 5, colour.filled())).map_err(drawing)?;
        write(&area, label, (x + 32, y + 3), TEXT, HPos::Left)?;
    }
    let plot = Plot { places, along, unit, lines: &lines };
    let (_, paper) = area.split_vertically(top + legend);
    if log {
        plot.draw(&paper, (0.999 * 10_f64.powf(least.log10().floor())..most * 1.2).log_scale())?;
    } else {
        plot.draw(&paper, 0.0..most * 1.05)?;
    }
    area.present().map_err(drawing)
}

/// Lines, and what they are drawn over.
struct Plot<'a> {
    places: &'a [&'a str],
    along: &'a str,
    unit: Unit,
    lines: &'a [(String, Vec<(f64, f64)>)],
}

impl Plot<'_> {
    fn draw<Y>(&self, paper: &Area<'_>, heights: Y) -> Result<()>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let across: std::ops::Range<f64> = -0.2..self.places.len() as f64 - 0.8;
        let mut chart: ChartContext<'_, _, Cartesian2d<RangedCoordf64, Y::CoordDescType>> =
            ChartBuilder::on(paper)
                .margin(MARGIN)
                .set_label_area_size(LabelAreaPosition::Left, 72)
                .set_label_area_size(LabelAreaPosition::Bottom, 48)
                .build_cartesian_2d(across, heights)
                .map_err(drawing)?;
        let place = |at: &f64| {
            let whole = at.fract() == 0.0 && *at >= 0.0;
            whole
                .then(|| self.places.get(*at as usize))
                .flatten()
                .map_or_else(String::new, |p| (*p).to_owned())
        };
        let style = ("sans-serif", TEXT).into_font().color(&INK.light);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID.light)
            .light_line_style(TRANSPARENT)
            .axis_style(GRID.light)
            .label_style(style.clone())
            .axis_desc_style(style)
            .x_labels(self.places.len())
            .x_label_formatter(&place)
            .x_desc(self.along)
            .y_labels(6)
            .y_label_formatter(&|value| Scale::of(self.unit, *value).with_unit(*value))
            .draw()
            .map_err(drawing)?;
        for ((_, points), colour) in self.lines.iter().zip(&LINES) {
            let colour = colour.light;
            chart
                .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))
                .map_err(drawing)?;
            let dots = points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
            chart.draw_series(dots).map_err(drawing)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const ROWS: &[(&str, &[&str])] =
        &[("`theirs`", &["theirs.1", "theirs.2"]), ("ours", &["ours.1", "ours.2"])];

    fn figures() -> Figures {
        let mut figures = Figures::default();
        for (name, value) in [("theirs.1", 2.0), ("theirs.2", 40.0), ("ours.1", 1.0), ("ours.2", 4.0)] {
            figures.add(name, Unit::Seconds, value);
        }
        figures
    }

    #[test]
    fn lines_have_their_labels_and_places_and_colours_for_dark_pages() {
        let shape = Shape::Lines { places: &["few", "many"], along: "clients", log: true };
        let svg =
            svg(&Chart { name: "c", title: "A title", shape, rows: ROWS }, &figures()).expect("a chart");
        for text in
            ["A title", "theirs", "ours", "few", "many", "clients", "10.0 s", "prefers-color-scheme: dark"]
        {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains('`'));
        for colour in ["#0072B2", "#D55E00"] {
            let drawn = svg.lines().filter(|line| line.starts_with("<polyline") && line.contains(colour));
            assert_eq!(drawn.count(), 1, "{colour}");
        }
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let rows: &[(&str, &[&str])] = &[("theirs", &["theirs.2"]), ("ours", &["ours.2"])];
        let chart = Chart { name: "c", title: "A title", shape: Shape::Bars { others: 1 }, rows };
        let svg = svg(&chart, &figures()).expect("a chart");
        let widths: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect"))
            .skip(1)
            .filter_map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        assert_eq!(widths.len(), 2);
        assert!((widths[0] / widths[1] - 10.0).abs() < 0.2, "{widths:?}");
    }

    #[test]
    fn figures_that_are_missing_are_an_error() {
        let rows: &[(&str, &[&str])] = &[("theirs", &["theirs.1", "theirs.3"])];
        let shape = Shape::Lines { places: &["few", "many"], along: "clients", log: false };
        let chart = Chart { name: "c", title: "A title", shape, rows };
        assert!(is_measured(&chart, &figures()) && svg(&chart, &figures()).is_err());
    }
}
