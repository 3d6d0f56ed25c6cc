//! How far a training is: a bar in a terminal, now and then a line elsewhere.

use crate::output::{Output, Thousands};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loupe_model::{EpochRecord, Normalization, Step};
use std::time::{Duration, Instant};
use terminal_size::{Width, terminal_size_of};

/// Between two lines where there is no bar.
pub(crate) const LINE_EVERY: Duration = Duration::from_secs(10);
/// Between two looks at the bar.
const DRAW_EVERY: Duration = Duration::from_millis(50);
/// Columns of the bar itself.
const BAR: usize = 12;
/// Share of the newest step in the loss and accuracy that are shown.
const NEWEST: f64 = 0.01;

/// The progress of a training.
pub(crate) struct Progress {
    bar: ProgressBar,
    epochs: usize,
    /// When this epoch began, or was resumed.
    epoch_began: Instant,
    /// When its last step but one was over: the last one takes the time of scoring too.
    stepped: Instant,
    /// When the training is to stop.
    end: Option<Instant>,
    began: Instant,
    /// Items since then.
    items: usize,
    epoch_steps: usize,
    /// Items of all epochs that are still to come.
    items_left: usize,
    drawn: Instant,
    printed: Instant,
    loss: Recent,
    accuracy: Recent,
}

/// An average of the last hundred steps, about.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    sum: f64,
    weight: f64,
}

impl Recent {
    fn add(&mut self, value: f64) {
        self.sum += NEWEST * (value - self.sum);
        self.weight += NEWEST * (1.0 - self.weight);
    }

    fn value(self) -> f64 {
        self.sum / self.weight
    }
}

impl Progress {
    /// Of a training that has `epochs` epochs and `items_left` items before it, and stops after `limit`.
    pub(crate) fn new(
        epochs: usize,
        items_left: usize,
        limit: Option<Duration>,
        quiet: bool,
    ) -> Progress {
        let now = Instant::now();
        Progress {
            bar: bar(quiet),
            epochs,
            epoch_began: now,
            stepped: now,
            began: now,
            end: limit.and_then(|limit| now.checked_add(limit)),
            items: 0,
            epoch_steps: 0,
            items_left,
            drawn: now,
            printed: now,
            loss: Recent::default(),
            accuracy: Recent::default(),
        }
    }

    /// Takes note of a step.
    pub(crate) fn step(&mut self, step: &Step, output: &mut Output) {
        self.items += step.items;
        self.items_left = self.items_left.saturating_sub(step.items);
        self.epoch_steps += 1;
        self.loss.add(step.loss.into());
        self.accuracy.add(step.correct as f64 / step.items as f64);
        let now = Instant::now();
        if step.epoch_over.is_none() {
            self.stepped = now;
        }
        if now - self.drawn >= DRAW_EVERY || step.epoch_over.is_some() {
            self.drawn = now;
            let epoch = format!("epoch {}/{}", step.epoch, self.epochs);
            let state = format!("{}  {}", position(step), self.state());
            show(&self.bar, epoch, [step.step, step.steps], &state);
        }
        if self.bar.is_hidden() && now - self.printed >= LINE_EVERY && step.epoch_over.is_none() {
            self.printed = now;
            let (epoch, epochs, state) = (step.epoch, self.epochs, self.state());
            output.note(format_args!("epoch {epoch}/{epochs}  step {}  {state}", position(step)));
        }
    }

