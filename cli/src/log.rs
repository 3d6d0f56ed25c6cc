//! What a run writes down while it trains: `metrics.csv`, `steps.csv`, `metrics.jsonl`, and TensorBoard's events.
//!
//! Every line bears the number of steps that were taken before it was written, so that a run that is resumed
//! drops what lies after its checkpoint and goes on.

use crate::events::{self, EventWriter};
use anyhow::{Context, Result};
use loupe_model::{EpochRecord, Score, Step};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

const METRICS: &str = "metrics.csv";
const STEPS: &str = "steps.csv";
const LINES: &str = "metrics.jsonl";

/// Names of the files.
pub(crate) const FILES: [&str; 3] = [METRICS, STEPS, LINES];

const METRICS_HEAD: &str =
    "step,epoch,seconds,lr,loss,accuracy,batch_statistics,running_statistics,best";
const STEPS_HEAD: &str = "step,epoch,loss,accuracy,lr";

/// Lines of an epoch in `steps.csv`, about.
const LINES_PER_EPOCH: usize = 100;

/// The log of a run.
pub(crate) struct RunLog {
    metrics: LogFile,
    steps: LogFile,
    lines: LogFile,
    events: EventWriter,
    events_path: PathBuf,
    /// Of the epochs that are over, the seconds of training up to their ends.
    epoch_ends: BTreeMap<usize, f64>,
    /// Steps taken.
    taken: usize,
    /// Seconds of training before this log was opened.
    seconds_before: f64,
    began: Instant,
}

impl RunLog {
    /// The log of a run that begins, or goes on after `taken` steps.
    pub(crate) fn open(folder: &Path, taken: usize) -> Result<RunLog> {
        let kept = [
            Kept::of(&folder.join(METRICS), METRICS_HEAD, taken)?,
            Kept::of(&folder.join(STEPS), STEPS_HEAD, taken)?,
            Kept::of(&folder.join(LINES), "", taken)?,
        ];
        RunLog::with(folder, kept, events::newest(folder), taken)
    }

    fn with(
        folder: &Path,
        [metrics, steps, lines]: [Kept; 3],
        events: Option<PathBuf>,
        taken: usize,
    ) -> Result<RunLog> {
        let epoch_ends: BTreeMap<usize, f64> =
            metrics.lines.iter().filter_map(|line| end_of_epoch(line)).collect();
        let last = lines.lines.last().and_then(|line| seconds_of(line));
        let (events_path, events) = match events {
            Some(path) => {
                let writer = EventWriter::appending(&path, taken as u64);
                (path, writer)
            }
            None => {
                let path = folder.join(events::file_name());
                let writer = EventWriter::create(&path);
                (path, writer)
            }
        };
        let events = events.map_err(|error| cannot_write(&events_path, error))?;
        Ok(RunLog {
            steps: LogFile::create(folder.join(STEPS), &steps.text())?,
            lines: LogFile::create(folder.join(LINES), &lines.text())?,
            metrics: LogFile::create(folder.join(METRICS), &metrics.text())?,
            events,
            events_path,
            taken,
            seconds_before: last.or(epoch_ends.values().last().copied()).unwrap_or(0.0),
            epoch_ends,
            began: Instant::now(),
        })
    }

    /// Seconds that an epoch took, counted from 1; none if that is not known.
    pub(crate) fn epoch_seconds(&self, epoch: usize) -> Option<f64> {
        let end = |epoch| self.epoch_ends.get(&epoch).copied();
        let start = if epoch == 1 { Some(0.0) } else { end(epoch.checked_sub(1)?) };
        Some(end(epoch)? - start?)
    }

    /// Seconds of training so far.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }

    /// Takes note of a step; `losses` are those of all steps so far. A line has the mean loss of the steps since
    /// the line before, and the accuracy over the epoch so far.
    pub(crate) fn step(&mut self, step: &Step, losses: &[f32]) -> Result<()> {
        self.taken += 1;
        let stride = step.steps.div_ceil(LINES_PER_EPOCH);
        let since = match step.step % stride {
            0 => stride,
            since if step.epoch_over.is_some() => since,
            _ => return Ok(()),
        };
        let recent = &losses[losses.len() - since..];
        let loss = recent.iter().map(|&loss| f64::from(loss)).sum::<f64>() / since as f64;
        let (taken, epoch, lr, accuracy) = (self.taken, step.epoch, step.lr, step.so_far.ratio());
        self.steps.line(format_args!("{taken},{epoch},{loss},{accuracy},{lr}"))?;
        let line = json!({"step": taken, "kind": "steps", "epoch": epoch, "seconds": self.seconds(),
            "loss": loss, "accuracy": accuracy, "lr": lr});
        self.lines.line(format_args!("{line}"))?;
        self.scalars(&[("train/loss", loss), ("train/accuracy", accuracy), ("train/lr", lr)])
    }

