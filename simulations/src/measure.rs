//! Measurements that a benchmark prints: bootstraps and seconds of exact decisions, and how busy the cores are.
