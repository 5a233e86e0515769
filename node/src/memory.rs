//! Memory of a process, as the operating system counts it.

/// The largest resident memory of a process (this one if `pid` is `None`) since its start, MiB.
///
/// `None` where the system does not say (no `/proc`), or the process is gone.
pub fn peak_mib(pid: Option<u32>) -> Option<u64> {
    let path = match pid {
        Some(pid) => format!("/proc/{pid}/status"),
        None => "/proc/self/status".to_owned(),
    };
    let status = std::fs::read_to_string(path).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.div_ceil(1024))
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_used_memory() {
        assert!(super::peak_mib(None).is_some_and(|mib| mib > 0));
        assert_eq!(super::peak_mib(Some(u32::MAX)), None);
    }
}