    /// The time that is left, loss, accuracy and speed: a narrow terminal cuts off the end.
    fn state(&self) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = self.items as f64 / seconds.max(1e-9);
        let until = self.end.map(|end| end.saturating_duration_since(Instant::now()).as_secs_f64());
        let left = (self.items_left as f64 / rate.max(1e-9)).min(until.unwrap_or(f64::INFINITY));
        format!(
            "{} left  loss {:.4}  accuracy {:.1} %  {} img/s",
            Clock(left),
            self.loss.value(),
            self.accuracy.value() * 100.0,
            Thousands(rate as usize),
        )
    }

    /// Prints what an epoch has come to.
    pub(crate) fn epoch(&mut self, record: &EpochRecord, scored: &str, output: &mut Output) {
        let seconds = self.epoch_began.elapsed().as_secs_f64();
        let step = match self.epoch_steps {
            0 | 1 => seconds,
            steps => (self.stepped - self.epoch_began).as_secs_f64() / (steps - 1) as f64,
        };
        let line = epoch_line(record, self.epochs, scored, seconds, step);
        self.above(|| output.note(format_args!("{line}")));
        self.epoch_steps = 0;
        self.epoch_began = Instant::now();
    }

    /// Does something that prints while the bar is away.
    pub(crate) fn above(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// The bar goes away; items per second, if there were any.
    pub(crate) fn finish(self) -> Option<f64> {
        self.bar.finish_and_clear();
        let rate = self.items as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        Some(rate).filter(|_| self.items > 0)
    }
}

/// An empty bar on standard error; hidden if that is no terminal.
pub(crate) fn bar(quiet: bool) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{prefix}} [{{bar:{BAR}}}] {{msg}}"))
        .expect("the template is valid")
        .progress_chars("=> ");
    let target = match quiet {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr_with_hz(20),
    };
    ProgressBar::with_draw_target(Some(0), target).with_style(style)
}

/// Draws the bar at a step of so many. What does not fit the terminal is cut off.
pub(crate) fn show(bar: &ProgressBar, prefix: String, [step, steps]: [usize; 2], state: &str) {
    let columns = terminal_size_of(std::io::stderr()).map_or(80, |(Width(width), _)| width);
    let taken = prefix.chars().count() + BAR + 4;
    let room = usize::from(columns).saturating_sub(taken);
    bar.set_length(steps as u64);
    bar.set_prefix(prefix);
    bar.set_position(step as u64);
    bar.set_message(state.chars().take(room).collect::<String>());
}

fn position(step: &Step) -> String {
    format!("{}/{}", Thousands(step.step), Thousands(step.steps))
}

/// `seconds` are those of the epoch with its scores, `step` those of a step.
fn epoch_line(
    record: &EpochRecord,
    epochs: usize,
    scored: &str,
    seconds: f64,
    step: f64,
) -> String {
    let EpochRecord { epoch, mean_loss, training, .. } = record;
    let accuracy = training.ratio() * 100.0;
    let mut line =
        format!("epoch {epoch}/{epochs}  mean loss {mean_loss:.4}  accuracy {accuracy:.2} %");
    // Batch statistics where there are two scores: those of the tutorial.
    if let Some(score) = record.score(Normalization::BatchStatistics) {
        line += &format!("  {scored} {:.2} %", score.ratio() * 100.0);
    }
    line += &format!("  {seconds:.2} s  {:.2} µs/step", step * 1e6);
    if record.best {
        line += "  best";
    }
    line
}

/// Seconds as people say them.
pub(crate) struct Clock(pub(crate) f64);

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0;
        match seconds as u64 {
            0..10 => write!(f, "{seconds:.1} s"),
            10..60 => write!(f, "{seconds:.0} s"),
            whole @ 60..3600 => write!(f, "{} min {:02} s", whole / 60, whole % 60),
            whole => write!(f, "{} h {:02} min", whole / 3600, whole / 60 % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (9.6, "9.6 s"),
            (59.0, "59 s"),
            (61.0, "1 min 01 s"),
            (7300.0, "2 h 01 min"),
        ] {
            assert_eq!(Clock(seconds).to_string(), text);
        }
    }

    #[test]
    fn averages_forget() {
        let mut recent = Recent::default();
        recent.add(3.0);
        assert!((recent.value() - 3.0).abs() < 1e-12, "the first value counts whole");
        (0..2000).for_each(|_| recent.add(1.0));
        assert!((recent.value() - 1.0).abs() < 1e-6);
    }
}
