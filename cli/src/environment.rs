//! What a run was computed with.

use crate::machine::cpu_name;
use crate::recipe::Recipe;
use loupe_engine::{Context, Isa, Tier};
use serde_json::{Value, json};
use std::path::Path;
use std::time::SystemTime;

/// Machine, program, command line and time, for a run that begins now.
pub(crate) fn of(cx: &Context, recipe: &Recipe) -> Value {
    let command: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    json!({
        "loupe": env!("CARGO_PKG_VERSION"),
        "started": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        "command": command,
        "seed": recipe.seed,
        "cpu": cpu_name(),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "threads": cx.threads().count(),
        "tier": cx.isa().tier().name(),
        "tiers": Isa::available().map(|isa| isa.tier().name()).collect::<Vec<_>>(),
        "system": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
    })
}

/// The tier on which a run was begun, if this file says it.
pub(crate) fn tier(path: &Path) -> Option<Tier> {
    let environment: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let name = environment.get("tier")?.as_str()?;
    Tier::ALL.into_iter().find(|tier| tier.name() == name)
}
