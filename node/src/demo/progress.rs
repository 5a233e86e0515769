//! What a demo tells the person who watches it, on standard error.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Steps with their seconds. Silent for `--json`, whose only output is the object.
pub(super) struct Progress {
    quiet: bool,
    started: Instant,
    steps: std::cell::Cell<u32>,
}

impl Progress {
    /// Begins the clock.
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            started: Instant::now(),
            steps: std::cell::Cell::new(0),
        }
    }

    /// Opens the next step.
    pub(super) fn step(&self, text: &str) {
        self.steps.set(self.steps.get() + 1);
        self.line(&format!(
            "[{:>4.0} s] {}. {text}",
            self.started.elapsed().as_secs_f64(),
            self.steps.get()
        ));
    }

    /// Says how a step ended.
    pub(super) fn done(&self, text: &str) {
        self.line(&format!("         ok: {text}"));
    }

    /// Says something in between.
    pub(super) fn note(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("         {line}"));
        }
    }

    /// A bar for a step with a known length.
    pub(super) fn bar(&self) -> ProgressBar {
        if self.quiet {
            return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        }
        let bar = ProgressBar::new(1);
        if let Ok(style) =
            ProgressStyle::with_template("         {bar:30} {pos}/{len} {msg} ({elapsed})")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }

    #[expect(
        clippy::print_stderr,
        reason = "a command line's progress belongs on standard error"
    )]
    fn line(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}
