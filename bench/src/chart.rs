//! Charts in SVG, which read well on light and on dark pages.

use anyhow::{Context, Result, anyhow, ensure};
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use xtask::statistics::Spread;

use crate::figures::{Figures, Unit};
use crate::scale::Scale;
use crate::suite::{Chart, Row, Shape};

const WIDTH: u32 = 840;
const MARGIN: i32 = 16;
const TITLE: i32 = 20;
const TEXT: i32 = 14;
const SMALL: i32 = 11;
/// From the top of a row of text, or a bar, to that of the next.
const ROW: i32 = 30;
/// The height of what lines are drawn on.
const PLOT: i32 = 340;
/// Phases that begin within this part of the width would have their names on top of each other.
const NEAR: f64 = 0.02;
/// How much of the width the labels of bars have, and the figures behind the bars.
const LABELS: i32 = 330;
const FIGURES: i32 = 90;
const MIB: f64 = 1_048_576.0;

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
/// Distinct for people with colour blindness, too.
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
    let mut names = chart.rows.iter().flat_map(|row| &row.names);
    names.any(|name| figures.series(name).is_ok() || figures.timelines.contains_key(name))
}

/// The picture.
pub fn svg(chart: &Chart, figures: &Figures) -> Result<String> {
    let mut text = String::new();
    match &chart.shape {
        Shape::Bars { others } => bars(chart, figures, *others, &mut text)?,
        Shape::Lines { places, along, log } => {
            let (unit, lines) = medians(chart, figures, places)?;
            let plot = Plot::new(Across::Places { places, along }, unit, lines);
            sheet_of_lines(chart, &plot, *log, &mut text)?;
        }
        Shape::Course { curve, log } => {
            let (unit, lines) = courses(chart, figures, curve, *log)?;
            sheet_of_lines(chart, &Plot::new(Across::Seconds, unit, lines), *log, &mut text)?;
        }
    }
    Ok(with_theme(&text))
}

/// The colours of a dark page for readers who prefer one.
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
    for Row { label, names } in &chart.rows {
        let [name] = &names[..] else { return Err(anyhow!("{label}: a bar shows one series")) };
        bars.push((label, median(figures, name)?));
    }
    let longest = bars.iter().map(|(_, (value, _))| *value).fold(f64::MIN_POSITIVE, f64::max);
    let top = 2 * MARGIN + TITLE;
    let area = sheet(text, &chart.title, top + ROW * i32::try_from(bars.len())? + MARGIN)?;
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

/// A line, and the phases of what it shows.
struct Line {
    label: String,
    points: Vec<(f64, f64)>,
    /// When phases of it began, and what they are called.
    phases: Vec<(f64, String)>,
}

/// Lines through medians, one place after the other.
fn medians(chart: &Chart, figures: &Figures, places: &[String]) -> Result<(Unit, Vec<Line>)> {
    let mut unit = Unit::Number;
    let mut lines = Vec::new();
    for Row { label, names } in &chart.rows {
        ensure!(names.len() == places.len(), "{label}: a line goes through all places");
        let mut points = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let (value, of) = median(figures, name)?;
            unit = of;
            points.push((at as f64, value));
        }
        lines.push(Line { label: plain(label), points, phases: Vec::new() });
    }
    Ok((unit, lines))
}

/// Lines through what was seen one interval after the other. A logarithm has no place for nothing.
fn courses(chart: &Chart, figures: &Figures, curve: &str, log: bool) -> Result<(Unit, Vec<Line>)> {
    let mut unit = Unit::Number;
    let mut lines = Vec::new();
    for Row { label, names } in &chart.rows {
        let [name] = &names[..] else { return Err(anyhow!("{label}: a course is that of one timeline")) };
        let timeline =
            figures.timelines.get(name).with_context(|| format!("there is no timeline \"{name}\""))?;
        let seen = timeline.curves.get(curve).with_context(|| format!("there is no curve \"{curve}\""))?;
        unit = seen.unit;
        let points =
            seen.values.iter().enumerate().map(|(at, value)| (at as f64 * timeline.interval, *value));
        lines.push(Line {
            label: plain(label),
            points: points.filter(|(_, value)| !log || *value > 0.0).collect(),
            phases: timeline.marks.clone(),
        });
    }
    Ok((unit, lines))
}

