//! One bootstrap, exact decisions, and the efficiency of a shard at the real parameters.
//!
//! `cargo bench -p organtwin-simulations --bench bootstraps`

use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use organtwin_simulations::measure::{self, OwnKey};

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn benches(c: &mut Criterion) {
    let key = OwnKey::production().expect("the real parameters are supported");
    let start = Instant::now();
    let clock = || start.elapsed().as_secs_f64();
    let mut group = c.benchmark_group("one core");
    group.sample_size(20);
    group.bench_function("bootstrap", |b| {
        b.iter(|| measure::bootstrap_seconds(key.engine(), 1, &clock).expect("it runs"));
    });
    group.finish();
    for (bits, thresholds) in [(10, 1), (12, 1), (10, 5), (12, 5)] {
        let cost = measure::decisions(&key, bits, thresholds, &clock).expect("it is exact");
        println!("{cost:?}");
    }
    println!(
        "{:?}",
        measure::efficiency(&key, 2, &clock).expect("it runs")
    );
}

criterion_group!(all, benches);
criterion_main!(all);
