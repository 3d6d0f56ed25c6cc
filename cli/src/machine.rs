//! What the program runs on, and how fast that can multiply and add.

use loupe_engine::measure::fma_peak;
use loupe_engine::{Context, Isa};
use serde_json::{Map, Value, json};
use std::fmt;

/// The machine, and what is used of it.
#[derive(Debug)]
pub(crate) struct Machine {
    /// As the system calls it, if it does.
    cpu: Option<String>,
    cores: usize,
    tier: &'static str,
    tiers: Vec<&'static str>,
    threads: usize,
    /// Operations per second of one thread, by the best tier of the CPU.
    pub(crate) core_peak: f64,
    /// The same of all threads together.
    pub(crate) peak: f64,
}

impl Machine {
    /// Measures the peaks, which takes a fraction of a second.
    pub(crate) fn of(cx: &Context) -> Machine {
        let core_peak = fma_peak(&Context::serial());
        let threads = cx.threads().count();
        let peak = match threads {
            1 => core_peak,
            _ => fma_peak(&Context::new(Isa::best(), cx.threads().clone())),
        };
        Machine {
            cpu: cpu_name(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            tier: cx.isa().tier().name(),
            tiers: Isa::available().map(|isa| isa.tier().name()).collect(),
            threads,
            core_peak,
            peak,
        }
    }

    /// As the fields of a JSON object.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let Machine { cpu, cores, tier, tiers, threads, core_peak, peak } = self;
        let fields = json!({
            "cpu": cpu,
            "cores": cores,
            "tier": tier,
            "tiers": tiers,
            "threads": threads,
            "peak_flops_per_thread": core_peak,
            "peak_flops": peak,
        });
        match fields {
            Value::Object(fields) => fields,
            _ => unreachable!("written as an object"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, tier, tiers, threads, core_peak, peak } = self;
        let s = |n: usize| if n == 1 { "" } else { "s" };
        let cpu = cpu.as_deref().unwrap_or("unknown CPU");
        writeln!(f, "{cpu}, {cores} core{}", s(*cores))?;
        writeln!(f, "{tier} (of {}), {threads} thread{}", tiers.join(", "), s(*threads))?;
        write!(f, "peak of multiply-adds: {:.1} GFLOP/s a thread", core_peak / 1e9)?;
        if *threads > 1 {
            write!(f, ", {:.1} on {threads} threads", peak / 1e9)?;
        }
        Ok(())
    }
}

/// What the system calls the CPU, if it does.
pub(crate) fn cpu_name() -> Option<String> {
    std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| model_name(&text))
}

/// The name of the first CPU in the text of `/proc/cpuinfo`.
fn model_name(cpuinfo: &str) -> Option<String> {
    let name = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name" && !value.trim().is_empty()).then(|| value.trim().to_owned())
    };
    cpuinfo.lines().find_map(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_cpu() {
        let text =
            "processor\t: 0\nmodel\t\t: 17\nmodel name\t: Some CPU @ 2: fast\nflags\t: fpu\n";
        assert_eq!(model_name(text).as_deref(), Some("Some CPU @ 2: fast"));
        assert_eq!(model_name("processor\t: 0\nmodel name\t:\n"), None);
        assert_eq!(model_name(""), None);
    }
}
