//! Figures of the process from the operating system, under the names that Prometheus' own libraries use.
//!
//! Read from `/proc`, which is Linux' alone; elsewhere these metrics are missing. A crate for it would bring a parser of
//! all of `/proc` for these six numbers, and would count processor time in whole seconds.

use std::fs;

use super::{
    PROCESS_CPU, PROCESS_FDS, PROCESS_MAX_FDS, PROCESS_RESIDENT, PROCESS_START, PROCESS_VIRTUAL, Page,
};

/// Linux counts the times that it shows in hundredths of a second, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes what can be read.
pub(super) fn write(page: &mut Page) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    if let Some(times) = Times::read(&read("/proc/self/stat"), &read("/proc/stat")) {
        page.write_one(&PROCESS_START, times.started_at);
        page.write_one(&PROCESS_CPU, times.processor);
    }
    let status = read("/proc/self/status");
    for (meter, field) in [(&PROCESS_RESIDENT, "VmRSS:"), (&PROCESS_VIRTUAL, "VmSize:")] {
        if let Some(kibibytes) = number_after(&status, field) {
            page.write_one(meter, kibibytes * 1024.0);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The folder that is being read is open, too.
        let open = u32::try_from(open.count().saturating_sub(1)).unwrap_or(u32::MAX);
        page.write_one(&PROCESS_FDS, open.into());
    }
    if let Some(most) = number_after(&read("/proc/self/limits"), "Max open files") {
        page.write_one(&PROCESS_MAX_FDS, most);
    }
}

#[derive(Debug, PartialEq)]
struct Times {
    started_at: f64,
    processor: f64,
}

impl Times {
    /// From the files `stat` of the process and of the system; see proc(5).
    fn read(process: &str, system: &str) -> Option<Self> {
        // The name of the program stands in brackets and may hold anything; its fields are counted from 3 behind it.
        let fields: Vec<&str> = process.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let booted_at = number_after(system, "btime")?;
        Some(Self {
            started_at: booted_at + ticks(22)? / TICKS_PER_SECOND,
            processor: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
        })
    }
}

/// The number behind the name of a line.
fn number_after(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_the_name_whatever_it_is() {
        let process = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1234 1 2 3";
        let times = Times::read(process, "cpu 1 2 3\nbtime 1700000000\n").unwrap();
        assert_eq!(times, Times { started_at: 1_700_000_012.34, processor: 3.0 });
        assert_eq!(Times::read("", ""), None);
        assert_eq!(Times::read("7 (a) S 1", "btime 1"), None);
    }

    #[test]
    fn numbers_are_read_behind_their_names() {
        let status = "Name:\tpurge\nVmSize:\t  2048 kB\nVmRSS:\t   512 kB\n";
        assert_eq!(number_after(status, "VmRSS:"), Some(512.0));
        assert_eq!(number_after(status, "VmSwap:"), None);
        assert_eq!(number_after("Max open files  1024  4096  files\n", "Max open files"), Some(1024.0));
        assert_eq!(number_after("Max open files  unlimited\n", "Max open files"), None);
    }
}