/// Lines below a title and their labels.
fn sheet_of_lines(chart: &Chart, plot: &Plot<'_>, log: bool, text: &mut String) -> Result<()> {
    ensure!(plot.lines.len() <= LINES.len(), "more lines than colours");
    let values = || plot.lines.iter().flat_map(|line| line.points.iter().map(|(_, value)| *value));
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::MIN_POSITIVE, f64::max));
    let legend = ROW * i32::try_from(plot.lines.len().div_ceil(2))?;
    let top = 2 * MARGIN + TITLE;
    let area = sheet(text, &chart.title, top + legend + PLOT + MARGIN)?;
    for ((at, line), colour) in (0..).zip(&plot.lines).zip(&LINES) {
        let (x, y) = (MARGIN + at % 2 * (WIDTH as i32 / 2), top + at / 2 * ROW);
        area.draw(&Rectangle::new([(x, y + 8), (x + 24, y + 12)], colour.light.filled())).map_err(drawing)?;
        write(&area, &line.label, (x + 32, y + 3), TEXT, HPos::Left)?;
    }
    let (_, paper) = area.split_vertically(top + legend);
    if log {
        let bottom = 0.999 * 10_f64.powf(least.min(most).log10().floor());
        plot.draw(&paper, bottom, most * 1.2, (bottom..most * 1.2).log_scale())?;
    } else {
        plot.draw(&paper, 0.0, most * 1.05, 0.0..most * 1.05)?;
    }
    area.present().map_err(drawing)
}

/// What lines go along.
enum Across<'a> {
    Places { places: &'a [String], along: &'a str },
    Seconds,
}

/// Lines, and what they are drawn over.
struct Plot<'a> {
    across: Across<'a>,
    unit: Unit,
    /// What stands behind a number on the axis.
    suffix: &'static str,
    lines: Vec<Line>,
}

impl<'a> Plot<'a> {
    fn new(across: Across<'a>, unit: Unit, mut lines: Vec<Line>) -> Self {
        if unit != Unit::Bytes {
            return Self { across, unit, suffix: "", lines };
        }
        // Of what is counted in powers of 2, so that there are round numbers on the axis.
        lines.iter_mut().flat_map(|line| &mut line.points).for_each(|(_, value)| *value /= MIB);
        Self { across, unit: Unit::Number, suffix: " MiB", lines }
    }

    fn draw<Y>(&self, paper: &Area<'_>, bottom: f64, top: f64, heights: Y) -> Result<()>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let width = self.lines.iter().flat_map(|line| &line.points).map(|(at, _)| *at).fold(1.0, f64::max);
        let (across, labels, along) = match self.across {
            Across::Places { places, along } => (-0.2..places.len() as f64 - 0.8, places.len(), along),
            Across::Seconds => (0.0..width, 10, "seconds"),
        };
        let mut chart: ChartContext<'_, _, Cartesian2d<RangedCoordf64, Y::CoordDescType>> =
            ChartBuilder::on(paper)
                .margin(MARGIN)
                .set_label_area_size(LabelAreaPosition::Left, 72)
                .set_label_area_size(LabelAreaPosition::Bottom, 48)
                .build_cartesian_2d(across, heights)
                .map_err(drawing)?;
        let style = ("sans-serif", TEXT).into_font().color(&INK.light);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID.light)
            .light_line_style(TRANSPARENT)
            .axis_style(GRID.light)
            .label_style(style.clone())
            .axis_desc_style(style)
            .x_labels(labels)
            .x_label_formatter(&|at| self.across.label(*at))
            .x_desc(along)
            .y_labels(6)
            .y_label_formatter(&|value| {
                format!("{}{}", Scale::of(self.unit, *value).with_unit(*value), self.suffix)
            })
            .draw()
            .map_err(drawing)?;
        // Names of the first line's phases stand at the top, and those of the next one at the bottom.
        let ends = [(top, HPos::Right), (bottom, HPos::Left)];
        for ((line, colour), (end, side)) in self.lines.iter().zip(&LINES).zip(ends.into_iter().cycle()) {
            let colour = colour.light;
            let style = ("sans-serif", SMALL).into_font().transform(FontTransform::Rotate270).color(&colour);
            let style = style.pos(Pos::new(side, VPos::Top));
            for (at, _) in &line.phases {
                let upright = PathElement::new([(*at, bottom), (*at, top)], colour.stroke_width(1));
                chart.draw_series([upright]).map_err(drawing)?;
            }
            // A phase that is over at once shares its place with the next one.
            for phases in line.phases.chunk_by(|(one, _), (next, _)| next - one < width * NEAR) {
                let Some((at, _)) = phases.last() else { continue };
                let names: Vec<&str> = phases.iter().map(|(_, name)| name.as_str()).collect();
                let names = Text::new(format!(" {} ", names.join(", ")), (*at, end), style.clone());
                chart.draw_series([names]).map_err(drawing)?;
            }
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))
                .map_err(drawing)?;
            if matches!(self.across, Across::Places { .. }) {
                let dots = line.points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
                chart.draw_series(dots).map_err(drawing)?;
            }
        }
        Ok(())
    }
}

