#!/usr/bin/env bash
# Compiles the CPU kernels for 64-bit Arm and runs their unit tests under qemu, on an x86 PC.
# Debian: dpkg --add-architecture arm64; apt-get update
#         apt-get install rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu qemu-user
# With a rustup toolchain that has the target, set RUSTC to its rustc instead.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src/nn"
# The kernels stand alone but for two crates: a package of their own compiles in seconds.
cat >"$work/Cargo.toml" <<'X'
[package]
name = "kernels"
version = "0.0.0"
edition = "2024"
[dependencies]
bytemuck = "1"
half = "2"
memmap2 = "0.9"
rayon = "1"
serde = { version = "1", features = ["derive"] }
thiserror = "2"
X
printf 'pub mod nn;\n' >"$work/src/lib.rs"
# Of the rest of nn they need the block formats and the raw tensors, with their error type.
cat >"$work/src/nn/mod.rs" <<'X'
pub mod dtype;
pub mod kernels;
pub mod precision;
pub mod quant;
pub mod source;
pub fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
#[derive(Debug, thiserror::Error)]
pub enum NnError {
    #[error("{0}")]
    MissingTensor(String),
    #[error("{name} {expected:?} {found:?}")]
    Shape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("{name} {dtype}")]
    Dtype { name: String, dtype: String },
    #[error("{0}")]
    Config(String),
    #[error("cut")]
    Cut,
}
X
cp -r "$root/src/nn/kernels" "$work/src/nn/"
for file in dtype precision quant source; do sed '/^#\[cfg(test)\]/,$d' "$root/src/nn/$file.rs" >"$work/src/nn/$file.rs"; done
cp "$root/Cargo.lock" "$work/"
cd "$work"
export RUSTC="${RUSTC:-/usr/bin/rustc}"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64
# Linked statically: under qemu-user 7.2 a dynamic program hangs when it starts a thread.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
cargo test --lib --release --target aarch64-unknown-linux-gnu --target-dir "${TMPDIR:-/tmp}/glossa-kernels-aarch64"
