//! Medians of seconds, and CPU seconds of this thread.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// CPU seconds that this thread has used, from the kernel's scheduler.
pub fn cpu_seconds() -> f64 {
    // The kernel adds a thread's time up when it is switched; that is asked for here.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// How long and how often each piece of work is repeated.
const LEAST: Duration = Duration::from_millis(700);
const LEAST_RUNS: usize = 5;
const MOST_RUNS: usize = 200;

/// Runs a set of measurements whose names contain a word, and prints a line for each.
pub struct Bench {
    filter: String,
    threads: Option<rayon::ThreadPool>,
}

impl Bench {
    /// Measures what has the word in its name; all for an empty word.
    pub fn new(filter: &str) -> Self {
        println!("{:50} {:>11} {:>11} {:>20} {:>6}", "", "median ms", "CPU ms", "rate", "runs");
        Self { filter: filter.to_owned(), threads: None }
    }

    /// Lets what follows run on this many threads.
    pub fn on_threads(&mut self, number: usize) {
        self.threads = Some(rayon::ThreadPoolBuilder::new().num_threads(number).build().unwrap());
    }

    /// Tells whether something of this name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }

    /// Measures one piece of work, `per` of a unit (`MB`, `records`) each time; `prepare` is not measured. The CPU time is that of one
    /// thread, so it says nothing where the work is shared out.
    pub fn measure<I, O>(&self, name: &str, per: (f64, &str), prepare: impl FnMut() -> I + Send, work: impl FnMut(I) -> O + Send) {
        if self.wants(name) {
            let times = match &self.threads {
                Some(pool) => pool.install(|| times_of(prepare, work)),
                None => times_of(prepare, work),
            };
            print_line(name, per, &times);
        }
    }

    /// The same on this thread, for what cannot be sent to another.
    pub fn measure_here<I, O>(&self, name: &str, per: (f64, &str), prepare: impl FnMut() -> I, work: impl FnMut(I) -> O) {
        if self.wants(name) {
            print_line(name, per, &times_of(prepare, work));
        }
    }
}

/// Wall and CPU seconds of each run.
fn times_of<I, O>(mut prepare: impl FnMut() -> I, mut work: impl FnMut(I) -> O) -> Vec<(f64, f64)> {
    let mut once = || {
        let input = prepare();
        let (cpu, begun) = (cpu_seconds(), Instant::now());
        let output = black_box(work(black_box(input)));
        let times = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        drop(output);
        times
    };
    once();
    let (begun, mut times) = (Instant::now(), Vec::new());
    while times.len() < LEAST_RUNS || (begun.elapsed() < LEAST && times.len() < MOST_RUNS) {
        times.push(once());
    }
    times
}

fn print_line(name: &str, per: (f64, &str), times: &[(f64, f64)]) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let wall = median(times.iter().map(|time| time.0).collect());
    let cpu = median(times.iter().map(|time| time.1).collect());
    let rate = format!("{:.1} {}/s", per.0 / wall, per.1);
    println!("{name:50} {:11.3} {:11.3} {rate:>20} {:6}", wall * 1e3, cpu * 1e3, times.len());
}