impl Across<'_> {
    fn label(&self, at: f64) -> String {
        match self {
            Self::Places { places, .. } if at.fract() == 0.0 && at >= 0.0 => {
                places.get(at as usize).cloned().unwrap_or_default()
            }
            Self::Places { .. } => String::new(),
            Self::Seconds => format!("{at:.0}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::figures::{Series, Timeline};

    fn chart(shape: Shape, rows: &[&[&str]]) -> Chart {
        let row = |row: &&[&str]| Row::from(row.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let rows = rows.iter().map(row).collect();
        Chart { name: "c".to_owned(), title: "A title".to_owned(), shape, series: Vec::new(), rows }
    }

    fn lines(log: bool) -> Shape {
        let places = ["few", "many"].map(str::to_owned).to_vec();
        Shape::Lines { places, along: "clients".to_owned(), log }
    }

    fn figures() -> Figures {
        let mut figures = Figures::default();
        for (name, value) in [("theirs.1", 2.0), ("theirs.2", 40.0), ("ours.1", 1.0), ("ours.2", 4.0)] {
            figures.add(name, Unit::Seconds, value);
        }
        figures
    }

    #[test]
    fn lines_have_their_labels_and_places_and_colours_for_dark_pages() {
        let rows: [&[&str]; 2] = [&["`theirs`", "theirs.1", "theirs.2"], &["ours", "ours.1", "ours.2"]];
        let svg = svg(&chart(lines(true), &rows), &figures()).expect("a chart");
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
        let chart = chart(Shape::Bars { others: 1 }, &[&["theirs", "theirs.2"], &["ours", "ours.2"]]);
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
    fn a_course_has_a_line_for_each_timeline_and_named_ones_where_phases_begin() {
        let mut figures = Figures::default();
        for (name, values) in [("theirs", vec![0.01, 7.0, 0.0, 0.02]), ("ours", vec![0.01, 0.012])] {
            let curves = [("latency".to_owned(), Series { unit: Unit::Seconds, values })].into();
            let marks = vec![(0.5, "a phase".to_owned())];
            figures.timelines.insert(name.to_owned(), Timeline { interval: 1.0, marks, curves });
        }
        let shape = Shape::Course { curve: "latency".to_owned(), log: true };
        let chart = chart(shape, &[&["theirs", "theirs"], &["ours", "ours"]]);
        assert!(is_measured(&chart, &figures));
        let svg = svg(&chart, &figures).expect("a chart");
        for colour in ["#0072B2", "#D55E00"] {
            let lines = svg.lines().filter(|line| line.starts_with("<polyline") && line.contains(colour));
            assert_eq!(lines.count(), 2, "{colour}");
        }
        assert!(svg.contains("seconds"));
        assert_eq!(svg.matches("a phase").count(), 2, "each line has its name");
    }

    #[test]
    fn figures_that_are_missing_are_an_error() {
        let chart = chart(lines(false), &[&["theirs", "theirs.1", "theirs.3"]]);
        assert!(is_measured(&chart, &figures()) && svg(&chart, &figures()).is_err());
    }
}
