//! One hospital's node: how bytes, clocks and files move.