    /// Takes note of an epoch that is over.
    pub(crate) fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        let (taken, seconds) = (self.taken, self.seconds());
        let EpochRecord { epoch, mean_loss, training, lr, best, .. } = record;
        let ratio = |score: Option<Score>| score.map(Score::ratio);
        let batch = ratio(record.batch_statistics);
        let running = ratio(record.running_statistics);
        let cell = |ratio: Option<f64>| ratio.map(|ratio| ratio.to_string()).unwrap_or_default();
        self.metrics.line(format_args!(
            "{taken},{epoch},{seconds:.6},{lr},{mean_loss},{},{},{},{best}",
            training.ratio(),
            cell(batch),
            cell(running),
        ))?;
        let line: Value = json!({"step": taken, "kind": "epoch", "epoch": epoch, "seconds": seconds,
            "lr": lr, "loss": mean_loss, "accuracy": training.ratio(), "batch_statistics": batch,
            "running_statistics": running, "best": best});
        self.lines.line(format_args!("{line}"))?;
        self.epoch_ends.insert(*epoch, seconds);
        let scores = [("score/batch_statistics", batch), ("score/running_statistics", running)];
        let scores = scores.into_iter().filter_map(|(tag, ratio)| Some((tag, ratio?)));
        let all: Vec<_> = [("epoch/mean_loss", *mean_loss)].into_iter().chain(scores).collect();
        self.scalars(&all)
    }

    fn scalars(&mut self, scalars: &[(&str, f64)]) -> Result<()> {
        let step = self.taken as u64;
        let mut write = || {
            for (tag, value) in scalars {
                self.events.scalar(step, tag, *value as f32)?;
            }
            self.events.flush()
        };
        write().map_err(|error| cannot_write(&self.events_path, error))
    }
}

/// The lines of a file that were written before a checkpoint.
struct Kept {
    head: &'static str,
    lines: Vec<String>,
}

impl Kept {
    fn of(path: &Path, head: &'static str, taken: usize) -> Result<Kept> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        // What a full disk has cut off is no line.
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let kept = lines.filter(|line| step_of(line).is_some_and(|step| step <= taken));
        Ok(Kept { head, lines: kept.map(str::to_owned).collect() })
    }

    fn text(&self) -> String {
        let head = Some(self.head).filter(|head| !head.is_empty());
        head.into_iter()
            .chain(self.lines.iter().map(|line| &**line))
            .map(|line| format!("{line}\n"))
            .collect()
    }
}

/// A file to which lines are appended. Whoever follows it sees each line at once.
struct LogFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl LogFile {
    /// A file that holds this text.
    fn create(path: PathBuf, text: &str) -> Result<LogFile> {
        let open = || {
            loupe_model::write_atomically(&path, text.as_bytes())?;
            Ok(BufWriter::new(File::options().append(true).open(&path)?))
        };
        let file = open().map_err(|error: std::io::Error| cannot_write(&path, error))?;
        Ok(LogFile { path, file })
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) -> Result<()> {
        writeln!(self.file, "{line}")
            .and_then(|()| self.file.flush())
            .map_err(|error| cannot_write(&self.path, error))
    }
}

fn cannot_write(path: &Path, error: std::io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("{}: cannot write", path.display()))
}

/// The steps that were taken before a line was written.
fn step_of(line: &str) -> Option<usize> {
    match line.strip_prefix('{') {
        Some(_) => {
            let value: Value = serde_json::from_str(line).ok()?;
            value.get("step")?.as_u64()?.try_into().ok()
        }
        None => line.split(',').next()?.parse().ok(),
    }
}

/// Of a line of `metrics.csv`, the epoch and the seconds of training up to its end.
fn end_of_epoch(line: &str) -> Option<(usize, f64)> {
    let mut cells = line.split(',').skip(1);
    Some((cells.next()?.parse().ok()?, usable(cells.next()?.parse().ok()?)?))
}

/// Of a line of `metrics.jsonl`, the seconds of training before it was written.
fn seconds_of(line: &str) -> Option<f64> {
    let value: Value = serde_json::from_str(line).ok()?;
    usable(value.get("seconds")?.as_f64()?)
}

fn usable(seconds: f64) -> Option<f64> {
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_know_their_step() {
        assert_eq!(step_of("600,1,0.5"), Some(600));
        assert_eq!(step_of(r#"{"kind":"epoch","step":7}"#), Some(7));
        for line in ["", METRICS_HEAD, "{", "{}", r#"{"step":-1}"#] {
            assert_eq!(step_of(line), None, "{line}");
        }
    }

    #[test]
    fn a_resumed_log_drops_what_came_later() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join(METRICS),
            format!("{METRICS_HEAD}\n10,1,0.5,a\n20,2,0.75,b\n30,3,1,c\n4"),
        )
        .unwrap();
        fs::write(folder.path().join(LINES), "{\"step\":20}\n{\"step\":21}\n{\"st").unwrap();
        let log = RunLog::open(folder.path(), 20).unwrap();
        assert_eq!(log.seconds_before, 0.75);
        assert_eq!(log.epoch_seconds(2), Some(0.25));
        assert_eq!((log.epoch_seconds(0), log.epoch_seconds(3)), (None, None));
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read(METRICS), format!("{METRICS_HEAD}\n10,1,0.5,a\n20,2,0.75,b\n"));
        assert_eq!(read(LINES), "{\"step\":20}\n");
        assert_eq!(read(STEPS), format!("{STEPS_HEAD}\n"));
    }

    #[test]
    fn the_time_within_an_epoch_counts() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = format!("{METRICS_HEAD}\n10,1,0.5,a\n");
        fs::write(folder.path().join(METRICS), metrics).unwrap();
        let lines = "{\"step\":15,\"seconds\":7.25}\n{\"step\":16,\"seconds\":8}\n";
        fs::write(folder.path().join(LINES), lines).unwrap();
        assert_eq!(RunLog::open(folder.path(), 15).unwrap().seconds_before, 7.25);
    }
}
