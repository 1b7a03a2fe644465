//! CPU seconds of this thread, and medians.

/// CPU seconds that this thread has used, from the kernel's scheduler.
pub fn cpu_seconds() -> f64 {
    // The kernel adds a thread's time up when it is switched; that is asked for here.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
